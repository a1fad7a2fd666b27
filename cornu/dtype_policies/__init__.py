"""Dtype policies: what layers compute in, and what their weights are kept in."""

from __future__ import annotations

from ._policy import DTypePolicy as DTypePolicy
from ._policy import DTypePolicyMap as DTypePolicyMap
from ._policy import FloatDTypePolicy as FloatDTypePolicy
from ._policy import deserialize as deserialize
from ._policy import dtype_policy as dtype_policy
from ._policy import get as get
from ._policy import serialize as serialize
from ._policy import set_dtype_policy as set_dtype_policy
