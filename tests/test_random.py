"""`cornu.random`: distributions, seeds, and how generators move on."""

from __future__ import annotations

import numpy as np
import pytest

from cornu import random
from cornu.core import seeding
from cornu.core.keras_tensor import KerasTensor
from cornu.core.scopes import StatelessScope, SymbolicScope
from cornu.core.state import CompiledStep
from cornu.engines import current, use
from tests.engines_tested import ENGINES

pytestmark = pytest.mark.filterwarnings("error")

COUNT = 20_000
SHAPE = (COUNT // 10, 10)
#: The variance of a standard normal number that is cut at -2 and 2.
CUT = 0.774

#: Function, arguments after the shape, mean, variance, lowest and highest value.
DRAWS = [
    (random.normal, (), 0, 1, -np.inf, np.inf),
    (random.normal, (2.0, 0.5), 2, 0.25, -np.inf, np.inf),
    (random.uniform, (), 0.5, 1 / 12, 0, 1),
    (random.uniform, (-3.0, 5.0), 1, 64 / 12, -3, 5),
    (random.randint, (0, 10), 4.5, 99 / 12, 0, 9),
    (random.randint, (-5, 6), 0, 10, -5, 5),
    (random.truncated_normal, (), 0, CUT, -2, 2),
    (random.truncated_normal, (1.0, 3.0), 1, 9 * CUT, -5, 7),
    (random.gamma, (0.3,), 0.3, 0.3, 0, np.inf),
    (random.gamma, (4.0,), 4, 4, 0, np.inf),
    (random.beta, (2.0, 3.0), 0.4, 0.04, 0, 1),
    (random.beta, (0.05, 0.05), 0.5, 0.25 / 1.1, 0, 1),
    (random.binomial, (10, 0.3), 3, 2.1, 0, 10),
    (random.binomial, (200.0, 0.5), 100, 50, 0, 200),
]


def values(x):
    return np.asarray(current().convert_to_numpy(x))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", DRAWS, ids=lambda case: f"{case[0].__name__}{case[1]}")
def test_distribution(engine, case):
    draw, arguments, mean, variance, low, high = case
    with use(engine):
        numbers = values(draw(SHAPE, *arguments, seed=3))
        again = values(draw(SHAPE, *arguments, seed=3))
        other = values(draw(SHAPE, *arguments, seed=4))
    assert numbers.shape == SHAPE
    assert numbers.dtype == ("int32" if draw is random.randint else "float32")
    assert low <= numbers.min() and numbers.max() <= high
    assert abs(numbers.mean() - mean) < 5 * (variance / COUNT) ** 0.5
    assert numbers.var() == pytest.approx(variance, rel=0.1)
    np.testing.assert_array_equal(numbers, again)
    assert (numbers != other).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("draw", [random.normal, random.uniform, random.truncated_normal])
def test_every_engine_draws_the_same(draw, dtype):
    with use("numpy"):
        expected = values(draw((300, 7), 0.5, 2.0, dtype=dtype, seed=5)).astype("float32")
        integers = values(random.randint((300,), -3, 90, seed=5))
        order = values(random.shuffle(np.arange(50), seed=5))
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-5}[dtype]
    for engine in ENGINES:
        with use(engine):
            found = values(draw((300, 7), 0.5, 2.0, dtype=dtype, seed=5)).astype("float32")
            np.testing.assert_allclose(found, expected, tolerance, tolerance)
            np.testing.assert_array_equal(values(random.randint((300,), -3, 90, seed=5)), integers)
            np.testing.assert_array_equal(values(random.shuffle(np.arange(50), seed=5)), order)


def test_integers_of_any_span():
    low, high = -(2**31), 2**31 - 1
    numbers = values(random.randint((COUNT,), low, high, seed=1)).astype("float64")
    assert abs(numbers.mean()) < 5 * 2**32 / (12 * COUNT) ** 0.5
    numbers = values(random.randint((COUNT,), -(2**30) - 5, 2**30 + 5, seed=1))
    assert numbers.min() >= -(2**30) - 5 and numbers.max() < 2**30 + 5
    assert (values(random.randint((COUNT,), 7, 8, seed=1)) == 7).all()


def test_uniform_numbers_are_uniform_and_unrelated():
    """By the counts of cells of pairs of neighbours, and of one place in draws with other keys."""
    drawn = [values(random.uniform((2**14,), seed=seed)) for seed in range(64)]
    pairs = [(x[:-1], x[1:]) for x in drawn] + list(zip(drawn, drawn[1:], strict=False))
    counts = sum(np.histogram2d(a, b, bins=32, range=((0, 1), (0, 1)))[0] for a, b in pairs)
    expected = counts.sum() / counts.size
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_squared - counts.size) < 5 * (2 * counts.size) ** 0.5


