"""Networks: the same as Keras's, by what they are, by what they compute, and by Keras's files."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import applications, engines, layers
from cornu.applications import _weights, imagenet_utils
from cornu.applications._network import NETWORKS
from tests.applications.networks import SMALLEST, TARGET, digests, fill, images, logits, small
from tests.engines_tested import ENGINES
from tests.serving_files import Server, serving

KERAS = json.loads(TARGET.read_text())
FAMILIES = sorted(
    name for name in dir(applications) if hasattr(getattr(applications, name), "preprocess_input")
)
X = np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3))


def build(name: str, /, **arguments: Any) -> Any:
    return getattr(applications, name)(**arguments)


def test_all_of_them() -> None:
    assert set(NETWORKS) == set(KERAS)


@pytest.mark.parametrize("name", NETWORKS)
def test_structure(name: str) -> None:
    """Names of layers, arguments, connections and weights are Keras's; so is the example's result."""
    model = build(name, weights=None)
    expected = {key: KERAS[name][key] for key in ("config", "weights")}
    assert digests(model) == expected
    example = f">>> {name}(weights=None).count_params()\n{model.count_params()}\n"
    assert example in getattr(applications, name).__doc__


@pytest.mark.parametrize("name", SMALLEST)
def test_values(name: str) -> None:
    """With the same weights, the logits that Keras gives."""
    with engines.use("torch"):
        found = logits(build(name, **small(name)))
    np.testing.assert_allclose(found, KERAS[name]["logits"], rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MobileNet", {"alpha": 0.25, "classes": 3}),
        ("MobileNetV3Small", {"alpha": 0.35, "minimalistic": True, "include_top": False}),
    ],
)
def test_engines(engine: str, name: str, arguments: dict[str, Any]) -> None:
    found = []
    for one in ("numpy", engine):
        with engines.use(one):
            model = build(name, weights=None, input_shape=(32, 32, 3), **arguments)
            fill(model)
            found.append(cornu.ops.convert_to_numpy(model(images(model))))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MobileNetV3Small", {"alpha": 0.35, "minimalistic": True, "dropout_rate": 0.0}),
        ("MobileNet", {"alpha": 0.25, "pooling": "max", "include_top": False}),
    ],
)
def test_files_of_keras(tmp_path: Path, name: str, arguments: dict[str, Any], ending: str) -> None:
    arguments = {**arguments, "input_shape": (32, 32, 3), "classes": 4}
    theirs = getattr(keras.applications, name)(weights=None, **arguments)
    fill(theirs)
    path = tmp_path / f"model{ending}"
    if ending == ".weights.h5":
        theirs.save_weights(path)
    else:
        theirs.save(path)
    ours = build(name, weights=path, **arguments)
    for mine, kept in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), np.asarray(kept))


@pytest.mark.parametrize("kind", ["LayerScale", "CustomScaleLayer"])
def test_layers_of_keras_s_files(tmp_path: Path, kind: str) -> None:
    """The two layers that networks bring are found under Keras's names, in both directions."""
    x = np.ones((2, 3), "float32")
    if kind == "LayerScale":
        layer: Any = applications.convnext.LayerScale(0.5, 3)
        inputs: Any = layers.Input((3,))
    else:
        layer = applications.inception_resnet_v2.CustomScaleLayer(0.1)
        inputs = [layers.Input((3,)), layers.Input((3,))]
        x = [x, 2 * x]  # type: ignore[assignment]
    model = cornu.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    theirs = keras.models.load_model(tmp_path / "model.keras")
    theirs.save(tmp_path / "again.keras")
    again = cornu.models.load_model(tmp_path / "again.keras")
    assert again.get_config() == model.get_config()
    np.testing.assert_allclose(again(x), theirs(x))


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["ResNet50V2", "NASNetMobile", "EfficientNetB0", "DenseNet121"])
def test_layouts(name: str, layout: str) -> None:
    """Feature maps of images of any size, with channels last or first."""
    cornu.config.set_image_data_format(layout)
    try:
        shape = (None, None, 1) if layout == "channels_last" else (1, None, None)
        model = build(name, weights=None, include_top=False, input_shape=shape)
        assert model.input_shape == (None, *shape)
        channels = model.output_shape[-1 if layout == "channels_last" else 1]
        assert model.output_shape.count(None) == 3 and channels >= 1000
    finally:
        cornu.config.set_image_data_format("channels_last")


