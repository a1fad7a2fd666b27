"""The op mechanism: what a call costs, what its code looks like from outside, what signatures may say."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from cornu import engines, layers, ops
from cornu.core.op import _PLAIN, _TENSOR_KINDS, OPS

#: What a parameter of an op may be annotated with besides tensors and plain values: static arguments.
STATIC = (
    "Any Axis DType Shape Sizes int|Shape int|bool bool|None Sequence[int] Sequence[float] "
    "Callable[...,Any] Callable[[],Any] Callable[[Any],Any]"
).split()


def frames(call: Callable[[], Any]) -> int:
    """How many functions of Cornu's Python a call enters."""
    entered = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and "cornu" in frame.f_code.co_filename.replace(__file__, ""):
            entered.append(frame.f_code)

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len(entered)


@pytest.mark.parametrize(("engine", "most"), [("jax", 15), ("torch", 23), ("numpy", 28)])
def test_a_call_of_a_layer_enters_few_functions(engine: str, most: int) -> None:
    """Operands of one dtype pay nothing for promotion, and a layer asks nothing twice."""
    with engines.use(engine):
        layer, x = layers.Dense(8), ops.ones((4, 5))
        layer(x), layer(x)
        assert frames(lambda: layer(x)) <= most


@pytest.mark.parametrize("engine", ["torch", "tensorflow", "numpy"])
def test_operands_of_one_dtype_are_promoted_all_the_same_where_that_changes_it(engine: str) -> None:
    """The way past promotion is for dtypes that stay; 64 bits do not, nor integers in a quotient."""
    with engines.use(engine):
        for dtype, sum_, quotient in (
            ("float32", "float32", "float32"),
            ("bfloat16", "bfloat16", "bfloat16"),
            ("int64", "int32", "float32"),
            ("uint8", "uint8", "float32"),
        ):
            x = ops.ones((2,), dtype)
            for _ in range(2):
                assert ops.dtype(ops.add(x, x)) == sum_, dtype
                assert ops.dtype(ops.true_divide(x, x)) == quotient, dtype
            assert ops.dtype(ops.add(x, ops.ones((2,), "float32"))) == "float32"


def test_generated_code_has_its_lines_in_tracebacks() -> None:
    """A traceback through an op shows no frame without source."""
    with engines.use("numpy"), pytest.raises(ValueError) as caught:
        ops.add(np.ones(2), np.ones(3))
    assert all(entry.line for entry in traceback.extract_tb(caught.value.__traceback__))


def test_signatures_say_what_is_a_tensor() -> None:
    """An annotation that the decorator does not know would make an operand a static argument."""
    known = {*_TENSOR_KINDS, *_PLAIN, *STATIC}
    known |= {f"{annotation} | None" for annotation in known}
    known |= {annotation.replace(" ", "") for annotation in known}
    unknown = [
        (op.name, parameter.name, parameter.annotation)
        for op in OPS.values()
        for parameter in op.parameters
        if str(parameter.annotation).replace(" ", "") not in known
    ]
    assert unknown == []
