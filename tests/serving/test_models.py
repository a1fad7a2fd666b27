"""What models are served from, and what they run on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornu import Input, Model, Sequential, layers, ops
from cornu import serving as served
from cornu.backend import use
from cornu.serving import Failure, Options
from cornu.serving._running import TensorSpec


def dense() -> Any:
    return Sequential([layers.Input((3,), name="x"), layers.Dense(2, name="y")], name="dense")


def text() -> Any:
    """A model of text: its first layer splits strings, which no file can."""
    split = layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=4)
    parts = [split, layers.Embedding(4, 3), layers.Flatten(), layers.Dense(1, name="y")]
    return Sequential([layers.Input((), dtype="string", name="x"), *parts], name="text")


def lookup() -> Any:
    """A model whose strings are an input of the file."""
    x = Input((2,), dtype="string", name="x")
    found = layers.StringLookup(vocabulary=["a", "b"])(x)
    return Model(x, layers.Flatten()(layers.Embedding(3, 2)(found)), name="lookup")


def several() -> Any:
    """A model with two inputs of other dtypes and two outputs by name."""
    one, two = Input((3,), name="one"), Input((), dtype="int32", name="two")
    outputs = {"sum": layers.Dense(1)(one), "twice": 2 * two}
    return Model({"one": one, "two": two}, outputs, name="several")


def random() -> Any:
    """A model that no file can hold: it draws at each call."""

    class Noise(layers.Layer):
        def call(self, x: Any) -> Any:
            from cornu import random

            return x + 0 * random.normal(ops.shape(x), seed=1)

    return Sequential(
        [layers.Input((3,), name="x"), layers.Dense(2), Noise(name="y")], name="random"
    )


MODELS: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "dense": (dense, {"x": np.ones((2, 3), "float32")}, "onnx_onnxv1"),
    "lookup": (lookup, {"x": np.array([["a", "c"], ["b", "a"]], object)}, "onnx_onnxv1"),
    "several": (
        several,
        {"one": np.ones((2, 3), "float32"), "two": np.array([1, 2], "int32")},
        "onnx_onnxv1",
    ),
    "text": (text, {"x": np.array(["good bad", "other"], object)}, "cornu_onnxruntime"),
    "random": (random, {"x": np.ones((2, 3), "float32")}, "cornu_jax"),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_runs_a_model(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """ONNX Runtime where it can, from a file or by compiled steps; else an engine. It is chosen and said."""
    make, inputs, platform = MODELS[name]
    model = make()
    with caplog.at_level("INFO", "cornu"):
        version = served.Model(model)
    assert version.platform == platform
    assert f"The model {model.name!r}, version 1, runs on " in caplog.text
    given = inputs if len(inputs) > 1 else inputs["x"]
    with use("numpy"):
        wanted = model.predict(given, verbose=0)
    found = version.predict(inputs)
    wanted = wanted if isinstance(wanted, dict) else {version.outputs[0].name: wanted}
    assert found.keys() == wanted.keys() == {spec.name for spec in version.outputs}
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)
    assert version.batched and version.nbytes > 0
    assert {spec.name for spec in version.inputs} == set(inputs)


@pytest.mark.parametrize("ending", ["m.keras", "m", "m.onnx"])
def test_files(ending: str, tmp_path: Path) -> None:
    model, path = dense(), tmp_path / ending
    if ending == "m.onnx":
        model.export(path, verbose=False)
    else:
        model.save(path, zipped=None if "." in ending else False)
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    version = served.Model(path, version=3)
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(
        version.predict({"x": x})["y"], model.predict(x, verbose=0), atol=1e-6
    )
    assert (version.name, version.version, version.classes) == ("m", 3, ["no", "yes"])
    assert repr(version) == "<Model 'm', version=3, platform='onnx_onnxv1'>"
    assert version.signature == "'m' takes (x: float32 (None, 3)) and gives (y: float32 (None, 2))"
    version.leave()
    assert not version.in_memory
    version.predict({"x": x})
    assert version.in_memory


def test_weights_outside_of_a_file_lie_in_its_folder(tmp_path: Path) -> None:
    """The runtime refuses other paths: a file can't have any other read."""
    import onnx

    model = Sequential([layers.Input((300,), name="x"), layers.Dense(300, name="y")])
    path = tmp_path / "1/m.onnx"
    model.export(path, verbose=False, external_data=True)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    assert served.Model(path).nbytes == size > 360_000
    shutil.move(tmp_path / "1/m.onnx.data", tmp_path / "m.onnx.data")
    for place in ("../m.onnx.data", str(tmp_path / "m.onnx.data")):
        content = onnx.load(path, load_external_data=False)
        for tensor in content.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = place
        path.write_bytes(content.SerializeToString())
        with pytest.raises(Exception, match="External data path validation failed"):
            served.Model(path)


