"""The base of callbacks: a method for each event of training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..core.described import Keeping
from ..core.positions import go_on, has_position, said_by

Logs = Mapping[str, Any] | None


class Callback(Keeping):
    """What is told of each event of `fit`, `evaluate` and `predict`; subclasses define the methods.

    Batches are counted from 0 in each epoch, epochs from 0 in each training. `logs` are the metrics
    by name. Those of a batch are fetched from the device when they are first looked at, so a
    callback that doesn't look costs nothing.

    Attributes:
        model: The model.
        params: `verbose`, `epochs` and `steps` of the running method; `steps` may be None.
        current_run: The training, evaluation or prediction that tells the events (`training.Run`): its
            `epoch`, the completed steps, the logs. None outside of it.
        sees_each_batch: Whether a callback that listens to batches needs each one. Otherwise it may be
            told of the last of several only, which short steps run faster with.
        in_trials: Whether it takes part in `fit(fast_dev_run=True)`; those that write files don't.

    What `state_dict()` gives is in checkpoints, and `load_state_dict(state)` gets it back, after the
    beginning of training, and of the epoch, were told.

    >>> class Losses(Callback):
    ...     def on_train_begin(self, logs=None):
    ...         self.losses = []
    ...     def on_train_batch_end(self, batch, logs=None):
    ...         self.losses.append(logs["loss"])
    """

    sees_each_batch = True
    in_trials = True
    #: Whether it takes part in each of several processes though it writes files: what it writes may lie on all.
    gathers = False
    #: The attributes that are its state.
    _state: ClassVar[tuple[str, ...]] = ()
    _run: Any = None

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model that is being trained, evaluated or used."""
        return self._model

    @property
    def current_run(self) -> Any:
        """The run that tells the events."""
        return self._run

    def set_run(self, run: Any) -> None:
        """Called before the first event, and after the last one with None."""
        self._run = run

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once, before the first event."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called once, before the first event."""
        self._model = model

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of training."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called at the end of training, with the logs of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called at the beginning of an epoch of training."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called at the end of an epoch of training, with its metrics and those of validation.

        What is added to `logs` is seen by the callbacks after this one.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of training."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of training, with the metrics since the epoch began."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """An older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of an evaluation, be it within training."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called at the end of an evaluation, with its metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of evaluation, with the metrics so far."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of a prediction."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called at the end of a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of prediction, with `outputs`: the model's, as tensors."""

    def state_dict(self) -> dict[str, Any]:
        """What it knows of the training so far: numbers, texts, arrays, and lists and dictionaries of them."""
        found = {name: getattr(self, name) for name in self._state}
        return {n: said_by(value) if has_position(value) else value for n, value in found.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what another callback like this one knew."""
        for name in self._state:
            if has_position(getattr(self, name)):
                go_on(getattr(self, name), state[name])
            else:
                setattr(self, name, state[name])

    def _close(self) -> None:
        """Called once a method has ended, by an error too: let go of files and the terminal."""


def hears(callback: Any, event: str) -> bool:
    """Whether a callback does something at an event, rather than inherit the empty method."""
    if event in vars(callback):
        return True
    own = getattr(type(callback), event, None)
    if own is not getattr(Callback, event):
        return own is not None
    old_name = event.replace("_train_batch_", "_batch_")
    return old_name != event and hears(callback, old_name)
