"""Initializers: what weights are before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.serialization import Catalog as _Catalog
from ..core.serialization import kinds as _kinds
from ..core.serialization import serialize_keras_object as _serialize
from ..core.variable import Variable as _Variable
from ._constant import STFT as STFT
from ._constant import Constant as Constant
from ._constant import Identity as Identity
from ._constant import Ones as Ones
from ._constant import Zeros as Zeros
from ._initializer import Initializer as Initializer
from ._random import GlorotNormal as GlorotNormal
from ._random import GlorotUniform as GlorotUniform
from ._random import HeNormal as HeNormal
from ._random import HeUniform as HeUniform
from ._random import LecunNormal as LecunNormal
from ._random import LecunUniform as LecunUniform
from ._random import Orthogonal as Orthogonal
from ._random import RandomNormal as RandomNormal
from ._random import RandomUniform as RandomUniform
from ._random import TruncatedNormal as TruncatedNormal
from ._random import VarianceScaling as VarianceScaling

IdentityInitializer = identity = Identity
OrthogonalInitializer = orthogonal = Orthogonal
STFTInitializer = stft = STFT
constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

_CATALOG = _Catalog(
    "initializer",
    _kinds(globals(), Initializer),
    {
        "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
        "STFTInitializer": STFT,
        "normal": RandomNormal,
        "one": Ones,
        "uniform": RandomUniform,
        "zero": Zeros,
    },
)


def get(identifier: Any) -> Any:
    """The initializer that a name, a config, a class, an array or a callable means.

    Raises:
        ValueError: If it means none.

    >>> type(get("he_normal")).__name__
    'HeNormal'
    """
    if hasattr(identifier, "__array__") and not callable(identifier):
        fixed = Constant(identifier)
        fixed.exact = True
        return fixed
    return _CATALOG.get(identifier)


_Variable._named_initializer = get


def serialize(initializer: Any) -> Any:
    """What a file can hold of an initializer.

    >>> serialize(Zeros())["class_name"]
    'Zeros'
    """
    return _serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described.

    >>> deserialize({"class_name": "Constant", "config": {"value": 2.0}}).value
    2.0
    """
    return _CATALOG.deserialize(config, custom_objects)
