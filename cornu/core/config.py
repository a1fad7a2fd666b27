"""The settings of the process: default float, epsilon, image layout, verbosity.

They start from `keras.json` where there is one. Bodies of ops are prepared with the settings that
hold at their first use, so a change drops the prepared ones.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ..engines import Engine, loaded, settings_file
from .checks import one_of

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")
_DEFAULTS: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
}
_settings = {**_DEFAULTS}
_settings.update((key, value) for key, value in settings_file().items() if key in _DEFAULTS)


def floatx() -> str:
    """The float dtype that is used where none is named.

    >>> floatx()
    'float32'
    """
    return str(_settings["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float dtype: bfloat16, float16, float32 or float64."""
    _set("floatx", value, _FLOATS)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite.

    >>> epsilon()
    1e-07
    """
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite."""
    _settings["epsilon"] = value
    _forget_bodies()


def image_data_format() -> str:
    """The layout of images where none is named: `channels_last` or `channels_first`."""
    return str(_settings["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the default layout of images."""
    _set("image_data_format", data_format, _LAYOUTS)


def standardize_data_format(data_format: str | None) -> str:
    """The layout that an argument `data_format` means."""
    if data_format is None:
        return image_data_format()
    data_format = str(data_format).lower()
    one_of(_LAYOUTS, data_format=data_format)
    return data_format


class _Limits:
    """What holds for the whole process and changes no op's default body."""

    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None


def is_flash_attention_enabled() -> bool | None:
    """Whether attention uses a fused kernel: True, False, or None for where the engine has one."""
    return Engine.flash_attention


def enable_flash_attention() -> None:
    """Use a fused kernel for attention."""
    Engine.flash_attention = True


def disable_flash_attention() -> None:
    """Use no fused kernel for attention."""
    Engine.flash_attention = False


def max_epochs() -> int | None:
    """How many epochs `fit` runs at most; None for as many as it is told."""
    return _Limits.max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every `fit`, to try a script out quickly."""
    _Limits.max_epochs = max_epochs


def max_steps_per_epoch() -> int | None:
    """How many steps an epoch runs at most; None for all of them."""
    return _Limits.max_steps_per_epoch


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of every epoch, evaluation and prediction."""
    _Limits.max_steps_per_epoch = max_steps_per_epoch


class _Flags:
    """What each thread and asyncio task says for itself, as in Keras."""

    interactive_logging = ContextVar("interactive_logging", default=True)
    traceback_filtering = ContextVar("traceback_filtering", default=True)


def is_interactive_logging_enabled() -> bool:
    """Whether progress is drawn on the terminal (else written as log lines)."""
    return _Flags.interactive_logging.get()


def enable_interactive_logging() -> None:
    """Draw progress on the terminal."""
    _Flags.interactive_logging.set(True)


def disable_interactive_logging() -> None:
    """Write progress as log lines."""
    _Flags.interactive_logging.set(False)


def is_traceback_filtering_enabled() -> bool:
    """Whether errors are shown without the library's own frames."""
    return _Flags.traceback_filtering.get()


def enable_traceback_filtering() -> None:
    """Show errors without the library's own frames."""
    _Flags.traceback_filtering.set(True)


def disable_traceback_filtering() -> None:
    """Show errors with every frame."""
    _Flags.traceback_filtering.set(False)


def _set(key: str, value: str, allowed: tuple[str, ...]) -> None:
    one_of(allowed, **{key: value})
    _settings[key] = value
    _forget_bodies()


def _forget_bodies() -> None:
    for engine in loaded():
        engine.bodies.clear()
