"""Folders of images, texts and sounds, and windows of series, beside Keras's."""

from __future__ import annotations

import io
import struct
import warnings
import wave
from pathlib import Path
from typing import Any

import keras
import numpy as np
import PIL.Image as images
import pytest

import cornu
from cornu import utils
from cornu.data.images import _pixels
from cornu.data.pipelines import Dataset

RNG = np.random.default_rng(0)
SMALL = {"image_size": (8, 8), "batch_size": 4, "verbose": False}


def picture(height: int, width: int) -> Any:
    return images.fromarray(RNG.integers(0, 256, (height, width, 3), dtype="uint8"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images of three classes, with other files among them."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, count in (("b", 5), ("a", 4), ("c", 3)):
        (folder / name / "sub").mkdir(parents=True)
        for i in range(count):
            picture(20 + i, 30).save(folder / name / f"{name}{i}.png")
    for name in ("a/sub/deep.PNG", "a/.hidden.png", "a/UP.PNG", "b/x.bmp", "c/x.gif", "top.png"):
        picture(9, 8).save(folder / name)
    (folder / "a" / "note.txt").write_text("no image")
    (folder / ".git").mkdir()
    return folder


def seen(dataset: Any) -> Any:
    """All batches of a dataset, as NumPy has them."""
    if isinstance(dataset, (list, tuple)):
        return [seen(part) for part in dataset]
    batches = [
        [np.asarray(part) for part in (b if isinstance(b, tuple) else (b,))] for b in dataset
    ]
    return batches, getattr(dataset, "class_names", None), getattr(dataset, "file_paths", None)


def equal(ours: Any, theirs: Any, tolerance: float = 1e-3) -> None:
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for mine, his in zip(ours, theirs, strict=True):
            equal(mine, his, tolerance)
        return
    assert ours[1] == theirs[1] and theirs[2] in (None, ours[2])  # Keras's texts have no paths
    assert len(ours[0]) == len(theirs[0])
    for mine, his in zip(ours[0], theirs[0], strict=True):
        for x, y in zip(mine, his, strict=True):
            assert (x.shape, x.dtype.kind) == (y.shape, y.dtype.kind)
            if x.dtype.kind == "O":
                assert [text.encode() for text in x.tolist()] == y.tolist()
            else:
                np.testing.assert_allclose(x, y, atol=tolerance)


ORDERED: list[dict[str, Any]] = [
    {},
    {"label_mode": "categorical"},
    {"label_mode": None},
    {"labels": None},
    {"class_names": ["c", "a", "b"]},
    {"class_names": ["c", "a"], "label_mode": "binary"},
    {"labels": list(range(18))[::-1]},
    {"labels": [0, 1] * 9, "label_mode": "categorical"},
    {"validation_split": 0.25, "subset": "training"},
    {"validation_split": 0.25, "subset": "both"},
    {"color_mode": "rgba", "class_names": ["a"]},
    {"batch_size": None},
    {"data_format": "channels_first"},
    {"crop_to_aspect_ratio": True},
    {"image_size": (40, 31), "interpolation": "bilinear"},
    {"interpolation": "lanczos3"},
    *({"interpolation": name} for name in ("area", "gaussian", "mitchellcubic")),
]


def test_grey_images(pictures: Path) -> None:
    """Pillow and TensorFlow round them in two ways."""
    given: Any = {**SMALL, "shuffle": False, "color_mode": "grayscale", "class_names": ["a"]}
    ours = utils.image_dataset_from_directory(pictures, **given)
    equal(seen(ours), seen(keras.utils.image_dataset_from_directory(pictures, **given)), 1.01)


@pytest.mark.parametrize("given", ORDERED)
def test_images(pictures: Path, given: dict[str, Any]) -> None:
    """Files, labels and pixels are Keras's."""
    options = {**SMALL, "shuffle": False, **given}
    ours = utils.image_dataset_from_directory(str(pictures), **options)
    equal(seen(ours), seen(keras.utils.image_dataset_from_directory(str(pictures), **options)))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"validation_split": 0.3, "subset": "training"},
        {"validation_split": 0.3, "subset": "validation"},
    ],
)
def test_a_seed_gives_keras_s_files(pictures: Path, given: dict[str, Any]) -> None:
    """So both split a folder into the same parts. The orders of passes are each library's own."""
    options = {**SMALL, "seed": 3, **given}
    ours = utils.image_dataset_from_directory(pictures, **options)
    theirs = keras.utils.image_dataset_from_directory(pictures, **options)
    assert [*map(str, ours.file_paths)] == [*map(str, theirs.file_paths)]
    passes = [np.concatenate([y for _, y in ours]).tolist() for _ in range(2)]
    labels = sorted(np.concatenate([np.asarray(y) for _, y in theirs]).tolist())
    assert [sorted(each) for each in passes] == [labels] * 2 and passes[0] != passes[1]


