"""Checks for what others write: `check_layer` and its like for classes, `conformance` for engines."""

from ._checks import CheckError as CheckError
from ._layers import check_layer as check_layer
