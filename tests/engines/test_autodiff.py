"""Rules of differentiation against numerical differences in float64, first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest

import cornu
from cornu import engines, ops
from cornu.engines.contract import Engine
from cornu.engines.differentiation import engine as tracing
from cornu.engines.differentiation.engine import Differentiable
from cornu.engines.differentiation.rules import BODIES, RULES, SLOPES
from cornu.engines.differentiation.traced import Traced
from cornu.engines.numpy import NumpyEngine
from cornu.testing.primitives import method

pytestmark = pytest.mark.filterwarnings("error")


class Bare(NumpyEngine):
    """NumPy with nothing but what an engine must give: every default body in its place."""

    name = "bare"
    put = Differentiable.put
    vars().update({n: m for n, m in vars(Engine).items() if hasattr(m, "is_default")})


ENGINE = engines.get("numpy")
both = pytest.mark.parametrize("engine", [ENGINE, Bare()], ids=["numpy", "bare"])


def draw(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Any:
    """Numbers that are all different."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def complex_draw(*shape: int, seed: int = 0) -> Any:
    return draw(*shape, seed=seed) + 1j * draw(*shape, seed=seed + 100)


def integers(*values: Any) -> Any:
    return np.array(values, "int32")


F, G, H, Z = draw(3, 4), draw(3, 4, seed=1), draw(4), complex_draw(3, 4)
CUBE, IMAGES, POSITIVE = draw(2, 3, 4), draw(2, 5, 6, 4), draw(3, 4, low=0.3, high=3)
SQUARE, LARGE = draw(2, 3, 3) + 3 * np.eye(3), complex_draw(3, 3) + 3 * np.eye(3)
SERIES, COMPLEX_SERIES, KEEP = draw(2, 6), complex_draw(2, 4), F > 0
MASK, ROW = np.array([True, False, True]), (slice(None),)
WINDOW: tuple[Any, ...] = ((2, 3), (1, 2), ((0, 1), (1, 1)))
PLACES = integers([2], [0])

