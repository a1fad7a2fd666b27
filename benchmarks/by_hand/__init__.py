"""The same models in each library's own idiom: a module a library, a builder a model.

A module offers `training(workload, x, y)` and `prediction(workload, x)`: each gives a call that takes a
number of steps (predicts the batch `x` so many times) and waits for the last.
"""

from __future__ import annotations

#: Engine: the module here.
MODULES = {"jax": "on_jax", "torch": "on_torch", "tensorflow": "on_tensorflow"}
