"""A training of six epochs in several processes, which one of them ends in a way, once, at the beginning of the fourth.

Arguments: a folder for backups, the way, the number of the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import numpy as np

import cornu
from cornu import callbacks, distribution, layers

folder, how, rank = sys.argv[1:]
distribution.initialize()
cornu.utils.set_random_seed(1)
if distribution.get_device_count() > 1:
    distribution.set_distribution(distribution.DataParallel())


class Failing(callbacks.Callback):
    """Ends a process."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        first = os.environ.get("CORNU_RESTART", "0") == "0"
        if not (epoch == 3 and first and os.environ.get("RANK") == rank):
            return
        time.sleep(1)  # a backup is there
        if how == "raise":
            raise RuntimeError("on purpose")
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)


model = cornu.Sequential(
    [layers.Dense(16, activation="tanh"), layers.Dropout(0.1), layers.Dense(1)]
)
model.compile("adam", "mse")
x = np.random.default_rng(1).standard_normal((96, 8), np.float32)
kept = [callbacks.BackupAndRestore(folder, delete_checkpoint=False), Failing()]
history = model.fit(x, x.sum(1, keepdims=True), epochs=6, batch_size=16, callbacks=kept)
if os.environ.get("RANK", "0") == "0":
    print("curve", json.dumps(history.history["loss"]), flush=True)
