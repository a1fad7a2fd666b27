"""What a trial may raise to say how the search goes on: fails without another try, or ends."""

from __future__ import annotations


class FailedTrialError(Exception):
    """A trial that can't succeed: it fails, is not tried again, and the search goes on.

    >>> def build(hp):
    ...     if hp.Int("units", 1, 4096) > 4000:
    ...         raise FailedTrialError("too large for the device")
    """


class FatalError(Exception):
    """A fault that every trial would have: it ends the search.

    >>> issubclass(FatalTypeError, (FatalError, TypeError))
    True
    """


class FatalValueError(FatalError, ValueError):
    """A `ValueError` that ends the search.

    >>> issubclass(FatalValueError, ValueError)
    True
    """


class FatalTypeError(FatalError, TypeError):
    """A `TypeError` that ends the search.

    >>> issubclass(FatalTypeError, TypeError)
    True
    """


class FatalRuntimeError(FatalError, RuntimeError):
    """A `RuntimeError` that ends the search.

    >>> issubclass(FatalRuntimeError, RuntimeError)
    True
    """
