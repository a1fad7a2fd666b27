"""CallbackList: callbacks as one, which tells each event to those that listen to it."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Self

from .. import tuning
from ..core import tree
from ..core.positions import go_on, said_by
from ._callback import Callback, hears
from ._history import History
from ._progbar_logger import ProgbarLogger
from .logs import LazyLogs


def _event(name: str) -> Callable[..., None]:
    """The method that tells `on_<name>(logs)` to the callbacks that listen."""

    def tell(self: CallbackList, logs: Any = None) -> None:
        for method in self._listeners(name):
            try:
                method({} if logs is None else logs)
            except Exception as error:
                _name(method, error)
                raise

    return _described(tell, name)


def _numbered_event(name: str, lazy: bool = False) -> Callable[..., None]:
    """The method that tells `on_<name>(number, logs)`; lazily read logs where `lazy` is set."""

    def tell(self: CallbackList, number: int, logs: Any = None) -> None:
        methods = self._listeners(name)
        if methods:
            logs = {} if logs is None else logs
            if lazy and logs and not isinstance(logs, LazyLogs):
                logs = LazyLogs(logs)
            for method in methods:
                try:
                    method(number, logs)
                except Exception as error:
                    _name(method, error)
                    raise

    return _described(tell, name)


def _described(method: Callable[..., None], name: str) -> Callable[..., None]:
    method.__name__ = name
    method.__qualname__ = f"CallbackList.{name}"
    method.__doc__ = f"Tell `{name}` to every callback that listens to it."
    return method


class CallbackList:
    """Several callbacks, told of each event in their order.

    Logs of training and test batches are passed as `LazyLogs`: they wait for the device only if a
    callback reads a value. An event that no callback listens to costs a dictionary look-up.

    Args:
        callbacks: Callbacks, or one.
        add_history: Whether a `History` is added, if there is none.
        add_progbar: Whether a `ProgbarLogger` is added, if there is none.
        model: The model; its attribute `history` becomes the `History`.
        **params: `verbose`, `epochs`, `steps`, for the callbacks' `params`.

    >>> heard = []
    >>> class Listener(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         heard.append((epoch, logs))
    >>> events = CallbackList([Listener()])
    >>> events.on_epoch_begin(0)
    >>> events.on_epoch_end(0, {"loss": 0.5})
    >>> heard
    [(0, {'loss': 0.5})]
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks = [_checked(c) for c in tree.flatten(callbacks) if c is not None]
        self.params: dict[str, Any] = {}
        self._model: Any = None
        self._methods: dict[str, list[Callable[..., None]]] = {}
        history = self._find_or_add(History, add_history)
        self._find_or_add(ProgbarLogger, add_progbar)
        if model is not None:
            self.set_model(model)
            if history is not None:
                model.history = history
        if params:
            self.set_params(params)

    @classmethod
    def wrap(cls, callbacks: Any, **kwargs: Any) -> Self:
        """The callbacks as a `CallbackList`, which they may be already."""
        return callbacks if isinstance(callbacks, cls) else cls(callbacks, **kwargs)

    @property
    def model(self) -> Any:
        """The model."""
        return self._model

    def _find_or_add(self, kind: type[Any], add: bool) -> Any:
        found = next((c for c in self.callbacks if isinstance(c, kind)), None)
        if found is None and add:
            found = kind()
            self.callbacks.append(found)
        return found

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        self.callbacks.append(_checked(callback))
        self._methods = {}

    def set_params(self, params: dict[str, Any]) -> None:
        """Set the `params` of every callback."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Set the `model` of every callback."""
        self._model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def set_run(self, run: Any) -> None:
        """Set the `current_run` of every callback."""
        for callback in self.callbacks:
            getattr(callback, "set_run", _nothing)(run)

    def state(self) -> dict[str, Any]:
        """What each callback knows of the training, by its class and what it watches."""
        said = {name: said_by(callback) for name, callback in self._named()}
        return {name: state for name, state in said.items() if state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let callbacks go on from what others like them knew."""
        named = dict(self._named())
        for name, own in state.items():
            if name in named:
                go_on(named[name], own)
            else:
                tuning.say("A checkpoint has the state of a %s, of which there is none.", name)

    def _named(self) -> Iterator[tuple[str, Any]]:
        counts: Counter[str] = Counter()
        for callback in self.callbacks:
            watched = getattr(
                callback, "monitor", None
            )  # of two of a class, either may be left out later
            name = type(callback).__name__ + (f" of {watched}" if isinstance(watched, str) else "")
            counts[name] += 1
            yield (name if counts[name] == 1 else f"{name}_{counts[name]}"), callback

    def turn(self, run: Any) -> None:
        """Tell `_turn` to those that save: all callbacks know of the steps before, none of the next one."""
        if "_turn" not in self._methods:
            self._methods["_turn"] = [c._turn for c in self.callbacks if hasattr(c, "_turn")]
        for method in self._methods["_turn"]:
            method(run)

    @property
    def is_asked_to_end(self) -> bool:
        """Whether the process has been asked to end, which a callback does at the next turn."""
        return any(getattr(callback, "is_asked_to_end", False) for callback in self.callbacks)

    def close(self) -> None:
        """Let go of files and the terminal, whether a method ended well or by an error: each does, whatever others
        raise, and the last first, since that may have what it took from the one before."""
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.callback(getattr(callback, "_close", _nothing))

    def _listeners(self, event: str) -> list[Callable[..., None]]:
        methods = self._methods.get(event)
        if methods is None:
            listening = [c for c in self.callbacks if hears(c, event)]
            methods = self._methods[event] = [getattr(c, event) for c in listening]
        return methods

    def sees_each(self, which: str) -> bool:
        """Whether a callback looks at each batch of `"train"` or `"test"`, not only at the last of several."""
        events = [f"on_{which}_batch_begin", f"on_{which}_batch_end"]
        events += ["on_batch_begin", "on_batch_end"]
        return any(
            hears(callback, event) and getattr(callback, "sees_each_batch", True)
            for callback in self.callbacks
            for event in events
        )

    on_train_begin = _event("on_train_begin")
    on_train_end = _event("on_train_end")
    on_test_begin = _event("on_test_begin")
    on_test_end = _event("on_test_end")
    on_predict_begin = _event("on_predict_begin")
    on_predict_end = _event("on_predict_end")
    on_epoch_begin = _numbered_event("on_epoch_begin")
    on_epoch_end = _numbered_event("on_epoch_end")
    on_batch_begin = _numbered_event("on_batch_begin")
    on_batch_end = _numbered_event("on_batch_end", lazy=True)
    on_train_batch_begin = _numbered_event("on_train_batch_begin")
    on_train_batch_end = _numbered_event("on_train_batch_end", lazy=True)
    on_test_batch_begin = _numbered_event("on_test_batch_begin")
    on_test_batch_end = _numbered_event("on_test_batch_end", lazy=True)
    on_predict_batch_begin = _numbered_event("on_predict_batch_begin")
    on_predict_batch_end = _numbered_event("on_predict_batch_end")


def _name(method: Any, error: Exception) -> None:
    """Let an error say in which callback it was, and where that stands: a call that doesn't fit shows no frame."""
    code = getattr(inspect.unwrap(getattr(method, "__func__", method)), "__code__", None)
    place = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
    name = getattr(method, "__qualname__", repr(method))
    error.add_note(f"Raised in the callback {name}{place}.")


def _checked(callback: Any) -> Any:
    is_one = isinstance(callback, Callback) or hasattr(callback, "on_train_begin")
    if is_one and not isinstance(callback, type):
        return callback
    raise TypeError(
        "Callbacks must be instances of `Callback`. "
        f"Received: {callback!r} of type {type(callback).__name__}. Derive a class from `Callback`."
    )


def _nothing(run: Any = None) -> None:
    pass
