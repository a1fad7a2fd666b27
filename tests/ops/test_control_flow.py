"""Ops that take functions: values, gradients, structures, symbolic calls, errors."""

from __future__ import annotations

import numpy as np
import pytest

from cornu import ops
from cornu.core import tree
from cornu.core.keras_tensor import KerasTensor
from cornu.core.state import value_and_grad
from cornu.core.variable import Variable
from cornu.engines import current, use

pytestmark = pytest.mark.filterwarnings("error")

ENGINES = ("jax", "numpy")
X = np.arange(12, dtype="float32").reshape(3, 4) / 4


def pairwise(a, b):
    """An associative function of pairs: composition of x -> m x + c."""
    return a[0] * b[0], b[0] * a[1] + b[1]


def composed(x):
    results = [(x[0], x[0])]
    for row in x[1:]:
        results.append(pairwise(results[-1], (row, row)))
    return tuple(np.stack(column) for column in zip(*results, strict=True))


#: Name, the call on an array of shape (3, 4), what it gives.
CALLS = {
    "cond true": (lambda x: ops.cond(ops.sum(x) > 0, lambda: x + 1, lambda: x - 1), X + 1),
    "cond false": (lambda x: ops.cond(ops.sum(x) < 0, lambda: x + 1, lambda: x - 1), X - 1),
    "cond structure": (
        lambda x: ops.cond(
            ops.sum(x) > 0, lambda: {"a": x, "b": (x,)}, lambda: {"a": -x, "b": (x,)}
        ),
        {"a": X, "b": (X,)},
    ),
    "switch": (lambda x: ops.switch(1, [ops.exp, ops.square, ops.sin], x), X**2),
    "switch below": (lambda x: ops.switch(-3, [ops.exp, ops.square], x), np.exp(X)),
    "switch above": (lambda x: ops.switch(9, [ops.exp, ops.square], x), X**2),
    "switch operands": (lambda x: ops.switch(0, [ops.add, ops.multiply], x, 2.0), X + 2),
    "while_loop": (
        lambda x: ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), (0, x)),
        (np.int32(3), X * 8),
    ),
    "while_loop list": (
        lambda x: ops.while_loop(lambda i, y: i < 3, lambda i, y: [i + 1, y * 2], [0, x]),
        (np.int32(3), X * 8),
    ),
    "while_loop single": (
        lambda x: ops.while_loop(lambda y: ops.max(y) < 100, lambda y: y * 2, x),
        X * 64,
    ),
    "while_loop limited": (
        lambda x: ops.while_loop(
            lambda y: ops.max(y) < 100, lambda y: y * 2, x, maximum_iterations=2
        ),
        X * 4,
    ),
    "fori_loop": (lambda x: ops.fori_loop(1, 4, lambda i, y: y + ops.cast(i, "float32"), x), X + 6),
    "fori_loop empty": (lambda x: ops.fori_loop(3, 1, lambda i, y: y * 0, x), X),
    "fori_loop tensor": (
        lambda x: ops.fori_loop(0, ops.argmax(x[0]), lambda i, y: (y[0] * 2, y[1]), (x, x)),
        (X * 8, X),
    ),
    "scan": (
        lambda x: ops.scan(lambda carry, row: (carry + row, carry * row), x[0], x),
        (X.sum(0) + X[0], np.stack([X[0] * X[0], (2 * X[0]) * X[1], (2 * X[0] + X[1]) * X[2]])),
    ),
    "scan reversed": (
        lambda x: ops.scan(lambda carry, row: (row, carry), x[0], x, reverse=True),
        (X[0], np.stack([X[1], X[2], X[0]])),
    ),
    "scan length": (
        lambda x: ops.scan(lambda carry, _: (carry * 2, None), x, length=3)[0],
        X * 8,
    ),
    "scan structure": (
        lambda x: ops.scan(
            lambda carry, pair: ({"s": carry["s"] + pair[0]}, [pair[1]]), {"s": x[0]}, (x, x)
        ),
        ({"s": X.sum(0) + X[0]}, [X]),
    ),
    "map": (lambda x: ops.map(lambda row: (row * 2, ops.sum(row)), x), (X * 2, X.sum(1))),
    "map structure": (lambda x: ops.map(lambda p: p["a"] * p["b"], {"a": x, "b": x}), X * X),
    "vectorized_map": (lambda x: ops.vectorized_map(ops.sum, x), X.sum(1)),
    "vectorized_map structure": (
        lambda x: ops.vectorized_map(lambda p: (p[0] @ p[1], p[0]), (x, x)),
        ((X * X).sum(1), X),
    ),
    "associative_scan": (lambda x: ops.associative_scan(ops.add, x), X.cumsum(0)),
    "associative_scan axis": (
        lambda x: ops.associative_scan(ops.add, x, reverse=True, axis=-1),
        X[:, ::-1].cumsum(1)[:, ::-1],
    ),
    "associative_scan structure": (
        lambda x: ops.associative_scan(pairwise, (x, x)),
        composed(X),
    ),
}


