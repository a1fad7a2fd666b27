"""Images and predictions of networks that know ImageNet's 1,000 classes."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from .. import ops
from ..core.checks import one_of, positive_integer
from ..core.config import floatx, standardize_data_format
from ..core.dtypes import is_float, numpy_dtype, standardize_dtype
from ..core.keras_tensor import is_keras_tensor

CLASSES = 1000
#: Where the names of the classes are, and the hash of the file.
CLASS_NAMES = (
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
)
#: The mean and the deviation of red, green and blue over ImageNet's images, from 0 to 1.
MEANS = (0.485, 0.456, 0.406)
DEVIATIONS = (0.229, 0.224, 0.225)
#: How images are prepared: whether channels are reversed, what is subtracted, what divides.
MODES: dict[str, tuple[bool, tuple[float, ...], tuple[float, ...]]] = {
    "caffe": (True, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "tf": (False, (127.5,), (127.5,)),  # of any number of channels
    "torch": (False, tuple(255 * m for m in MEANS), tuple(255 * d for d in DEVIATIONS)),
}


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Images as networks were trained on them.

    Args:
        x: RGB images of 0 to 255, `(..., height, width, 3)` or, channels first,
            `(..., 3, height, width)`.
        data_format: `channels_last` or `channels_first`.
        mode: `caffe`: blue, green, red, less their means over ImageNet; `tf`: from -1 to 1; `torch`:
            of mean 0 and deviation 1 over ImageNet, by channels.

    Returns:
        An array where `x` is one, else a tensor; of `floatx` where `x` has integers. `x` itself stays
        as it is.

    Raises:
        ValueError: If `mode` or `data_format` is another one.

    >>> preprocess_input(np.array([[[0, 127.5, 255]]]), mode="tf")
    array([[[-1.,  0.,  1.]]])
    """
    one_of(MODES, mode=mode)
    is_last = standardize_data_format(data_format) == "channels_last"
    is_reversed, mean, scale = MODES[mode]
    library: Any = np if isinstance(x, np.ndarray) else ops
    if library is ops and not ops.is_tensor(x) and not is_keras_tensor(x):
        x = ops.convert_to_tensor(x)
    dtype = standardize_dtype(x.dtype)
    if not is_float(dtype):
        dtype = floatx()
        x = x.astype(numpy_dtype(dtype)) if library is np else ops.cast(x, dtype)
    axis, shape = (-1, (-1,)) if is_last else (-3, (-1, 1, 1))
    if len(mean) > 1 and tuple(x.shape)[axis:][:1] != (len(mean),):
        raise ValueError(
            f"mode={mode!r} is for images of three channels. Received: x.shape={tuple(x.shape)}, "
            f"data_format={data_format!r}. Repeat the channel of grey images, or take mode='tf'."
        )
    if is_reversed:
        x = library.flip(x, axis=axis)
    zero, one = (np.reshape(m, shape).astype(numpy_dtype(dtype)) for m in (mean, scale))
    return library.divide(library.subtract(x, zero), one)


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """The most likely classes of each image, the likeliest first.

    The names of the classes are downloaded when they are first needed.

    Args:
        preds: Predictions, `(samples, 1000)`.
        top: How many classes are given.

    Returns:
        For each image, `(WordNet's id, name, score)` of each class.

    Raises:
        ValueError: If predictions have another shape, or `top` is no positive integer.
        OSError: If the names can't be downloaded.

    >>> decode_predictions(np.eye(1000)[[7]], top=1)  # doctest: +SKIP
    [[('n01514668', 'cock', np.float64(1.0))]]
    """
    positive_integer(top=top)
    scores = preds if isinstance(preds, np.ndarray) else ops.convert_to_numpy(preds)
    if scores.ndim != 2 or scores.shape[1] != CLASSES:
        raise ValueError(
            f"Predictions must have the shape (samples, {CLASSES}), one for each class of ImageNet. "
            f"Received: preds.shape={scores.shape}. Names of other classes are known to you alone."
        )
    names = _class_names()
    best = np.argsort(-scores.astype("float64"), axis=1, kind="stable")[:, :top]
    return [[(*names[i], row[i]) for i in chosen] for row, chosen in zip(scores, best, strict=True)]


@functools.cache
def _class_names() -> list[tuple[str, str]]:
    """WordNet's id and the name of each class."""
    from ..utils import get_file

    origin, file_hash = CLASS_NAMES
    path = get_file(None, origin, cache_subdir="models", file_hash=file_hash)
    with open(path, encoding="utf-8") as file:
        by_index = json.load(file)
    return [tuple(by_index[str(index)]) for index in range(CLASSES)]
