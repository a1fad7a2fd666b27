"""TerminateOnNaN: training ends when the loss is no number any more."""

from __future__ import annotations

import math
from typing import Any

from ._callback import Callback, Logs
from .progress import say


class TerminateOnNaN(Callback):
    """Stop training at a batch whose loss is NaN or infinite; and say which layer and operation made it.

    It waits for the device at each batch.

    Args:
        raise_error: Whether to raise an error instead of ending training as usual.
        locate: Whether such a step is run again, operation by operation, to find where the first NaN was made,
            forward or backward. A step whose loss or update is no number changes nothing then, so the model
            stays what it was before. Steps take longer for that: of an MLP with 850,000 weights, 64 samples and
            Adam on JAX 7.7 ms in place of 5.4.

    Attributes:
        origin: What was found, a `training.Origin`; None without a NaN.

    Raises:
        RuntimeError: At such a batch, with `raise_error`.
    """

    def __init__(self, raise_error: bool = False, *, locate: bool = False) -> None:
        super().__init__()
        self.origin: Any = None

    @property
    def locates_nan(self) -> bool:
        """Whether steps must leave things as they were before a NaN."""
        return bool(self.locate)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget what was found."""
        self.origin = None

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the batch's loss, and whether its step has changed anything."""
        loss = (logs or {}).get("loss")
        run = self.current_run if self.locate else None
        self.origin = run.nan_origin() if run is not None else None
        if self.origin is None and (loss is None or math.isfinite(loss)):
            return
        where = f" {self.origin}" if self.origin is not None else ""
        if not self.locate:
            where = " TerminateOnNaN(locate=True) says where it is made."
        if self.raise_error:
            raise RuntimeError(
                f"The loss and its gradients must be finite numbers. Received: loss={loss} at batch "
                f"{batch}.{where} Look for NaN in the data, lower the learning rate, or set `clipnorm`."
            )
        say(f"Batch {batch}: the loss is {loss}, training ends.{where}")
        self.model.stop_training = True
