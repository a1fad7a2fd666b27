"""The names of `tfmot.experimental.combine`: schemes for models that were pruned or clustered before."""

from .._quantizing import (
    Default8BitClusterPreserveQuantizeScheme as Default8BitClusterPreserveQuantizeScheme,
)
from .._quantizing import (
    Default8BitPrunePreserveQuantizeScheme as Default8BitPrunePreserveQuantizeScheme,
)
