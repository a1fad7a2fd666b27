"""Python's operators on symbolic tensors and variables: each is an op."""

from __future__ import annotations

from typing import Any

from ..engines.operators import Operators
from ..engines.sparse import SparseTensor

#: Every op by the name that an engine's override has.
OPS: dict[str, Any] = {}
#: Ops whose names are not those of the primitives.
_NAMES = {"divide": "true_divide", "abs": "absolute"}


def _operate(name: str, *operands: Any) -> Any:
    if operands[0] is None or operands[-1] is None:
        return NotImplemented
    return OPS[_NAMES.get(name, name)].wrapper(*operands)


SparseTensor.operator = staticmethod(_operate)


class OpOperators(Operators):
    """Operators that are ops, which read variables and record what is symbolic."""

    def _operate(self, name: str, *operands: Any) -> Any:
        return _operate(name, *operands)

    def __round__(self, *decimals: int) -> Any:
        return self._operate("round", self, *decimals)

    def __getitem__(self, key: Any) -> Any:
        return OPS["get_item"].wrapper(self, key)
