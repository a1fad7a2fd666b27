"""Exported models in the package `cornu-runtime`: on Node.js, with the runtimes of npm."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.core import tree
from tests.browsing import CHROMIUM, DRIVERS, serving
from tests.export import models

PACKAGE = Path(__file__).parents[2] / "js"
NODE = Path(__file__).parent / "node"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (NODE / "node_modules").is_dir(), reason="`scripts/browser` installs what this needs"
    ),
]
NEEDS_CHROMIUM = pytest.mark.skipif(
    not CHROMIUM, reason="`scripts/browser` installs what this needs"
)
#: The Node.js of this machine, and the newest one of npm.
NODES = {"here": "node", "newest": str(NODE / "node_modules/node/bin/node")}


def pixels(image: Any) -> dict[str, Any]:
    """An image `(height, width, 3)` as browsers have it."""
    height, width = image.shape[:2]
    opaque = np.concatenate([image, np.full((height, width, 1), 255)], -1)
    return {"data": opaque.ravel().tolist(), "width": width, "height": height}


IMAGE = np.random.default_rng(0).integers(0, 256, (9, 12, 3))


def prepared() -> Any:
    """An image whose preparation is a part of the model."""
    x = cornu.Input((9, 12, 3), name="photo")
    y = layers.Rescaling(1 / 127.5, -1)(layers.Resizing(6, 4)(x))
    y = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(y)
    return cornu.Model(x, layers.Flatten(name="values")(y))


def words() -> Any:
    """A look-up of strings in the graph."""
    x = cornu.Input((2,), dtype="string", name="words")
    indices = layers.StringLookup(vocabulary=["red", "green", "blue"])(x)
    return cornu.Model(x, {"index": indices, "known": indices > 0})


TEXTS = np.array(["The cat, the DOG!", "", "a\tdog's  life-time [UNK] Été"], object)


def before(dtype: str, shape: tuple[int | None, ...], *stack: Any) -> Callable[[], Any]:
    """What makes a model of layers that stay out of the file, and one in it."""

    def make() -> Any:
        x = y = cornu.Input(shape, dtype=dtype, name="given")
        for layer in stack:
            y = layer(y)
        return cornu.Model(x, layers.Activation("linear", dtype="float32", name="values")(y * 1))

    return make


def texts(**options: Any) -> Callable[[], Any]:
    vocabulary = ["the", "dog", "cat", "the dog", "a"]
    return before("string", (), layers.TextVectorization(vocabulary=vocabulary, **options))


def resized(dtype: str = "float32", **options: Any) -> Callable[[], Any]:
    return before(dtype, (None, None, 3), layers.Resizing(5, 7, **options))


def beside() -> Any:
    """An input with layers before it, and one without."""
    text, age = cornu.Input((), dtype="string", name="text"), cornu.Input((1,), name="age")
    place = layers.StringLookup(vocabulary=["red"], mask_token="", name="colour")(text)
    return cornu.Model(
        [age, text], age * layers.Embedding(3, 2, embeddings_initializer="ones")(place)
    )


class Row(NamedTuple):
    """A model, and what it is given: for Python, and for JavaScript where that differs."""

    make: Callable[[], Any]
    inputs: Any
    given: Any = None
    preprocessing: bool = False
    formats: tuple[str, ...] = ("onnx", "tfjs")


#: What the files of a format end in.
FILES = {"onnx": ".onnx", "tfjs": "/model.json", "tfjs_layers": ".layers/model.json"}
WORDS = np.array([["red", "pink"], ["blue", "red"]], object)
ROWS = {
    name: Row(functools.partial(models.made, name), models.inputs(name, 2), formats=(*FILES,))
    for name in models.ALL
}
for name in ("bidirectional_gru", "transformer"):  # layers-models have no such layers
    ROWS[name] = ROWS[name]._replace(formats=("onnx", "tfjs"))
ROWS["prepared"] = Row(prepared, IMAGE[None].astype("float32"), pixels(IMAGE))
ROWS["words"] = Row(words, WORDS)
#: Those with layers that no file holds.
ROWS.update(
    {
        name: Row(make, inputs, given, preprocessing=True)
        for name, (make, inputs, *given_) in {
            "text": (texts(), TEXTS),
            "text of one length": (texts(output_sequence_length=3), TEXTS),
            "text in pairs": (texts(ngrams=2), TEXTS),
            "text in pairs alone": (texts(ngrams=(2,)), TEXTS),
            "characters": (texts(split="character", standardize=None), TEXTS),
            "text in small letters": (texts(standardize="lower"), TEXTS),
            "text without punctuation": (texts(standardize="strip_punctuation"), TEXTS),
            "bag of words": (texts(output_mode="multi_hot"), TEXTS),
            "counts": (texts(output_mode="count", pad_to_max_tokens=True, max_tokens=9), TEXTS),
            "whole numbers": (
                before("int64", (2,), layers.IntegerLookup(vocabulary=[7, 1 << 40], mask_token=0)),
                np.array([[7, 0], [1 << 40, 5]]),
            ),
            "beside": (beside, [np.ones((2, 1), "float32"), np.array(["red", ""], object)]),
            "any size": (resized(), IMAGE[None].astype("float32"), pixels(IMAGE)),
            "nearest": (
                resized(interpolation="nearest"),
                IMAGE[None].astype("float32"),
                pixels(IMAGE),
            ),
            "cropped": (resized(crop_to_aspect_ratio=True), IMAGE[None, :4].astype("float32")),
            "padded": (
                resized(pad_to_aspect_ratio=True, fill_value=9.0),
                IMAGE[None, :4].astype("float32"),
            ),
            "whole pixels": (resized("uint8"), IMAGE[None].astype("uint8"), pixels(IMAGE)),
            "any size, then scaled": (
                before(
                    "uint8",
                    (None, None, 3),
                    layers.Rescaling([0.5, 1, 2], [3, 2, 1]),
                    layers.Normalization(mean=[5, 6, 7], variance=[2, 3, 4]),
                    layers.Normalization(mean=3, variance=0.3, invert=True),
                    layers.Resizing(3, 3),
                ),
                IMAGE[None].astype("uint8"),
                pixels(IMAGE),
            ),
        }.items()
        for given in [given_[0] if given_ else None]
    }
)


def described(values: Any) -> Iterator[dict[str, Any]]:
    """The inputs or outputs of an ONNX file, as the package gives them."""
    import onnx

    for value in values:
        kind = value.type.tensor_type
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        yield {
            "name": value.name,
            "dtype": "string" if dtype == "object" else dtype,
            "shape": sizes,
        }


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of exported models, with what they are given and what they give."""
    folder = tmp_path_factory.mktemp("exports")
    rows = [row for name in ROWS for row in exported(name, folder)]
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder


