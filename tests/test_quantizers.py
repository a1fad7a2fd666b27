"""Quantizers: Keras's numbers, on every engine."""

from __future__ import annotations

import functools
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import cornu
from cornu import engines, ops, quantizers
from tests.engines_tested import ENGINES

NORMAL = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
SMALL = np.random.default_rng(1).integers(-8, 8, (5, 3)).astype("int8")


def numbers(found: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(ops.convert_to_numpy(x)) for x in cornu.tree.flatten(found)]


#: A function of `quantizers`, its arguments, and how far results may be apart.
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], float]] = [
    *(
        ("abs_max_quantize", (NORMAL, axis), {"value_range": ends}, 1e-5)
        for axis, ends in ((0, (-127, 127)), ((0, 1), (-8, 7)), (None, (-127, 127)))
    ),
    ("abs_max_quantize", (NORMAL, 0), {"to_numpy": True}, 1e-5),
    *(
        ("abs_max_quantize_grouped_with_zero_point", (NORMAL, size), {"to_numpy": host}, 1e-5)
        for size, host in ((2, False), (2, True), (8, True))
    ),
    ("abs_max_quantize", (NORMAL.astype("float16"), 0), {}, 1e-3),
    ("abs_max_quantize", (0 * NORMAL, 0), {"dtype": "float16"}, 1e-5),
    *(("pack_int4", (SMALL,), {"axis": axis}, 0) for axis in (0, -1)),
    ("pack_int4", ((SMALL + 8).astype("uint8"),), {"dtype": "uint8"}, 0),
    *(("unpack_int4", (SMALL, size), {"axis": at}, 0) for at, size in ((0, 9), (1, 6), (-1, 5))),
    ("unpack_int4", (SMALL.astype("uint8"), 10), {"dtype": "uint8"}, 0),
    *(
        ("compute_float8_scale", (np.float32(amax), np.float32(0.5), 448.0, 1), {}, 1e-6)
        for amax in (0, 3, np.nan)
    ),
    ("compute_float8_amax_history", (NORMAL, np.arange(4, dtype="float32")), {}, 0),
    *(
        ("quantize_and_dequantize", (NORMAL, np.float32(scale), kept, dtype), {}, 1e-6)
        for scale, kept in ((0.01, "float8_e4m3fn"), (0.001, "float8_e5m2"))
        for dtype in ("float32", "bfloat16")
    ),
]


@functools.cache
def expected(at: int) -> list[np.ndarray[Any, Any]]:
    name, args, kwargs, _ = CALLS[at]
    return numbers(getattr(keras.quantizers, name)(*args, **kwargs))


@pytest.mark.parametrize("engine", ["jax", "torch", "numpy"])
def test_functions(engine: str) -> None:
    wrong = []
    for at, (name, args, kwargs, tolerance) in enumerate(CALLS):
        theirs = expected(at)
        with engines.use(engine):
            found = getattr(quantizers, name)(*args, **kwargs)
            ours = numbers(found)
            canonical = engines.current().canonical_dtype
        for one, two in zip(ours, theirs, strict=True):
            same = one.dtype.name in (two.dtype.name, canonical(two.dtype.name), "int64")
            close = np.allclose(one.astype("float64"), two.astype("float64"), tolerance, 0)
            if one.shape != two.shape or not same or not close:
                wrong.append(f"{name}{args[1:]}{kwargs}: {one.dtype} {one}, {two} wanted")
    assert not wrong, "\n".join(wrong)


