"""FeatureSpace: the columns of a table, each prepared in its way, as one vector or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

from .. import layers, ops
from ..core import naming, tree
from ..core.checks import one_of
from ..core.dtypes import is_float
from ..core.keras_tensor import KerasTensor
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..data import on_host
from ..engines import current, tracing, use
from ..layers import Input, Layer


class TFDIdentity(Layer):
    """Numbers as they are; its name is the one that files have."""

    _weightless = True

    def call(self, x: Any) -> Any:
        """The numbers."""
        return x


class Feature:
    """How a column is prepared.

    Args:
        dtype: What it holds: `float32`, `int32` or `string`.
        preprocessor: The layer that prepares it.
        output_mode: `int`, `one_hot` or `float`.
    """

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        one_of(("int", "one_hot", "float"), output_mode=output_mode)
        if isinstance(preprocessor, dict):
            preprocessor = deserialize_keras_object(preprocessor)
        self.dtype, self.preprocessor, self.output_mode = dtype, preprocessor, output_mode

    @property
    def cardinality(self) -> int:
        """How many values the preprocessor gives."""
        layer = self.preprocessor
        if hasattr(layer, "vocabulary_size"):
            return int(layer.vocabulary_size())
        if isinstance(layer, layers.CategoryEncoding):
            return int(layer.num_tokens)
        if isinstance(layer, layers.Discretization) and layer.bin_boundaries is not None:
            return len(layer.bin_boundaries) + 1
        if not hasattr(layer, "num_bins"):
            raise ValueError(
                "A feature becomes one-hot by a layer that says how many values there are. Received: "
                f"preprocessor={layer!r}, output_mode='one_hot'. Use output_mode='float'."
            )
        return int(layer.num_bins)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        written = serialize_keras_object(self.preprocessor)
        return {"dtype": self.dtype, "preprocessor": written, "output_mode": self.output_mode}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Feature:
        """The feature that `get_config` described."""
        return cls(**config)


class Cross:
    """Several columns that count as one.

    Args:
        feature_names: Their names.
        crossing_dim: The number of bins for the pairs of values.
        output_mode: `int` or `one_hot`.
    """

    def __init__(self, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> None:
        one_of(("int", "one_hot"), output_mode=output_mode)
        self.feature_names, self.crossing_dim = tuple(feature_names), crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        """Its name in outputs."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("feature_names", "crossing_dim", "output_mode")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Cross:
        """The crossing that `get_config` described."""
        return cls(**config)


def _named(name: str | None, kind: str) -> str:
    return f"{name or naming.auto_name(kind)}_preprocessor"


