"""The public ops against Keras's: their names, their signatures, and their classes in files."""

from __future__ import annotations

import inspect
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import importlib

import keras
import pytest

import cornu.ops
from cornu.core import op as mechanism
from cornu.core.op import OPS

NAMESPACES = ("", "numpy", "nn", "linalg", "image")
#: Ops that make tensors from no tensor: nothing of them is a node, and Keras has no classes for them.
WITHOUT_CLASS = {
    *("bartlett", "blackman", "empty", "eye", "hamming", "hanning", "identity", "kaiser"),
    *("ones", "tri", "zeros"),
}


def _pairs() -> list[tuple[str, Any, Any]]:
    found = []
    for space in NAMESPACES:
        theirs = getattr(keras.ops, space) if space else keras.ops
        ours = getattr(cornu.ops, space, None) if space else cornu.ops
        for name in dir(theirs):
            function = getattr(theirs, name)
            if inspect.isfunction(function) and not name.startswith("_"):
                found.append((f"{space}.{name}".lstrip("."), getattr(ours, name, None), function))
    return found


def _parameters(function: Any, skip: tuple[str, ...] = ()) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters if p.name not in skip]


def _agree(ours: list[Any], theirs: list[Any]) -> bool:
    """Whether parameters are the same, where names may stand for Keras's `**kwargs`."""
    if theirs and theirs[-1][1] is inspect.Parameter.VAR_KEYWORD and ours != theirs:
        count = len(theirs) - 1
        named = all(default is not inspect.Parameter.empty for _, _, default in ours[count:])
        return ours[:count] == theirs[:count] and named
    return ours == theirs


#: Arguments that Keras got after 3.15.
FURTHER = {"top_k": ("is_stable",)}


@pytest.mark.parametrize("space", NAMESPACES)
def test_signatures(space: str) -> None:
    wrong = []
    for name, ours, theirs in _pairs():
        if name.rpartition(".")[0] != space:
            continue
        if ours is None:
            wrong.append(f"{name} is missing")
        elif not _agree(_parameters(ours, FURTHER.get(name, ())), _parameters(theirs)):
            wrong.append(f"{name}{inspect.signature(ours)}, {inspect.signature(theirs)} wanted")
    assert not wrong, "\n".join(wrong)


def test_no_further_names() -> None:
    """`cornu.ops` has Keras's names and no others."""
    modules = {"core", "math", "shared"}
    extra = {name for name in vars(cornu.ops) if not name.startswith("_")} - {*dir(keras.ops)}
    assert extra - modules == {"annotations"}


#: Ops of Cornu's own, which are no node that Keras could read.
OWN = {
    "affine",
    "batch_normalized",
    "custom_gradient",
    "extract_patches_3d",
    "gru",
    "lstm",
    "mish",
    "sample_images",
    "simple_rnn",
    "warp_images",
}
WITH_CLASSES = ("core", "numpy", "nn", "linalg", "math", "image")
KERAS_OPS = [
    op
    for op in OPS.values()
    if op.namespace in WITH_CLASSES
    and op.name not in WITHOUT_CLASS
    and op.name not in OWN
    and not op.name.startswith("_")
]


#: What Keras's constructor takes besides, or has as `**kwargs`.
OTHER_ARGUMENTS = {"multi_hot": {"kwargs"}}


def test_operation_classes() -> None:
    """Each op's class has a name that Keras has, and its constructor takes what Keras's takes."""
    wrong = []
    for op in KERAS_OPS:
        theirs = getattr(importlib.import_module(op.module), op.class_name, None)
        if theirs is None:
            wrong.append(f"{op}: Keras has no {op.module}.{op.class_name}")
            continue
        constructed = {op.parameters[at].name for at in op.constructed}
        wanted = {name for name, _, _ in _parameters(theirs.__init__, ("self", "name"))}
        if constructed != wanted and op.name not in OTHER_ARGUMENTS:
            wrong.append(f"{op}: constructed from {constructed}, {wanted} wanted")
        called = [p.name for at, p in enumerate(op.parameters) if at not in op.constructed]
        wanted_call = [name for name, _, _ in _parameters(theirs.call, ("self", "kwargs"))]
        if called != wanted_call:
            wrong.append(f"{op}: called with {called}, {wanted_call} wanted")
    assert not wrong, "\n".join(wrong)


def test_every_operation_of_a_file_is_known() -> None:
    """Each class of Keras that a file may mention leads to an op."""
    # The number of axes is known when a model is made; segment_sum and its like have a base class.
    missing, left_out = [], {"Ndim", "SegmentReduction"}
    for module in {op.module for op in KERAS_OPS}:
        theirs = importlib.import_module(module)
        for name, cls in vars(theirs).items():
            written = inspect.isclass(cls) and cls.__module__ == module and name not in left_out
            if written and hasattr(cls, "call") and not mechanism.operation_class(module, name):
                missing.append(f"{module}.{name}")
    assert not missing, "\n".join(missing)
