"""Files of images, which Pillow reads and writes, as arrays."""

from __future__ import annotations

import ctypes
import functools
import io
import math
import os
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..core.checks import one_of
from ..core.config import floatx, standardize_data_format
from ..core.dtypes import is_float, standardize_dtype
from ..engines import use

if TYPE_CHECKING:
    from PIL.Image import Image

#: Pillow's name of each color mode, and its channels.
COLOR_MODES = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
Array = np.ndarray[Any, Any]


def pillow() -> ModuleType:
    """Pillow's module of images.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    try:
        import PIL.Image as images
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Files of images are read by Pillow. Received: no such package. "
            "Install it with: pip install 'cornu[images]'",
            name=error.name,
        ) from error
    return images


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: str | None = None
) -> Image:
    """An array as an image of Pillow's.

    Args:
        x: (height, width, channels), or (channels, height, width), with 1, 3 or 4 channels.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.
        scale: Whether values are brought to the range from 0 to 255, the least to 0 and the largest to 255.
        dtype: The dtype in which that is computed; by default, the configured float.

    Raises:
        ValueError: If it has another shape.

    >>> array_to_img(np.zeros((4, 6, 3))).size
    (6, 4)
    """
    layout = standardize_data_format(data_format)
    array = np.asarray(x, dtype or floatx())
    if array.ndim == 3 and layout == "channels_first":
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(
            "An image is an array of height, width and 1, 3 or 4 channels. Received: "
            f"x.shape={np.shape(x)}, data_format={layout!r}. Take one image of a batch, or pass `data_format`."
        )
    if scale:
        array = array.astype(np.result_type(array, "float32"))
        array = array - array.min()
        array = array / (array.max() or 1) * 255
    images = pillow()
    if array.shape[2] > 1:
        return images.fromarray(array.astype("uint8"))
    pixels = array[:, :, 0]
    wide = pixels.size > 0 and pixels.max() > 255  # which Pillow has for one channel alone
    return images.fromarray(pixels.astype("int32" if wide else "uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: str | None = None) -> Array:
    """An image of Pillow's as an array.

    Args:
        img: An image, or an array (height, width) or of three axes.
        data_format: Where its channels are to lie; `channels_last` or `channels_first`.
        dtype: Its dtype; by default, the configured float.

    Returns:
        (height, width, channels), or (channels, height, width).

    >>> img_to_array(array_to_img(np.ones((4, 6, 3)))).shape
    (4, 6, 3)
    """
    layout = standardize_data_format(data_format)
    array = np.asarray(img, dtype or floatx())
    if array.ndim == 2:
        array = array[..., None]
        return array.transpose(2, 0, 1) if layout == "channels_first" else array
    if array.ndim != 3:
        raise ValueError(
            f"An image has two or three axes. Received: shape={array.shape}. Take one image of a batch."
        )
    return array.transpose(2, 0, 1) if layout == "channels_first" else array


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image:
    """The image in a file, as one of Pillow's.

    Args:
        path: A path, or the bytes of a file as an `io.BytesIO`.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`.
        target_size: Height and width to bring it to.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"hamming"`, `"box"` or `"lanczos"`.
        keep_aspect_ratio: Whether margins are cut first, so that proportions stay.

    Raises:
        ValueError: If the file is no image, or a damaged one.

    >>> import io
    >>> file = io.BytesIO()
    >>> save_img(file, np.ones((4, 6, 3)), file_format="png")
    >>> load_img(file, target_size=(2, 2)).size
    (2, 2)
    """
    one_of(COLOR_MODES, color_mode=color_mode)
    one_of(_RESAMPLING, interpolation=interpolation)
    image = _decoded(path, color_mode)
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    height, width = target_size
    box = _middle(image.height, image.width, height, width) if keep_aspect_ratio else None
    method = getattr(pillow().Resampling, interpolation.upper())
    edges = None if box is None else (box[1].start, box[0].start, box[1].stop, box[0].stop)
    return image.resize((width, height), method, box=edges)


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array to a file as an image.

    Args:
        path: A path, or an open file.
        x: An array, as of `array_to_img`.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.
        file_format: `"png"`, `"jpeg"`, ...; that of the path's ending where it is left out.
        scale: Whether values are brought to the range from 0 to 255.
        **kwargs: Pillow's options of the format, such as `quality=90`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_img(f"{folder}/a.png", np.ones((4, 6, 3)))
    ...     load_img(f"{folder}/a.png").size
    (6, 4)
    """
    image = array_to_img(x, data_format=data_format, scale=scale)
    ending = os.path.splitext(path)[1][1:] if isinstance(path, (str, os.PathLike)) else ""
    named = (file_format or ending).lower()
    named = "jpeg" if named == "jpg" else named
    if image.mode == "RGBA" and named == "jpeg":
        image = image.convert("RGB")  # it knows no transparency
    image.save(path, format=named, **kwargs)


