"""Initializers: Keras's configs and statistics, and the same bits on every engine."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import time
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import Variable, engines, initializers, random
from cornu.core import seeding
from cornu.core.serialization import (
    custom_object_scope,
    get_custom_objects,
    register_keras_serializable,
)

#: Names, arguments of the constructor.
RANDOM: list[tuple[str, dict[str, Any]]] = [
    ("RandomNormal", {"mean": 0.5, "stddev": 2.0}),
    ("TruncatedNormal", {"mean": -0.5, "stddev": 0.1}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("GlorotNormal", {}),
    ("GlorotUniform", {}),
    ("HeNormal", {}),
    ("HeUniform", {}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("Orthogonal", {"gain": 2.0}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "normal"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"distribution": "uniform", "input_axes": (0,), "output_axes": (1, 2)}),
    ("HeUniform", {"input_axes": (0, -1), "output_axes": (1,)}),
    ("GlorotUniform", {"input_axes": (0,)}),
]
CONSTANT: list[tuple[str, dict[str, Any]]] = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {"value": 3}),
    ("Constant", {"value": [1.0, 2.0]}),
    ("Constant", {"value": np.array([[1.0, 2.0]], "float32")}),
    ("Identity", {}),
]
STFT = [
    {"side": side, "window": window, "scaling": scaling, "periodic": periodic}
    for side in ("real", "imag")
    for window, scaling, periodic in [
        ("hann", "density", False),
        ("hamming", "spectrum", True),
        (None, None, False),
        (None, "density", False),
        (np.arange(6.0), "spectrum", False),
        ("hann", None, True),
    ]
]


def both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    return getattr(initializers, name)(**arguments), getattr(keras.initializers, name)(**arguments)


def row_name(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(value)


@pytest.mark.parametrize(
    "name, arguments", [*RANDOM, *CONSTANT, *(("STFT", row) for row in STFT)], ids=row_name
)
def test_configs(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = both(name, arguments)
    written = initializers.serialize(ours)
    assert written == keras.initializers.serialize(theirs)
    read = initializers.deserialize(json.loads(json.dumps(written)))
    assert type(read) is type(ours)
    assert initializers.serialize(read) == json.loads(json.dumps(written))
    assert type(ours.clone()) is type(ours)
    assert type(keras.initializers.deserialize(json.loads(json.dumps(written)))) is type(theirs)


@pytest.mark.parametrize("shape", [(40, 50, 60), (100_000,)], ids=str)
@pytest.mark.parametrize("name, arguments", RANDOM, ids=row_name)
def test_statistics(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    if len(shape) == 1 and (name == "Orthogonal" or "input_axes" in arguments):
        shape = (3, 3, 80, 100)
    ours, theirs = (np.asarray(x(shape), "float64") for x in both(name, {**arguments, "seed": 5}))
    assert ours.shape == theirs.shape
    deviation = theirs.std()
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.03 * deviation)
    assert ours.std() == pytest.approx(deviation, rel=0.02)
    if name != "Orthogonal":
        quantiles = [0, 0.01, 0.2, 0.5, 0.8, 0.99, 1]
        tolerance = 0.06 * deviation
        if "untruncated" in str(arguments) or name == "RandomNormal":
            quantiles, tolerance = quantiles[1:-1], 0.1 * deviation
        expected = np.quantile(theirs, quantiles)
        np.testing.assert_allclose(np.quantile(ours, quantiles), expected, atol=tolerance)


@pytest.mark.parametrize("name, arguments", CONSTANT, ids=row_name)
@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "int32", "bool"])
def test_constants(name: str, arguments: dict[str, Any], dtype: str | None) -> None:
    ours, theirs = (x((3, 2), dtype=dtype) for x in both(name, arguments))
    assert ours.dtype.name == (dtype or "float32")
    np.testing.assert_array_equal(np.asarray(ours, "float32"), np.asarray(theirs, "float32"))


@pytest.mark.parametrize("arguments", STFT, ids=lambda row: f"{row['side']}-{row['scaling']}")
def test_stft(arguments: dict[str, Any]) -> None:
    ours, theirs = (np.asarray(x((6, 1, 5))) for x in both("STFT", arguments))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4), (8, 3), (3, 8), (2, 3, 5), (3, 0)], ids=str)
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = initializers.Orthogonal(gain=2.0, seed=1).draw(shape)
    matrix = matrix.reshape(int(np.prod(shape[:-1])), shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    product = matrix.T @ matrix / 4
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


@pytest.mark.parametrize("name, arguments", RANDOM, ids=row_name)
def test_the_same_bits_on_every_engine(name: str, arguments: dict[str, Any]) -> None:
    initializer = getattr(initializers, name)(**arguments, seed=7)
    for dtype in ("float32", "bfloat16", "float16"):
        drawn = []
        for engine in ("jax", "numpy"):
            with engines.use(engine) as current:
                tensor = initializer((6, 4, 5), dtype)
                assert current.is_tensor(tensor)
                assert current.dtype_of(tensor) == dtype
                drawn.append(current.convert_to_numpy(tensor).tobytes())
        assert drawn[0] == drawn[1] == initializer.draw((6, 4, 5), dtype).tobytes()


def test_known_bits() -> None:
    # A change of these values changes what every seed means.
    drawn = initializers.RandomUniform(0.0, 1.0, seed=42).draw((3,))
    assert drawn.tolist() == KNOWN


KNOWN = np.random.default_rng(42).random(3, np.float32).tolist()


def test_seeds() -> None:
    fixed = initializers.GlorotUniform(seed=3)
    assert np.array_equal(fixed.draw((5, 5)), fixed.draw((5, 5)))
    assert np.array_equal(fixed.draw((5, 5)), initializers.GlorotUniform(seed=3).draw((5, 5)))
    assert not np.array_equal(fixed.draw((5, 5)), initializers.GlorotUniform(seed=4).draw((5, 5)))
    chosen = initializers.GlorotUniform()
    assert np.array_equal(chosen.draw((5, 5)), chosen.draw((5, 5)))
    assert chosen.get_config()["seed"] is None
    assert not np.array_equal(chosen.draw((5, 5)), chosen.clone().draw((5, 5)))


def test_default_seeds_follow_the_global_one() -> None:
    generation = seeding.generation()
    seeding.set_random_seed(3)
    ours = [initializers.GlorotUniform().seed for _ in range(3)]
    numbers = np.random.rand(2)
    keras.utils.set_random_seed(3)
    assert ours == [keras.initializers.GlorotUniform().seed for _ in range(3)]
    assert np.array_equal(numbers, np.random.rand(2))
    assert seeding.get_random_seed() == 3
    assert seeding.generation() == generation + 1
    for wrong in ("a", 1.5, -1, 2**32):
        with pytest.raises(ValueError, match="seed"):
            seeding.set_random_seed(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["torch", "tensorflow"])
def test_a_library_s_own_numbers_follow_the_global_seed(library: str) -> None:
    """Programs draw by the library of an engine too, whichever computes."""
    module = importlib.import_module(library)
    draw = {"torch": lambda: module.rand(3), "tensorflow": lambda: module.random.uniform((3,))}
    drawn = []
    for _ in range(2):
        seeding.set_random_seed(3)
        drawn.append(np.asarray(draw[library]()))
    assert np.array_equal(*drawn)


def test_a_generator_as_seed_gives_new_values() -> None:
    drawn = {}
    for engine in ("jax", "numpy"):
        with engines.use(engine):
            initializer = initializers.RandomNormal(seed=random.SeedGenerator(5, name="seeds"))
            drawn[engine] = [initializer.draw((3,)).tolist() for _ in range(3)]
            assert len({tuple(values) for values in drawn[engine]}) == 3
    assert drawn["jax"] == drawn["numpy"]
    theirs = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(5, name="seeds"))
    written = initializers.serialize(initializer)
    assert written == keras.initializers.serialize(theirs)
    assert initializers.deserialize(written).draw((3,)).tolist() == drawn["jax"][0]


def test_names() -> None:
    theirs = keras.src.initializers.ALL_OBJECTS_DICT
    for name, kind in theirs.items():
        assert type(initializers.get(name)).__name__ == kind.__name__
        assert type(initializers.get({"class_name": name, "config": {}})).__name__ == kind.__name__
    public = [name for name in dir(keras.initializers) if not name.startswith("_")]
    assert set(public) <= set(dir(initializers))
    for name in public:
        theirs = getattr(keras.initializers, name)
        assert getattr(initializers, name).__name__ == theirs.__name__


def test_identifiers() -> None:
    assert initializers.get(None) is None
    initializer = initializers.HeNormal()
    assert initializers.get(initializer) is initializer
    assert type(initializers.get(initializers.HeNormal)) is initializers.HeNormal
    assert initializers.get(len) is len
    for wrong in ("unknown", 3, [1], {"a": 1}, {"class_name": "unknown", "config": {}}):
        for module in (initializers, keras.initializers):
            with pytest.raises(ValueError):
                module.get(wrong)
    with custom_object_scope({"mine": initializers.Ones}):
        assert type(initializers.get("mine")) is initializers.Ones


def test_an_array_is_an_initializer_of_its_own_shape() -> None:
    initializer = initializers.get(np.array([1.0, 2.0]))
    assert initializer.draw((2,), "float16").tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="shape"):
        initializer((2, 2))


#: What is wrong, the expression, the error, and whether Keras gives the same one.
WRONG = [
    ("initializers.VarianceScaling(-1)", ValueError),
    ("initializers.VarianceScaling(mode='x')", ValueError),
    ("initializers.VarianceScaling(distribution='x')", ValueError),
    ("initializers.RandomNormal(seed='a')", ValueError),
    ("initializers.RandomNormal(seed=1.5)", ValueError),
    ("initializers.Orthogonal()((3,))", ValueError),
    ("initializers.Identity()((2, 2, 2))", ValueError),
    ("initializers.STFT('x')", ValueError),
    ("initializers.STFT(scaling='x')", ValueError),
    ("initializers.STFT(window='x')", ValueError),
    ("initializers.STFT()((4, 3))", ValueError),
    ("initializers.STFT(window=np.ones(5))((4, 1, 3))", ValueError),
    ("initializers.RandomNormal()((2,), 'int32')", ValueError),
    ("initializers.GlorotUniform()((2,), 'bool')", ValueError),
    ("initializers.Constant([1, 2])((3, 3))", ValueError),
    ("initializers.HeNormal(input_axes=(5,), output_axes=(1,))((2, 3))", IndexError),
    ("initializers.Initializer()((2,))", NotImplementedError),
    ("initializers.Zeros()((2,), dtype='unknown')", ValueError),
    ("initializers.Zeros.from_config({'a': 1})", TypeError),
]


@pytest.mark.parametrize("expression, error", WRONG, ids=lambda value: str(value))
def test_errors(expression: str, error: type[Exception]) -> None:
    for module in (initializers, keras.initializers):
        with pytest.raises(error):
            eval(expression, {"initializers": module, "np": np})


@pytest.mark.parametrize("shape", [(2, None), (-1,)])
def test_shapes_must_be_known(shape: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        initializers.GlorotUniform()(shape)


@pytest.mark.parametrize("shape", [(), (0, 3), [2, 3], (np.int64(2),)], ids=str)
def test_shapes(shape: Any) -> None:
    for name in ("GlorotUniform", "HeNormal", "RandomNormal", "Zeros"):
        assert getattr(initializers, name)().draw(shape).shape == tuple(shape)


def test_a_subclass_overrides_the_call() -> None:
    class Doubled(initializers.GlorotUniform):
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return 2 * super().__call__(shape, dtype)

    drawn = Doubled(seed=1).draw((3, 3))
    np.testing.assert_array_equal(drawn, 2 * initializers.GlorotUniform(seed=1).draw((3, 3)))


def test_a_registered_subclass_is_revived() -> None:
    @register_keras_serializable("tests")
    class Threes(initializers.Initializer):
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.full(shape, 3, dtype)

    Threes.__module__ = "__main__"
    try:
        written = initializers.serialize(Threes())
        assert written["module"] is None
        assert written["registered_name"] == "tests>Threes"
        assert type(initializers.get(written)) is Threes
        assert type(initializers.get("tests>Threes")) is Threes
        assert initializers.get(written).draw((2,), "float32").tolist() == [3, 3]
    finally:
        del get_custom_objects()["tests>Threes"]


@pytest.mark.parametrize("seed", [3, None, "generator"])
@pytest.mark.parametrize(
    "name", ["GlorotUniform", "TruncatedNormal", "Orthogonal", "Zeros", "Ones"]
)
def test_values_are_drawn_when_they_are_read_and_are_those_of_the_moment(
    name: str, seed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = getattr(initializers, name)

    def three(make: Any) -> list[Any]:
        seeding.set_random_seed(5)
        given = random.SeedGenerator(3) if seed == "generator" else seed
        return [make(kind() if name in ("Zeros", "Ones") else kind(seed=given)) for _ in range(3)]

    expected = three(lambda initializer: initializer.draw((3, 4)))
    drawn: list[Any] = []
    draw = kind._values

    def _values(*args: Any) -> Any:
        drawn.append(args)
        return draw(*args)

    monkeypatch.setattr(kind, "_values", _values)
    made = three(lambda initializer: Variable(initializer, shape=(3, 4)))
    twin, other = copy.deepcopy(made[0]), pickle.loads(pickle.dumps(made[1]))
    written = copy.deepcopy(made[2])
    written.assign(np.full((3, 4), 7.0))
    assert not drawn and (written.numpy() == 7).all() and not drawn
    order = [made[2].value, made[0].value, made[1].numpy(), twin.value, other.value, made[1].value]
    for found, place in zip(order, (2, 0, 1, 0, 1, 1), strict=True):
        np.testing.assert_array_equal(found, expected[place])
    assert len(drawn) == 5


def test_a_model_whose_weights_are_given_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def model() -> Any:
        layers = [cornu.layers.LSTM(3), cornu.layers.BatchNormalization(), cornu.layers.Dense(2)]
        return cornu.Sequential([cornu.Input((4, 2)), *layers])

    weights = model().get_weights()
    monkeypatch.setattr(np.random, "default_rng", None)  # drawing would fail
    given = model()
    given.set_weights(weights)
    clone = cornu.models.clone_model(given)
    clone.set_weights(weights)
    for one, two in zip(clone.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_names_and_callables_are_initial_values() -> None:
    for initializer in ("ones", initializers.Ones(), lambda shape, dtype: np.ones(shape)):
        assert Variable(initializer, shape=(2,)).numpy().tolist() == [1, 1]
    with pytest.raises(ValueError, match="needs a shape"):
        Variable("ones")
    with pytest.raises(ValueError, match="nope"):
        Variable("nope", shape=(2,))


def test_a_large_model_is_drawn_fast() -> None:
    # ResNet50 has 25.6 million weights; the figure is for one busy core.
    shapes = [(3, 3, 512, 512)] * 10
    start = time.process_time()
    for shape in shapes:
        initializers.GlorotUniform(seed=1).draw(shape)
    assert time.process_time() - start < 0.5
