"""Reverse-mode differentiation as rules over the contract's primitives.

An engine whose library doesn't differentiate inherits `Differentiable` instead of `Engine`, writes
its primitives as ever, and trains:

    from cornu.engines.differentiation.engine import Differentiable

    class MyEngine(Differentiable):
        name = "mine"
        ...                                  # the primitives of `contract.py`, on native tensors

`value_and_grad`, `vjp`, `jvp`, `custom_gradient`, `remat` and the control flow are given. Within a
differentiated function, floats are `Traced`: a native tensor and the node of the graph that made it.
Each primitive looks for traced operands (0.1 us). Where there are some, it computes on their values
and its rule (`RULES`) tells how to pull a cotangent of the result back to each operand; so a native
function sees native tensors only, and `Engine.native` holds `Traced` too. What a primitive without a
rule does on traced operands:

* one with a default body in the contract runs that body, over primitives that have rules;
* one in `BODIES` runs the body given here;
* any other (comparisons, indices, rounding) gives a constant.

An override of an op answers `NotImplemented` to traced operands: the op's default body runs.

A rule is written over primitives. So a derivative can be differentiated: each `vjp` traces on a
level of its own, and what belongs to lower levels is a value to it, traced or not.

An engine may replace three linear functions that rules use, `put`, `patches` and `add_patches`, by faster
ones. Complex cotangents follow JAX: a pullback is the transpose, without conjugation.
"""
