"""TerminateOnNaN: training ends when the loss is no number any more."""

from __future__ import annotations

import math

from ._callback import Callback, Logs
from .progress import say


class TerminateOnNaN(Callback):
    """Stop training at a batch whose loss is NaN or infinite.

    It reads the loss of every batch, so training waits for the device at each.

    Args:
        raise_error: Whether to raise an error instead of ending training as usual.

    Raises:
        RuntimeError: At such a batch, with `raise_error`.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the batch's loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"The loss must be a finite number. Received: loss={loss} at batch {batch}. Look "
                "for NaN in the data, lower the learning rate, or set `clipnorm`."
            )
        say(f"Batch {batch}: the loss is {loss}, training ends.")
        self.model.stop_training = True