def test_input_tensor() -> None:
    """A network may stand on layers; its model then begins where they do."""
    image = layers.Input((40, 40, 1), name="grey")
    wide = layers.Concatenate()([image] * 3)
    model = applications.MobileNetV2(weights=None, input_tensor=wide, include_top=False, name="on")
    assert model.name == "on" and model.input is image or model.input == [image]
    assert model.get_layer("Conv1").input is wide
    with pytest.raises(
        ValueError, match=r"that of `input_tensor`, \(40, 40, 3\). Received: input_sh"
    ):
        build("MobileNetV3Small", weights=None, input_tensor=wide, input_shape=(96, 96, 3))


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("ResNet50", {"weights": "nowhere.h5"}, "`weights` must be None, 'imagenet' or the path"),
        ("ResNet50", {"classes": 5}, "knows 1000 classes. Received: classes=5"),
        ("ResNet50", {"classes": 0, "weights": None}, "`classes` must be a positive integer"),
        ("ResNet50", {"pooling": "mean"}, "`pooling` must be one of .* Received: pooling='mean'"),
        ("VGG16", {"classifier_activation": "relu"}, "logits or, by softmax, probabilities"),
        ("VGG16", {"input_shape": (160, 160, 3)}, "is for images of 224 x 224. Received: input_sh"),
        ("Xception", {"input_shape": (40, 40, 3), "weights": None}, "at least 71 x 71"),
        ("ConvNeXtTiny", {"input_shape": (None, None, 3), "weights": None}, "images of one size"),
        ("NASNetMobile", {"input_shape": (224, 224, 1)}, "for images of 3 channels"),
        ("DenseNet121", {"input_shape": (224, 224), "weights": None}, "two sides, and channels"),
        ("MobileNet", {"alpha": 0.3}, "`alpha` must be one of .* Received: alpha=0.3"),
        ("MobileNet", {"depth_multiplier": 2}, "`depth_multiplier` must be one of"),
        ("MobileNetV2", {"alpha": 0.3}, "`alpha` must be one of"),
        ("MobileNetV3Large", {"alpha": 0.75, "minimalistic": True}, "`alpha` must be one of"),
    ],
)
def test_errors(name: str, arguments: dict[str, Any], text: str) -> None:
    """What Keras refuses is refused, and what would be ignored."""
    with pytest.raises(ValueError, match=text):
        build(name, **arguments)
    if not {"pooling", "classifier_activation"} & set(arguments) and arguments.get("classes") != 0:
        with pytest.raises(ValueError):
            getattr(keras.applications, name)(**arguments)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Where weights and names of classes are published, and an empty cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    imagenet_utils._class_names.cache_clear()
    with serving() as found:
        monkeypatch.setattr(_weights, "HOME", found.url(""))
        monkeypatch.setattr(
            imagenet_utils, "CLASS_NAMES", (found.url("imagenet_class_index.json"), None)
        )
        yield found
    imagenet_utils._class_names.cache_clear()


def test_published_weights(server: Server, tmp_path: Path) -> None:
    """They are fetched once, in the old format; a file with another hash is refused, and removed."""
    arguments = {"alpha": 0.25, "input_shape": (128, 128, 3)}
    theirs = keras.applications.MobileNet(weights=None, **arguments)
    fill(theirs)
    theirs.save(tmp_path / "published.h5")
    path = "tensorflow/keras-applications/mobilenet/mobilenet_2_5_128_tf.h5"
    server.files[path] = (tmp_path / "published.h5").read_bytes()
    for _ in range(2):
        ours = applications.MobileNet(**arguments)
        for mine, kept in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(mine.numpy(), np.asarray(kept))
    assert len(server.asked) == 1
    server.files["keras-applications/efficientnetb0_notop.h5"] = b"something else"
    with pytest.raises(ValueError, match="hash"):
        applications.EfficientNetB0(include_top=False)
    assert [p.name for p in (tmp_path / "models").iterdir()] == [path.rpartition("/")[2]]


@pytest.mark.parametrize(
    ("name", "arguments", "path"),
    [
        ("ConvNeXtXLarge", {}, "convnext/convnext_xlarge.h5"),
        ("EfficientNetV2B3", {"include_top": False}, "efficientnet_v2/efficientnetv2-b3_notop.h5"),
        ("MobileNetV2", {"alpha": 1.4}, "_tf_kernels_1.4_224.h5"),
        ("MobileNetV3Large", {"minimalistic": True}, "_v3_large_minimalistic_224_1.0_float.h5"),
        ("NASNetMobile", {"include_top": False}, "nasnet/NASNet-mobile-no-top.h5"),
        (
            "ResNet101V2",
            {"name": "mine"},
            "resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels.h5",
        ),
    ],
)
def test_names_of_published_files(
    monkeypatch: pytest.MonkeyPatch, name: str, arguments: dict[str, Any], path: str
) -> None:
    asked: list[Any] = []

    def get_file(*args: Any, **options: Any) -> str:
        asked[:] = [*args, options]
        raise InterruptedError

    monkeypatch.setattr(cornu.utils, "get_file", get_file)
    with pytest.raises(InterruptedError):
        build(name, **arguments)
    fname, origin, options = asked
    assert origin.endswith(path) and options["cache_subdir"] == "models"
    assert fname == {"NASNetMobile": "nasnet_mobile_no_top.h5"}.get(name, origin.rpartition("/")[2])
    assert bool(options["file_hash"]) == (name != "MobileNetV2")