@pytest.mark.parametrize("given", [{"shuffle": False}, {"seed": 3}, {"labels": None, "seed": 1}])
def test_formats(pictures: Path, given: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {
            name: utils.image_dataset_from_directory(pictures, **SMALL, format=name, **given)
            for name in ("tf", "grain")
        }
        theirs = keras.utils.image_dataset_from_directory(
            pictures, **SMALL, format="grain", **given
        )
        equal(seen(made["grain"]), seen(theirs), 2.0)
    own = utils.image_dataset_from_directory(pictures, **SMALL, **given)
    assert isinstance(own, Dataset)
    assert type(made["tf"]).__module__.startswith("tensorflow.") and len(made["tf"]) == len(own)
    equal(seen(made["tf"]), seen(own))


def test_texts(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.txt").write_bytes(f"text {name}\r\nline {i}\n".encode())
    for given in ({}, {"max_length": 3}, {"batch_size": None}, {"label_mode": "binary"}):
        options: Any = {"shuffle": False, "verbose": False, "batch_size": 4, **given}
        ours = utils.text_dataset_from_directory(tmp_path, **options)
        theirs = keras.utils.text_dataset_from_directory(tmp_path, **options)
        if given == {"batch_size": None}:
            assert next(iter(ours))[0] == "text a\r\nline 0\n"
        else:
            equal(seen(ours), seen(theirs))
    (tmp_path / "a" / "3.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"A text is in UTF-8. Received: .*3.txt.*skip_broken"):
        list(utils.text_dataset_from_directory(tmp_path, verbose=False))


def sound(path: Path, values: Any, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((values.shape[1], values.dtype.itemsize, rate, 0, "NONE", ""))
        file.writeframes(values.tobytes())


def test_sounds(tmp_path: Path) -> None:
    for channels, name in ((1, "a"), (2, "b")):
        (tmp_path / name).mkdir()
        for i in range(3):
            values = RNG.integers(-32768, 32768, (10 + i, channels)).astype("<i2")
            sound(tmp_path / name / f"{i}.wav", values)
    for given in (
        {},
        {"output_sequence_length": 11},
        {"output_sequence_length": 5},
        {"batch_size": 6},
    ):
        options: Any = {"shuffle": False, "verbose": False, "batch_size": 3, **given}
        ours = utils.audio_dataset_from_directory(tmp_path, **options)
        equal(seen(ours), seen(keras.utils.audio_dataset_from_directory(tmp_path, **options)))
    ragged = utils.audio_dataset_from_directory(tmp_path, ragged=True, shuffle=False, batch_size=3)
    assert [x.shape for x in next(iter(ragged))[0]] == [(10, 1), (11, 1), (12, 1)]
    half = utils.audio_dataset_from_directory(tmp_path, sampling_rate=4000, shuffle=False)
    assert next(iter(half))[0].shape == (6, 6, 2)


@pytest.mark.parametrize("kind", ["<u1", "<i2", "<i4", "<f4"])
def test_kinds_of_samples(tmp_path: Path, kind: str) -> None:
    from scipy.io import wavfile

    (tmp_path / "a").mkdir()
    whole = {"<u1": [128, 192, 0], "<f4": [0, 0.5, -1]}
    bits = 8 * np.dtype(kind).itemsize - 1
    values = np.array(whole.get(kind) or [0, 2 ** (bits - 1), -(2**bits)], kind)
    wavfile.write(tmp_path / "a" / "a.wav", 8000, values)
    ((x,),) = [list(utils.audio_dataset_from_directory(tmp_path, labels=None))]
    assert x.dtype == "float32" and x.ravel().tolist() == [0, 0.5, -1]


# ---------------------------------------------------------------------------- series

SERIES, TARGETS = np.arange(20), np.arange(20) * 10
WINDOWS: list[dict[str, Any]] = [
    {},
    {"sequence_stride": 3},
    {"sampling_rate": 2},
    {"sequence_stride": 2, "sampling_rate": 3},
    {"start_index": 3, "end_index": 15},
    {"batch_size": None},
    {"format": "grain"},
    {"format": "tf"},
    {"shuffle": True, "seed": 1, "format": "grain"},
    {"targets": TARGETS[:7]},
    {"targets": None},
    {"targets": None, "sequence_stride": 4},
    {"data": np.arange(40.0).reshape(20, 2)},
]


@pytest.mark.parametrize("given", WINDOWS)
def test_windows(given: dict[str, Any]) -> None:
    options = {"data": SERIES, "targets": TARGETS, "sequence_length": 4, "batch_size": 5, **given}
    ours = utils.timeseries_dataset_from_array(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        equal(seen(ours), seen(keras.utils.timeseries_dataset_from_array(**options)))


def test_shuffled_windows() -> None:
    data = utils.timeseries_dataset_from_array(SERIES, TARGETS, 4, shuffle=True, seed=1)
    passes = [next(iter(data)) for _ in range(2)]
    assert sorted(passes[0][1].tolist()) == TARGETS[:17].tolist()
    assert passes[0][1].tolist() != passes[1][1].tolist()
    for x, y in passes:
        np.testing.assert_array_equal(x * 10, y[:, None] + 10 * np.arange(4))


def test_orders_of_grain_without_a_seed() -> None:
    """They follow from `set_random_seed`, as seeds of layers."""
    orders = []
    for seed in (1, 2, 1):
        utils.set_random_seed(seed)
        data = utils.timeseries_dataset_from_array(
            SERIES, TARGETS, 4, shuffle=True, batch_size=None, format="grain"
        )
        orders.append([int(y) for _, y in data])
    assert orders[0] == orders[2] != orders[1]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"sequence_length": 0},
            "`sequence_length` must be a positive integer. Received: sequence_length=0",
        ),
        ({"sequence_stride": 0}, "`sequence_stride` must be a positive integer"),
        (
            {"sampling_rate": 20},
            "`sampling_rate` must be less than .*, 20. Received: sampling_rate=20",
        ),
        ({"start_index": -1}, "index of the data, from 0 to 19. Received: start_index=-1"),
        ({"end_index": 20}, "Received: end_index=20"),
        ({"start_index": 8, "end_index": 5}, "Received: start_index=8, end_index=5"),
        ({"sequence_length": 21}, "must have a window. Received: 20 steps for sequence_length=21"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"format": "x"}, "`format` must be one of .'tf', 'grain'.. Received: format='x'"),
    ],
)
def test_bad_windows(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        utils.timeseries_dataset_from_array(SERIES, TARGETS, **{"sequence_length": 3, **given})


# ---------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"labels": [1, 2]},
            "an integer for each of the 18 files in .*Received: 2 values of dtype int64",
        ),
        ({"labels": "x"}, "'inferred', None or an integer for each file. Received: labels='x'"),
        ({"label_mode": "x"}, "`label_mode` must be one of .*Received: label_mode='x'"),
        ({"label_mode": "binary"}, "'binary' is for two classes. Received: .'a', 'b', 'c'"),
        (
            {"label_mode": "categorical", "labels": [-1, 0] * 9},
            "counted from 0. Received: labels .'-1', '0'",
        ),
        ({"class_names": ["a", "z"]}, "Received: .'z'. among class_names"),
        ({"labels": None, "class_names": ["a"]}, "`class_names` goes with labels='inferred'"),
        ({"color_mode": "x"}, "`color_mode` must be one of"),
        ({"interpolation": "x"}, "`interpolation` must be one of"),
        ({"image_size": (8,)}, r"a height and a width. Received: image_size=\(8,\)"),
        ({"image_size": (0, 8)}, "`height` must be a positive integer"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "cut or filled up, not both"),
        ({"validation_split": 0.2}, "go together. Received: validation_split=0.2, subset=None"),
        ({"validation_split": 0.2, "subset": "x"}, "`subset` must be one of"),
        ({"validation_split": 2, "subset": "both"}, "a share between 0 and 1. Received: .*=2"),
        ({"validation_split": 0.2, "subset": "training"}, "one seed.*Received: seed=None"),
        ({"validation_split": 0.01, "subset": "both"}, "leaves none for validation"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"format": "x"}, "`format` must be one of"),
    ],
)
def test_bad_arguments(pictures: Path, given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        utils.image_dataset_from_directory(pictures, verbose=False, **given)


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="read from a folder. Received: .*nowhere"):
        utils.image_dataset_from_directory(tmp_path / "nowhere")
    for labels in ("inferred", None):
        with pytest.raises(
            ValueError, match=r"must have images, files .bmp, .*Received: .*with none"
        ):
            utils.image_dataset_from_directory(tmp_path, labels=labels)
    with pytest.raises(ValueError, match="ragged=True, output_sequence_length=3"):
        utils.audio_dataset_from_directory(tmp_path, ragged=True, output_sequence_length=3)