@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_broadcast(engine):
    with use(engine):
        numbers = values(random.normal((5000, 3), [0.0, 10.0, 20.0], np.float32(0.1), seed=1))
        np.testing.assert_allclose(numbers.mean(0), [0, 10, 20], atol=0.02)
        numbers = values(random.gamma((5000, 2), [1.0, 9.0], seed=1))
        np.testing.assert_allclose(numbers.mean(0), [1, 9], rtol=0.1)
        numbers = values(random.uniform((5000, 2), [0.0, 5.0], 10.0, seed=1))
        np.testing.assert_allclose(numbers.min(0), [0, 5], atol=0.05)


@pytest.mark.parametrize("engine", ENGINES)
def test_categorical(engine):
    odds = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        logits = np.log(odds).astype("float32") + 3
    with use(engine):
        classes = values(random.categorical(logits, COUNT, seed=2))
    assert classes.shape == (2, COUNT) and classes.dtype == "int32"
    for row, wanted in zip(classes, odds, strict=True):
        found = np.bincount(row, minlength=3) / COUNT
        np.testing.assert_allclose(found, wanted, atol=5 * (0.25 / COUNT) ** 0.5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_shuffle_moves_whole_slices(engine, axis):
    x = np.arange(60).reshape(20, 3)
    with use(engine):
        shuffled = values(random.shuffle(x, axis=axis, seed=1))
    order = np.moveaxis(shuffled, axis, 0)[:, 0].argsort()
    np.testing.assert_array_equal(np.take(shuffled, order, axis), x)
    if axis == 0:
        assert (shuffled != x).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("draw", [random.normal, random.uniform, random.truncated_normal])
def test_dtype(draw, dtype):
    for engine in ENGINES:
        with use(engine):
            found = values(draw((4,), dtype=dtype, seed=1)).dtype.name
            assert found == current().canonical_dtype(dtype)


# ----------------------------------------------------------------------- dropout


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.9, 0.999])
def test_dropout(rate):
    x = np.ones((400, 50), "float32")
    with use("jax"):
        result = values(random.dropout(x, rate, seed=1))
    dropped = (result == 0).mean()
    assert abs(dropped - rate) < 5 * (rate * (1 - rate) / x.size) ** 0.5
    np.testing.assert_allclose(result[result != 0], 1 / (1 - rate), rtol=1e-6)
    with use("numpy"):
        np.testing.assert_allclose(random.dropout(x, rate, seed=1), result, rtol=1e-6)


def test_dropout_at_the_ends():
    x = np.arange(4, dtype="float32")
    np.testing.assert_array_equal(random.dropout(x, 0.0), x)
    np.testing.assert_array_equal(random.dropout(x, 1.0), np.zeros(4))
    assert random.dropout(np.ones(3, "float16"), 0.5).dtype == "float16"
    assert random.dropout(np.ones(3, "int32"), 0.5).dtype == "float32"


@pytest.mark.parametrize("noise_shape", [(8, 1, 5), (None, 1, None), [8, 1, 5]])
def test_dropout_shares_noise(noise_shape):
    result = values(random.dropout(np.ones((8, 6, 5), "float32"), 0.5, noise_shape, seed=1))
    assert (result == result[:, :1]).all()
    assert 0 < (result == 0).mean() < 1


def test_dropout_masks_are_unrelated():
    """Masks of neighbouring seeds and of neighbouring draws, at every offset between them."""
    size = 2**16
    masks = []
    for seed in (1, 2):
        generator = random.SeedGenerator(seed)
        for _ in range(2):
            kept = values(random.dropout(np.ones(size, "float32"), 0.5, seed=generator)) > 0
            masks.append(np.fft.rfft(kept - 0.5))
    for i, one in enumerate(masks):
        for other in masks[: i + 1]:
            relation = np.fft.irfft(one * other.conj()) / size * 4
            if one is other:
                assert relation[0] == pytest.approx(1)
                relation[0] = 0
            assert np.abs(relation).max() < 6.5 / size**0.5


# ------------------------------------------------------------------------- seeds


def test_generator_state():
    generator = random.SeedGenerator(1337, name="noise")
    state = generator.state
    assert (state.path, state.dtype, state.shape) == ("noise/seed_generator_state", "uint32", (2,))
    assert not state.trainable
    np.testing.assert_array_equal(state.numpy(), [1337, 0])
    np.testing.assert_array_equal(generator.next(), [1337, 0])
    np.testing.assert_array_equal(generator.next(ordered=False), [1337, 1])
    np.testing.assert_array_equal(state.numpy(), [1337, 2])
    assert generator.get_config() == {"seed": 1337, "name": "noise"}
    copy = random.SeedGenerator.from_config(generator.get_config())
    np.testing.assert_array_equal(copy.next(), [1337, 0])


def test_generator_gives_a_new_key_each_time():
    generator = random.SeedGenerator(1)
    draws = [values(random.normal((4,), seed=generator)) for _ in range(3)]
    generator.state.assign(np.array([1, 1], "uint32"))
    np.testing.assert_array_equal(random.normal((4,), seed=generator), draws[1])
    assert (draws[0] != draws[1]).all() and (draws[1] != draws[2]).all()


