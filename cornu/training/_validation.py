"""Validation: other data, on which a model is evaluated while it trains."""

from __future__ import annotations

from typing import Any

from ..callbacks import CallbackList
from ..core.checks import listed, positive_integer
from ..data import KeptSource, is_dataset, make_source, unpack_x_y_sample_weight


class Validation:
    """Evaluates a model within its training.

    Args:
        model: The model.
        data: The data: `x`, `(x, y)` or `(x, y, sample_weight)`, or a source of batches.
        batch_size: The number of samples in a step.
        steps: The number of steps, where the source has no end.
        frequency: After how many epochs, or after which.
        interval: After how many steps of training, in place of after epochs.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        batch_size: int | None,
        steps: int | None,
        frequency: Any,
        interval: int | None,
    ) -> None:
        if interval is not None:
            positive_integer(val_check_interval=interval)
        if listed(frequency) is None:
            positive_integer(validation_freq=frequency)
        self.model, self.frequency, self.interval = model, frequency, interval
        packed = isinstance(data, (tuple, list))
        x, y, sample_weight = unpack_x_y_sample_weight(data) if packed else (data, None, None)
        #: A dataset's processes wait from one validation to the next.
        self._source = make_source(x, y, sample_weight, steps=steps) if is_dataset(x) else None
        if self._source is not None:
            self._source.is_shared = True
            x = self._source
        self._given = {
            "x": KeptSource(x) if hasattr(x, "__next__") else x,
            "y": y,
            "sample_weight": sample_weight,
            "batch_size": batch_size,
            "steps": steps,
        }

    def __call__(self, events: CallbackList) -> dict[str, Any]:
        """The metrics on the data, as the logs of training have them; callbacks are told."""
        logs = self.model.evaluate(**self._given, callbacks=events, return_dict=True, verbose=0)
        return {f"val_{name}": value for name, value in logs.items()}

    def close(self) -> None:
        """Let go of the data."""
        if self._source is not None:
            self._source.close()

    def between_steps(self, events: CallbackList) -> dict[str, Any]:
        """The same within an epoch, whose own metrics then go on from where they are."""
        metrics = self.model.metrics_variables
        kept = [variable.numpy() for variable in metrics]
        try:
            return self(events)
        finally:
            for variable, value in zip(metrics, kept, strict=True):
                variable.assign(value)

    def is_due_after(self, epoch: int) -> bool:
        """Whether it comes after an epoch, counted from 0."""
        if self.interval is not None:
            return False
        epochs = listed(self.frequency)
        return (epoch + 1) % self.frequency == 0 if epochs is None else epoch + 1 in epochs