def test_broken_files(tmp_path: Path) -> None:
    """One is named when it is read; those that are skipped leave the others, and their labels, as they are."""
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(3):
            picture(9, 8).save(tmp_path / name / f"{i}.jpg")
    whole = (tmp_path / "a" / "1.jpg").read_bytes()
    (tmp_path / "a" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "0.jpg").write_bytes(b"no image")
    options: Any = {"image_size": (8, 8), "shuffle": False, "verbose": False}
    for format in ("own", "tf"):
        more = {} if format == "own" else {"format": format}
        data = utils.image_dataset_from_directory(tmp_path, **options, **more)
        with pytest.raises(Exception, match=r"must be whole.*Received: .*a.1.jpg'?: (?i:trunc)"):
            list(data)
    with pytest.warns(UserWarning, match=r"left out: .*a.1.jpg.*; .*b.0.jpg"):
        data = utils.image_dataset_from_directory(tmp_path, skip_broken=True, **options)
    assert [y.tolist() for _, y in data] == [[0, 0, 1, 1]] and len(data.file_paths) == 4
    broken = tmp_path / "a" / "0.wav"
    broken.write_bytes(struct.pack("<4sI4s", b"RIFF", 100, b"WAVE"))
    with pytest.raises(ValueError, match=r"whole WAV file. Received: .*0.wav"):
        list(utils.audio_dataset_from_directory(tmp_path))