Row = tuple[Any, ...]
#: The arguments of each primitive; arrays of floats are differentiated by.
ROWS: dict[str, list[Row]] = {
    **{name: [(F,)] for name in SLOPES},
    **dict.fromkeys(("sqrt", "rsqrt", "log", "log1p", "log2", "log10"), [(POSITIVE,)]),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv"), [(F / 2.2,)]),
    **{name: [(F,), (Z,)] for name in ("exp", "sin", "tanh", "negative", "real", "imag", "conj")},
    "abs": [(F,), (Z,)],
    "arccosh": [(POSITIVE + 1,)],
    "lgamma": [(POSITIVE,), (F - 0.05,)],
    "cast": [(F, "complex128"), (Z, "float64"), (F, "int32")],
    **{name: [(F, G), (F, H), (CUBE, H)] for name in ("add", "subtract", "maximum", "minimum")},
    "multiply": [(F, G), (CUBE, draw(3, 1)), (Z, Z + 1)],
    "divide": [(F, POSITIVE), (H, POSITIVE), (Z, Z + 3)],
    **dict.fromkeys(("mod", "fmod"), [(np.array([5.3, -4.1, 0.7]), np.array([2.0, 1.5, -3.1]))]),
    "power": [(POSITIVE, G), (F, np.full((), 2.0)), (F, np.zeros(4))],
    "arctan2": [(F, G)],
    "complex": [(F, H)],
    "where": [(KEEP, F, G), (KEEP, np.float64(2), H)],
    **{
        name: [(CUBE, (1,), False), (CUBE, (0, 2), True), (CUBE, (), False), (H, (0,), False)]
        for name in ("sum", "mean", "prod", "max", "min", "var")
    },
    "cumsum": [(CUBE, 1)],
    "cumprod": [(CUBE, 2), (np.array([2.0, 0.0, 3.0, 0.0, 1.5]), 0)],
    "reshape": [(CUBE, (4, -1))],
    "transpose": [(CUBE, (2, 0, 1))],
    "broadcast_to": [(draw(3, 1), (2, 3, 4))],
    "concatenate": [([F, G[:1], F[:0]], 0)],
    "pad": [(F, ((1, 0), (0, 2)), np.float64(3)), (F, ((-1, 2), (1, -1)), 0)],
    "flip": [(CUBE, (0, 2))],
    "take": [(CUBE, integers([2, 0], [2, 2]), 1), (CUBE, integers(1, 1), 0)],
    "take_along_axis": [
        (F, integers([0, 0, 3], [1, 2, 3], [3, 3, 3]), 1),
        (F[:1], integers([0, 0, 0, 0], [0, 0, 0, 0]), 0),
    ],
    "get_item": [
        (CUBE, (1, slice(None, None, -2), None, Ellipsis)),
        (CUBE, (slice(None), integers(0, 2, 2))),
        (CUBE, (integers(1, 1), slice(1, 3), integers(0, 0))),
        (F, (MASK,)),
        (F, (None, slice(None))),
    ],
    "gather": [(CUBE, integers([1, 0], [1, 0], [0, 2])), (F, integers([2], [0]))],
    "put": [([F, H, F[:, :2]], [ROW, (1,), (slice(None), integers(3, 3))], (3, 4))],
    "slice": [(CUBE, (0, integers(1)[0], 2), (2, 2, 1))],
    "slice_update": [(CUBE, (0, 1, 2), draw(2, 2, 1))],
    "scatter": [
        *((F, PLACES, draw(2, 4), how) for how in ("set", "add", "max", "min", "mul")),
        *((F, integers([1], [1]), draw(2, 4), how) for how in ("set", "add", "max", "mul")),
        (F, integers([1, 2], [0, 3]), draw(2), "add"),
    ],
    "full": [((2, 3), np.float64(2), "float64")],
    "sort": [(CUBE, 1)],
    "top_k": [(CUBE, 2)],
    "unique": [(H, None, None), (H, 6, 0.0)],
    "matmul": [(F, draw(4, 2)), (CUBE, draw(4, 2)), (CUBE, draw(2, 4, 2)), (CUBE, draw(1, 4, 2))]
    + [(H, H), (H, draw(4, 2)), (CUBE, H), (H, draw(2, 4, 2)), (Z, complex_draw(4, 2))],
    "einsum": [
        ("ab,bc->ca", [F, draw(4, 2)]),
        ("abc,acd->abd", [CUBE, draw(2, 4, 2)]),
        ("abc,bd->ad", [CUBE, draw(3, 2)]),
        ("ab->b", [F]),
        ("aa->a", [draw(3, 3)]),
        ("aab,ac->c", [draw(2, 2, 3), draw(2, 3)]),
        ("ab,ac,ad->bcd", [F, draw(3, 2), draw(3, 2, seed=1)]),
    ],
    "patches": [(IMAGES, *WINDOW, (2, 1), 0)],
    "add_patches": [(draw(2, 4, 3, 6, 4), (2, 5, 6, 4), *WINDOW, (2, 1))],
    "conv": [
        (IMAGES, draw(2, 3, 4, 2), *WINDOW[1:], (1, 1), 1),
        (IMAGES, draw(2, 3, 2, 6), *WINDOW[1:], (2, 1), 2),
        (IMAGES[:, 0], draw(3, 4, 2), (2,), ((1, 0),), (1,), 1),
    ],
    "conv_transpose": [(IMAGES, draw(2, 3, 2, 4), (2, 1), ((1, 1), (2, 2)), (1, 1))],
    "max_pool": [(IMAGES, *WINDOW), (IMAGES, (2, 2), (2, 2), ((0, 0), (0, 0)))],
    "average_pool": [(IMAGES, *WINDOW)],
    "solve": [(SQUARE, draw(2, 3, 2)), (SQUARE[0], draw(2, 3, 2)), (LARGE, Z[:, :2])],
    "solve_triangular": [
        *((SQUARE, draw(2, 3, 2), lower) for lower in (True, False)),
        (LARGE, Z[:, :2], True),
    ],
    "lu_factor": [(SQUARE,), (SQUARE[:, ::-1],)],
    "fft": [(COMPLEX_SERIES,)],
    "ifft": [(COMPLEX_SERIES,)],
    "rfft": [(SERIES,), (SERIES[:, :5],)],
    "irfft": [(COMPLEX_SERIES, 6), (COMPLEX_SERIES[:, :3], 5), (COMPLEX_SERIES, 4)],
    "convert_to_tensor": [([H, 2 * H], "float64"), (F, "complex128")],
    "stop_gradient": [(F,)],
}


