"""Small helpers: padding and splitting, settings, what a graph starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import backend, ops, utils

RAGGED = [[1], [2, 3], [], [4, 5, 6]]

# ------------------------------------------------------------------------- padding


@pytest.mark.parametrize(
    ("sequences", "options"),
    [
        (RAGGED, {}),
        (RAGGED, {"maxlen": 2}),
        (RAGGED, {"maxlen": 5, "padding": "post", "value": -1.5, "dtype": "float32"}),
        (RAGGED, {"maxlen": 2, "truncating": "post"}),
        ([[[1, 2]], [[3, 4], [5, 6]], []], {"padding": "post"}),
        (np.ones((2, 3)), {"maxlen": 5, "dtype": "float32"}),
        ([["a"], ["b", "c"]], {"value": "-", "dtype": object}),
        ([], {"maxlen": 2}),
    ],
)
def test_pad_sequences(sequences: Any, options: dict[str, Any]) -> None:
    ours = utils.pad_sequences(sequences, **options)
    theirs = keras.utils.pad_sequences(sequences, **options)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("sequences", "options", "text"),
    [
        (RAGGED, {"padding": "both"}, "`padding` is 'pre' or 'post'. Received: padding='both'"),
        (RAGGED, {"truncating": 1}, "`truncating` is 'pre' or 'post'"),
        (5, {}, "must be a list of sequences. Received: 5"),
        ([[1], 2], {}, "must be a sequence. Received: 2 at position 1"),
        ([[[1, 2]], [[3]]], {}, r"one shape. Received: \(1,\) in the sequence 1, \(2,\) before"),
        ([["a"]], {"value": "-"}, "Pass `dtype=object` for strings"),
    ],
)
def test_pad_sequences_refuses(sequences: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        utils.pad_sequences(sequences, **options)


# ----------------------------------------------------------------------- splitting

X = np.arange(10)


class ByIndex:
    """A dataset as torch's are."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return np.full((2,), index), index


