"""Every op of the table over parts of its inputs, of two processes, on PyTorch: right, and which are computed whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cornu import engines
from cornu.core import tree
from cornu.engines.torch.graph import _LOOKS as LOOKS
from tests.lockstep import divided

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
from test_table import Case, _rows

pytestmark = pytest.mark.soak
ROWS = _rows()
#: The kernels that each process makes on whole tensors: PyTorch has no rule, or, of the last three, they, or who takes
#: what they give, write in place.
WHOLE = {
    "aten.complex.default",
    "aten.scatter_reduce.two",
    "aten.searchsorted.Tensor",
    "cornu.call.default",
    "aten.clone.default",
    "aten.copy_.default",
    "aten.mm.default",
}


def _axis(x: np.ndarray) -> int | None:
    """The first axis that two processes can share."""
    return next((i for i, size in enumerate(x.shape) if size and size % 2 == 0), None)


@pytest.mark.parametrize("name", ROWS)
def test_of_two_processes(name: str) -> None:
    """Both have the values of one, where the op can be recorded."""
    case, engine = Case(ROWS[name]), engines.get("torch")
    if "compiled" in case.row.excluded or "torch" in case.row.excluded:
        pytest.skip("it looks at values")
    inputs = [engine.convert_to_tensor(x) for x in case.inputs]
    axes = [_axis(x) for x in case.inputs]

    def call(*xs: Any) -> list[Any]:
        with engines.use(engine):
            found = tree.flatten(case.run(engine, xs))
        return [x for x in found if isinstance(x, torch.Tensor)]

    with torch.no_grad():
        expected = call(*inputs)
        try:
            found, _, noted = divided(call, inputs, axes, 2)
        except LOOKS:
            pytest.skip("it looks at values")
    for results in found:
        for one, other in zip(results, expected, strict=True):
            assert one.shape == other.shape and one.dtype == other.dtype
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
    assert set(noted) <= WHOLE
