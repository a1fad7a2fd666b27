"""SwapEMAWeights: evaluation with the moving average of the weights."""

from __future__ import annotations

from typing import Any

from ._callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Put the optimizer's moving average in place of the weights while evaluating or predicting.

    The optimizer keeps that average with `use_ema=True`.

    Args:
        swap_on_epoch: Whether the average is in place between epochs too, so that callbacks such as
            `ModelCheckpoint`, after this one, save it. It then stays after training.

    Raises:
        ValueError: When evaluating, if the optimizer keeps no average.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._averaged = False
        self._for_test = False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start with the weights in place."""
        self._averaged = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Put the weights back."""
        if self._averaged:
            self._swap()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Put the average in place, with `swap_on_epoch`."""
        if self.swap_on_epoch and not self._averaged:
            self._swap()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Put the average in place."""
        self._for_test = not self._averaged
        if self._for_test:
            self._swap()

    def on_test_end(self, logs: Logs = None) -> None:
        """Put the weights back."""
        if self._for_test:
            self._swap()
            self._for_test = False

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Put the average in place."""
        self.on_test_begin(logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Put the weights back."""
        self.on_test_end(logs)

    def _swap(self) -> None:
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs an optimizer that averages the weights. Received: "
                f"{type(optimizer).__name__} with use_ema=False. Make it with `use_ema=True`."
            )
        pairs = zip(optimizer._trainable_variables, optimizer._averages, strict=True)
        for variable, average in pairs:
            weight, mean = variable.numpy(), average.numpy()
            variable.assign(mean)
            average.assign(weight)
        self._averaged = not self._averaged
