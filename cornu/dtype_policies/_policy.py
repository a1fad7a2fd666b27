"""Dtype policies: what layers compute in, and what their weights are kept in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from .. import ops
from ..core.config import floatx
from ..core.described import Described
from ..core.dtypes import ALLOWED, is_float, standardize_dtype
from ..core.keras_tensor import is_keras_tensor
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..engines import current

#: Policies that compute in one dtype and keep weights in another: `name: (compute, variable)`.
MIXED = {
    "mixed_float16": ("float16", "float32"),
    "mixed_bfloat16": ("bfloat16", "float32"),
}
#: How weights may be quantized; names of policies that keep them so begin with one.
QUANTIZED = ("int8", "float8", "int4", "gptq", "awq")


class DTypePolicy(Described):
    """The dtype that a layer computes in and the dtype of its weights.

    Args:
        name: A dtype such as `"float16"` for both, or `"mixed_float16"` or `"mixed_bfloat16"`:
            weights in float32, computation in 16 bits. The global policy where it is left out.

    Raises:
        TypeError: If the name is no string.
        ValueError: If there is no such policy.

    >>> policy = DTypePolicy("mixed_bfloat16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('bfloat16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = dtype_policy().name
        if not isinstance(name, str):
            raise TypeError(
                "The name of a dtype policy must be a string such as 'mixed_float16'. "
                f"Received: name={name!r} of type {type(name).__name__}."
            )
        self._name = name
        self._compute_dtype, self._variable_dtype = _dtypes(name)

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype that layers compute in, and of their outputs."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized: not at all."""
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """An input of a layer as the layer's call gets it.

        Arrays become tensors. With `autocast`, float tensors are cast to `dtype`. What is neither
        an array nor a tensor stays as it is.
        """
        engine = current()
        if engine.is_tensor(x):
            if autocast and _to_be_cast(engine.dtype_of(x), dtype):
                return engine.cast(x, standardize_dtype(dtype))
            return x
        if is_keras_tensor(x):
            return ops.cast(x, dtype) if autocast and _to_be_cast(x.dtype, dtype) else x
        if hasattr(x, "__array__"):
            return self.convert_input(ops.convert_to_tensor(x), autocast, dtype)
        return x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


class FloatDTypePolicy(DTypePolicy):
    """Another name of `DTypePolicy`, which older files have."""


class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by the paths of layers.

    A layer's policy is the one whose key is its path, else the one whose key matches its path as a
    regular expression, else the default policy.

    Args:
        default_policy: A policy or its name; the global policy where it is left out.
        policy_map: Policies by path.

    Raises:
        TypeError: If `policy_map` is no dict.

    >>> policies = DTypePolicyMap("float32", {"encoder/.*": DTypePolicy("float16")})
    >>> policies["encoder/dense"].name, policies["decoder"].name
    ('float16', 'float32')
    """

    _kept_as = {"default_policy": "_default_policy_arg", "policy_map": "_policy_map"}
    _default_policy_arg: Any

    def __init__(
        self, default_policy: Any = None, policy_map: Mapping[str, Any] | None = None
    ) -> None:
        if policy_map is not None and not isinstance(policy_map, Mapping):
            raise TypeError(
                "`policy_map` must be a dict of policies by path. "
                f"Received: policy_map={policy_map!r} of type {type(policy_map).__name__}."
            )
        self._default_policy = get(default_policy)
        self._policy_map = dict(policy_map or {})

    @property
    def name(self) -> str:
        """The default policy's name, after `map_`."""
        return f"map_{self._default_policy.name}"

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of layers that no key is for."""
        return self._default_policy

    @property
    def compute_dtype(self) -> str:
        """The dtype that layers compute in by default."""
        return self._default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights by default."""
        return self._default_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized by default."""
        return self._default_policy.quantization_mode

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._policy_map:
            return get(self._policy_map[key])
        matching = [pattern for pattern in self._policy_map if re.fullmatch(pattern, str(key))]
        if len(matching) > 1:
            raise ValueError(
                "At most one key of a DTypePolicyMap may match a path. "
                f"Received: {matching} match {key!r}. Make the keys more precise."
            )
        return get(self._policy_map[matching[0]]) if matching else self._default_policy

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._policy_map:
            raise ValueError(
                "A key of a DTypePolicyMap is set once. "
                f"Received: {key!r}, which has {self._policy_map[key]!r}. Delete it first."
            )
        try:
            self._policy_map[key] = get(policy)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"A value of a DTypePolicyMap must be a policy. Received: {policy!r} of type "
                f"{type(policy).__name__} for {key!r}. {error}"
            ) from error

    def __delitem__(self, key: str) -> None:
        del self._policy_map[key]

    def __contains__(self, key: object) -> bool:
        return key in self._policy_map

    def __len__(self) -> int:
        return len(self._policy_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policy_map)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; without a default policy the names are left open too."""
        config = super().get_config()
        if self._default_policy_arg is None:
            for described in config["policy_map"].values():
                for name in ("name", "source_name"):
                    if isinstance(described, dict) and name in described["config"]:
                        described["config"][name] = None
        return config

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DTypePolicyMap)
            and self._default_policy == other._default_policy
            and self._policy_map == other._policy_map
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = [(key, get(policy).name) for key, policy in self._policy_map.items()]
        return f"<DTypePolicyMap default_policy={self._default_policy.name}, mapping={names}>"


