"""Checks for what others write: `check_layer` and its like for classes, `conformance` for engines."""

from ._checks import CheckError as CheckError
from ._layers import check_layer as check_layer
from ._training import check_loss as check_loss
from ._training import check_metric as check_metric
from ._training import check_model as check_model
from ._training import check_optimizer as check_optimizer