def symmetric(x: Any) -> Any:
    return ENGINE.add(
        x, ENGINE.conj(ENGINE.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)))
    )


def spread(x: Any) -> Any:
    """Hermitian, positive definite, with eigenvalues that are far apart."""
    return ENGINE.add(symmetric(x), np.diag([9.0, 14.0, 20.0]).astype(x.dtype))


def phaseless(vectors: Any) -> Any:
    """What doesn't depend on the phase of eigenvectors: their projections."""
    adjoint = ENGINE.conj(ENGINE.transpose(vectors, (*range(vectors.ndim - 2), -1, -2)))
    weights = np.diag(np.arange(1.0, 1 + vectors.shape[-1])).astype(vectors.dtype)
    return ENGINE.matmul(ENGINE.matmul(vectors, weights), adjoint)


def swap(x: Any) -> Any:
    return ENGINE.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def singular(x: Any) -> Any:
    u, s, v = ENGINE.svd(x, False)
    return phased(u), s, ENGINE.matmul(u, ENGINE.matmul(np.diag([1.0, 2, 3]).astype(v.dtype), v))


def phased(u: Any) -> Any:
    return ENGINE.matmul(
        ENGINE.matmul(u, np.diag([1.0, 2.0, 3.0]).astype(u.dtype)), ENGINE.conj(swap(u))
    )


def eigen(x: Any) -> Any:
    values, v = ENGINE.eig(x)
    return values, phased(v)


#: Factorizations of matrices as the rule may take them, in what no phase or sign changes.
FACTORED: dict[str, list[tuple[Callable[..., Any], Row]]] = {
    "cholesky": [(lambda x: ENGINE.cholesky(spread(x)), (x,)) for x in (SQUARE, LARGE)],
    "qr": [(lambda x: ENGINE.qr(x, "reduced"), (x,)) for x in (draw(2, 4, 3), LARGE, Z.T)],
    "eigh": [(lambda x: phased(ENGINE.eigh(spread(x))[1]), (x,)) for x in (SQUARE, LARGE)]
    + [(lambda x: ENGINE.eigh(spread(x))[0], (x,)) for x in (SQUARE, LARGE)],
    "svd": [(singular, (x,)) for x in (draw(2, 4, 3), draw(3, 5), SQUARE, Z.T, Z)]
    + [(lambda x: ENGINE.svd(x, True)[1], (draw(4, 3),))],
    "eig": [(eigen, (x,)) for x in (LARGE, spread(SQUARE[0]) + draw(3, 3))],
}


# --------------------------------------------------------------------- checking


