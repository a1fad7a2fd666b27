"""The engine of a model's own, and errors of its methods."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ..core.tracebacks import shorten
from ..engines import use

Method = TypeVar("Method", bound=Callable[..., Any])


def at_home(method: Method) -> Method:
    """The method of a model, run on the engine that the model was moved to; its errors show the user's frames."""

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if self.home is None:
                return method(self, *args, **kwargs)
            with use(self.home):
                return method(self, *args, **kwargs)
        except Exception as error:
            shorten(error)
            raise

    return run  # type: ignore[return-value]
