"""Callbacks that programs for TensorFlow Model Optimization pass to `fit`."""

from __future__ import annotations

import os
from typing import Any

from ..callbacks import Callback, TensorBoard
from ._reports import sparsity_report


class UpdatePruningStep(Callback):
    """Nothing: masks count updates by themselves. It is there for programs that pass it.

    >>> import numpy as np
    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((2,)), layers.Dense(2)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 2)), np.ones((4, 2)), callbacks=[UpdatePruningStep()], verbose=0)
    """


class PruningSummaries(TensorBoard):
    """What `TensorBoard` writes, and the share of zeros of each kernel after each epoch.

    Args:
        log_dir: The folder.
        update_freq: When metrics are written, as `TensorBoard` takes it.
        **kwargs: More for `TensorBoard`.

    Raises:
        ModuleNotFoundError: If `tensorboard` is not installed.

    >>> callback = PruningSummaries("logs/pruned")
    """

    def __init__(
        self, log_dir: str | os.PathLike[str], update_freq: Any = "epoch", **kwargs: Any
    ) -> None:
        super().__init__(log_dir=log_dir, update_freq=update_freq, **kwargs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the metrics of the epoch, and the shares of zeros."""
        for row in sparsity_report(self.model).rows:
            self.summary.scalar(f"{row.path}/sparsity", row.sparsity, epoch)
        super().on_epoch_end(epoch, logs)
