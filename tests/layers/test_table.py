"""Every layer of the table, checked in every way, against Keras where there is something to equal."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import ml_dtypes  # gives NumPy its bfloat16  # noqa: F401
import numpy as np
import pytest

import cornu
from cornu import engines, ops
from cornu.core import tree
from cornu.testing import check_layer
from cornu.testing._layers import CHECKS
from tests.engines_tested import ENGINES
from tests.layers.rows import ROWS, Row
from tests.ops.rows import A


def each(applies: Callable[[Row], bool] = lambda row: True) -> Any:
    """A test of each row to which it applies."""
    chosen = {f"{i}-{row.layer}": i for i, row in enumerate(ROWS) if applies(row)}
    return pytest.mark.parametrize("index", chosen.values(), ids=chosen.keys())


def drawn(structure: Any, seed: int = 0) -> Any:
    """The arrays of a row, read-only."""
    counter = iter(range(seed, seed + 100))

    def draw(x: Any) -> Any:
        if not isinstance(x, A):
            return x
        array = x.draw(next(counter))
        array.setflags(write=False)
        return array

    if isinstance(structure, dict):
        return {key: draw(value) for key, value in structure.items()}
    return [draw(x) for x in structure] if isinstance(structure, list) else draw(structure)


def made(row: Row, module: Any, **more: Any) -> Any:
    layers = module.layers
    return getattr(layers, row.layer)(**row.arguments(layers), **more)


def in_dtype(x: Any, dtype: str) -> Any:
    floats = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return x.astype(dtype) if floats else x


def host(structure: Any) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(x)) for x in tree.flatten(structure) if x is not None]


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    actual, expected = host(actual), host(expected)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(
            a.astype("float64"), b.astype("float64"), rtol=tolerance, atol=tolerance
        )


def specs(structure: Any, unknown: bool) -> Any:
    def spec(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        shape = list(x.shape)
        if unknown:
            shape[0] = None
            if x.ndim == 3:
                shape[1] = None
        return cornu.KerasTensor(shape, x.dtype.name)

    return tree.map_structure(spec, structure)


@functools.cache
def pair(index: int) -> tuple[Any, Any]:
    """Cornu's layer and Keras's of a row, built, with equal weights."""
    row = ROWS[index]
    inputs, call = drawn(row.inputs), drawn(row.call, 50)
    ours, theirs = made(row, cornu), made(row, keras)
    ours(inputs, **call)
    theirs(inputs, **call)
    generator = np.random.default_rng(3)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        value = generator.uniform(0.2, 1.0, a.shape).astype(b.dtype)
        a.assign(value)
        b.assign(value)
    return ours, theirs


def takes_masks(row: Row) -> bool:
    """Whether the row has a sequence of vectors, and nothing speaks against a mask of it."""
    sequences = (x for x in tree.flatten(row.inputs) if isinstance(x, A) and len(x.shape) == 3)
    return "masks" not in row.excluded and any(sequences)


def masked_call(row: Row, layer: Any, library: Any) -> tuple[Any, list[Any]]:
    """Outputs and their masks for sequences whose last steps are masked."""
    backend = cornu.backend if library is cornu else keras.src.backend
    get, put = backend.get_keras_mask, backend.set_keras_mask

    def masked(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.ndim != 3:
            return x
        tensor = library.ops.convert_to_tensor(x)
        kept = np.arange(x.shape[1]) < np.array([[x.shape[1] - 2], [x.shape[1]]])
        put(tensor, library.ops.convert_to_tensor(kept[: len(x)]))
        return tensor

    inputs, call = (
        tree.map_structure(masked, drawn(x, s)) for x, s in ((row.inputs, 0), (row.call, 50))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of layers that drop masks
        outputs = layer(inputs, **call)
    return outputs, [get(x) for x in tree.flatten(outputs)]


class TestAgainstKeras:
    @each()
    def test_output(self, index: int) -> None:
        row = ROWS[index]
        ours, theirs = pair(index)
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        assert_close(ours(inputs, **call), theirs(inputs, **call), row.tolerance)

    @each(lambda row: row.training)
    def test_output_in_training(self, index: int) -> None:
        row = ROWS[index]
        ours, theirs = pair(index)
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        before = [w.numpy() for w in ours.weights]
        expected = theirs(inputs, training=True, **call)
        assert_close(ours(inputs, training=True, **call), expected, row.tolerance)
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-4, atol=1e-5)
        for a, b, value in zip(ours.weights, theirs.weights, before, strict=True):
            a.assign(value)
            b.assign(value)

    @each(takes_masks)
    def test_masks(self, index: int) -> None:
        row = ROWS[index]
        ours, theirs = pair(index)
        expected, expected_masks = masked_call(row, theirs, keras)
        for engine in ENGINES:
            with engines.use(engine):
                outputs, masks = masked_call(row, ours, cornu)
                assert_close(outputs, expected, max(row.tolerance, 5e-5))
                assert len(masks) == len(expected_masks)
                for mask, wanted in zip(masks, expected_masks, strict=True):
                    assert (mask is None) == (wanted is None)
                    if mask is not None:
                        np.testing.assert_array_equal(host(mask)[0], np.asarray(wanted))

    @each()
    def test_inputs_of_other_dtypes(self, index: int) -> None:
        """Floats of other sizes are cast to the policy's, for every layer alike."""
        row = ROWS[index]
        ours, _ = pair(index)
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        for engine in {"jax", "torch"} & set(ENGINES):
            with engines.use(engine):
                wanted = [engines.current().dtype_of(x) for x in tree.flatten(ours(inputs, **call))]
                for dtype in ("float16", "bfloat16", "float64"):
                    other = tree.map_structure(lambda x: in_dtype(x, dtype), [inputs, call])  # noqa: B023
                    ran = ours(other[0], **other[1])
                    assert [engines.current().dtype_of(x) for x in tree.flatten(ran)] == wanted
        symbolic = specs(other, False)
        assert [x.dtype for x in tree.flatten(ours(symbolic[0], **symbolic[1]))] == wanted

    @each()
    def test_weights(self, index: int) -> None:
        ours, theirs = pair(index)

        def described(layer: Any) -> list[Any]:
            # Automatic names end in numbers that count the layers made before.
            parts = [w.path.replace(layer.name, "LAYER") for w in layer.weights]
            parts = [
                "/".join(p.rstrip("0123456789").rstrip("_") for p in part.split("/"))
                for part in parts
            ]
            return [
                (p, tuple(w.shape), w.trainable, str(w.dtype))
                for p, w in zip(parts, layer.weights, strict=True)
            ]

        assert described(ours) == described(theirs)

    @each()
    def test_config(self, index: int) -> None:
        ours, theirs = (without_names(layer.get_config()) for layer in pair(index))
        assert ours == theirs

    @each()
    def test_shapes(self, index: int) -> None:
        row = ROWS[index]
        ours, _ = pair(index)
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        ran = host(ours(inputs, **call))
        for unknown in (False, True):
            if unknown and "unknown" in row.excluded:
                continue
            fresh = made(row, cornu)
            outputs = tree.flatten(fresh(specs(inputs, unknown), **specs(call, unknown)))
            outputs = [x for x in outputs if x is not None]
            assert [x.dtype for x in outputs] == [str(x.dtype) for x in ran]
            for spec, value in zip(outputs, ran, strict=True):
                assert len(spec.shape) == value.ndim
                for size, real in zip(spec.shape, value.shape, strict=True):
                    assert size == real or (unknown and size is None)
                if not unknown:
                    assert spec.shape == value.shape


