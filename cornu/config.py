"""The settings of the process: engine, default dtypes, image layout, verbosity, limits."""

from __future__ import annotations

import warnings

from . import engines
from .core.config import disable_flash_attention as disable_flash_attention
from .core.config import disable_interactive_logging as disable_interactive_logging
from .core.config import disable_traceback_filtering as disable_traceback_filtering
from .core.config import enable_flash_attention as enable_flash_attention
from .core.config import enable_interactive_logging as enable_interactive_logging
from .core.config import enable_traceback_filtering as enable_traceback_filtering
from .core.config import epsilon as epsilon
from .core.config import floatx as floatx
from .core.config import image_data_format as image_data_format
from .core.config import is_flash_attention_enabled as is_flash_attention_enabled
from .core.config import is_interactive_logging_enabled as is_interactive_logging_enabled
from .core.config import is_traceback_filtering_enabled as is_traceback_filtering_enabled
from .core.config import max_epochs as max_epochs
from .core.config import max_steps_per_epoch as max_steps_per_epoch
from .core.config import set_epsilon as set_epsilon
from .core.config import set_floatx as set_floatx
from .core.config import set_image_data_format as set_image_data_format
from .core.config import set_max_epochs as set_max_epochs
from .core.config import set_max_steps_per_epoch as set_max_steps_per_epoch
from .core.scopes import computing_engine_name
from .dtype_policies import dtype_policy as dtype_policy
from .dtype_policies import set_dtype_policy as set_dtype_policy


def backend() -> str:
    """The name of the engine that computes.

    While shapes are being inferred, it is the engine that will compute.

    >>> from cornu import backend as engines
    >>> with engines.use("numpy"):
    ...     backend()
    'numpy'
    """
    return computing_engine_name()


def set_backend(backend: str) -> None:
    """Make an engine the one that computes, in every thread that is in no `backend.use` block.

    Models and variables that exist already move to it by themselves.

    Raises:
        ValueError: If there is no engine of that name.
    """
    engines.set_default(backend)


def is_nnx_enabled() -> bool:
    """Whether variables are those of Flax's NNX: never."""
    return False


def enable_unsafe_deserialization() -> None:
    """Kept for compatibility: Cornu never runs code from a file, so there is nothing to enable."""
    warnings.warn(
        "`enable_unsafe_deserialization` changes nothing: Cornu runs no code from a file. "
        "Register the functions and classes that a file names, with "
        "`saving.register_keras_serializable`.",
        stacklevel=2,
    )