#: Ranges of three channels: ordinary, below 0, too small for anything.
RANGES = (np.float32([-1, -2, -0.1]), np.float32([1, -0.2, 0.05]))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_of_fake_quantization(engine: str, axis: int) -> None:
    """They are Keras's, for channels on any axis; Keras has them on the last one."""
    x, weights = NORMAL[:, :3], np.arange(1, 16, dtype="float32").reshape(5, 3)

    def theirs(*values: Any) -> Any:
        found = keras.quantizers.fake_quant_with_min_max_vars(*values, num_bits=3, axis=1)
        return jax.numpy.sum(found * weights), found

    turned = x.T if axis == 0 else x
    (_, value), wanted = jax.value_and_grad(theirs, (0, 1, 2), has_aux=True)(
        x, *map(jax.numpy.asarray, RANGES)
    )
    with engines.use(engine):
        variables = [cornu.Variable(array) for array in (turned, *RANGES)]
        scaled = ops.convert_to_tensor(weights.T if axis == 0 else weights)

        def loss() -> tuple[Any, Any]:
            found = quantizers.fake_quant_with_min_max_vars(*variables, num_bits=3, axis=axis)
            return ops.sum(ops.multiply(found, scaled)), found

        (_, found), gradients = cornu.value_and_grad(loss, variables, has_aux=True)()
        ours = numbers([found, *gradients])
    wanted = [np.asarray(array) for array in (value, *wanted)]
    for at, array in enumerate(ours):
        array = array.T if at < 2 and axis == 0 else array
        np.testing.assert_allclose(array, wanted[at], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_at_the_ends_of_a_range(engine: str) -> None:
    """They pass at both ends, and not at the next numbers beyond."""
    ends = np.array([-2, 5], "float32")
    beyond = np.nextafter(ends, np.array([-3, 6], "float32"))
    with engines.use(engine):
        x = cornu.Variable(np.concatenate([ends, beyond]))

        def loss() -> Any:
            return ops.sum(quantizers.fake_quant_with_min_max_vars(x, -2.0, 5.0, num_bits=3))

        _, (gradient,) = cornu.value_and_grad(loss, [x])()
        assert ops.convert_to_numpy(gradient).tolist() == [1, 1, 0, 0]


def test_an_empty_range_is_zero() -> None:
    """As TensorFlow's op; Keras gives NaN elsewhere."""
    found = quantizers.fake_quant_with_min_max_vars(NORMAL, 0.0, 0.0)
    assert not np.asarray(found).any()


OBJECTS = {
    "axis": lambda q: q.AbsMaxQuantizer(axis=0),
    "plain": lambda q: q.AbsMaxQuantizer(),
    "range": lambda q: q.AbsMaxQuantizer((0, 1), (-8, 7), 1e-3, "int8"),
    "int8": lambda q: q.Int8QuantizationConfig(),
    "int8 of weights": lambda q: q.Int8QuantizationConfig(q.AbsMaxQuantizer(axis=0), None),
    "int4": lambda q: q.Int4QuantizationConfig(),
    "int4 per channel": lambda q: q.Int4QuantizationConfig(None, q.AbsMaxQuantizer(-1), None),
    "float8": lambda q: q.Float8QuantizationConfig(),
    "gptq": lambda q: q.GPTQConfig(["text"], str, weight_bits=3, group_size=-1, symmetric=True),
    "awq": lambda q: q.AWQConfig(["text"], str, num_samples=2),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_written_as_in_keras(name: str) -> None:
    ours, theirs = OBJECTS[name](quantizers), OBJECTS[name](keras.quantizers)
    written = quantizers.serialize(ours)
    assert written == keras.quantizers.serialize(theirs)
    assert quantizers.serialize(cornu.saving.deserialize_keras_object(written)) == written
    assert getattr(ours, "mode", None) == getattr(theirs, "mode", None)
    if hasattr(theirs, "dtype_policy_string"):
        assert ours.dtype_policy_string() == theirs.dtype_policy_string()
    if "Quantizer" in written["class_name"]:
        assert quantizers.serialize(quantizers.get(written)) == written
        found = (each(NORMAL, to_numpy=True) for each in (ours, theirs))
        for one, two in zip(*found, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5)


def test_what_is_given_as_a_quantizer() -> None:
    quantizer = quantizers.AbsMaxQuantizer(axis=0)
    assert quantizers.get(quantizer) is quantizer and quantizers.get(None) is None
    for given in ("abs_max_quantizer", "AbsMaxQuantizer", quantizers.AbsMaxQuantizer):
        assert quantizers.get(given).axis is None
        assert quantizers.get(given, axis=1).axis == (1,)
    with pytest.raises(ValueError, match="given as quantizer must be a known name"):
        quantizers.get("abs_max")


WRONG = {
    "quantizer": lambda: quantizers.Int8QuantizationConfig("abs_max"),
    "codes": lambda: quantizers.Int8QuantizationConfig(
        quantizers.AbsMaxQuantizer(0, (-8, 7), output_dtype="int4")
    ),
    "size": lambda: quantizers.Int4QuantizationConfig(block_size=0),
    "blocks": lambda: quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(axis=0)),
    "mode": lambda: quantizers.QuantizationConfig().mode,
    "rank": lambda: quantizers.abs_max_quantize_grouped_with_zero_point(NORMAL[0], 2),
    "bits": lambda: quantizers.fake_quant_with_min_max_vars(NORMAL, 0.0, 1.0, 17),
    "axis": lambda: quantizers.fake_quant_with_min_max_vars(NORMAL, [0.0], [1.0], axis=2),
    "packed": lambda: quantizers.pack_int4(NORMAL),
    "dtype": lambda: quantizers.pack_int4(SMALL, dtype="int4"),
    "unpacked": lambda: quantizers.unpack_int4(NORMAL, 3),
    "gptq's bits": lambda: quantizers.GPTQConfig(None, None, weight_bits=5),
    "awq's bits": lambda: quantizers.AWQConfig(None, None, weight_bits=8),
    "damping": lambda: quantizers.GPTQConfig(None, None, hessian_damping=2),
    "group": lambda: quantizers.AWQConfig(None, None, group_size=0),
    "samples": lambda: quantizers.GPTQConfig(None, None, num_samples=0),
}
ERRORS = {
    "quantizer": "`weight_quantizer` must be a Quantizer or None. Received: weight_quantizer='abs_max'",
    "codes": "must be int8. Received: weight_quantizer with output_dtype='int4'",
    "size": "`block_size` must be a positive integer, or None or -1",
    "blocks": "Blocks have a quantizer of their own. Received: block_size=128",
    "mode": "QuantizationConfig must have a `mode`",
    "rank": r"must be a matrix. Received: inputs.shape=\(6,\)",
    "bits": r"`num_bits` must be an integer from 2 to 16. Received: num_bits=17",
    "axis": r"axis must lie in \[-2, 2\). Received: axis=2",
    "packed": r"`arr` must have the dtype int8. Received: arr.dtype=float32",
    "dtype": r"`dtype` must be one of \['int8', 'uint8'\]. Received: dtype='int4'",
    "unpacked": r"`packed` must have the dtype int8 or uint8. Received: packed.dtype=float32",
    "gptq's bits": r"`weight_bits` must be one of \[2, 3, 4, 8\]. Received: weight_bits=5",
    "awq's bits": r"`weight_bits` must be one of \[4\]. Received: weight_bits=8",
    "damping": "`hessian_damping` must be between 0 and 1. Received: hessian_damping=2",
    "group": "`group_size` must be a positive integer, or -1 for all inputs",
    "samples": "`num_samples` must be a positive integer. Received: num_samples=0",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    with pytest.raises((TypeError, ValueError, NotImplementedError), match=ERRORS[name]):
        WRONG[name]()