def is_float(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fc"


def split(args: Row) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The operands among the arguments, and a function that puts others in their places."""
    leaves, structure = optree.tree_flatten(list(args), none_is_leaf=True)
    places = [at for at, leaf in enumerate(leaves) if is_float(leaf)]

    def merged(operands: list[Any]) -> Any:
        given = list(leaves)
        for at, operand in zip(places, operands, strict=True):
            given[at] = operand
        return structure.unflatten(given)

    return [leaves[at] for at in places], merged


def floats(tree: Any) -> list[Any]:
    return [x for x in optree.tree_leaves(tree) if x.__class__ is Traced or is_float(np.asarray(x))]


def noise(xs: list[Any], seed: int) -> list[Any]:
    made = [complex_draw(*x.shape, seed=seed) for x in xs]
    return [m if x.dtype.kind == "c" else m.real for m, x in zip(made, xs, strict=True)]


def dot(xs: Any, ys: Any) -> float:
    return sum(float(np.sum(x * y).real) for x, y in zip(xs, ys, strict=True))


def slope(f: Callable[[list[Any]], float], at: list[Any], along: list[Any]) -> float:
    """The derivative by differences of fourth order."""
    step = 1e-4
    ends = [f([x + k * step * d for x, d in zip(at, along, strict=True)]) for k in (-2, -1, 1, 2)]
    return float(np.dot(ends, [1, -8, 8, -1])) / (12 * step)


def check(engine: Any, function: Callable[..., Any], args: Row) -> None:
    """The first and second derivatives along random directions are those of differences."""
    operands, merged = split(args)
    run = lambda *xs: floats(function(*merged(list(xs))))  # noqa: E731
    weights = noise(run(*operands), 5)
    along, further = noise(operands, 6), noise(operands, 7)

    def pulled(*xs: Any) -> Any:
        return engine.vjp(run, *xs)[1](weights)

    found = pulled(*operands)
    assert [x.dtype for x in found] == [x.dtype for x in operands]
    assert [x.shape for x in found] == [x.shape for x in operands]
    wanted = slope(lambda xs: dot(weights, run(*xs)), operands, along)
    np.testing.assert_allclose(dot(found, along), wanted, 1e-6, 1e-7)
    _, pull = engine.vjp(pulled, *operands)
    wanted = slope(lambda xs: dot(pulled(*xs), along), operands, further)
    np.testing.assert_allclose(dot(pull(tuple(along)), further), wanted, 1e-5, 1e-6)


@both
@pytest.mark.parametrize("name", ROWS)
def test_rule(name: str, engine: Any) -> None:
    for args in ROWS[name]:
        if name == "stop_gradient":
            continue
        check(engine, method(engine, name), args)


@pytest.mark.parametrize("name", FACTORED)
def test_rule_of_a_factorization(name: str) -> None:
    for function, args in FACTORED[name]:
        check(ENGINE, function, args)


def test_every_rule_has_a_row() -> None:
    telling = set(
        "is_tensor dtype_of shape_of convert_to_numpy synchronize is_ready send container write".split()
    )
    assert (set(RULES) | set(BODIES)) - telling - {"random_gamma"} == set(ROWS) - {
        "top_k",
        "var",
        "conv_transpose",
    } | set(FACTORED)


# ------------------------------------------------------------------- transforms


def gradient(f: Callable[..., Any], *primals: Any) -> Any:
    """The gradient of a scalar function of one tensor."""
    result, pull = ENGINE.vjp(f, *primals)
    return pull(ENGINE.full((), 1, ENGINE.dtype_of(result)))[0]


X = np.array([0.5, 2.0])


def test_value_and_grad() -> None:
    values = [X, integers(1, 2), None, np.ones(2)]

    def loss(values: list[Any]) -> Any:
        assert type(values[0]) is Traced and type(values[1]) is np.ndarray
        return (values[0] ** 2 * values[1]).sum(), {"x": values[0] * 3, "n": None}

    (result, aux), gradients = ENGINE.value_and_grad(loss)(values)
    assert float(result) == 8.25 and aux["x"].tolist() == [1.5, 6] and aux["n"] is None
    assert type(aux["x"]) is np.ndarray
    assert gradients[0].tolist() == [1, 8] and gradients[1:3] == [None, None]
    assert gradients[3].tolist() == [0, 0]  # nothing depends on it
    with pytest.raises(TypeError, match=r"those of a scalar. Received: a result of shape \(2,\)"):
        ENGINE.value_and_grad(lambda values: (values[0] * 2, None))([X])


def test_vjp_and_jvp_of_structures() -> None:
    def f(x: Any, more: Any) -> Any:
        return {"sum": x + more[0], "product": x * more[1], "index": integers(1)}

    result, pull = ENGINE.vjp(f, X, (2.0, np.ones(2)))
    assert result["sum"].tolist() == [2.5, 4]
    found = pull({"sum": np.ones(2), "product": X, "index": None})
    assert [part.tolist() for part in optree.tree_leaves(found)] == [[1.5, 3], 2, [0.25, 4]]
    result, pushed = ENGINE.jvp(lambda x, y: (x * y, x), (X, X), (np.ones(2), np.zeros(2)))
    assert result[0].tolist() == [0.25, 4] and pushed[0].tolist() == X.tolist()
    assert pushed[1].tolist() == [1, 1]


def test_derivatives_of_derivatives() -> None:
    third = gradient(
        lambda x: gradient(lambda x: gradient(lambda x: (x**5).sum(), x).sum(), x).sum(), X
    )
    np.testing.assert_allclose(third, 60 * X**2)
    # A derivative inside of another's function keeps the two apart.
    mixed = gradient(lambda x: x * gradient(lambda y: x * y, np.ones(())), np.full((), 3.0))
    assert float(mixed) == 6
    hessian, _ = ENGINE.jvp(lambda x: gradient(lambda x: (x**3).sum(), x), (X,), (np.ones(2),))
    np.testing.assert_allclose(hessian, 3 * X**2)


def test_stop_gradient() -> None:
    assert gradient(lambda x: (x * ENGINE.stop_gradient(x)).sum(), X).tolist() == X.tolist()
    for name in ("sign", "floor", "round", "nextafter"):
        more = (X,) if name == "nextafter" else ()
        assert type(ENGINE.vjp(getattr(ENGINE, name), X, *more)[0]) is np.ndarray
        found = gradient(
            lambda x, name=name, more=more: x[0] + getattr(ENGINE, name)(x, *more)[0], X
        )
        assert found.tolist() == [1, 0]


def test_custom_gradient() -> None:
    clipped = ENGINE.custom_gradient(lambda x, *, by=10: (x * 2, lambda g: g * by))
    assert clipped(X).tolist() == [1, 4]
    assert gradient(lambda x: clipped(x).sum(), X).tolist() == [10, 10]
    assert gradient(lambda x: clipped(x, by=3).sum(), X).tolist() == [3, 3]
    pair = ENGINE.custom_gradient(lambda x, y: ((x, y * 2), lambda gs: (gs[1], gs[0])))
    _, pull = ENGINE.vjp(lambda x, y: pair(x, y)[1], X, X)
    assert [part.tolist() for part in pull(X)] == [X.tolist(), [0, 0]]
    squared = ENGINE.custom_gradient(lambda x: (x * x, lambda g: g * x * 5))
    twice = gradient(lambda x: gradient(lambda x: squared(x).sum(), x).sum(), X)
    assert twice.tolist() == [5, 5]


def test_remat_computes_again() -> None:
    calls = []

    def f(x: Any, by: Any) -> Any:
        calls.append(1)
        return ENGINE.sin(x) * by, x

    def loss(x: Any, kept: Any = lambda f: f) -> Any:
        with engines.use("numpy"):
            first, second = kept(f)(x * 2, 3.0)
        return (first * second).sum()

    expected = gradient(loss, X)
    assert len(calls) == 1
    np.testing.assert_allclose(gradient(lambda x: loss(x, ENGINE.remat), X), expected)
    assert len(calls) == 3
    assert ENGINE.remat(f)(X, 1.0)[1] is X
    # What a function reads beside its arguments has its gradient too.
    outer = gradient(lambda x: ENGINE.remat(lambda y: x * y)(X).sum(), X)
    assert outer.tolist() == X.tolist()


def test_loops() -> None:
    def body(carry: Any, x: Any) -> Any:
        return carry * x, carry + x

    def loss(x: Any, reverse: bool = False) -> Any:
        carry, ys = ENGINE.scan(body, x[0], x, None, reverse)
        return carry + (ys * ys).sum()

    for reverse in (False, True):
        check(ENGINE, lambda x, r=reverse: loss(x, r), (H,))
    check(ENGINE, lambda x: ENGINE.vectorized_map(lambda row: row * row.sum(), x), (F,))

    def power(x: Any) -> Any:
        zero = integers(0)[0]
        return ENGINE.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * x), (zero, x))[1]

    check(ENGINE, power, (X,))
    check(ENGINE, lambda x: ENGINE.cond(x[0] > 0, lambda: x * x, lambda: x), (X,))


# --------------------------------------------------------------- tensors and users


def test_a_traced_tensor_is_used_like_any_other() -> None:
    def f(x: Any) -> Any:
        assert x.shape == (2, 3) and x.ndim == 2 and len(x) == 2 and x.dtype == np.float32
        assert ops.is_tensor(x) and ops.shape(x) == (2, 3) and ops.dtype(x) == "float32"
        assert float(x[0, 1]) == 1 and int(x[1, 2]) == 5 and bool(x[0, 2] > 1) and not x[0, 0]
        assert complex(x[0, 1]) == 1 and x.sum().item() == 15 and repr(x).startswith("<Traced ")
        assert x.tolist() == ops.convert_to_numpy(x).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert [row.shape for row in x] == [(3,), (3,)] and hash(x) == hash(x)
        assert (x == x).all() and (x != 7).all() and type(x >= 1) is np.ndarray
        y = np.ones(3, "float32") * x + 1 - x / np.float32(2) + (2**x) * -x + abs(x) // 5
        y = y @ np.eye(3, dtype="float32") + x.T.reshape(2, 3) + x.transpose(1, 0).reshape((2, 3))
        stacked = ops.convert_to_tensor([x.mean(), 2.0, x.max(axis=1)[0]])
        assert (x * X[0]).dtype == (x + integers(1)).dtype == np.float64  # as NumPy has it
        assert (x + 1j).dtype == np.complex64 and (x + [1, 2, 3]).shape == x[[1, 0]].shape == (2, 3)
        assert x.__add__(None) is x.__mul__("") is NotImplemented
        return y.astype("float64").sum() + stacked.sum() + np.float32(2) * x.squeeze().std()

    x = np.arange(6, dtype="float32").reshape(2, 3)
    with engines.use("numpy"):
        result, pull = ENGINE.vjp(f, x)
    assert type(result) is np.float64 and pull(1.0)[0].dtype == np.float32
    with engines.use("jax"):  # operators are those of the tensor's engine
        assert gradient(lambda x: (x * x).sum(), X).tolist() == (2 * X).tolist()


def test_products_of_what_is_scattered_with_zeros() -> None:
    indices, updates = integers([0], [0], [1], [1], [2]), np.array([2.0, 0.0, 0.0, 0.0, 5.0])

    def product(updates: Any) -> Any:
        return ENGINE.scatter(np.array([3.0, 1.0, 1.0]), indices, updates, "mul").sum()

    assert gradient(product, updates).tolist() == [0, 6, 0, 0, 1]


def test_errors() -> None:
    def failing(f: Callable[..., Any], text: str, kind: Any = NotImplementedError) -> None:
        with pytest.raises(kind, match=text):
            gradient(f, SQUARE)

    failing(lambda x: np.sum(np.sin(np.asarray(x))), "NumPy's functions can't", TypeError)
    failing(lambda x: len(x.sum()), "A scalar tensor has no length", TypeError)
    failing(lambda x: ENGINE.qr(x[:, :2], "reduced")[1].sum(), "`qr` of matrices that are wider")
    failing(
        lambda x: ENGINE.svd(x[:, :2], True)[2].sum(), "What `svd` adds to the singular vectors"
    )
    failing(lambda x: ENGINE.lu_factor(x[:, :2])[0].sum(), "`lu_factor` of matrices that aren't sq")
    key = np.zeros(2, "uint32")
    failing(
        lambda x: ENGINE.random_gamma(key, (), x[0, 0, 0] + 9, "float32").sum(), "shape parameter"
    )


def test_variables_hold_no_traces() -> None:
    with engines.use("numpy"):
        weight, seen = cornu.Variable(X), cornu.Variable(X)

        def loss() -> Any:
            seen.assign(weight * 2)
            return ops.sum(weight * seen)

        value, (found,) = cornu.value_and_grad(loss, [weight])()
        assert float(value) == 2 * float((X * X).sum())
        np.testing.assert_allclose(found, 4 * X)
        assert type(seen.value) is np.ndarray
        leaked = []
        gradient(lambda x: leaked.append(x) or x.sum(), X)
        seen.assign(leaked[0])
        assert type(seen.value) is np.ndarray


class Overriding(NumpyEngine):
    """An engine with its own body of an op."""

    name = "overriding"

    def softsign(self, x: Any) -> Any:
        assert type(x) is np.ndarray
        return x * 0 + 7


def test_an_override_leaves_traced_tensors_to_the_default_body() -> None:
    engine = Overriding()
    with engines.use(engine):
        assert ops.softsign(X).tolist() == [7, 7]
        _, pull = engine.vjp(ops.softsign, X)
    np.testing.assert_allclose(pull(np.ones(2))[0], 1 / (1 + X) ** 2)


def test_tensors_outside_are_the_librarys_own() -> None:
    assert tracing.Differentiable.native <= ENGINE.native
    assert type(ENGINE.add(X, X)) is np.ndarray
    assert type(gradient(lambda x: x.sum(), X)) is np.ndarray
