"""The engine that computes, and what depends on it.

>>> from cornu import backend, ops
>>> with backend.use("numpy"):
...     ops.convert_to_tensor([1, 2])
array([1, 2], dtype=int32)
"""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager
from typing import Any

from .config import backend as backend
from .config import epsilon as epsilon
from .config import floatx as floatx
from .config import image_data_format as image_data_format
from .config import set_backend as set_backend
from .config import set_epsilon as set_epsilon
from .config import set_floatx as set_floatx
from .config import set_image_data_format as set_image_data_format
from .core import dtypes, naming
from .core.dtypes import result_type as result_type
from .core.dtypes import standardize_dtype as standardize_dtype
from .core.keras_tensor import KerasTensor as KerasTensor
from .core.keras_tensor import is_keras_tensor as is_keras_tensor
from .core.masks import get_keras_mask as get_keras_mask
from .core.masks import set_keras_mask as set_keras_mask
from .core.naming import get_uid as get_uid
from .core.variable import Variable as Variable
from .dtype_policies import set_dtype_policy
from .engines import current as current
from .engines import names as names
from .engines import use as use
from .random import forget_global_seed_generator


def is_float_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of real floats.

    >>> is_float_dtype("bfloat16"), is_float_dtype("int32")
    (True, False)
    """
    return dtypes.is_float(standardize_dtype(dtype))


def is_int_dtype(dtype: Any) -> bool:
    """Whether a dtype is one of integers.

    >>> is_int_dtype("uint8"), is_int_dtype("bool")
    (True, False)
    """
    return dtypes.is_integer(standardize_dtype(dtype))


def device(device_name: str) -> AbstractContextManager[Any]:
    """A block in which new tensors of the current engine lie on a device.

    Args:
        device_name: `"cpu"`, `"gpu"`, or one of several, such as `"gpu:1"`.

    Raises:
        ValueError: If the engine has no such device.

    >>> from cornu import device, ops
    >>> with device("cpu:0"):
    ...     float(ops.sum(ops.ones((3,))))
    3.0
    """
    return current().device(device_name)


def clear_session(free_memory: bool = True) -> None:
    """Start again: automatic names, the default dtype policy, draws that name no seed.

    Args:
        free_memory: Whether to collect what is no longer used at once.
    """
    naming.reset()
    forget_global_seed_generator()
    set_dtype_policy(floatx())
    if free_memory:
        gc.collect()
