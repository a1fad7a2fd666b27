"""What callbacks that save share: after which batch or epoch it is time to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SaveFrequency:
    """After every epoch, or after every so many batches of training.

    Args:
        save_freq: `"epoch"`, or a number of batches, counted over epochs.

    Raises:
        ValueError: If it is neither.
    """

    def __init__(self, save_freq: Any) -> None:
        if save_freq != "epoch" and (
            not isinstance(save_freq, int) or isinstance(save_freq, bool) or save_freq < 0
        ):
            raise ValueError(
                "`save_freq` must be 'epoch' or a number of batches. "
                f"Received: save_freq={save_freq!r}."
            )
        self.by_epoch = save_freq == "epoch"
        self.batches = 0 if self.by_epoch else int(save_freq)
        self._seen = 0
        self._last = -1

    def state(self) -> list[int]:
        """What was counted."""
        return [self._seen, self._last]

    def restore(self, state: Sequence[int]) -> None:
        """Go on counting from there."""
        self._seen, self._last = state

    def is_due(self, batch: int) -> bool:
        """Whether to save after this batch; several may have run since the last call."""
        if self.by_epoch:
            return False
        # A number that is not larger than the last one is of a new epoch.
        self._seen += batch + 1 if batch <= self._last else batch - self._last
        self._last = batch
        if self._seen < max(self.batches, 1):
            return False
        self._seen = 0
        return True
