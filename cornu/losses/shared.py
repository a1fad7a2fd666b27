"""What metrics share with losses: how targets meet predictions, how a class follows from a function."""

from __future__ import annotations

from ._catalog import NearCatalog as NearCatalog
from ._declared import Declared as Declared
from ._operands import operands as operands
from ._reduction import check_broadcast as check_broadcast
from ._reduction import squeeze_or_expand_to_same_rank as squeeze_or_expand_to_same_rank