def test_weights_of_another_size() -> None:
    with (
        pytest.warns(UserWarning, match=r"of the sides \(96, .*input_shape=\(300, 300, 3\)"),
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(InterruptedError),
    ):
        patch.setattr(
            cornu.utils, "get_file", lambda *_, **__: (_ for _ in ()).throw(InterruptedError)
        )
        applications.MobileNetV2(include_top=False, input_shape=(300, 300, 3))


@pytest.mark.parametrize("family", FAMILIES)
def test_preprocess_input(family: str) -> None:
    ours, theirs = (getattr(package.applications, family) for package in (cornu, keras))
    for x in (X, X.astype("float32"), X.astype("int32")):
        kept = x.copy()
        found, expected = ours.preprocess_input(x), theirs.preprocess_input(x.copy())
        assert isinstance(found, np.ndarray) and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(x, kept)
    first = np.moveaxis(X, -1, 1)
    np.testing.assert_allclose(
        ours.preprocess_input(first, data_format="channels_first"),
        theirs.preprocess_input(first.copy(), data_format="channels_first"),
        rtol=1e-5,
        atol=1e-5,
    )
    parsed = doctest.DocTestParser().get_doctest(
        ours.preprocess_input.__doc__,
        {"preprocess_input": ours.preprocess_input, "np": np},
        family,
        None,
        0,
    )
    assert parsed.examples and not doctest.DocTestRunner().run(parsed).failed


@pytest.mark.parametrize("engine", ENGINES)
def test_preprocess_tensors(engine: str) -> None:
    with engines.use(engine):
        for mode in imagenet_utils.MODES:
            expected = imagenet_utils.preprocess_input(X.astype("float32"), mode=mode)
            found = imagenet_utils.preprocess_input(
                cornu.ops.convert_to_tensor(X.astype("float32")), mode=mode
            )
            np.testing.assert_allclose(
                cornu.ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-5
            )
        symbolic = imagenet_utils.preprocess_input(layers.Input((4, 4, 3), dtype="uint8"))
        assert (symbolic.shape, symbolic.dtype) == ((None, 4, 4, 3), "float32")
    with pytest.raises(ValueError, match="`mode` must be one of .* Received: mode='rgb'"):
        imagenet_utils.preprocess_input(X, mode="rgb")


def test_decode_predictions(server: Server) -> None:
    """The likeliest classes by their names, which are fetched once; the example's result."""
    index = {str(i): [f"n{i:08}", f"class {i}"] for i in range(1000)} | {"7": ["n01514668", "cock"]}
    server.files["imagenet_class_index.json"] = json.dumps(index).encode()
    scores = np.random.default_rng(0).uniform(size=(3, 1000)).astype("float32")
    found = applications.resnet.decode_predictions(scores, top=3)
    best = np.argsort(-scores)[:, :3]
    assert found == [
        [(*index[str(i)], row[i]) for i in b] for row, b in zip(scores, best, strict=True)
    ]
    assert (
        applications.vgg16.decode_predictions(cornu.ops.convert_to_tensor(scores))[0][:3]
        == found[0]
    )
    votes = (1000 * scores).astype("uint16")
    assert imagenet_utils.decode_predictions(votes)[0][0][0] == found[0][0][0]
    assert server.asked == [None]
    text = imagenet_utils.decode_predictions.__doc__ or ""
    text = text.replace("  # doctest: +SKIP", "")
    parsed = doctest.DocTestParser().get_doctest(
        text, vars(imagenet_utils).copy(), "names", None, 0
    )
    assert parsed.examples and not doctest.DocTestRunner().run(parsed).failed
    for wrong in (scores[:, :5], scores[0]):
        with pytest.raises(ValueError, match=r"shape \(samples, 1000\).*Received: preds.shape="):
            imagenet_utils.decode_predictions(wrong)
        with pytest.raises(ValueError):
            keras.applications.imagenet_utils.decode_predictions(wrong)
    with pytest.raises(ValueError, match="`top` must be a positive integer"):
        imagenet_utils.decode_predictions(scores, top=0)


def test_page() -> None:
    """The page's table has every network, with its parameters, its size, the side of images, its source."""
    page = (Path(__file__).parents[2] / "docs" / "applications.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| (\d+) MB \| (\d+) \| <(\S+)> \|$", page, re.M)
    assert rows == [
        (
            name,
            f"{row.parameters:,}",
            f"{row.parameters * 4 / 1e6:.0f}",
            f"{row.side}",
            row.family.source,
        )
        for name, row in sorted(NETWORKS.items())
    ]


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_images_of_other_channels(mode: str, layout: str) -> None:
    x = np.full((2, 4, 4, 1) if layout == "channels_last" else (2, 1, 4, 4), 255.0)
    if mode == "tf":
        assert (
            imagenet_utils.preprocess_input(x, layout, mode).tolist() == np.ones(x.shape).tolist()
        )
        return
    with pytest.raises(ValueError, match="for images of three channels. Received: x.shape"):
        imagenet_utils.preprocess_input(x, layout, mode)