def test_generator_moves_to_another_engine():
    generator = random.SeedGenerator(5)
    with use("jax"):
        generator.next()
    with use("numpy"):
        np.testing.assert_array_equal(generator.next(), [5, 1])


def test_draws_without_a_seed_repeat_after_set_random_seed():
    def draws():
        return [values(random.normal((3,))) for _ in range(2)]

    seeding.set_random_seed(7)
    first = draws()
    assert (first[0] != first[1]).all()
    own_seed = random.SeedGenerator().state.numpy()
    seeding.set_random_seed(7)
    np.testing.assert_array_equal(draws(), first)
    np.testing.assert_array_equal(random.SeedGenerator().state.numpy(), own_seed)
    assert (np.array(draws()) != first).all()


def test_compiled_step_draws_anew():
    generator = random.SeedGenerator(3)
    step = CompiledStep(
        lambda: (random.uniform((4,), seed=generator), random.uniform((4,), seed=generator)),
        [generator.state],
    )
    first, second = step(), step()
    np.testing.assert_array_equal(generator.state.numpy(), [3, 4])
    generator = random.SeedGenerator(3)
    eager = [values(random.uniform((4,), seed=generator)) for _ in range(4)]
    np.testing.assert_allclose([*first, *second], eager, rtol=1e-6)


def test_compiled_step_draws_anew_without_a_seed():
    traces = []

    def step():
        traces.append(None)
        random.SeedGenerator(1).next()
        return random.uniform((4,))

    compiled = CompiledStep(step, [])
    seeding.set_random_seed(1)
    draws = [values(compiled()) for _ in range(3)]
    assert (draws[0] != draws[1]).all() and (draws[1] != draws[2]).all()
    assert len(traces) == 2
    seeding.set_random_seed(1)
    np.testing.assert_allclose(random.uniform((4,)), draws[0], rtol=1e-6)


def test_stateless_scope_collects_the_state():
    generator = random.SeedGenerator(3)
    with StatelessScope() as scope:
        generator.next()
        generator.next()
    np.testing.assert_array_equal(generator.state.numpy(), [3, 0])
    np.testing.assert_array_equal(scope.get_current_value(generator.state), [3, 2])


def test_shapes_without_values():
    generator = random.SeedGenerator(3)
    x = KerasTensor((None, 4))
    with SymbolicScope():
        results = {
            random.normal((2, 3), seed=generator): (2, 3),
            random.uniform(x.dims, seed=generator): (None, 4),
            random.truncated_normal((None, 2)): (None, 2),
            random.randint((3,), 0, 4): (3,),
            random.categorical(x, 5): (None, 5),
            random.gamma((3,), 2.0): (3,),
            random.beta((3,), 2.0, 3.0): (3,),
            random.binomial((3,), 2, 0.5): (3,),
            random.dropout(x, 0.5, seed=generator): (None, 4),
            random.dropout(x, 0.5, noise_shape=(None, 1)): (None, 4),
            random.shuffle(x): (None, 4),
        }
    assert [result.shape for result in results] == list(results.values())
    np.testing.assert_array_equal(generator.state.numpy(), [3, 0])


ERRORS = [
    (lambda: random.uniform((2,), dtype="int32"), "`uniform` gives floats"),
    (lambda: random.normal((2,), dtype="int32"), "`normal` gives floats"),
    (lambda: random.randint((2,), 0, 5, dtype="float32"), "`randint` gives integers"),
    (lambda: random.randint((2,), 0, 5, dtype="bool"), "`randint` gives integers"),
    (lambda: random.categorical(np.ones(3), 2), "shape \\(batch, classes\\)"),
    (lambda: random.dropout(np.ones(3), 1.5), "`rate` must be from 0 to 1"),
    (lambda: random.dropout(np.ones((3, 2)), 0.5, (3,)), "as many axes as the inputs"),
    (lambda: random.dropout(KerasTensor((2,)), 0.5), "needs a tensor with values"),
    (lambda: random.normal((2,), seed="a"), "must be an integer or a `SeedGenerator`"),
    (lambda: random.normal((2,), seed=-1), "from 0 to 2\\*\\*32 - 1"),
    (lambda: random.SeedGenerator("a"), "`seed` must be an integer"),
    (lambda: random.SeedGenerator(2**32), "from 0 to 2\\*\\*32 - 1"),
    (lambda: random.SeedGenerator(1, speed=3), "takes `seed` and `name`"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_where_the_random_numbers_of_the_process_are() -> None:
    """They go on from there; also where `set_random_seed` had come, and nothing was drawn since."""
    random.normal((1,))
    seeding.set_random_seed(1)
    for drawn in range(2):
        before = random.process_state()
        expected = [np.asarray(random.normal((2,))) for _ in range(2)]
        random.set_process_state(before)
        np.testing.assert_array_equal([np.asarray(random.normal((2,))) for _ in range(2)], expected)
        assert (before["drawn"] is None) == (drawn == 0)