def exported(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """A model's files, and what must be seen of each."""
    import onnx

    row = ROWS[name]
    model = row.make()
    beside = f"{name}.json" if row.preprocessing else None
    files = {format: f"{name}{FILES[format]}" for format in row.formats}
    how = {"verbose": False, "preprocessing": beside and folder / beside}
    for format, file in files.items():
        model.export(folder / file.removesuffix("/model.json"), format=format, **how)
    graph = onnx.load(str(folder / files["onnx"])).graph
    inputs, outputs = list(described(graph.input)), list(described(graph.output))
    if row.preprocessing:  # what the model takes in place of its file
        taken = zip(inputs, model.inputs, strict=True)
        inputs = [{**spec, "dtype": x.dtype, "shape": x.shape} for spec, x in taken]
    arrays = [x.tolist() for x in tree.flatten(row.inputs)]
    named = dict(zip([spec["name"] for spec in inputs], arrays, strict=True))
    results = tree.flatten(model.predict(row.inputs, verbose=0))
    wanted = {
        spec["name"]: {"shape": x.shape, "values": x.ravel().tolist()}
        for spec, x in zip(outputs, results, strict=True)
    }
    for format, file in files.items():
        if format != "onnx" and not row.preprocessing:  # TensorFlow.js has integers of 32 bits
            inputs = [{**spec, "dtype": spec["dtype"].replace("64", "32")} for spec in inputs]
        yield {
            "name": name,
            "format": format,
            "file": file,
            "preprocessing": beside,
            "inputs": inputs,
            "outputs": [*wanted],
            "given": [named, row.given or (arrays[0] if len(arrays) == 1 else named)],
            "wanted": [wanted, wanted],
        }


def run(node: str, file: str, at_least: int, **variables: str) -> None:
    """Run the tests of a file on a Node.js."""
    done = subprocess.run(
        [NODES[node], "--preserve-symlinks", "--test", file],
        cwd=NODE,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"pass (\d+)", done.stdout)
    assert passed and int(passed[1]) >= at_least, done.stdout


def count(formats: str) -> int:
    """How many models there are of formats."""
    return sum(len({*row.formats} & {*formats.split()}) for row in ROWS.values())


#: What runs which formats.
RUNTIMES = {
    "onnxruntime-node": "onnx",
    "onnxruntime-web": "onnx",
    "@tensorflow/tfjs": "tfjs tfjs_layers",
}


@pytest.mark.parametrize(
    ("node", "runtime"),
    [
        *(("here", runtime) for runtime in RUNTIMES),
        ("newest", "onnxruntime-node"),
        ("newest", "@tensorflow/tfjs"),
    ],
)
def test_exported_models(exports: Path, node: str, runtime: str) -> None:
    formats = RUNTIMES[runtime]
    variables = {"EXPORTS": str(exports), "RUNTIME": runtime, "FORMATS": formats}
    run(node, "exports.test.mjs", count(formats), **variables)


@pytest.fixture
def site(exports: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a folder with the page, the package and its runtimes, and the exports."""
    links = {"package.html": DRIVERS / "package.html", "same.mjs": NODE / "same.mjs"}
    links |= {"js": PACKAGE / "src", "node_modules": NODE / "node_modules", "exports": exports}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    with serving(tmp_path) as address:
        yield address


@NEEDS_CHROMIUM
def test_in_a_browser(site: str) -> None:
    """Each format on each backend: plain http, no headers of its own."""
    asked = [{"formats": "onnx"}]
    backends = ("cpu", "wasm", "webgl")
    asked += [{"formats": "tfjs tfjs_layers", "backend": backend} for backend in backends]
    queries = [urlencode(query) for query in asked]
    for query, seen in zip(
        asked, opened(*[f"{site}/package.html?{x}" for x in queries]), strict=True
    ):
        assert {name: error for name, error in seen["results"].items() if error} == {}, query
        assert len(seen["results"]) == count(query["formats"])
        assert query.get("backend") == seen.get("backend")


def opened(*addresses: str) -> list[dict[str, Any]]:
    """What pages say in a browser."""
    done = subprocess.run(
        ["node", "package.mjs", CHROMIUM, *addresses],
        cwd=DRIVERS,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [seen["errors"] for seen in found] == [[]] * len(addresses)
    return found


@NEEDS_CHROMIUM
def test_from_disk(exports: Path, tmp_path: Path) -> None:
    """One script that a bundler made, the models in another: modules and files can't be fetched there."""
    bundle = "--bundle --format=iife --preserve-symlinks --log-level=error".split()
    apart = [f"--external:{name}" for name in ("@tensorflow/tfjs", "onnxruntime-web")]
    command = ["node_modules/.bin/esbuild", "disk.mjs", *bundle, *apart]
    subprocess.run([*command, f"--outfile={tmp_path / 'app.js'}"], cwd=NODE, check=True)
    rows = json.loads((exports / "rows.json").read_text())
    rows = [row for row in rows if row["format"] != "onnx"]
    files = {
        str(path.relative_to(exports)): base64.b64encode(path.read_bytes()).decode()
        for path in exports.rglob("*")
        if path.suffix in (".json", ".bin")
    }
    content = json.dumps({"rows": json.dumps(rows), "files": files})
    (tmp_path / "models.js").write_text(f"window.exported = {content};")
    (tmp_path / "tf.js").symlink_to(NODE / "node_modules/@tensorflow/tfjs/dist/tf.min.js")
    scripts = "".join(f'<script src="{name}.js"></script>' for name in ("tf", "models", "app"))
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{scripts}")
    (seen,) = opened((tmp_path / "page.html").as_uri())
    assert {name: error for name, error in seen["results"].items() if error} == {}
    assert len(seen["results"]) == count("tfjs tfjs_layers")


INSTALLED = [
    ("onnxruntime-node", "words.onnx", "[[1,0],[3,1]]"),
    ("onnxruntime-web", "words.onnx", "[[1,0],[3,1]]"),
    ("@tensorflow/tfjs", "cnn.layers/model.json", "[[0.396629"),
    (
        "",
        "words.onnx",
        "An ONNX file needs ONNX Runtime. Received: no module that can be imported.",
    ),
    ("", "cnn.layers/model.json", "A model.json needs TensorFlow.js. Received: no module that can"),
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as npm unpacks it."""
    folder = tmp_path_factory.mktemp("packed")
    pack = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
    subprocess.run(pack, cwd=PACKAGE, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


@pytest.mark.parametrize(("installed", "file", "said"), INSTALLED)
def test_the_runtime_that_is_installed_is_found(
    installed: str, file: str, said: str, exports: Path, packed: Path, tmp_path: Path
) -> None:
    modules = tmp_path / "node_modules"
    shutil.copytree(packed, modules / "cornu-runtime")
    if installed:
        (modules / installed).parent.mkdir(exist_ok=True)
        (modules / installed).symlink_to(NODE / "node_modules" / installed)
    inputs = json.dumps(WORDS.tolist() if file.startswith("words") else [0] * 144)
    code = f"""
        import {{ load }} from "cornu-runtime";
        const model = await load({str(exports / file)!r});
        const found = await model.predict({inputs});
        console.log(JSON.stringify(Object.values(found)[0].nested()));
    """
    (tmp_path / "run.mjs").write_text(code)
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert said in done.stdout + done.stderr


def test_types() -> None:
    done = subprocess.run(["node_modules/.bin/tsc"], cwd=NODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_is_packed() -> None:
    """Sources, types and the README: nothing else, and nothing that runs at installation."""
    done = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"], cwd=PACKAGE, capture_output=True, text=True
    )
    (packed,) = json.loads(done.stdout)
    sources = {f"src/{path.name}" for path in (PACKAGE / "src").iterdir()}
    others = {"LICENSE", "README.md", "package.json"}
    assert {file["path"] for file in packed["files"]} == {*others, *sources}
    license = Path(cornu.__file__).parents[1] / "LICENSE"
    assert (PACKAGE / "LICENSE").read_bytes() == license.read_bytes()
    described_ = json.loads((PACKAGE / "package.json").read_text())
    assert described_["version"] == cornu.__version__
    assert "scripts" not in described_ and "dependencies" not in described_