def smart_resize(
    x: Any,
    size: Any,
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    **kwargs: Any,
) -> Any:
    """Images of another size in their proportions: what is too wide or too high is cut off on both sides.

    Args:
        x: (height, width, channels) or (batch, height, width, channels), or with the channels before the height.
        size: Height and width of the result.
        interpolation: As of `ops.image.resize`.
        data_format: `channels_last` or `channels_first`.
        **kwargs: `backend_module` alone, which Keras knows and nothing needs.

    Returns:
        Images of the given size, in NumPy if x is; of integers, as `floatx` but by `"nearest"`.

    >>> smart_resize(np.ones((40, 60, 3)), (20, 20)).shape
    (20, 20, 3)
    """
    if unknown := kwargs.keys() - {"backend_module"}:
        raise TypeError(f"`smart_resize` takes no such arguments. Received: {sorted(unknown)}.")
    images = ops.convert_to_tensor(x)
    if len(images.shape) not in (3, 4):
        raise ValueError(
            "Images have height, width and channels, and maybe a batch in front. Received: "
            f"x.shape={tuple(images.shape)}."
        )
    if interpolation != "nearest" and not is_float(standardize_dtype(images.dtype)):
        images = ops.cast(images, floatx())
    result = ops.image.resize(
        images, tuple(size), interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return ops.convert_to_numpy(result) if isinstance(x, np.ndarray) else result


# ------------------------------------------------------------------------ for datasets


class ImageReader:
    """Reads files of images as arrays of one size, float32, values from 0 to 255.

    Args:
        size: Height and width.
        color_mode, interpolation, crop, pad, data_format: As of `image_dataset_from_directory`.
    """

    def __init__(
        self,
        size: tuple[int, int],
        color_mode: str,
        interpolation: str,
        crop: bool,
        pad: bool,
        data_format: str,
    ) -> None:
        self.size, self.color_mode, self.interpolation = size, color_mode, interpolation
        self.crop, self.pad, self.first = crop, pad, data_format == "channels_first"

    def __call__(self, path: str) -> Array:
        """The image in a file: (height, width, channels), or with the channels first."""
        pixels = _pixels(_decoded(path, self.color_mode, deep=False))
        if self.crop:
            height, width, _ = pixels.shape
            pixels = pixels[_middle(height, width, *self.size)]
        if self.pad:
            pixels = _with_margins(pixels, *self.size)
        channels = COLOR_MODES[self.color_mode][1]
        if self.interpolation == "bilinear":
            result = _bilinear(pixels, *self.size, channels)
        else:
            with use("numpy"):
                floats = pixels[..., :channels].astype("float32")
                result = ops.image.resize(
                    floats, self.size, self.interpolation, data_format="channels_last"
                )
        return np.ascontiguousarray(result.transpose(2, 0, 1) if self.first else result)


def _decoded(path: Any, color_mode: str, deep: bool = True) -> Image:
    """The image in a file, in a color mode; grey values of 16 bits stay, or become 8."""
    if not isinstance(path, (str, bytes, os.PathLike, io.IOBase)):
        raise TypeError(
            f"An image is in a file. Received: path={path!r} of {type(path).__name__}. Pass a path or an `io.BytesIO`."
        )
    mode, _ = COLOR_MODES[color_mode]
    images = pillow()
    try:
        with images.open(path) as image:
            image.load()
        if image.mode.startswith("I"):
            if deep and mode == "L":
                return image
            image = images.fromarray((np.asarray(image) >> 8).astype("uint8"))
        return image if image.mode == mode else image.convert(mode)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # there is no such file, say
        raise ValueError(
            "A file of an image must be whole, and of a format that Pillow reads. Received: "
            f"{path!r}: {error}. Remove it, or mend it."
        ) from error


class _ArrowArray(ctypes.Structure):
    """An array as of Arrow's C data interface."""


_ArrowArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "nulls", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Lent:
    """Pillow's own memory of an image, (height, width, 4), as NumPy reads it: a copy would cost as much as decoding,
    most of it in page faults. Who reads holds this object, and this the memory.

    Raises:
        ValueError: If it lies in several blocks, as that of more than 16 MB does.
    """

    def __init__(self, image: Image) -> None:
        self.capsules = image.__arrow_c_array__()
        found = ctypes.cast(_pointer(self.capsules[1], b"arrow_array"), ctypes.POINTER(_ArrowArray))
        self.__array_interface__ = {
            "data": (found[0].children[0][0].buffers[1], True),
            "shape": (image.height, image.width, 4),
            "typestr": "|u1",
            "version": 3,
        }


def _pixels(image: Image) -> Array:
    """(height, width, 4), uint8, of colors, (height, width, 1) of grey values; not to be written to."""
    if image.mode == "L":
        return np.asarray(image)[..., None]
    try:
        return np.asarray(_Lent(image))
    except ValueError:
        content = image.tobytes("raw", "RGBX" if image.mode == "RGB" else image.mode)
        return np.frombuffer(content, "uint8").reshape(image.height, image.width, 4)


def _middle(height: int, width: int, rows: int, columns: int) -> tuple[slice, slice]:
    """The largest part in the middle that has the proportions of a size."""
    kept = (
        max(1, min(height, width * rows // columns)),
        max(1, min(width, height * columns // rows)),
    )
    top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
    return slice(top, top + kept[0]), slice(left, left + kept[1])


def _with_margins(pixels: Array, rows: int, columns: int) -> Array:
    """Pixels with equal margins of zeros, in the proportions of a size, as of `ops.image.resize`."""
    height, width, _ = pixels.shape
    missing = max(0, width * rows // columns - height), max(0, height * columns // rows - width)
    return np.pad(pixels, [(missing[0] // 2,) * 2, (missing[1] // 2,) * 2, (0, 0)])


def _neighbours(size: int, target: int) -> tuple[Array, Array]:
    """For each of `target` places along an axis, the two elements around it (target, 2), and their shares."""
    places = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
    first = places.astype("int64")
    second = places - first
    pairs = np.stack([first, np.minimum(first + 1, size - 1)], -1)
    return pairs, np.stack([1 - second, second], -1).astype("float32")


@functools.lru_cache(64)
def _across(size: int, target: int, deep: int, channels: int) -> tuple[Array, Array, Array]:
    """For each channel of `target` places along a row, its values left and right, and the share of the right one."""
    pairs, shares = _neighbours(size, target)
    left, right = (pairs.T[..., None] * deep + np.arange(channels)).reshape(2, -1)
    return left, right, np.repeat(shares[:, 1], channels)


@functools.lru_cache(64)
def _down(size: int, target: int) -> tuple[Any, Any]:
    """The rows that `target` rows are made of, and the matrix that makes them."""
    from scipy.sparse import csr_array

    pairs, shares = _neighbours(size, target)
    used, places = np.unique(pairs, return_inverse=True)
    ends = np.arange(0, pairs.size + 1, 2)
    matrix = csr_array((shares.ravel(), places.ravel(), ends), (target, len(used)))
    return used if len(used) < size else slice(None), matrix


class _Buffers(threading.local):
    """Arrays that a thread fills again for each image: fresh ones cost more, in page faults, than what is computed."""

    def __init__(self) -> None:
        self.kept: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        """An array of a shape, whatever is in it."""
        size = math.prod(shape)
        if name not in self.kept or self.kept[name].size < size:
            self.kept[name] = np.empty(size, dtype)
        return self.kept[name][:size].reshape(shape)


_buffers = _Buffers()


def _bilinear(pixels: Array, height: int, width: int, channels: int) -> Array:
    """The first channels of pixels (rows, columns, 1 or 4), uint8, of another size, float32: `ops.image.resize` in
    a twentieth of its time. Channels lie along the rows: loops over an axis of three or four take thrice the time.
    """
    used, matrix = _down(len(pixels), height)
    left, right, share = _across(pixels.shape[1], width, pixels.shape[2], channels)
    lines = pixels.reshape(len(pixels), -1)[used]
    first, second = (_buffers.array(x, (len(lines), left.size), "float32") for x in "ab")
    taken = _buffers.array("taken", first.shape, "uint8")
    for result, places in ((first, left), (second, right)):
        result[...] = np.take(lines, places, 1, out=taken, mode="clip")
    second -= first
    second *= share
    first += second
    return (matrix @ first).reshape(height, width, channels)
