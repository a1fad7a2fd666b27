"""Layers that prepare data: scaling and standardization."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any, ClassVar, TypeVar

import numpy as np

from .. import ops
from ..core import tree
from ..core.config import standardize_data_format
from ..data import inputs_of
from ..engines import tracing, use
from ._layer import Layer

L = TypeVar("L", bound=Layer)


class _Preparing(Layer):
    """A layer that prepares data, also in a pipeline of another library than the current engine's."""

    #: AutoGraph would rewrite all that a call runs, for 5 s in place of 0.2 in a first `Dataset.map`.
    autograph_info__: ClassVar[Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer; in `tf.data.Dataset.map` on TensorFlow's engine, whichever is current."""
        engine = next(filter(None, map(tracing, tree.flatten((args, kwargs)))), None)
        with nullcontext() if engine is None else use(engine):
            if args:
                args = (self._taken(args[0]), *args[1:])
            return super().__call__(*args, **kwargs)

    def _taken(self, x: Any) -> Any:
        """What a call takes for its first argument: numbers as they are, as in Keras."""
        return ops.convert_to_tensor(x) if isinstance(x, (int, float, list, tuple)) else x


def learn(layer: Any, data: Any, steps: int | None) -> None:
    """Let a layer learn from the batches of data, all or so many, what it has learned before being forgotten."""
    layer.reset_state()
    for batch in itertools.islice(inputs_of(data), steps):
        layer.update_state(batch)
    layer.finalize_state()


class Rescaling(_Preparing):
    """`inputs * scale + offset`.

    Args:
        scale: The factor, or one for each channel.
        offset: The addition, or one for each channel.

    Channels lie where `cornu.config.image_data_format()` says: of (channels, height, width) first, with
    or without a batch.

    >>> import numpy as np
    >>> Rescaling(1 / 255)(np.array([0.0, 255.0])).tolist()
    [0.0, 1.0]
    """

    _supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._channels_first = standardize_data_format(None) == "channels_first"

    def call(self, inputs: Any) -> Any:
        """The inputs, scaled and shifted."""
        inputs = ops.cast(inputs, self.compute_dtype)
        rank = len(inputs.shape)
        return inputs * self._along(self.scale, rank) + self._along(self.offset, rank)

    def _along(self, value: Any, rank: int) -> Any:
        """A number for each channel, in a shape that broadcasts to the inputs."""
        value = ops.convert_to_tensor(value, self.compute_dtype)
        if self._channels_first and len(value.shape) == 1 and rank > 2:
            return ops.reshape(value, (-1, *(1,) * max(2, rank - 2)))
        return value


class Normalization(_Preparing):
    """`(inputs - mean) / sqrt(variance)`, feature by feature.

    Args:
        axis: The axis of the features, or several; None for one mean of everything.
        mean, variance: The moments, where `adapt` is not to find them.
        invert: Whether the layer goes back from normalized values.

    >>> import numpy as np
    >>> layer = Normalization(mean=2.0, variance=4.0)
    >>> layer(np.array([[2.0], [6.0]])).tolist()
    [[0.0], [2.0]]
    """

    _supports_masking = True

    _kept_as = {"mean": "input_mean", "variance": "input_variance"}
    input_mean: Any
    input_variance: Any

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                "`mean` and `variance` are given together. Received: "
                f"mean={mean}, variance={variance}."
            )
        axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.axis = axes

    @property
    def mean(self) -> Any:
        """The mean of each feature, in a shape that broadcasts to the inputs; None before `build`."""
        return self._moment("mean")

    @property
    def variance(self) -> Any:
        """The variance of each feature, in a shape that broadcasts to the inputs; None before `build`."""
        return self._moment("variance")

    def _moment(self, name: str) -> Any:
        given = getattr(self, f"input_{name}")
        if given is None:
            weight = getattr(self, f"adapt_{name}", None)
            return None if weight is None else ops.reshape(weight, self._along)
        if not self.built:
            return None
        host = np.asarray(given, "float32")
        if host.size != math.prod(self._features):
            host = np.broadcast_to(host, self._features)
        return ops.convert_to_tensor(host.reshape(self._along))

    def build(self, input_shape: Any) -> None:
        """Make the moments' variables, unless the moments were given."""
        rank = len(input_shape)
        if any(axis < -rank or axis >= rank for axis in self.axis):
            raise ValueError(
                f"`axis` must be an axis of the inputs. Received: axis={self.axis} for "
                f"input_shape={tuple(input_shape)} in the layer {self.path!r}."
            )
        kept = sorted(axis % rank for axis in self.axis)
        for axis in kept:
            if input_shape[axis] is None:
                raise ValueError(
                    "The sizes of the normalized axes must be known. Received: "
                    f"input_shape={tuple(input_shape)}, axis={self.axis} in {self.path!r}."
                )
        self._reduced = tuple(axis for axis in range(rank) if axis not in kept)
        self._along = tuple(input_shape[axis] if axis in kept else 1 for axis in range(rank))
        self._features = tuple(input_shape[axis] for axis in kept)
        if self.input_mean is not None:
            return
        self.adapt_mean = self.add_weight(
            name="mean", shape=self._features, initializer="zeros", trainable=False
        )
        self.adapt_variance = self.add_weight(
            name="variance", shape=self._features, initializer="ones", trainable=False
        )
        self.count = self.add_weight(
            name="count", shape=(), dtype="int32", initializer="zeros", trainable=False
        )

    def adapt(self, data: Any) -> None:
        """Find the moments of data.

        Args:
            data: An array, whose first axis counts samples, or batches of arrays in whatever form `fit`
                takes: a list, a generator, a `PyDataset`, a data loader. Targets are left out.

        Raises:
            ValueError: If there is no sample, or samples have different shapes.
            TypeError: If it is no data.
        """
        if self.input_mean is not None:
            raise ValueError(
                "`adapt` finds moments where none were given. Received: a layer with mean and "
                f"variance ({self.name!r})."
            )
        total, mean, variance = 0, np.zeros(()), np.zeros(())
        for batch in inputs_of(data):
            x = self._samples(batch, batch is data or hasattr(data, "shape"))
            if not x.size:
                continue
            batch_mean, batch_variance = x.mean(axis=self._reduced), x.var(axis=self._reduced)
            count = x.size // batch_mean.size
            share = count / (total + count)
            new_mean = mean + (batch_mean - mean) * share
            variance = (variance + (mean - new_mean) ** 2) * (1 - share) + (
                batch_variance + (batch_mean - new_mean) ** 2
            ) * share
            mean, total = new_mean, total + count
        if not total:
            raise ValueError(
                f"`adapt` needs data. Received: no sample for the layer {self.name!r}. Look whether a "
                "generator was used up before."
            )
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)
        self.count.assign(total)

    def _samples(self, batch: Any, whole: bool) -> np.ndarray[Any, Any]:
        """A batch in double precision, for which the layer is built.

        A vector is a feature of many samples where it is the whole data, else a sample of many features.
        """
        x = np.asarray(batch)
        if x.dtype.kind not in "biuf" and x.dtype.name != "bfloat16":
            raise TypeError(
                f"`adapt` finds the moments of numbers. Received: dtype={x.dtype} for the layer "
                f"{self.name!r}. Encode strings and objects as numbers first."
            )
        if x.ndim == 1 and self.axis:
            x = x[:, None] if whole else x[None]
        if not self.built:
            self.build((None, *x.shape[1:]))
        sizes = tuple(x.shape[axis] for axis in range(x.ndim) if axis not in self._reduced)
        if x.ndim != len(self._along) or sizes != self._features:
            raise ValueError(
                "Samples must have the features that the layer was built for. Received: "
                f"shape={x.shape}, while the layer {self.name!r} has features of shape "
                f"{self._features} along axis={self.axis}. Batches are given one by one, targets in "
                "tuples: `[(x, y), ...]`."
            )
        return x.astype("float64")

    def finalize_state(self) -> None:
        """Nothing is left to do after `adapt`: moments are read from the weights."""

    def call(self, inputs: Any) -> Any:
        """The inputs, normalized."""
        inputs = ops.cast(inputs, self.compute_dtype)
        mean, variance = (ops.cast(x, self.compute_dtype) for x in (self.mean, self.variance))
        spread = ops.maximum(ops.sqrt(variance), 1e-7)
        return inputs * spread + mean if self.invert else (inputs - mean) / spread

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        for key, value in (("mean", self.input_mean), ("variance", self.input_variance)):
            config[key] = value.tolist() if hasattr(value, "tolist") else value
        return config


def of_kind(kind: type[L], layers: Iterable[Any]) -> Iterator[L]:
    """Layers, each of which must be of a kind: what they have seen is added up.

    Raises:
        TypeError: If one is not.
    """
    for layer in layers:
        if not isinstance(layer, kind):
            raise TypeError(
                f"`merge_state` takes layers that have seen the same: {kind.__name__}. Received: {layer!r}."
            )
        yield layer