def test_sequences_and_maps_are_not_served(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y])
    opset = helper.make_opsetid("", 17)
    content = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    (tmp_path / "m.onnx").write_bytes(content.SerializeToString())
    with pytest.raises(ValueError, match=r"Received: 'y' of type seq\(tensor\(float\)\)"):
        served.Model(tmp_path / "m.onnx")


def test_a_file_of_onnx_runs_on_nothing_else(tmp_path: Path) -> None:
    dense().export(tmp_path / "m.onnx", verbose=False)
    with pytest.raises(ValueError, match=r"Received: .*m\.onnx, engine='jax'\. Leave `engine` out"):
        served.Model(tmp_path / "m.onnx", engine="jax")


def test_nothing_is_compiled_while_serving(compilations: Callable[[], int]) -> None:
    """On JAX, which compiles a step for each size: whatever sizes come."""
    import asyncio

    from cornu.serving._repository import Repository

    async def main() -> None:
        repository = Repository(dense(), Options(engine="jax", max_batch=8))
        await repository.start()
        version = repository.find("dense")
        assert version.model.platform == "cornu_jax"
        compilations()
        answers = await asyncio.gather(
            *(version.run({"x": np.full((n, 3), n)}) for n in (1, 2, 3, 5, 7, 8, 20, 1))
        )
        assert [len(answer["y"]) for answer in answers] == [1, 2, 3, 5, 7, 8, 20, 1]
        assert compilations() == 0
        assert set(version.counters.sizes) <= {1, 2, 4, 8}

    asyncio.run(main())


def test_examples(tmp_path: Path) -> None:
    """Inputs beside the file take the place of those that are drawn, whose free sizes nobody knows."""
    model = Sequential(
        [layers.Input((None,), dtype="int32", name="x"), layers.Embedding(5, 2, name="y")]
    )
    model.export(tmp_path / "m.onnx", verbose=False)
    np.savez(tmp_path / "examples.npz", x=np.array([[1, 4, 2]]))
    version = served.Model(tmp_path / "m.onnx")
    np.testing.assert_array_equal(version.example(2)["x"], [[1, 4, 2]] * 2)
    assert version.batched


class Runs:
    """A runner whose sequences have lengths in a range."""

    platform, nbytes = "own", 0
    inputs = (TensorSpec("x", "float32", (None, None, 2)),)
    outputs = (TensorSpec("y", "float32", (None, None, 2)),)

    def __init__(self, lengths: range) -> None:
        self.lengths = lengths

    def run(self, inputs: Any, outputs: Any) -> list[Any]:
        """What it takes."""
        if inputs["x"].shape[1] not in self.lengths:
            raise IndexError("positions are out of range")
        return [inputs["x"]]


@pytest.mark.parametrize(
    ("lengths", "found"), [(range(17), 16), (range(3), 2), (range(100, 200), 128)]
)
def test_free_sizes_of_which_a_model_takes_some(lengths: range, found: int) -> None:
    """The examples that are drawn have a length that works."""
    version = served.Model(Runs(lengths), "m")
    version.warm((1, 2))
    assert version.example(3)["x"].shape == (3, found, 2) and version.batched
    with pytest.raises(Failure, match="positions are out of range") as caught:
        version.predict({"x": np.zeros((1, 300, 2), "float32")})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_free_sizes_of_which_none_is_found() -> None:
    """Examples are asked for."""
    with pytest.raises(
        ValueError, match="none of the lengths .*Put `examples.npz` with typical inputs"
    ):
        served.Model(Runs(range(99, 100)), "m")


def test_data_that_a_model_can_not_compute() -> None:
    model = Sequential(
        [layers.Input((2,), dtype="int32", name="x"), layers.Embedding(3, 2)], name="m"
    )
    version = served.Model(model)
    with pytest.raises(
        Failure, match="'m' can't compute this request: .*out of data bounds"
    ) as caught:
        version.predict({"x": np.array([[0, 7]])})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_bytes_are_utf_8() -> None:
    version = served.Model(lookup())
    plain = version.predict({"x": np.array([["a", "b"]])})
    for given in (np.array([[b"a", b"b"]]), np.array([[b"a", "b"]], object)):
        for key, value in version.predict({"x": given}).items():
            np.testing.assert_array_equal(value, plain[key])
    with pytest.raises(Failure, match="Text is UTF-8") as caught:
        version.predict({"x": np.array([[b"\xff", b"b"]], object)})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_sixteen_positions() -> None:
    """A transformer's embedding of positions is of one size; its model has any length up to that."""
    x = Input((None,), dtype="int32", name="tokens")
    steps = ops.cumsum(ops.ones_like(x), axis=1) - 1
    taken = layers.Embedding(9, 4)(x) + layers.Embedding(16, 4)(steps)
    version = served.Model(Model(x, layers.Dense(2, name="y")(taken), name="m"))
    version.warm((1, 2))
    tokens = np.ones((1, 16), "int32")
    assert version.predict({"tokens": tokens})["y"].shape == (1, 16, 2)
