"""Annotations that `@op` reads off a signature: which parameters are tensors, and of what kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: A tensor, an array, a variable or a number; operands are promoted to one dtype.
Tensor = Any
#: A list or tuple of tensors, promoted together.
Tensors = Sequence[Any]
#: A tensor that takes no part in promotion.
Raw = Any
#: A tensor of integers, which takes no part in promotion; floats are truncated.
Index = Any
#: A tensor of booleans, which takes no part in promotion; numbers are compared with zero.
Bool = Any
#: Tensors in nested lists, tuples and dictionaries; none is converted.
Nest = Any
#: A shape: integers, or unknown dimensions.
Shape = Sequence[Any]
#: One axis or several.
Axis = int | Sequence[int] | None
#: The dtype's name, a Python type or any library's dtype.
DType = Any
