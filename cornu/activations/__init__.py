"""Activations: functions that layers apply to their outputs, by name or as callables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.serialization import Catalog as _Catalog
from ..core.serialization import serialize_argument as _serialize
from ..ops.nn import celu as celu
from ..ops.nn import elu as elu
from ..ops.nn import glu as glu
from ..ops.nn import hard_shrink as hard_shrink
from ..ops.nn import hard_sigmoid as hard_sigmoid
from ..ops.nn import hard_silu as hard_silu
from ..ops.nn import hard_tanh as hard_tanh
from ..ops.nn import leaky_relu as leaky_relu
from ..ops.nn import log_sigmoid as log_sigmoid
from ..ops.nn import log_softmax as log_softmax
from ..ops.nn import relu6 as relu6
from ..ops.nn import selu as selu
from ..ops.nn import sigmoid as sigmoid
from ..ops.nn import silu as silu
from ..ops.nn import soft_shrink as soft_shrink
from ..ops.nn import softmax as softmax
from ..ops.nn import softplus as softplus
from ..ops.nn import softsign as softsign
from ..ops.nn import sparse_plus as sparse_plus
from ..ops.nn import sparse_sigmoid as sparse_sigmoid
from ..ops.nn import sparsemax as sparsemax
from ..ops.nn import squareplus as squareplus
from ..ops.nn import tanh_shrink as tanh_shrink
from ..ops.nn import threshold as threshold
from ..ops.numpy import tanh as tanh
from ..ops.shared import mish as mish
from ._functions import exponential as exponential
from ._functions import gelu as gelu
from ._functions import linear as linear
from ._functions import relu as relu

swish = silu
hard_swish = hard_silu

_CATALOG = _Catalog(
    "activation",
    (
        *(celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh),
        *(leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu),
        *(soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax),
        *(squareplus, tanh, tanh_shrink, threshold),
    ),
    {"swish": silu, "hard_swish": hard_silu},
)


def get(identifier: Any) -> Callable[..., Any]:
    """The function that a name, a config or a callable means; `linear` for None.

    Raises:
        ValueError: If it means none.

    >>> get("relu") is relu, get(None) is linear
    (True, True)
    """
    if identifier is None:
        return linear
    function: Callable[..., Any] = _CATALOG.get(identifier)
    return function


def serialize(activation: Any) -> Any:
    """What a file can hold of an activation: the name of a known one.

    Raises:
        ValueError: If it is not a function or a layer.

    >>> serialize(relu), serialize(swish)
    ('relu', 'silu')
    """
    if not callable(activation):
        raise ValueError(
            f"An activation to serialize must be callable. Received: {activation!r}. "
            "Get the function of a name with `activations.get`."
        )
    return _serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation that `serialize` described.

    >>> deserialize("relu") is relu
    True
    """
    return _CATALOG.deserialize(config, custom_objects)