# ------------------------------------------------------------------------- one image


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (2100, 2200)])  # the last is more than a block
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pixels_outlive_their_image(size: tuple[int, int], mode: str) -> None:
    image = images.effect_noise(size, 50).convert(mode)
    expected = np.array(image).reshape(*size[::-1], -1)
    pixels = _pixels(image)
    del image
    images.new(mode, size)  # in memory that is free
    np.testing.assert_array_equal(pixels[..., : len(mode)], expected)


def test_images_and_arrays(tmp_path: Path) -> None:
    """As Keras has them: shapes, values, modes, or the type of the error."""
    x = RNG.random((4, 6, 3)) * 255
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        *(("array_to_img", (x,), given) for given in ({}, {"scale": False}, {"dtype": "float64"})),
        ("array_to_img", (x.transpose(2, 0, 1),), {"data_format": "channels_first"}),
        *(
            ("array_to_img", (RNG.random(s),), {})
            for s in [(4, 6, 1), (4, 6, 4), (4, 6, 2), (4, 6)]
        ),
        ("array_to_img", (np.full((2, 2, 1), 300.0),), {"scale": False}),
        ("array_to_img", (np.full((2, 2, 3), 7.0),), {}),
        *(
            ("img_to_array", (picture(4, 6).convert(m),), {})
            for m in ("L", "RGBA", "1", "P", "LA", "F")
        ),
        *(("img_to_array", (picture(4, 6),), {"dtype": d}) for d in ("uint8", "float64")),
    ]
    for name, arguments, given in calls:
        ours_of, theirs_of = (getattr(module.utils, name) for module in (cornu, keras))
        try:
            theirs = theirs_of(*arguments, **given)
        except ValueError:
            with pytest.raises(ValueError, match="An image is an array of height"):
                ours_of(*arguments, **given)
            continue
        ours = ours_of(*arguments, **given)
        assert getattr(ours, "mode", None) == getattr(theirs, "mode", None)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    picture(40, 60).save(tmp_path / "x.png")
    sizes: list[dict[str, Any]] = [
        *({"color_mode": mode} for mode in ("grayscale", "rgba")),
        *({"target_size": (20, 30), "interpolation": i} for i in ("nearest", "box", "lanczos")),
        {"target_size": (20, 20), "keep_aspect_ratio": True},
        {"target_size": (20, 50), "keep_aspect_ratio": True, "interpolation": "bilinear"},
    ]
    for given in sizes:
        ours, theirs = (m.utils.load_img(tmp_path / "x.png", **given) for m in (cornu, keras))
        assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    utils.save_img(tmp_path / "x.jpg", RNG.random((4, 6, 4)))
    with images.open(tmp_path / "x.jpg") as saved:
        assert saved.mode == "RGB"
    for path, error in (
        (tmp_path / "none.png", OSError),
        (io.BytesIO(b"no"), ValueError),
        (3, TypeError),
    ):
        with pytest.raises(error):
            utils.load_img(path)


@pytest.mark.parametrize(
    ("shape", "size", "given"),
    [
        ((40, 60, 3), (20, 20), {}),
        ((2, 41, 60, 3), (20, 25), {}),
        ((3, 40, 60), (20, 20), {"data_format": "channels_first"}),
        ((41, 60, 3), (20, 20), {"interpolation": "nearest"}),
        ((40, 60, 3), (80, 90), {"interpolation": "bicubic"}),
    ],
)
def test_smart_resize(shape: Any, size: Any, given: dict[str, Any]) -> None:
    x = RNG.random(shape).astype("float32")
    ours, theirs = (m.preprocessing.image.smart_resize(x, size, **given) for m in (cornu, keras))
    assert type(ours) is type(theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    x = (x * 255).astype("uint8")
    ours, theirs = (m.preprocessing.image.smart_resize(x, size, **given) for m in (cornu, keras))
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, atol=2e-2)
