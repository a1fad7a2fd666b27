"""Folders of files as datasets: images, texts and sounds, a folder a class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import listed as sizes
from ..core.checks import one_of, positive_integer
from ..core.config import standardize_data_format
from ..core.seeding import make_default_seed
from ..tuning import say
from ._stages import Ahead, Elements, Mapped, Turn, cores, listed, padded, stacked
from .formats import OWN, in_format
from .images import COLOR_MODES, ImageReader

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_INTERPOLATIONS = ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"]
_INTERPOLATIONS += ["area", "gaussian", "mitchellcubic"]
Reader = Callable[[str], Any]


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = OWN,
    verbose: bool = True,
    *,
    skip_broken: bool = False,
) -> Any:
    """The images in a folder as a dataset: batches `(batch, height, width, channels)` of values from 0 to 255.

    Files are read on all processors, ahead of their use; the order is kept. Pillow decodes BMP, GIF, JPEG and PNG.

    Args:
        directory: The folder; those in it are the classes, with all that is in them.
        labels: `"inferred"`: the number of the class; None for no labels; or an integer for each file in the
            order of their paths.
        label_mode: `"int"` for int32, `"categorical"` for one-hot rows, `"binary"` for 0.0 and 1.0 as a column, None
            for no labels.
        class_names: The classes in the order of their numbers, where that is not the alphabet's.
        color_mode: `"grayscale"`, `"rgb"` or `"rgba"`.
        batch_size: How many images are in a batch; None for one by one.
        image_size: Height and width that all are brought to.
        shuffle: Whether they come in a random order, a new one in each pass.
        seed: What the orders are drawn from.
        validation_split: The share of the files that validates.
        subset: `"training"`, `"validation"` or `"both"`, where there is such a share.
        interpolation: `"bilinear"`, `"nearest"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`.
        follow_links: Whether links to folders are followed.
        crop_to_aspect_ratio: Whether margins are cut, so that proportions stay.
        pad_to_aspect_ratio: Whether margins of zeros are added, so that proportions stay.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.
        format: Left out, the dataset is Cornu's own, in NumPy. `"tf"` gives a `tf.data.Dataset`, `"grain"` one of
            grain's.
        verbose: Whether to say how many files there are.
        skip_broken: Whether all files are read once first, and those left out, with a warning, that can't be.

    Returns:
        A dataset with `class_names` and `file_paths`; of `subset="both"`, two.

    Raises:
        ValueError: If there is no such file, or an argument can't be. A broken file is an error when it is read.

    >>> import pathlib, tempfile
    >>> from cornu.utils import save_img
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cats", "dogs"):
    ...     (folder / name).mkdir()
    ...     save_img(folder / name / "a.png", np.ones((4, 6, 3)))
    >>> dataset = image_dataset_from_directory(folder, image_size=(8, 8), verbose=False)
    >>> [(x.shape, sorted(y.tolist())) for x, y in dataset], dataset.class_names
    ([((2, 8, 8, 3), [0, 1])], ['cats', 'dogs'])
    """
    one_of(COLOR_MODES, color_mode=color_mode)
    one_of(_INTERPOLATIONS, interpolation=interpolation)
    size = sizes(image_size) or ()
    if len(size) != 2:
        raise ValueError(
            f"`image_size` is a height and a width. Received: image_size={image_size!r}."
        )
    positive_integer(height=size[0], width=size[1])
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Images are cut or filled up, not both. Received: crop_to_aspect_ratio=True, pad_to_aspect_ratio=True."
        )
    layout = standardize_data_format(data_format)
    fit = (crop_to_aspect_ratio, pad_to_aspect_ratio)
    read = ImageReader(size, color_mode, interpolation, *fit, layout)
    files = Files.found(directory, labels, label_mode, class_names, _IMAGES, follow_links, "images")
    files = files.readable(read) if skip_broken else files
    parts = _parts(files, shuffle, seed, validation_split, subset, verbose)
    return _datasets(parts, read, label_mode, batch_size, seed, format, stacked)


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = OWN,
    verbose: bool = True,
    *,
    skip_broken: bool = False,
) -> Any:
    """The texts in a folder, files `.txt` in UTF-8, as a dataset: batches `(batch,)` of strings.

    Args:
        directory, labels, label_mode, class_names, batch_size: As of `image_dataset_from_directory`.
        max_length: How many characters are kept of each text; None for all.
        shuffle, seed, validation_split, subset, follow_links, format, verbose, skip_broken: As of
            `image_dataset_from_directory`.

    Returns:
        A dataset with `class_names` and `file_paths`, whose strings are in arrays of objects; of `subset="both"`, two.

    Raises:
        ValueError: If there is no such file, or an argument can't be. A broken file is an error when it is read.

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "good").mkdir()
    >>> (folder / "good" / "a.txt").write_text("Fine!")
    5
    >>> [(x.tolist(), y.tolist()) for x, y in text_dataset_from_directory(folder, verbose=False)]
    [(['Fine!'], [0])]
    """
    if max_length is not None:
        positive_integer(max_length=max_length)
    read = TextReader(max_length)
    files = Files.found(
        directory, labels, label_mode, class_names, (".txt",), follow_links, "texts"
    )
    files = files.readable(read) if skip_broken else files
    parts = _parts(files, shuffle, seed, validation_split, subset, verbose)
    return _datasets(parts, read, label_mode, batch_size, seed, format, stacked)


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
    *,
    skip_broken: bool = False,
) -> Any:
    """The sounds in a folder, files `.wav`, as a dataset: batches `(batch, samples, channels)` from -1 to 1.

    Args:
        directory, labels, label_mode, class_names, batch_size: As of `image_dataset_from_directory`.
        sampling_rate: The samples of a second that all are brought to; by default, those of the file.
        output_sequence_length: How many samples each has: longer sounds are cut, shorter ones end in zeros. By
            default, those of a batch are filled up to the longest.
        ragged: Whether a batch of several lengths is an array of arrays instead.
        shuffle, seed, validation_split, subset, follow_links, verbose, skip_broken: As of
            `image_dataset_from_directory`.

    Returns:
        A dataset with `class_names` and `file_paths`; of `subset="both"`, two.

    Raises:
        ValueError: If there is no such file, or an argument can't be. A broken file is an error when it is read.

    >>> import pathlib, tempfile, wave
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "beeps").mkdir()
    >>> with wave.open(str(folder / "beeps" / "a.wav"), "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", ""))
    ...     file.writeframes(np.array([0, 16384, -32768], "<i2"))
    >>> [x.tolist() for x, y in audio_dataset_from_directory(folder, verbose=False)]
    [[[[0.0], [0.5], [-1.0]]]]
    """
    if ragged and output_sequence_length is not None:
        raise ValueError(
            "Sounds have one length or several. Received: ragged=True, "
            f"output_sequence_length={output_sequence_length}. Leave out one."
        )
    read = SoundReader(sampling_rate, output_sequence_length)
    files = Files.found(
        directory, labels, label_mode, class_names, (".wav",), follow_links, "sounds"
    )
    files = files.readable(read) if skip_broken else files
    parts = _parts(files, shuffle, seed, validation_split, subset, verbose)
    return _datasets(parts, read, label_mode, batch_size, seed, OWN, listed if ragged else padded)


# ------------------------------------------------------------------------------- files


@dataclass
class Files:
    """Files with a label each, where they have some."""

    paths: list[str]
    labels: np.ndarray[Any, Any] | None
    class_names: list[str] | None
    shuffle: bool = False

    @classmethod
    def found(
        cls,
        directory: Any,
        labels: Any,
        label_mode: str | None,
        class_names: Sequence[str] | None,
        endings: tuple[str, ...],
        follow_links: bool,
        what: str,
    ) -> Files:
        """Those in a folder whose names end so, in the order of their paths."""
        one_of(("int", "categorical", "binary", None), label_mode=label_mode)
        folder = os.path.expanduser(os.fspath(directory))
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"A dataset is read from a folder. Received: directory={folder!r}, where none is."
            )
        inferred = isinstance(labels, str) and labels == "inferred" and label_mode is not None
        if not inferred and class_names is not None:
            raise ValueError(
                f"`class_names` goes with labels='inferred'. Received: class_names={class_names}."
            )
        names = _classes(folder, class_names) if inferred else None
        parts = [folder] if names is None else [os.path.join(folder, name) for name in names]
        paths = [_files(part, endings, follow_links) for part in parts]
        counts = [len(part) for part in paths]
        if not sum(counts):
            raise ValueError(
                f"A folder must have {what}, files {', '.join(endings)}"
                f"{', in a folder for each class' if inferred else ''}. Received: directory={folder!r} with none."
            )
        numbers: Any = np.repeat(np.arange(len(parts)), counts) if inferred else None
        if not (inferred or labels is None or label_mode is None):
            numbers = _given(labels, sum(counts), folder)
            names = [str(label) for label in sorted(set(numbers.tolist()))]
        if label_mode == "binary" and numbers is not None and len(names or ()) != 2:
            raise ValueError(f"label_mode='binary' is for two classes. Received: {names}.")
        if (
            label_mode == "categorical"
            and numbers is not None
            and {*numbers.tolist()} - {*range(len(names or ()))}
        ):
            raise ValueError(
                f"label_mode='categorical' is for classes that are counted from 0. Received: labels {names}."
            )
        return cls([path for part in paths for path in part], numbers, names)

    def at(self, chosen: Any) -> Files:
        """Some of them, a slice or places."""
        rows = np.arange(len(self.paths))[chosen]
        labels = None if self.labels is None else self.labels[rows]
        return Files([self.paths[row] for row in rows], labels, self.class_names, self.shuffle)

    def readable(self, read: Reader) -> Files:
        """Those that can be read, with a warning of the others."""
        tried = Ahead(Mapped(Elements(self.paths), _Try(read)), 4 * cores(), cores())
        errors = list(tried.all(Turn(0, 0)))
        broken = [error for error in errors if error]
        if broken:
            more = "" if len(broken) < 4 else f"; and {len(broken) - 3} more"
            warnings.warn(f"Broken files are left out: {'; '.join(broken[:3])}{more}", stacklevel=3)
        return self.at([not error for error in errors])


class _Try:
    """Reads a file, and gives the text of the error, if any."""

    def __init__(self, read: Reader) -> None:
        self.read = read

    def __call__(self, path: str) -> str:
        try:
            self.read(path)
        except Exception as error:
            return str(error)
        return ""


def _classes(folder: str, given: Sequence[str] | None) -> list[str]:
    """The names of the folders that are the classes."""
    with os.scandir(folder) as entries:
        there = sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
    if given is None:
        return there
    if missing := sorted(set(given) - set(there)):
        raise ValueError(
            f"`class_names` are names of folders, here of {there}. Received: {missing} among class_names={list(given)}."
        )
    return list(given)


def _files(folder: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    """The paths of files in a folder and those below it: sorted within each folder, these by their paths."""
    walked = sorted(os.walk(folder, followlinks=follow_links))
    every = (os.path.join(at, name) for at, _, names in walked for name in sorted(names))
    return [path for path in every if path.lower().endswith(endings)]


def _given(labels: Any, count: int, folder: str) -> np.ndarray[Any, Any]:
    if isinstance(labels, str) or sizes(labels) is None:
        raise ValueError(
            f"`labels` are 'inferred', None or an integer for each file. Received: labels={labels!r}."
        )
    numbers = np.asarray(labels)
    if len(numbers) != count or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` has an integer for each of the {count} files in {folder!r}. Received: {len(numbers)} values of "
            f"dtype {numbers.dtype}."
        )
    return numbers


# ------------------------------------------------------------------------------- parts


def _parts(
    files: Files,
    shuffle: bool,
    seed: int | None,
    validation_split: float | None,
    subset: str | None,
    verbose: bool,
) -> list[Files]:
    """The files, or those that train and those that validate, in the order that a seed gives them."""
    _check_split(shuffle, seed, validation_split, subset)
    if verbose:
        classes = (
            "" if files.labels is None else f" belonging to {len(files.class_names or ())} classes"
        )
        _tell(f"Found {len(files.paths)} files{classes}.")
    if shuffle:
        order = np.arange(len(files.paths))
        # The order that Keras has by this seed, so that both split a folder in the same way.
        np.random.RandomState(make_default_seed() if seed is None else seed).shuffle(order)
        files = files.at(order)
        files.shuffle = True
    if subset is None:
        return [files]
    left = len(files.paths) - int((validation_split or 0) * len(files.paths))
    both = {"training": files.at(slice(left)), "validation": files.at(slice(left, None))}
    names = list(both) if subset == "both" else [subset]
    for name in names:
        if not both[name].paths:
            raise ValueError(
                f"Each part must have files. Received: validation_split={validation_split} of {len(files.paths)} "
                f"files, which leaves none for {name}."
            )
        if verbose:
            _tell(f"Using {len(both[name].paths)} files for {name}.")
    if subset == "both":
        both["validation"].shuffle = False
    return [both[name] for name in names]


def _check_split(shuffle: bool, seed: Any, validation_split: Any, subset: Any) -> None:
    if (validation_split is None) != (subset is None):
        raise ValueError(
            "`validation_split` and `subset` go together. Received: "
            f"validation_split={validation_split}, subset={subset!r}."
        )
    if validation_split is None:
        return
    one_of(("training", "validation", "both"), subset=subset)
    if not 0 < validation_split < 1:
        raise ValueError(
            f"`validation_split` is a share between 0 and 1. Received: validation_split={validation_split}."
        )
    if shuffle and seed is None and subset != "both":
        raise ValueError(
            "Two parts of shuffled files need one seed, so that they share none. Received: seed=None. Pass the same "
            "`seed` for both, or `subset='both'`."
        )


def _tell(line: str) -> None:
    from ..core.config import is_interactive_logging_enabled

    print(line) if is_interactive_logging_enabled() else say(line)


def _datasets(
    parts: list[Files],
    read: Reader,
    label_mode: str | None,
    batch_size: int | None,
    seed: int | None,
    format: str,
    join: Callable[[Sequence[Any]], Any],
) -> Any:
    """A dataset of each part."""
    made = []
    for files in parts:
        labels = _labels(files, label_mode)
        paths = np.array(files.paths, object)
        elements = Elements(paths if labels is None else (paths, labels))
        mapped = Mapped(elements, _Read(read))
        made.append(in_format(mapped, files.shuffle, seed, batch_size, format, join))
        made[-1].class_names, made[-1].file_paths = files.class_names, files.paths
    return made[0] if len(made) == 1 else made


class _Read:
    """Reads the file of an element, whose label stays."""

    def __init__(self, read: Reader) -> None:
        self.read = read

    def __call__(self, path: str, *label: Any) -> Any:
        content = self.read(path)
        return (content, *label) if label else content


def _labels(files: Files, label_mode: str | None) -> np.ndarray[Any, Any] | None:
    if files.labels is None or label_mode is None:
        return None
    if label_mode == "int":
        return files.labels.astype("int32")
    if label_mode == "binary":
        return files.labels.astype("float32")[:, None]
    return np.eye(len(files.class_names or ()), dtype="float32")[files.labels]


# ------------------------------------------------------------------------------ readers


class TextReader:
    """Reads files of texts in UTF-8, of so many characters at most."""

    def __init__(self, max_length: int | None) -> None:
        self.max_length = max_length

    def __call__(self, path: str) -> str:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                return file.read(self.max_length)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"A text is in UTF-8. Received: {path}: {error}. Convert the file, or pass `skip_broken=True`."
            ) from error


class SoundReader:
    """Reads WAV files as arrays (samples, channels), float32, from -1 to 1."""

    def __init__(self, rate: int | None, length: int | None) -> None:
        self.rate, self.length = rate, length

    def __call__(self, path: str) -> np.ndarray[Any, Any]:
        rate, sound = _wave(path)
        if self.rate is not None and rate != self.rate:
            from scipy.signal import resample_poly

            sound = resample_poly(sound, self.rate, rate, axis=0).astype("float32")
        if self.length is None:
            return sound
        missing = max(0, self.length - len(sound))
        return np.pad(sound[: self.length], [(0, missing), (0, 0)])


def _wave(path: str) -> tuple[int, np.ndarray[Any, Any]]:
    """The samples of a second, and the samples (samples, channels)."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of parts that are no sound
            rate, sound = wavfile.read(path)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"A sound must be in a whole WAV file. Received: {path}: {error}. Remove it, or mend it."
        ) from error
    if sound.dtype.kind == "u":  # 8 bits lie about 128
        sound = (sound.astype("float32") - 128) / 128
    elif sound.dtype.kind == "i":
        sound = sound.astype("float32") / -float(np.iinfo(sound.dtype).min)
    sound = sound.astype("float32", copy=False)
    return int(rate), sound if sound.ndim == 2 else sound[:, None]
