"""A batch: its parts, the weights of its samples, its arrays on the host; and what counts as an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core import dtypes, tree
from ..core.config import floatx
from ..core.keras_tensor import KerasTensor
from ..engines.host import holds_text
from ..engines.sparse import SparseTensor, of_library, on_host


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """The inputs, targets and weights of a batch; `None` for what it has not.

    Raises:
        ValueError: If it is a tuple or list of more than three parts.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "A batch must be `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
            f"Received: {type(data).__name__} of {len(data)} parts. Put several inputs in a list "
            "or a dictionary of their own."
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Inputs, targets and weights as a batch, which `unpack_x_y_sample_weight` reads.

    >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2), pack_x_y_sample_weight([1])
    (1, (1, 2), ([1],))
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def as_arrays(batch: Any) -> Any:
    return tree.map_structure(_batch_array, _with_text(batch))


def _with_text(batch: Any) -> Any:
    """A batch whose lists and tuples of strings alone, as loaders make them, are arrays."""
    if isinstance(batch, (list, tuple)):
        if batch and all(isinstance(x, (str, bytes)) for x in batch):
            return np.array(batch, object)
        parts = list(map(_with_text, batch))
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if isinstance(batch, dict):
        return {key: _with_text(part) for key, part in batch.items()}
    return batch


def _batch_array(leaf: Any) -> Any:
    if leaf is None or (type(leaf) is np.ndarray and leaf.dtype.kind in "fiub"):
        return leaf
    sparse = sparse_array(leaf)
    if sparse is not None:
        return sparse
    return checked(to_numpy(leaf))


def weighted(batch: Any, class_weight: Mapping[Any, float] | None) -> Any:
    """The batch with weights for its classes."""
    if class_weight is None:
        return batch
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    if y is None:
        return batch
    return x, y, class_weights(class_weight, y, sample_weight)


def weights_by_output(sample_weight: Any, y: Any) -> Any:
    """Sample weights in the structure of the targets."""
    if not tree.is_nested(y):
        leaves = tree.flatten(sample_weight)
        if len(leaves) == 1:
            return leaves[0]
    elif not tree.is_nested(sample_weight):
        return tree.map_structure(lambda _: sample_weight, y)
    try:
        tree.assert_same_structure(y, sample_weight)
    except ValueError as error:
        raise ValueError(
            "`sample_weight` must have one array for each output in `y`, or one for all. Received: "
            f"y={outline(y)}, sample_weight={outline(sample_weight)}."
        ) from error
    return sample_weight


def class_weights(class_weight: Mapping[Any, float], y: Any, sample_weight: Any) -> Any:
    """The weight of each sample's class, of labels or one-hot rows: `(samples,)`."""
    if sample_weight is not None:
        raise ValueError(
            "`class_weight` and `sample_weight` exclude each other. Received: both. Multiply the "
            "sample weights by the weights of their classes."
        )
    if y is None or tree.is_nested(y):
        raise ValueError(
            "`class_weight` needs targets of a single output. "
            f"Received: y={outline(y)}. Pass `sample_weight` instead."
        )
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else np.argmax(labels, axis=-1)
    classes, inverse = np.unique(np.rint(labels).astype("int64"), return_inverse=True)
    weights = [class_weight.get(int(label), 1.0) for label in classes]
    return np.asarray(weights, dtype=dtypes.numpy_dtype(floatx()))[inverse.reshape(labels.shape)]


def is_array(leaf: Any) -> bool:
    if isinstance(leaf, (KerasTensor, str, bytes)):
        return False
    if hasattr(leaf, "__array__") or hasattr(leaf, "to_numpy") or of_library(leaf) is not None:
        return True
    return all(hasattr(leaf, name) for name in ("shape", "dtype", "__getitem__"))


def is_arrays(structure: Any) -> bool:
    leaves = [leaf for leaf in tree.flatten(structure) if leaf is not None]
    return bool(leaves) and all(map(is_array, leaves))


def is_plain(data: Any) -> bool:
    """Whether data is a list of Python's numbers or strings, nested or not."""
    leaves = tree.flatten(data) if isinstance(data, list) else []
    return bool(leaves) and all(isinstance(x, (int, float, str, bytes, np.generic)) for x in leaves)


