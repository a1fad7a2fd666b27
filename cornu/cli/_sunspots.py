"""Sunspots: a recurrent network on the yearly numbers from 1700 to 2008 that statsmodels ships."""

from __future__ import annotations

from typing import Any

import numpy as np

import cornu
from cornu import layers

from ._trained import Sunspots

HELD_OUT_FROM = 1930
#: Two cycles of the sun, which take about eleven years.
WINDOW = 22
#: Sunspots per unit of the model's inputs and outputs.
SCALE = 100
BATCH = 16
LEARNING_RATE = 1e-2


def train(seed: int, epochs: int, callbacks: list[Any]) -> Sunspots:
    """Learn the next number from 22 years, up to 1929; forecast 1930 to 2008 once, at the end."""
    from statsmodels.datasets import sunspots

    cornu.utils.set_random_seed(seed)
    data = sunspots.load_pandas().data
    years = data["YEAR"].to_numpy("int32")[WINDOW:]
    numbers = data["SUNACTIVITY"].to_numpy("float32")
    windows = np.lib.stride_tricks.sliding_window_view(numbers, WINDOW)[:-1, :, np.newaxis] / SCALE
    numbers = numbers[WINDOW:]
    past, future = years < HELD_OUT_FROM, years >= HELD_OUT_FROM
    model = build(steps=epochs * -(-int(past.sum()) // BATCH))
    history = model.fit(
        windows[past],
        numbers[past, np.newaxis] / SCALE,
        batch_size=BATCH,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    ).history
    inputs = windows[future]
    outputs = model.predict(inputs, verbose=0)
    return Sunspots(
        model=model,
        history=history,
        inputs=inputs,
        outputs=outputs,
        truth=numbers[future],
        years=years[future],
        forecast=outputs[:, 0] * SCALE,
        persistence=inputs[:, -1, 0] * SCALE,
    )


def build(steps: int) -> Any:
    """An LSTM that reads `(year, 1)` and gives the next year, compiled for that many steps."""
    model = cornu.Sequential(
        [cornu.Input((WINDOW, 1)), layers.LSTM(32), layers.Dense(1)], name="sunspots"
    )
    schedule = cornu.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(optimizer=cornu.optimizers.Adam(schedule), loss="mean_squared_error")
    return model
