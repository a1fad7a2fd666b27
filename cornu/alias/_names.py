"""Names that other libraries take from within Keras, by the module that they take them from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, TypeVar

import h5py

from .. import config, layers, saving
from ..core import op
from ..core.scopes import SymbolicScope
from ..engines import is_tracing
from ..random import draw_seed

Made = TypeVar("Made")


def in_safe_mode() -> bool:
    """Whether code in files is refused: it always is.

    >>> in_safe_mode()
    True
    """
    return True


class SafeModeScope(nullcontext[None]):
    """A block within which code in files is refused, or, in Keras, is not; here it always is.

    >>> with SafeModeScope(safe_mode=False):
    ...     in_safe_mode()
    True
    """

    def __init__(self, safe_mode: bool = True) -> None:
        super().__init__()


class H5IOStore:
    """Arrays in an HDF5 file, by the path of their owner, as weight files have them.

    Args:
        path_or_io: The file's path, or an open binary file.
        mode: `"r"` or `"w"`.
    """

    def __init__(self, path_or_io: Any, mode: str = "r") -> None:
        self.h5_file = h5py.File(path_or_io, mode)

    def make(self, path: str, metadata: Mapping[str, Any] | None = None) -> Any:
        """A mapping for an owner's arrays, which are written as they are put in."""
        group = self.h5_file.require_group(path)
        group.attrs.update(metadata or {})
        return group.require_group("vars")

    def get(self, path: str) -> Any:
        """An owner's arrays; none for an owner that the file doesn't have."""
        return self.h5_file[path].get("vars", {}) if path in self.h5_file else {}

    def close(self) -> None:
        """Write what is left, and close the file."""
        self.h5_file.close()

    def __enter__(self) -> H5IOStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def compute_output_spec(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function of tensors gives, as `KerasTensor`s.

    >>> from cornu import KerasTensor, ops
    >>> compute_output_spec(ops.transpose, KerasTensor((2, 3))).shape
    (3, 2)
    """
    with SymbolicScope():
        return fn(*args, **kwargs)


def standardize_shape(shape: Any) -> tuple[int | None, ...]:
    """A shape as a tuple of integers, and of None where a size is free.

    >>> standardize_shape([None, 2])
    (None, 2)
    """
    found = tuple(None if size is None else int(size) for size in shape)
    if any(size is not None and size < 0 for size in found):
        raise ValueError(f"Sizes are not negative. Received: shape={shape!r}.")
    return found


def no_automatic_dependency_tracking(function: Made) -> Made:
    """A method whose attributes are no parts of the object. Here those of users' classes are tracked all the same."""
    return function


def in_tf_graph() -> bool:
    """Whether TensorFlow is tracing a function, where its engine is loaded.

    >>> in_tf_graph()
    False
    """
    return is_tracing("tensorflow")


def _operation(name: str) -> Any:
    """The classes of ops, such as `Add`, as attributes."""
    classes = {
        found.class_name: found.operation_class for found in op.OPS.values() if found.module == name
    }
    return SimpleNamespace(**classes)


_SERIALIZATION = SimpleNamespace(in_safe_mode=in_safe_mode, SafeModeScope=SafeModeScope)
_SAVING = SimpleNamespace(
    H5IOStore=H5IOStore, load_model=saving.load_model, save_model=saving.save_model
)
_BACKEND = SimpleNamespace(
    compute_output_spec=compute_output_spec,
    standardize_shape=standardize_shape,
    backend=config.backend,
)
#: Objects with the names, by the path of the module within `keras.src`.
NAMES: Mapping[tuple[str, ...], Any] = {
    ("backend",): _BACKEND,
    ("backend", "jax", "random"): SimpleNamespace(jax_draw_seed=draw_seed),
    ("layers", "convolutional", "base_conv"): SimpleNamespace(BaseConv=layers.Conv2D.__base__),
    ("layers", "convolutional", "base_depthwise_conv"): SimpleNamespace(
        BaseDepthwiseConv=layers.DepthwiseConv2D.__base__
    ),
    ("layers", "pooling", "base_pooling"): SimpleNamespace(
        BasePooling=layers.MaxPooling2D.__base__
    ),
    ("layers", "merging", "base_merge"): SimpleNamespace(Merge=layers.Add.__base__),
    ("saving", "serialization_lib"): _SERIALIZATION,
    ("saving", "saving_lib"): _SAVING,
    ("utils", "backend_utils"): SimpleNamespace(in_tf_graph=in_tf_graph),
    ("utils", "tracking"): SimpleNamespace(
        no_automatic_dependency_tracking=no_automatic_dependency_tracking
    ),
    **{
        ("ops", part): _operation(f"keras.src.ops.{part}")
        for part in ("core", "image", "linalg", "math", "nn", "numpy")
    },
}
