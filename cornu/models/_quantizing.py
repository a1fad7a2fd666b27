"""The kernels of a whole model in few bits."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from ..layers import Layer
from ..quantizers import CONFIGS
from ..transforms.quantizing import config_of, quantizable, store_grouped
from ._calibrating import calibrate


def quantize(model: Any, mode: str | None, config: Any, filters: Any) -> None:
    """What `Model.quantize` does."""
    config = config_of(mode, config)
    chosen = _chooses(model, filters)

    def accepts(layer: Any) -> bool:
        floats = layer.built and layer.quantization_mode is None and chosen(layer)
        return bool(floats and quantizable(layer, config.mode))

    if config.mode in CONFIGS:
        _quantize_each(model, config, accepts)
    else:
        calibrate(model, config, accepts, partial(store_grouped, config=config))
    if (optimizer := getattr(model, "optimizer", None)) is not None and optimizer.built:
        optimizer.follow(model)


def _quantize_each(model: Any, config: Any, accepts: Callable[[Any], bool]) -> None:
    found = [layer for layer in model._flatten_layers() if accepts(layer)]
    if not found:
        warnings.warn(
            f"No layer of {model.name!r} was quantized: none that is built and chosen by `filters` has "
            f"kernels for mode={config.mode!r} that are floats.",
            stacklevel=4,
        )
    # A kernel that several layers hold is quantized once, by the one that made it.
    for layer in sorted(found, key=partial(_borrows, mode=config.mode)):
        if quantizable(layer, config.mode):
            Layer.quantize(layer, config=config)


def _borrows(layer: Any, mode: str) -> bool:
    return any(v.path != f"{layer.path}/{v.name}" for v in quantizable(layer, mode))


def _chooses(model: Any, filters: Any) -> Callable[[Any], bool]:
    """Whether a layer is chosen: by its name, or by its path where a pattern has a slash."""
    if filters is None:
        return lambda layer: True
    if callable(filters):
        return lambda layer: bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
        raise ValueError(
            "`filters` must be a regular expression, a list of them, or a callable that is given a layer. "
            f"Received: filters={filters!r} of type {type(filters).__name__}."
        )

    for pattern in patterns if len(patterns) > 1 else ():  # of a single one, what is below warns
        if not any(_is_at(pattern, layer) for layer in model._flatten_layers()):
            warnings.warn(
                f"The filter {pattern!r} stands for no layer of {model.name!r}.", stacklevel=4
            )

    def matches(layer: Any) -> bool:
        return any(_is_at(pattern, layer) for pattern in patterns)

    return matches


def _is_at(pattern: str, layer: Any) -> bool:
    return bool(re.search(pattern, layer.path if "/" in pattern else layer.name))
