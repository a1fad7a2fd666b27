"""Dtype policies: Keras's names, dtypes, configs and errors."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from cornu import dtype_policies
from cornu.core.keras_tensor import KerasTensor
from cornu.dtype_policies import DTypePolicy, DTypePolicyMap


@pytest.fixture(autouse=True)
def restore_the_global_policy() -> Iterator[None]:
    yield
    dtype_policies.set_dtype_policy("float32")
    keras.config.set_dtype_policy("float32")


QUANTIZED = [
    "int8_from_float32",
    "int8_from_mixed_bfloat16",
    "int4_from_float16",
    "int4/64_from_float32",
    "int4/-1_from_bfloat16",
    "float8_from_mixed_bfloat16",
    "gptq/3/64_from_float32",
    "awq/4/-1_from_float32",
]
NAMES = [
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "mixed_float16",
    "mixed_bfloat16",
    "uint8",
    "bool",
    "string",
    "complex64",
]


@pytest.mark.parametrize("name", NAMES)
def test_policies(name: str) -> None:
    for ours, theirs in [
        (DTypePolicy(name), keras.DTypePolicy(name)),
        (dtype_policies.get(name), keras.dtype_policies.get(name)),
        (dtype_policies.FloatDTypePolicy(name), keras.FloatDTypePolicy(name)),
    ]:
        for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
            assert getattr(ours, attribute) == getattr(theirs, attribute)
        assert repr(ours) == repr(theirs)
        written = dtype_policies.serialize(ours)
        assert written == keras.dtype_policies.serialize(theirs)
        assert dtype_policies.get(written) == ours
        assert type(dtype_policies.deserialize(written)) is type(ours)
        assert copy.deepcopy(ours) == ours


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_policies(name: str) -> None:
    ours, theirs = dtype_policies.get(name), keras.dtype_policies.get(name)
    names = ("name", "compute_dtype", "variable_dtype", "quantization_mode", "mode", "block_size")
    for attribute in (*names, "weight_bits", "group_size", "amax_history_length"):
        assert getattr(ours, attribute, None) == getattr(theirs, attribute, None), attribute
    assert repr(ours) == repr(theirs)
    written = dtype_policies.serialize(ours)
    assert written == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.get(written) == ours == copy.deepcopy(ours) != DTypePolicy("float32")


def test_policies_of_8_bits_differ_by_their_history() -> None:
    kind = dtype_policies.QuantizedFloat8DTypePolicy
    assert kind("float8", "float32", 8) != kind("float8", "float32")
    with pytest.raises(TypeError, match="`amax_history_length` must be a positive integer"):
        kind("float8", "float32", 1.5)


WRONG: list[Any] = [
    "int8_from_float16",
    "int8_from_other",
    "int4/0_from_float32",
    "int4/x_from_float32",
    "gptq_from_float32",
    "gptq/5/64_from_float32",
    "gptq/4/0_from_float32",
    "awq/8/64_from_float32",
    "unknown",
    "",
    "float",
    "mixed_float32",
    "int2_from_float32",
    3,
    KerasTensor,
    ["float32"],
    {"a": 1},
]


@pytest.mark.parametrize("identifier", WRONG, ids=str)
def test_what_is_no_policy(identifier: Any) -> None:
    for module in (dtype_policies, keras.dtype_policies):
        with pytest.raises(ValueError):
            module.get(identifier)
    for module in (dtype_policies, keras.dtype_policies):
        error = ValueError if isinstance(identifier, str) else TypeError
        with pytest.raises(error):
            module.DTypePolicy(identifier)


def test_dtypes_of_other_libraries() -> None:
    for dtype in (np.float32, np.dtype("float16"), float, int, bool):
        assert dtype_policies.get(dtype).name == keras.dtype_policies.get(dtype).name


def test_equality() -> None:
    assert DTypePolicy("float16") == dtype_policies.FloatDTypePolicy("float16")
    assert DTypePolicy("float16") != DTypePolicy("float32")
    assert DTypePolicy("float32") != "float32"
    assert DTypePolicy("float16") != DTypePolicyMap("float16")
    assert DTypePolicyMap("float16") == DTypePolicyMap("float16")
    with pytest.raises(TypeError):
        hash(DTypePolicy("float32"))


def test_the_global_policy() -> None:
    assert dtype_policies.dtype_policy().name == "float32"
    dtype_policies.set_dtype_policy("mixed_bfloat16")
    for policy in (DTypePolicy(), dtype_policies.get(None), DTypePolicyMap().default_policy):
        assert policy.name == "mixed_bfloat16"
    policy = DTypePolicyMap(None, {"dense": DTypePolicy("float16")})
    dtype_policies.set_dtype_policy(policy)
    assert dtype_policies.get(None) is policy
    for wrong in (None, 3, "unknown"):
        for module in (dtype_policies, keras.config):
            with pytest.raises(ValueError):
                module.set_dtype_policy(wrong)


INPUTS: list[Any] = [
    np.ones(2, "float32"),
    np.ones(2, "float16"),
    np.ones(2, "int32"),
    1.5,
    "a",
    [1.0],
    None,
]


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("x", INPUTS, ids=lambda x: str(getattr(x, "dtype", x)))
def test_inputs(x: Any, autocast: bool) -> None:
    ours = DTypePolicy("float16").convert_input(x, autocast, "float16")
    theirs = keras.DTypePolicy("float16").convert_input(x, autocast, "float16")
    assert type(ours) is type(theirs)
    assert getattr(ours, "dtype", ours) == getattr(theirs, "dtype", theirs)


@pytest.mark.parametrize(
    "dtype, autocast", [("float32", True), ("float32", False), ("int32", True)]
)
def test_symbolic_inputs(dtype: str, autocast: bool) -> None:
    x = KerasTensor((None, 2), dtype)
    result = DTypePolicy("float16").convert_input(x, autocast, "float16")
    if dtype == "float32" and autocast:
        assert (result.shape, result.dtype) == ((None, 2), "float16")
    else:
        assert result is x


def maps(module: Any) -> list[Any]:
    """The same maps, made by either library."""
    policy = module.DTypePolicy
    return [
        module.DTypePolicyMap(),
        module.DTypePolicyMap("mixed_float16"),
        module.DTypePolicyMap(policy("float16")),
        module.DTypePolicyMap(None, {"a": policy("float16"), "b.*": policy("bfloat16")}),
        module.DTypePolicyMap("float16", {"a": policy("float32"), ".*": policy("mixed_float16")}),
    ]


@pytest.mark.parametrize("index", range(5))
def test_maps(index: int) -> None:
    ours, theirs = maps(dtype_policies)[index], maps(keras.dtype_policies)[index]
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert list(ours) == list(theirs)
    assert len(ours) == len(theirs)
    for path in ("a", "ab", "b", "bc", "x/a", ""):
        assert ours[path].name == theirs[path].name
        assert (path in ours) == (path in theirs)
    written = json.dumps(dtype_policies.serialize(ours))
    assert written == json.dumps(keras.dtype_policies.serialize(theirs))
    read = dtype_policies.deserialize(json.loads(written))
    again = keras.dtype_policies.deserialize(json.loads(written))
    assert [(key, read[key].name) for key in read] == [(key, again[key].name) for key in again]
    assert copy.deepcopy(ours) == ours


def test_keys_of_maps() -> None:
    for module in (dtype_policies, keras.dtype_policies):
        policies = module.DTypePolicyMap()
        policies["a"] = module.DTypePolicy("float16")
        policies["b"] = "bfloat16"
        assert policies["b"].name == "bfloat16"
        with pytest.raises(ValueError):
            policies["a"] = "float32"
        with pytest.raises(ValueError):
            policies["c"] = 3
        del policies["a"]
        assert list(policies) == ["b"]
        policies[".*"] = "float16"
        policies["x.*"] = "float16"
        with pytest.raises(ValueError):
            policies["xy"]
        with pytest.raises(TypeError):
            module.DTypePolicyMap(policy_map=[1])