#: The policies of each row: a policy and the row's index.
POLICIES = {
    f"{i}-{row.layer}-{policy}": (policy, i)
    for i, row in enumerate(ROWS)
    for policy in ("mixed_bfloat16", "float16")
    if policy not in row.excluded
}


def without_names(config: Any) -> Any:
    """A config as JSON, without automatic names and ids of shared objects."""
    if isinstance(config, dict):
        config = {
            k: v for k, v in config.items() if k not in ("name", "shared_object_id", "build_config")
        }
        return {k: without_names(v) for k, v in config.items()}
    if isinstance(config, (list, tuple)):
        return [without_names(v) for v in config]
    return config


class TestAlone:
    @each()
    def test_as_a_user_s_own(self, index: int) -> None:
        """Config, copies and state by what users check their own layers with; the rest is looked at above."""
        row = ROWS[index]
        kind, arguments = getattr(cornu.layers, row.layer), row.arguments(cornu.layers)
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        checked = {"call", "repeated", "config", "copies", "stateless"}
        check_layer(kind, arguments, inputs, call=call, skip=set(CHECKS) - checked)

    @each()
    def test_engines(self, index: int) -> None:
        """A layer that was built on one engine gives the same on every other, and back."""
        row = ROWS[index]
        ours, _ = pair(index)
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        expected = host(ours(inputs, **call))
        for name in ENGINES:
            with engines.use(name):
                assert_close(ours(inputs, **call), expected, max(row.tolerance, 5e-5))
        assert_close(ours(inputs, **call), expected, 1e-6)

    @pytest.mark.parametrize("policy, index", POLICIES.values(), ids=POLICIES.keys())
    def test_policy(self, index: int, policy: str) -> None:
        row = ROWS[index]
        inputs, call = drawn(row.inputs), drawn(row.call, 50)
        results = []
        for library in (cornu, keras):
            library.config.set_dtype_policy(policy)
            try:
                layer = made(row, library)
                results.append((layer, layer(inputs, **call)))
            finally:
                library.config.set_dtype_policy("float32")
        (layer, ran), (theirs, expected) = results
        got = [str(x.dtype) for x in tree.flatten(ran)]
        assert got == [str(x.dtype) for x in tree.flatten(expected)]
        assert [w.dtype for w in layer.weights] == [str(w.dtype) for w in theirs.weights]

    @pytest.mark.filterwarnings("ignore:There is nothing to train")  # layers without weights
    @each()
    def test_one_training_step(self, index: int) -> None:
        """A step of training is the same on every engine, with one model that moves between them."""
        row = ROWS[index]
        model, arrays = trained(row)
        start = model.get_weights()
        results, after = {}, {}
        for name in ENGINES:
            with engines.use(name):
                model.set_weights(start)
                if not engines.current().trains:
                    continue
                results[name] = model.train_on_batch(arrays, np.ones(len(arrays[0]), "float32"))
                after[name] = model.get_weights()
            assert np.isfinite(results[name])
            assert all(np.isfinite(weight).all() for weight in after[name])
            if not row.training:  # what is drawn differs from engine to engine
                continue
            np.testing.assert_allclose(results[name], results[ENGINES[0]], 1e-4)
            for one, two in zip(after[name], after[ENGINES[0]], strict=True):
                np.testing.assert_allclose(one, two, 1e-3, 1e-4)


def trained(row: Row) -> tuple[Any, list[np.ndarray]]:
    """A model of the row's layer and a sum, compiled, and its inputs."""
    inputs, call = drawn(row.inputs), drawn(row.call, 50)
    arrays = [x for x in tree.flatten([inputs, call]) if isinstance(x, np.ndarray)]
    tensors = [cornu.Input(batch_shape=(None, *x.shape[1:]), dtype=x.dtype.name) for x in arrays]
    given = iter(tensors)
    swap = lambda x: next(given) if isinstance(x, np.ndarray) else x  # noqa: E731
    symbolic = tree.map_structure(swap, [inputs, call])
    output = tree.flatten(made(row, cornu)(symbolic[0], **symbolic[1]))[0]
    total = ops.sum(ops.cast(output, "float32"), axis=tuple(range(1, len(output.shape))))
    model = cornu.Model(tensors, total)
    model.compile("sgd", "mse")
    return model, arrays