def to_numpy(leaf: Any) -> np.ndarray[Any, Any]:
    array = same_shape(as_read(leaf))
    return array[:, None] if _is_column(leaf) and array.ndim == 1 else array


def as_read(leaf: Any) -> np.ndarray[Any, Any]:
    """What a library gives for its data: an array, of objects where those are sequences."""
    if hasattr(leaf, "__arrow_c_array__"):
        return np.asarray(leaf)
    if _is_column(leaf):
        return leaf.to_numpy()
    if hasattr(leaf, "detach"):  # a torch tensor: NumPy has no bfloat16 of its own
        leaf = leaf.detach().cpu()
        leaf = leaf.float() if str(leaf.dtype) == "torch.bfloat16" else leaf
    if hasattr(leaf, "row_lengths"):  # a ragged tensor of TensorFlow
        leaf = leaf.numpy()
    return np.asarray(leaf)


def _is_column(leaf: Any) -> bool:
    """Whether data is of a library of frames."""
    return hasattr(leaf, "__arrow_c_array__") or hasattr(leaf, "to_numpy")


def same_shape(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array of objects that are arrays or lists themselves, as one array.

    Raises:
        ValueError: If they have several shapes.
    """
    rows = list(array) if array.dtype == object and array.ndim == 1 else []
    if not rows or not all(isinstance(row, list) or getattr(row, "ndim", 0) for row in rows):
        return array
    try:
        return np.stack(rows)
    except ValueError:
        raise ragged(sorted({len(row) for row in rows})) from None


def ragged(lengths: Sequence[int]) -> ValueError:
    listed = ", ".join(map(str, lengths[:5])) + (", ..." if len(lengths) > 5 else "")
    return ValueError(
        f"All samples of an array must have one shape. Received: samples of the lengths {listed}. Pad "
        "them: `cornu.utils.pad_sequences(x)`, or each to the length of its bucket: "
        "`cornu.utils.bucket_by_length(x, y)`."
    )


def host_array(x: Any) -> Any:
    if isinstance(x, np.ndarray) or not is_array(x):
        return x
    sparse = on_host(x)
    return to_numpy(x) if sparse is None else np.asarray(sparse)


def sparse_array(leaf: Any) -> SparseTensor | None:
    """A sparse tensor of any library, on the host, floats as `floatx`; None for anything else."""
    found = on_host(leaf)
    if found is None:
        return None
    check_dtype(found.dtype)
    wanted = dtypes.numpy_dtype(floatx() if dtypes.is_float(found.dtype) else found.dtype)
    return found.map(lambda values: values.astype(wanted, copy=False))


def checked(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array of numbers, booleans or strings; a step takes no strings, layers on the host do."""
    if not holds_text(array) or not all(isinstance(x, (str, bytes)) for x in array.flat[:1]):
        check_dtype(array.dtype)
    return array


def check_dtype(dtype: Any) -> None:
    try:
        found = dtypes.standardize_dtype(dtype)
    except ValueError:
        found = "string"
    if found == "string":
        raise ValueError(
            "Invalid dtype: data must be numbers or booleans. "
            f"Received: dtype={dtype}. Encode strings as integers, and objects as arrays."
        )


def check_count(name: str, value: Any, least: int = 0) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}.")
    if value < least:
        rule = "be positive" if least else "not be negative"
        raise ValueError(
            f"`{name}` must {rule}. Received: {name}={value}. Leave it out for the default."
        )


def outline(structure: Any) -> str:
    """A structure with its arrays as dtype and shape, short enough for a message."""

    def leaf_outline(leaf: Any) -> Any:
        shape = getattr(leaf, "shape", None)
        if shape is None:
            return leaf if leaf is None else f"<{type(leaf).__name__}>"
        return f"<{getattr(leaf, 'dtype', type(leaf).__name__)} {tuple(shape)}>"

    text = str(tree.map_structure(leaf_outline, structure)).replace("'<", "<").replace(">'", ">")
    return text if len(text) <= 200 else f"{text[:200]}..."


def refuse_targets(kind: str, y: Any, sample_weight: Any) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"`{name}` doesn't go with {kind} as `x`. Received: {name}={outline(value)}. "
                f"Let the data give tuples `(x, y)` or `(x, y, sample_weight)`."
            )