class Stream:
    """A dataset as TensorFlow's are."""

    def __init__(self, items: list[int]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def take(self, count: int) -> Stream:
        return Stream(self.items[:count])

    def skip(self, count: int) -> Stream:
        return Stream(self.items[count:])

    def shuffle(self, size: int, seed: int, reshuffle_each_iteration: bool) -> Stream:
        assert size == len(self.items)
        assert not reshuffle_each_iteration
        return Stream(np.random.default_rng(seed).permutation(self.items).tolist())


@pytest.mark.parametrize(
    ("sizes", "left", "right"),
    [
        ({"left_size": 0.8}, 8, 2),
        ({"right_size": 3}, 7, 3),
        ({"left_size": 3, "right_size": 2}, 3, 2),
        ({"left_size": 0.55}, 6, 4),
        ({"right_size": 0.25}, 8, 2),
        ({"left_size": 8, "right_size": 0.2}, 8, 2),
        ({"left_size": 0.5, "right_size": 0.3}, 5, 3),
    ],
)
def test_split_dataset(sizes: dict[str, Any], left: int, right: int) -> None:
    """The parts are as long as Keras's; the right one is the end of the data."""
    first, last = X[:left].tolist(), X[10 - right :].tolist()
    parts = utils.split_dataset(X, **sizes)
    assert [[int(x) for x in part] for part in parts] == [first, last]
    assert [part.cardinality() for part in parts] == [left, right]
    parts = utils.split_dataset(ByIndex(), **sizes)
    assert [[label for _, label in part] for part in parts] == [first, last]
    parts = utils.split_dataset(Stream(X.tolist()), **sizes)
    assert [part.items for part in parts] == [first, last]


@pytest.mark.parametrize("dataset", [(X[:, None] * 1.0, X), [X, X], ByIndex(), Stream(X.tolist())])
def test_a_shuffled_split_has_every_sample_once(dataset: Any) -> None:
    left, right = utils.split_dataset(dataset, left_size=0.7, shuffle=True, seed=1)
    if isinstance(dataset, Stream):
        found = left.items + right.items
    else:
        found = [int(sample[1]) for part in (left, right) for sample in part]
    assert sorted(found) == X.tolist() != found
    again, _ = utils.split_dataset(dataset, left_size=0.7, shuffle=True, seed=1)
    assert len(again) == 7
    if not isinstance(dataset, Stream):
        assert [int(sample[1]) for sample in again] == found[:7]


def test_parts_train_a_model() -> None:
    x, y = np.arange(20.0).reshape(10, 2).astype("float32"), np.arange(10.0).astype("float32")
    histories = []
    for data in (utils.split_dataset((x, y), left_size=8)[0].batch(4), (x[:8], y[:8])):
        cornu.utils.set_random_seed(0)
        model = cornu.Sequential([cornu.Input((2,)), cornu.layers.Dense(1)])
        model.compile(cornu.optimizers.SGD(1e-4), "mse")
        given = data if isinstance(data, tuple) else (data,)
        more = {"batch_size": 4} if isinstance(data, tuple) else {}
        histories.append(model.fit(*given, epochs=2, shuffle=False, verbose=0, **more).history)
    assert histories[0] == histories[1]
    left, _ = utils.split_dataset(ByIndex(), left_size=7)
    batches = [(x.shape, y.tolist()) for x, y in left.batch(3, drop_remainder=True)]
    assert batches == [((3, 2), [0, 1, 2]), ((3, 2), [3, 4, 5])]


def test_parts_have_the_methods_of_a_dataset() -> None:
    found = {}
    for engine in ("jax", "tensorflow"):
        with backend.use(engine):
            _, part = utils.split_dataset([X, X * 2.0], left_size=4)
            tripled = part.map(lambda x, y: (x, y * 3.0)).skip(1).take(3)
            batches = [[np.asarray(x).tolist() for x in batch] for batch in tripled.batch(2)]
            shuffled = sorted(int(x) for x, _ in part.shuffle(6, seed=1))
            found[engine] = (len(part), len(tripled), batches, shuffled)
    assert type(part).__module__.startswith("tensorflow.")
    assert found["jax"] == found["tensorflow"]
    assert found["jax"][2] == [[[5, 6], [30.0, 36.0]], [[7], [42.0]]]


@pytest.mark.parametrize(
    ("dataset", "sizes", "error", "text"),
    [
        (X, {}, ValueError, "Received: None for both"),
        (X, {"left_size": 10}, ValueError, "from 1 to 9, or a share between 0 and 1"),
        (X, {"left_size": 1.0}, ValueError, "left_size=1.0"),
        (X, {"left_size": 0.01}, ValueError, "are 0 and 10 of 10 samples"),
        (X, {"left_size": 0.9, "right_size": 0.3}, ValueError, "are 9 and 3 of 10 samples"),
        (X, {"left_size": True}, TypeError, "Received: left_size=True"),
        ((X, X[:3]), {"left_size": 1}, ValueError, r"Received: \[10, 3\]"),
        ("text", {"left_size": 1}, TypeError, "Received: str"),
        ([1, 2, 3], {"left_size": 1}, TypeError, "Received: list"),
        (iter([1]), {"left_size": 1}, TypeError, "Received: list_iterator"),
    ],
)
def test_split_dataset_refuses(
    dataset: Any, sizes: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        utils.split_dataset(dataset, **sizes)


# ------------------------------------------------------------------------ settings


@pytest.mark.parametrize("module", [utils, keras.utils])
def test_config(module: Any) -> None:
    config = module.Config(a=1, b={"c": 2})
    config.z, config["y"] = 3, 4
    assert (config.a, config["b"], config.get("none", 5), config.pop("z")) == (1, {"c": 2}, 5, 3)
    config.update(q=1)
    assert list(config.keys()) == ["a", "b", "y", "q"]
    assert config.as_dict() == {"a": 1, "b": {"c": 2}, "y": 4, "q": 1}
    assert config.to_json() == '{"a": 1, "b": {"c": 2}, "y": 4, "q": 1}'
    assert repr(config) == "<Config {'a': 1, 'b': {'c': 2}, 'y': 4, 'q': 1}>"
    config.freeze()
    changes: list[Callable[[], Any]] = [
        lambda: setattr(config, "a", 5),
        lambda: config.__setitem__("a", 5),
        lambda: config.pop("a"),
        lambda: config.update(a=1),
    ]
    for change in changes:
        with pytest.raises(ValueError, match="frozen"):
            change()
    assert config.frozen
    config.unfreeze()
    del config["a"]
    assert "a" not in config
    with pytest.raises(AttributeError, match="nope"):
        _ = config.nope
    with pytest.raises(KeyError):
        _ = config["nope"]


# --------------------------------------------------------------------------- graphs


def test_source_inputs() -> None:
    for module in (cornu, keras):
        a, b = module.Input((2,)), module.Input((2,))
        hidden = module.layers.Dense(2)(module.layers.Add()([a, b]))
        joined = module.layers.Add()([hidden, a])
        for tensor, expected in ((joined, [a, b]), (hidden, [a, b]), (a, [a])):
            found = module.utils.get_source_inputs(tensor)
            assert {id(x) for x in found} == {id(x) for x in expected}
            assert len(found) == len(expected)
        assert module.utils.get_source_inputs(1.5) == 1.5
        free = module.KerasTensor((2,))
        assert module.utils.get_source_inputs(free) is free
        assert module.utils.get_source_inputs(free + 1)[0] is free


@pytest.mark.parametrize("compiled", [False, True])
def test_remat_changes_no_gradient(compiled: bool) -> None:
    from cornu.core.state import CompiledStep

    w = cornu.Variable([0.5, 1.5])

    def wave(x: Any, scale: float = 1.0) -> Any:
        return ops.sin(x * w) * scale

    gradients = []
    for function in (wave, cornu.remat(wave)):
        step = cornu.value_and_grad(lambda x, f=function: ops.sum(f(x, scale=2.0)), [w])
        run = CompiledStep(step, [], [w]) if compiled else step
        gradients.append(np.asarray(run(np.array([1.0, 2.0], "float32"))[1][0]))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-6)
    assert cornu.remat(wave).__name__ == "wave"