def _to_be_cast(own: str, dtype: Any) -> bool:
    return is_float(own) and own != standardize_dtype(dtype)


def _dtypes(name: str) -> tuple[str, str]:
    """The compute and the variable dtype of a policy's name."""
    if name in MIXED:
        return MIXED[name]
    if name in ALLOWED:
        return name, name
    raise ValueError(
        f"A dtype policy must be 'mixed_float16', 'mixed_bfloat16' or a dtype such as 'float32'. "
        f"Received: {name!r}."
    )


# ----------------------------------------------------------- the global policy

_global: dict[str, DTypePolicy] = {}


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none: floatx, unless another one was set.

    >>> dtype_policy().name
    'float32'
    """
    if "policy" not in _global:
        _global["policy"] = DTypePolicy(floatx())
    return _global["policy"]


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are given none.

    Args:
        policy: A policy or its name.

    Raises:
        ValueError: If it is neither.

    >>> set_dtype_policy("mixed_bfloat16")
    >>> dtype_policy().compute_dtype
    'bfloat16'
    >>> set_dtype_policy("float32")
    """
    if not isinstance(policy, (DTypePolicy, str)):
        raise ValueError(
            "The policy must be a DTypePolicy or the name of one, such as 'mixed_float16'. "
            f"Received: policy={policy!r} of type {type(policy).__name__}."
        )
    _global["policy"] = get(policy)


def get(identifier: Any) -> DTypePolicy:
    """The policy that a name, a dtype or a config means; the global policy for None.

    Raises:
        ValueError: If it means none.

    >>> get("mixed_float16").compute_dtype
    'float16'
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, str):
        return _named(identifier)
    if isinstance(identifier, dict):
        policy: DTypePolicy = deserialize(identifier)
        return policy
    try:
        return DTypePolicy(standardize_dtype(identifier))
    except (TypeError, ValueError) as error:
        raise ValueError(
            "A dtype must be a name, a dtype or a DTypePolicy. "
            f"Received: dtype={identifier!r} of type {type(identifier).__name__}."
        ) from error


def _named(name: str) -> DTypePolicy:
    if re.match(rf"({'|'.join(QUANTIZED)})(/|_from_|$)", name):
        from . import _quantized

        return _quantized.named(name)
    return DTypePolicy(name)


def serialize(dtype_policy: Any) -> Any:
    """What a file can hold of a policy.

    >>> serialize(DTypePolicy("float16"))["config"]
    {'name': 'float16'}
    """
    return serialize_keras_object(dtype_policy)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The policy that `serialize` described.

    >>> deserialize({"class_name": "DTypePolicy", "config": {"name": "float16"}}).name
    'float16'
    """
    if isinstance(config, dict) and "class_name" not in config:
        raise ValueError(
            "The config of a dtype policy must be a dict with `class_name` and `config`. "
            f"Received: config={config!r}. Use what `serialize` returned."
        )
    classes = {kind.__name__: kind for kind in (DTypePolicy, FloatDTypePolicy, DTypePolicyMap)}
    return deserialize_keras_object(config, custom_objects, module_objects=classes)
