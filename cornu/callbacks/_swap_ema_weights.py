"""SwapEMAWeights: evaluation with the moving average of the weights."""

from __future__ import annotations

from typing import Any

from ._callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Put the optimizer's moving average in place of the weights while evaluating or predicting.

    The optimizer keeps that average with `use_ema=True`.

    Args:
        swap_on_epoch: Whether the average is in place between epochs too, so that callbacks such as
            `ModelCheckpoint`, after this one, save it.

    Raises:
        ValueError: When evaluating, if the optimizer keeps no average.
    """

    _state = ("_weights", "_for_test")

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        #: The weights, while their average stands in the model.
        self._weights: list[Any] | None = None
        self._for_test = False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start with the weights in place."""
        self._weights = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Put the weights back."""
        self._put_back()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Put the average in place, with `swap_on_epoch`."""
        if self.swap_on_epoch:
            self._put_average()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Put the average in place."""
        self._for_test = self._weights is None
        self._put_average()

    def on_test_end(self, logs: Logs = None) -> None:
        """Put the weights back, unless the average was in place before."""
        if self._for_test:
            self._put_back()

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Put the average in place."""
        self.on_test_begin(logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Put the weights back, unless the average was in place before."""
        self.on_test_end(logs)

    def _put_average(self) -> None:
        if self._weights is not None:
            return
        optimizer = self._optimizer()
        pairs = optimizer._averaged()
        self._weights = [variable.numpy() for variable, _ in pairs]
        for variable, average in pairs:
            # Through the host: two variables never hold one array, which a step may overwrite.
            variable.assign(average.numpy())

    def _put_back(self) -> None:
        if self._weights is None:
            return
        pairs = self._optimizer()._averaged()
        for (variable, _), weight in zip(pairs, self._weights, strict=True):
            variable.assign(weight)
        self._weights = None

    def _optimizer(self) -> Any:
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs an optimizer that averages the weights. Received: "
                f"{type(optimizer).__name__} with use_ema=False. Make it with `use_ema=True`."
            )
        return optimizer