def assert_same(found, wanted):
    found, wanted = tree.flatten(found), tree.flatten(wanted)
    assert len(found) == len(wanted)
    for one, two in zip(found, wanted, strict=True):
        one = np.asarray(current().convert_to_numpy(one))
        assert (one.shape, one.dtype) == (two.shape, two.dtype)
        np.testing.assert_allclose(one, two, rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CALLS)
def test_value(engine, name):
    call, wanted = CALLS[name]
    with use(engine):
        found = call(ops.convert_to_tensor(X))
        assert_same(found, wanted)
        tree.assert_same_structure(found, wanted)


@pytest.mark.parametrize("name", CALLS)
def test_compiled(name):
    import jax

    call, wanted = CALLS[name]
    assert_same(jax.jit(call)(X), wanted)


#: These close over their operand, or read one element: as nodes of a graph they can't.
CLOSED = ("cond true", "cond false", "cond structure", "fori_loop tensor")


@pytest.mark.parametrize("name", [name for name in CALLS if name not in CLOSED])
def test_symbolic_call_runs_again(name):
    from cornu.models import Function

    call, wanted = CALLS[name]
    known, unknown = KerasTensor((3, 4)), KerasTensor((None, 4))
    for x in (known, unknown):
        outputs = call(x)
        tree.assert_same_structure(outputs, wanted)
        for output, value in zip(tree.flatten(outputs), tree.flatten(wanted), strict=True):
            sizes = zip(output.shape, value.shape, strict=True)
            assert all(size == real or (x is unknown and size is None) for size, real in sizes)
            assert output.dtype == value.dtype.name
    assert_same(Function(known, call(known))(X), wanted)


def test_symbolic_cond():
    holds = KerasTensor((), "bool")
    found = ops.cond(holds, lambda: KerasTensor((None, 2)), lambda: KerasTensor((3, 2)))
    assert found.shape == (None, 2)
    with pytest.raises(ValueError, match="branches must give the same structure"):
        ops.cond(holds, lambda: KerasTensor((2,)), lambda: KerasTensor((3,)))


GRADIENTS = {
    "scan": lambda x: ops.scan(lambda carry, row: (carry * row + 1, carry), x[0] + 1, x)[0],
    "fori_loop": lambda x: ops.fori_loop(0, 3, lambda i, y: y * x, x),
    "map": lambda x: ops.map(lambda row: ops.sum(row * row * row), x),
    "vectorized_map": lambda x: ops.vectorized_map(lambda row: ops.sum(row) * row, x),
    "associative_scan": lambda x: ops.associative_scan(ops.multiply, x + 1),
    "cond": lambda x: ops.cond(ops.sum(x) > 0, lambda: x * x, lambda: x),
    "switch": lambda x: ops.switch(1, [ops.exp, ops.square], x),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name):
    variable = Variable(X)
    call = GRADIENTS[name]
    total = value_and_grad(lambda: ops.sum(call(variable.value)), [variable])
    _, (gradient,) = total()
    direction = np.random.default_rng(0).uniform(-1, 1, X.shape).astype("float32")
    with use("numpy"):
        ends = [float(np.sum(call(X + step * direction))) for step in (1e-2, -1e-2)]
    slope = float(np.sum(np.asarray(gradient) * direction))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-3)


@ops.custom_gradient
def clipped(x):
    """x, whose gradient is cut at 1."""

    def gradient(*args, upstream=None):
        (upstream,) = args if upstream is None else (upstream,)
        return ops.clip(upstream, -1.0, 1.0)

    return x * 1.0, gradient


def test_custom_gradient():
    x = Variable(np.array([1.0, 2.0, 3.0]))
    weights = np.array([0.5, -7.0, 7.0], "float32")
    value, (gradient,) = value_and_grad(lambda: ops.sum(clipped(x.value) * weights), [x])()
    assert float(value) == pytest.approx(7.5)
    np.testing.assert_allclose(gradient, [0.5, -1, 1])
    np.testing.assert_allclose(clipped(X), X)
    assert clipped(KerasTensor((None, 3))).shape == (None, 3)
    with use("numpy"):
        np.testing.assert_allclose(clipped(X), X)


def test_jvp():
    tangent = np.ones_like(X)
    value, slope = ops.jvp(lambda x: x * x, (X,), (tangent,))
    np.testing.assert_allclose(value, X * X)
    np.testing.assert_allclose(slope, 2 * X)
    *_, aux = ops.jvp(lambda x: (x * x, {"x": x}), (X,), (tangent,), has_aux=True)
    np.testing.assert_allclose(aux["x"], X)
    symbol = KerasTensor((None, 4))
    assert [y.shape for y in ops.jvp(ops.square, (symbol,), (symbol,))] == [(None, 4)] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_associative_scan_of_any_size(size):
    x = np.arange(1, size + 1, dtype="int32")
    for engine in ENGINES:
        with use(engine):
            assert_same(ops.associative_scan(ops.add, x), x.cumsum(dtype="int32"))