class FeatureSpace(Layer):
    """The columns of a table, each prepared in its way, as one vector or by name.

    Args:
        features: What each column is, by its name: `FeatureSpace.float()` and its like, or their names such as
            `"string_categorical"`.
        output_mode: `concat` for one vector, `dict` for the columns by name.
        crosses: Columns that count together: `FeatureSpace.cross(names, crossing_dim)`, or tuples of names.
        crossing_dim: The bins of crosses that are tuples.
        hashing_dim: The bins of features that are given as `"string_hashed"` or `"integer_hashed"`.
        num_discretization_bins: The bins of those given as `"float_discretized"`.

    It is adapted to data, then called on dictionaries of columns `(batch,)` or `(batch, 1)`, or of single values.
    There are two ways to use it: within a data pipeline, as `dataset.map(feature_space)`; or as the beginning of a
    model, by `get_inputs()` and `get_encoded_features()`.

    >>> space = FeatureSpace({"age": "float_rescaled", "city": "string_categorical"})
    >>> space.adapt({"age": [18.0, 30.0], "city": ["Rome", "Bern"]})
    >>> space({"age": [0.5], "city": ["Bern"]}).tolist()
    [[0.5, 0.0, 0.0, 1.0]]
    """

    _describes_itself = True
    _weightless = True
    _convert_input_args = False
    _allow_non_tensor_positional_args = True
    #: AutoGraph would rewrite all that a call runs.
    autograph_info__: ClassVar[Any] = {}

    def __init__(
        self,
        features: Any,
        output_mode: str = "concat",
        crosses: Any = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(features, Mapping) or not features:
            raise ValueError(
                "A FeatureSpace has a feature for each column, by its name. Received: "
                f"features={features!r}. Pass `{{'age': 'float'}}`, say."
            )
        one_of(("concat", "dict"), output_mode=output_mode)
        self.output_mode = output_mode
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(cross) for cross in crosses or ()]
        self.preprocessors = {key: x.preprocessor for key, x in self.features.items()}
        self.crossers = {
            x.name: layers.HashedCrossing(x.crossing_dim, name=x.name) for x in self.crosses
        }
        self._encoded: Any = None
        self._inputs = {key: self._input(key, x) for key, x in self.features.items()}

    @staticmethod
    def _input(name: str, feature: Feature) -> Any:
        return Input((1,), dtype=feature.dtype, name=name)

    # ------------------------------------------------------------------ features

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column that a layer of one's own prepares."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def cross(cls, feature_names: Any, crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Columns that count as one, in `crossing_dim` bins."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", TFDIdentity(name=_named(name, "float")), "float")

    @classmethod
    def float_rescaled(
        cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None
    ) -> Feature:
        """Numbers times `scale` plus `offset`."""
        layer = layers.Rescaling(scale, offset, name=_named(name, "float_rescaled"))
        return Feature("float32", layer, "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers with the mean 0 and the variance 1."""
        layer = layers.Normalization(axis=-1, name=_named(name, "float_normalized"))
        return Feature("float32", layer, "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int,
        bin_boundaries: Any = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Numbers in bins that hold as many, or of these boundaries."""
        layer = layers.Discretization(
            bin_boundaries=bin_boundaries,
            num_bins=num_bins if bin_boundaries is None else None,
            name=_named(name, "float_discretized"),
        )
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Integers by a vocabulary."""
        layer = layers.IntegerLookup(
            max_tokens, num_oov_indices, name=_named(name, "integer_categorical")
        )
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings by a vocabulary."""
        layer = layers.StringLookup(
            max_tokens, num_oov_indices, name=_named(name, "string_categorical")
        )
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Strings by their hash."""
        layer = layers.Hashing(num_bins, name=_named(name, "string_hashed"))
        return Feature("string", layer, output_mode)

    @classmethod
    def integer_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Integers by their hash."""
        layer = layers.Hashing(num_bins, name=_named(name, "integer_hashed"))
        return Feature("int32", layer, output_mode)

    def _feature(self, name: str, value: Any) -> Feature:
        if isinstance(value, Feature):
            return value
        if isinstance(value, dict):
            found: Feature = deserialize_keras_object(value)
            return found
        bins = {"string_hashed": self.hashing_dim, "integer_hashed": self.hashing_dim}
        bins["float_discretized"] = self.num_discretization_bins
        plain = ("float", "float_rescaled", "float_normalized")
        one_of((*plain, *bins, "integer_categorical", "string_categorical"), feature=value)
        more = {"num_bins": bins[value]} if value in bins else {}
        made: Feature = getattr(self, value)(name=name, **more)
        return made

    def _cross(self, value: Any) -> Cross:
        cross: Cross = deserialize_keras_object(value) if isinstance(value, dict) else value
        if not isinstance(cross, Cross):
            cross = Cross(value, self.crossing_dim)
        unknown = [name for name in cross.feature_names if name not in self.features]
        if unknown:
            raise ValueError(
                f"Columns that are crossed are among the features {sorted(self.features)}. Received: "
                f"{unknown} in `crosses`."
            )
        return cross

    # ----------------------------------------------------------------------- adapt

    def adapt(self, dataset: Any) -> None:
        """Adapt the layers of all features to data, in one pass for each of them.

        Args:
            dataset: A dictionary of columns, or what gives dictionaries of batches or of single values each time it
                is iterated over: a `tf.data.Dataset`, a list, a data loader. Targets are left out.
        """
        batches = [dataset] if isinstance(dataset, Mapping) else dataset
        if (
            not hasattr(batches, "__iter__")
            or hasattr(batches, "__next__")
            or hasattr(batches, "shape")
        ):
            raise ValueError(
                "A FeatureSpace adapts to a dictionary of columns, or to what gives some each time it is iterated "
                f"over. Received: {type(dataset).__name__}. Make a frame a dictionary: `dict(frame)`."
            )
        for name, layer in self.preprocessors.items():
            if hasattr(layer, "adapt") and not _is_given(layer):
                layer.adapt(_columns(batches, name))

    def _require_adapted(self) -> None:
        waiting = [name for name, layer in self.preprocessors.items() if not _is_ready(layer)]
        if waiting:
            raise ValueError(
                f"A FeatureSpace is adapted before it is used. Received: {self.name!r}, whose features {waiting} are "
                "not. Call `adapt(dataset)`."
            )

    # ------------------------------------------------------------------------ call

    def get_inputs(self) -> dict[str, Any]:
        """Symbolic inputs by the names of the columns, for a model."""
        return dict(self._inputs)

    def get_encoded_features(self) -> Any:
        """What becomes of the symbolic inputs: a vector `(batch, features)`, or one for each column by its name."""
        self._require_adapted()
        if self._encoded is None:
            self._encoded = self._encode(self._inputs)
        return self._encoded

    def __call__(self, data: Any, **kwargs: Any) -> Any:
        """Prepare a table, also within `tf.data.Dataset.map` while another engine is current."""
        if not isinstance(data, Mapping):
            raise ValueError(
                "A FeatureSpace is called on a dictionary of columns. Received: "
                f"{type(data).__name__} for {self.name!r}. Make a frame a dictionary: `dict(frame)`."
            )
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ValueError(
                f"A FeatureSpace is called on all of its columns. Received: no {missing} for {self.name!r}."
            )
        self._require_adapted()
        engine = next(filter(None, map(tracing, tree.flatten(dict(data)))), None)
        with nullcontext() if engine is None else use(engine):
            return super().__call__({name: _value(data[name]) for name in self.features}, **kwargs)

    def call(self, data: Any) -> Any:
        """The columns, prepared."""
        single = all(len(x.shape) == 0 for x in data.values())
        outputs = self._encode({name: _as_column(x) for name, x in data.items()})
        return tree.map_structure(lambda x: ops.squeeze(x, 0), outputs) if single else outputs

    def _encode(self, columns: Mapping[str, Any]) -> Any:
        values = {name: self.preprocessors[name](x) for name, x in columns.items()}
        found = {}
        for name, feature in sorted(self.features.items()):
            is_hot = feature.output_mode == "one_hot"
            found[name] = _encoded(values[name], feature.cardinality if is_hot else None)
        for cross in sorted(self.crosses, key=lambda cross: cross.name):
            crossed = self.crossers[cross.name]([values[name] for name in cross.feature_names])
            is_hot = cross.output_mode == "one_hot"
            found[cross.name] = _encoded(crossed, cross.crossing_dim if is_hot else None)
        if self.output_mode == "dict":
            return found
        if numbers := [name for name, x in found.items() if not is_float(ops.dtype(x))]:
            raise ValueError(
                "A vector of all columns has them encoded. Received: "
                f"{numbers} as they are, for {self.name!r}. Give them output_mode='one_hot', or the FeatureSpace "
                "output_mode='dict'."
            )
        return ops.concatenate([ops.cast(x, "float32") for x in found.values()], axis=-1)

    # ----------------------------------------------------------------------- files

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        plain = ("crossing_dim", "hashing_dim", "num_discretization_bins")
        return {
            "features": {name: serialize_keras_object(x) for name, x in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [serialize_keras_object(x) for x in self.crosses],
            **{name: getattr(self, name) for name in plain},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The feature space that `get_config` described."""
        return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        """The shapes that the layers of features were built for, by the names of these."""
        return {name: layer.get_build_config() or {} for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layers of features for shapes that `get_build_config` gave."""
        for name, layer in self.preprocessors.items():
            if not layer.built and config.get(name):
                layer.build_from_config(config[name])

    def save(self, filepath: Any) -> None:
        """Save it in a `.keras` file, which `cornu.models.load_model` reads."""
        from ..saving import save_model

        save_model(self, filepath)


def _columns(batches: Any, name: str) -> Iterator[Any]:
    """A column of batches, `(batch, 1)`."""
    for batch in batches:
        part = batch[0] if isinstance(batch, (tuple, list)) else batch
        yield on_host(part[name]).reshape(-1, 1)


def _is_given(layer: Any) -> bool:
    """Whether a layer has been told what it would adapt to."""
    config = layer.get_config()
    if config.get("num_bins") is not None:
        return False
    return any(config.get(key) is not None for key in ("vocabulary", "bin_boundaries", "mean"))


def _is_ready(layer: Any) -> bool:
    """Whether a layer has what it adapts to."""
    if hasattr(layer, "get_vocabulary"):
        return bool(layer.get_vocabulary(include_special_tokens=False))
    if isinstance(layer, layers.Discretization):
        return layer.bin_boundaries is not None
    return not isinstance(layer, layers.Normalization) or layer.built


def _value(x: Any) -> Any:
    engine = current()
    return x if isinstance(x, KerasTensor) or engine.is_tensor(x) or tracing(x) else on_host(x)


def _as_column(x: Any) -> Any:
    """Values, or one of them, as `(batch, 1)`."""
    if len(x.shape) > 1:
        return x
    return current().reshape(x, (-1, 1)) if current().is_tensor(x) else x.reshape(-1, 1)


def _encoded(x: Any, cardinality: int | None) -> Any:
    if cardinality is not None:
        return ops.multi_hot(x, cardinality)
    return x if isinstance(x, KerasTensor) or current().is_tensor(x) else ops.convert_to_tensor(x)
