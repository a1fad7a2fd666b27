"""The ports at which processes meet: above those that Linux hands out by itself."""

MEETING_PORT = 61_440
LAST_PORT = 65_535


def meeting_port(number: int) -> int:
    """A port that follows from a number.

    >>> meeting_port(0), meeting_port(4100)
    (61440, 61444)
    """
    return MEETING_PORT + number % (LAST_PORT + 1 - MEETING_PORT)