def test_conversion_and_shape():
    symbol = KerasTensor((None, 3))
    assert ops.shape(symbol) == (None, 3)
    assert ops.shape(X) == (3, 4) and ops.shape([1, 2]) == (2,) and ops.shape(3.0) == ()
    assert ops.shape(Variable(X)) == (3, 4)
    assert ops.dtype(symbol) == "float32" and ops.dtype(1) == "int32"
    with use("spec"):
        batch, features = ops.shape(symbol)
        assert ops.reshape(symbol, (batch * features,)).shape == (None,)
    tensor = ops.convert_to_tensor(X)
    assert ops.is_tensor(tensor) and not ops.is_tensor(X) and not ops.is_tensor(symbol)
    assert ops.cast(tensor, "float32") is tensor and ops.cast(X, np.float16).dtype == "float16"
    assert ops.convert_to_tensor(Variable(X)).shape == (3, 4)
    assert ops.convert_to_tensor([np.float32(1), tensor[0, 0]]).shape == (2,)
    assert isinstance(ops.convert_to_numpy(tensor), np.ndarray)


def returns(value):
    return lambda *args: value


ERRORS = [
    (lambda: ops.map(3, X), TypeError, "`f` must be callable"),
    (lambda: ops.scan(3, 0, X), TypeError, "`f` must be callable"),
    (lambda: ops.scan(returns((0, 0)), 0), ValueError, "needs a number of steps"),
    (lambda: ops.scan(returns((0, 0)), 0, X, length=2), ValueError, "`length` must be the size"),
    (lambda: ops.scan(returns((0, 0)), 0, X, unroll=0), ValueError, "`unroll` must be"),
    (lambda: ops.scan(returns((0, 0)), 0, 3.0), ValueError, "goes along the leading axis"),
    (lambda: ops.cond(X > 0, returns(1), returns(2)), ValueError, "`pred` must be a scalar"),
    (lambda: ops.cond(True, 1, returns(2)), TypeError, "`true_fn` must be callable"),
    (lambda: ops.switch(0, [], X), ValueError, "at least one branch"),
    (lambda: ops.while_loop(1, returns(2), 0), TypeError, "`cond` must be callable"),
    (lambda: ops.associative_scan(ops.add, [X, X[:2]]), ValueError, "one size along the axis"),
    (lambda: ops.custom_gradient(3), TypeError, "`f` must be callable"),
    (lambda: ops.convert_to_numpy(KerasTensor((2,))), ValueError, "has no value"),
    (lambda: ops.unstack(KerasTensor((None, 2))), ValueError, "number of slices must be known"),
    (lambda: ops.unstack(X, num=2), ValueError, "`num` must be the size"),
    (lambda: ops.slice(X, [0], [1, 1]), ValueError, "one start index for each axis"),
    (lambda: ops.scatter_update(X, [[0]], X[:1], "mean"), ValueError, "`reduction` must be one of"),
    (lambda: ops.rearrange(X, "a b -> a"), ValueError, "named once on each side"),
    (lambda: ops.rearrange(X, "a b c -> a b c"), ValueError, "as many axes as the tensor"),
    (lambda: ops.rearrange(X, "(a b) c -> a b c"), ValueError, "but one must be given"),
    (lambda: ops.rearrange(X, "(a b) c -> a b c", a=2), ValueError, "multiply to that of the axis"),
    (lambda: ops.rearrange(X, "(a b c -> a b c"), ValueError, "come in pairs"),
    (lambda: ops.rearrange(X, "a b"), ValueError, "has one '->'"),
    (lambda: ops.rearrange(X, "a-b c -> c"), ValueError, "made of names"),
    (lambda: ops.segment_sum(X, [[0, 1, 2]], 3), ValueError, "as long as the leading axis"),
    (lambda: ops.top_k(X, 5), ValueError, "at most the size of the last axis"),
    (lambda: ops.stft(X, 4, 1, 2), ValueError, "at least `sequence_length`"),
    (lambda: ops.stft(X, 2, 1, 2, window="box"), ValueError, "`window` must be 'hann'"),
    (lambda: ops.fft((X, X[:2])), ValueError, "must have one shape"),
    (lambda: ops.view_as_complex(X), ValueError, "must have the size 2"),
    (lambda: ops.linalg.det(X), ValueError, "takes square matrices"),
    (lambda: ops.linalg.qr(X, mode="raw"), ValueError, "`mode` must be"),
    (lambda: ops.linalg.norm(X, ord="nuclear", axis=(0, 1)), ValueError, "order of a matrix norm"),
    (lambda: ops.linalg.solve(X[:, :3], X[:2]), ValueError, "as many rows as a"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
