"""Sparse tensors: what ops give for them, on every engine, and models on sparse data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import cornu
from cornu import engines, layers, ops
from cornu.engines.sparse import SparseRows, SparseTensor
from tests.engines_tested import ENGINES

X = scipy.sparse.random(50, 40, 0.1, format="csr", random_state=0, dtype="float32")
WHOLE = X.toarray()
KERNEL = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
CLASSES = (WHOLE @ KERNEL).argmax(1)

#: What is done with a sparse matrix, and whether the result is sparse.
CASES: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "matmul": (lambda x: ops.matmul(x, KERNEL), False),
    "matmul, sparse last": (lambda x: ops.matmul(np.ones((2, 50), "float32"), x), False),
    "matmul, transposed": (lambda x: ops.matmul(ops.transpose(x), WHOLE), False),
    "sum": (ops.sum, False),
    "sum of rows": (lambda x: ops.sum(x, axis=-1), False),
    "mean of columns": (lambda x: ops.mean(x, axis=0, keepdims=True), False),
    "largest": (lambda x: ops.max(x, axis=1), False),
    "softmax": (ops.softmax, False),
    "add a number": (lambda x: ops.add(x, 1.0), False),
    "add itself": (lambda x: ops.add(x, ops.multiply(x, 2.0)), True),
    "add, then a root": (lambda x: ops.sqrt(ops.add(x, x)), True),
    "subtract itself": (lambda x: ops.subtract(x, x), True),
    "times a number": (lambda x: ops.multiply(2.0, x), True),
    "times a row": (lambda x: ops.multiply(x, KERNEL[:, 0]), True),
    "times a column": (lambda x: ops.multiply(x, WHOLE[:, :1] + 1), True),
    "times a matrix": (lambda x: ops.multiply(x, WHOLE), True),
    "times more": (lambda x: ops.multiply(x, WHOLE[None]), False),
    "divided": (lambda x: ops.divide(x, 4.0), True),
    "leaky_relu": (lambda x: ops.leaky_relu(ops.negative(x), 0.5), True),
    "convert": (lambda x: ops.convert_to_tensor(x, "float32"), True),
    "make dense": (lambda x: ops.convert_to_tensor(x, sparse=False), False),
    "cast": (lambda x: ops.cast(x, "int32"), True),
    "concatenate": (lambda x: ops.concatenate([x, x], axis=1), True),
    "concatenate with dense": (lambda x: ops.concatenate([x, WHOLE], axis=0), False),
    "reshape": (lambda x: ops.reshape(x, (25, -1)), True),
    "expand_dims": (lambda x: ops.expand_dims(x, (0, -1)), True),
}


def of_library(engine: str) -> Any:
    """The matrix as the sparse tensor of an engine's library; SciPy's where that has none."""
    if engine == "jax":
        from jax.experimental import sparse

        return sparse.BCOO.fromdense(WHOLE)
    if engine == "torch":
        import torch

        return torch.from_numpy(WHOLE).to_sparse()
    if engine == "tensorflow":
        import tensorflow as tf

        return tf.sparse.from_dense(WHOLE)
    return X


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_ops(engine: str, name: str) -> None:
    function, sparse = CASES[name]
    with engines.use(engine):
        wanted = ops.convert_to_numpy(function(WHOLE))
        for given in (X, of_library(engine)):
            found = function(given)
            assert isinstance(found, SparseTensor) == sparse
            found = ops.convert_to_numpy(found)
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "function, sparse",
    [
        (lambda x: -(2 * x + x) / 3.0 - x, True),
        (lambda x: x > 0.5, False),
        (lambda x: x @ KERNEL, False),
        (lambda x: WHOLE - x, False),
    ],
)
@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_operators(engine: str, function: Any, sparse: bool) -> None:
    with engines.use(engine):
        found = function(ops.convert_to_tensor(X))
        assert isinstance(found, SparseTensor) == sparse
        np.testing.assert_allclose(ops.convert_to_numpy(found), function(WHOLE), 1e-5, 1e-6)


def test_symbols_say_whether_they_are_sparse() -> None:
    x = cornu.Input((40,), sparse=True, batch_size=50)
    dense = cornu.Input((40,), batch_size=50)
    assert x.sparse and not dense.sparse
    found = {
        name: function(x).sparse
        for name, (function, _) in CASES.items()
        if "itself" not in name and "root" not in name and name not in ("times more", "make dense")
    }
    assert found == {name: CASES[name][1] for name in found}
    assert not ops.add(x, dense).sparse and ops.add(x, x).sparse
    again = layers.InputLayer.from_config(x._keras_history.operation.get_config())
    assert again.output.sparse


def classifier() -> Any:
    cornu.utils.set_random_seed(1)
    model = cornu.Sequential(
        [cornu.Input((40,), sparse=True), layers.Dense(16, "relu"), layers.Dense(3)]
    )
    loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def library_tensor(engine: str) -> Any:
    """The matrix as the engine's library has sparse ones."""
    if engine == "jax":
        from jax.experimental.sparse import BCOO

        return BCOO.fromdense(WHOLE, nse=X.nnz + 3)
    if engine == "torch":
        import torch

        return torch.tensor(WHOLE).to_sparse()
    if engine == "tensorflow":
        import tensorflow as tf

        return tf.sparse.from_dense(WHOLE)
    return X


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_learns_the_same_from_sparse_data(engine: str) -> None:
    found = []
    with engines.use(engine):
        data = [X, WHOLE, scipy.sparse.coo_array(X), library_tensor(engine)]
        for x in data:
            model = classifier()
            history = model.fit(x, CLASSES, epochs=2, batch_size=16, verbose=0).history
            scores = model.evaluate(x, CLASSES, verbose=0)
            model.train_on_batch(x, CLASSES)
            found.append(
                (
                    history["loss"],
                    scores,
                    model.predict(x, verbose=0),
                    ops.convert_to_numpy(model(x)),
                )
            )
    for result in found:
        for one, other in zip(result, found[1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_sources_of_sparse_batches() -> None:
    model = classifier()

    def batches() -> Any:
        for start in (0, 16):
            yield X[start : start + 16], CLASSES[start : start + 16]

    model.fit(batches(), verbose=0)
    history = model.fit(X, CLASSES, validation_split=0.3, epochs=1, verbose=0).history
    assert np.isfinite(history["val_loss"])


def test_merging_layers_and_embeddings() -> None:
    a, b = (cornu.Input((40,), sparse=True) for _ in "ab")
    words = layers.Embedding(5, 2)(ops.cast(a, "int32"))
    merged = [layers.Add()([a, b]), layers.Average()([a, b]), layers.Concatenate()([a, b])]
    model = cornu.Model([a, b], [*merged, words])
    total, mean, joined, vectors = model.predict([X, X], verbose=0)
    np.testing.assert_allclose(total, 2 * WHOLE, rtol=1e-6)
    np.testing.assert_allclose(mean, WHOLE, rtol=1e-6)
    np.testing.assert_allclose(joined, np.concatenate([WHOLE, WHOLE], 1), rtol=1e-6)
    np.testing.assert_allclose(vectors[3, 4], model.layers[-1].get_weights()[0][0])


def test_few_numbers_of_elements() -> None:
    """Programs are compiled for the number of elements: batches have few of them."""
    counts = np.random.default_rng(2).integers(0, 30, 640)
    places = np.stack([np.repeat(np.arange(640), counts), np.arange(counts.sum()) % 97], -1)
    rows = SparseRows(SparseTensor(places, np.ones(len(places), "float32"), (640, 97)))
    batches = [rows[start : start + 32] for start in range(0, 640, 32)]
    assert len({batch.values.shape for batch in batches}) <= 2
    assert sum(float(batch.values.sum()) for batch in batches) == counts.sum()
    assert np.asarray(rows[np.array([5, 3])]).sum(1).tolist() == [counts[5], counts[3]]


def test_a_large_one_is_not_made_dense_without_a_word() -> None:
    large = scipy.sparse.random(3000, 2000, 0.001, random_state=1, dtype="float32")
    with pytest.warns(UserWarning, match=r"`softmax` takes dense .* 6,000,000 .* 'smooth'"):
        layers.Softmax(name="smooth")(large)
    assert layers.Dense(2)(large).shape == (3000, 2)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"x1.shape=\(50, 40\), x2.shape=\(3, 40\)"):
        ops.matmul(X, KERNEL.T)
    with pytest.raises(ValueError, match="must keep its elements"):
        ops.reshape(X, (7, 7))
