"""Ops on shapes with zeros and ones, mixed dtypes, unknown dimensions: every engine agrees with NumPy's.

hypothesis draws the cases, always the same ones here; `scripts/soak` draws many more.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cornu import engines, ops
from cornu.core.keras_tensor import KerasTensor
from tests.engines_tested import ENGINES

#: Sizes: none, one, and a few.
SIZES = st.sampled_from([0, 1, 1, 2, 3])
SHAPES = st.lists(SIZES, max_size=3).map(tuple)
FLOATS = ("float32", "float16", "bfloat16")
DTYPES = st.sampled_from([*FLOATS, "int32", "int8", "uint8", "bool"])
#: The tolerance, absolute and relative, of a result in a dtype.
TOLERANCES = {"float16": 1e-2, "bfloat16": 6e-2}

UNARY = (
    "abs absolute negative square sign floor ceil round isnan isfinite relu relu6 sigmoid tanh exp "
    "expm1 log1p sin cos arctan softplus silu gelu elu leaky_relu hard_sigmoid logical_not "
    "zeros_like ones_like ravel transpose"
).split()
BINARY = (
    "add subtract multiply maximum minimum divide_no_nan equal not_equal less less_equal greater "
    "logical_and logical_or logical_xor arctan2 where_like outer"
).split()
REDUCTIONS = "sum prod mean max min var std any all argmax argmin logsumexp count_nonzero".split()
#: What has no value for an empty axis.
NEEDS_ELEMENTS = {"max", "min", "argmax", "argmin", "logsumexp", "mean", "var", "std"}
ALONG = "softmax log_softmax cumsum cumprod sort argsort flip normalize".split()


def array(draw: Any, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Numbers of a dtype, from -2 to 2: distinct ones, so that nothing depends on ties."""
    seed = draw(st.integers(0, 3))
    count = int(np.prod(shape, dtype=int))
    values = np.linspace(-2, 2, count + 2)[1:-1]
    np.random.default_rng(seed).shuffle(values)
    if dtype == "bool":
        values = values > 0
    elif "int" in dtype:
        values = np.abs(np.round(values)) if dtype.startswith("u") else np.round(values)
    made = values.reshape(shape).astype(dtype if dtype != "bfloat16" else "float32")
    return made.astype(np.dtype("bfloat16")) if dtype == "bfloat16" else made


@st.composite
def cases(draw: Any) -> tuple[str, Any, dict[str, Any]]:
    """An op, its inputs, and its other arguments."""
    kind = draw(st.sampled_from(["unary", "binary", "reduction", "along", "shape", "matmul"]))
    shape, dtype = draw(SHAPES), draw(DTYPES)
    x = array(draw, shape, dtype)
    if kind == "unary":
        name = draw(st.sampled_from(UNARY))
        assume(dtype != "bool" or name not in ("negative", "sign"))  # which are refused
        return name, (x,), {}
    if kind == "binary":
        other = tuple(1 if draw(st.booleans()) else size for size in shape)
        y = array(draw, other[draw(st.integers(0, len(other))) :], draw(DTYPES))
        name = draw(st.sampled_from(BINARY))
        assume(name != "subtract" or "bool" not in (x.dtype.name, y.dtype.name))  # which is refused
        return name, (x, y), {}
    if kind == "matmul":
        a, b, c = draw(SIZES), draw(SIZES), draw(SIZES)
        batch = draw(st.lists(SIZES, max_size=1).map(tuple))
        name = draw(st.sampled_from(["matmul", "dense_einsum"]))
        return name, (array(draw, (*batch, a, b), dtype), array(draw, (b, c), draw(DTYPES))), {}
    assume(shape)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    if kind == "reduction":
        name = draw(st.sampled_from(REDUCTIONS))
        options: dict[str, Any] = {"keepdims": draw(st.booleans())}
        if name == "count_nonzero":
            options = {}
        assume(shape[axis] or name not in NEEDS_ELEMENTS)
        return name, (x,), {"axis": axis, **options}
    if kind == "along":
        name = draw(st.sampled_from(ALONG))
        assume(shape[axis] or name in ("cumsum", "cumprod", "flip", "sort"))
        return name, (x,), {"axis": axis}
    name = draw(
        st.sampled_from(["concatenate", "stack", "repeat", "expand_dims", "pad", "tile", "take"])
    )
    if name in ("concatenate", "stack"):
        return name, (x, array(draw, shape, draw(DTYPES))), {"axis": axis}
    if name == "take":
        assume(shape[axis])
        return name, (x, np.array([0, shape[axis] - 1, 0], "int32")), {"axis": axis}
    more = {
        "repeat": {"repeats": draw(st.integers(0, 2)), "axis": axis},
        "expand_dims": {"axis": axis},
        "pad": {"pad_width": ((1, 0),) * len(shape)},
        "tile": {"repeats": (2,) * len(shape)},
    }
    return name, (x,), more[name]


def run(name: str, inputs: Any, options: dict[str, Any]) -> Any:
    if name in ("concatenate", "stack"):
        return getattr(ops, name)(list(inputs), **options)
    if name == "where_like":
        return ops.where(ops.greater(inputs[0], 0), inputs[0], inputs[1])
    if name == "dense_einsum":
        return ops.einsum("...ab,bc->...ac", *inputs)
    return getattr(ops, name)(*inputs, **options)


def check(case: tuple[str, Any, dict[str, Any]]) -> None:
    """Every engine gives NumPy's values, dtype and shape; shapes alone give the same, known or not."""
    name, inputs, options = case
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with engines.use("numpy"):
            wanted = run(name, inputs, options)
            dtype, value = engines.current().dtype_of(wanted), ops.convert_to_numpy(wanted)
        for unknown in (False, True):
            symbols = [
                KerasTensor((None,) * x.ndim if unknown else x.shape, x.dtype.name) for x in inputs
            ]
            spec = run(name, symbols, options)
            assert spec.dtype == dtype, f"symbolic {spec.dtype}, {dtype} ran"
            fits = len(spec.shape) == value.ndim and all(
                a == b or (unknown and a is None)
                for a, b in zip(spec.shape, value.shape, strict=True)
            )
            assert fits, f"symbolic {spec.shape}, {value.shape} ran"
        for engine in ENGINES:
            if engine == "numpy":
                continue
            with engines.use(engine):
                found = run(name, inputs, options)
                current = engines.current()
                assert current.dtype_of(found) == current.canonical_dtype(dtype), engine
                result = np.asarray(ops.convert_to_numpy(found))
            assert result.shape == value.shape, engine
            close = TOLERANCES.get(dtype, 1e-5)
            np.testing.assert_allclose(
                result.astype("float64"), value.astype("float64"), close, close, err_msg=engine
            )


@pytest.fixture(autouse=True)
def loaded() -> None:
    """The engines are there before: one changes the recursion limit, which hypothesis watches."""
    for name in ENGINES:
        engines.get(name)


_QUIET = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@given(cases())
@settings(_QUIET, max_examples=40)
def test_engines_agree(case: Any) -> None:
    check(case)


@pytest.mark.soak
@given(cases())
@settings(_QUIET, derandomize=False, max_examples=5_000)
def test_engines_agree_for_long(case: Any) -> None:
    check(case)
