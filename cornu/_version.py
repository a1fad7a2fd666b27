"""The version of the package."""

__version__ = "0.1.0"


def version() -> str:
    """The version of the package."""
    return __version__
