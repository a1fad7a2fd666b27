"""The basic layers: dense ones, embeddings, and functions as layers."""

from __future__ import annotations

import inspect
import re
from typing import Any

from .. import activations, ops
from ..core import tree
from ..core.checks import positive_integer
from ..core.dtypes import is_integer, standardize_dtype
from ..core.keras_tensor import KerasTensor
from ..core.masks import set_keras_mask
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..ops.shared import affine
from ._input_spec import InputSpec
from ._layer import Layer


class Dense(Layer):
    """`activation(inputs @ kernel + bias)`, over the last axis.

    Args:
        units: The size of the output's last axis.
        activation: What is applied to the result; nothing where it is left out.
        use_bias: Whether a bias is added.
        kernel_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: Projections after each update.
        lora_rank, lora_alpha: Low-rank adaptation of the kernel.
        quantization_config: How it is quantized where its dtype policy says that it is, such as `int8_from_float32`.

    Input shape: `(batch, ..., features)`. Output shape: `(batch, ..., units)`.

    >>> import numpy as np
    >>> Dense(3)(np.ones((2, 4))).shape
    (2, 3)
    """

    _supports_masking = True

    _optional_arguments = frozenset({"activity_regularizer"})

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        positive_integer(units=units)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Any) -> None:
        """Make kernel (features, units) and bias (units,)."""
        features = input_shape[-1]
        self.kernel = self._described_weight("kernel", (features, self.units))
        self.bias = self._described_weight("bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any, training: Any = None) -> Any:
        """`activation(inputs @ kernel + bias)`."""
        kernel, bias = self.kernel, self.bias
        x = ops.matmul(inputs, kernel) if bias is None else affine(inputs, kernel, bias)
        return x if self.activation is activations.linear else self.activation(x)


class EinsumDense(Layer):
    """A dense layer of any shape, written as an einsum of inputs and kernel.

    Args:
        equation: Two terms and a result, such as `"abc,cd->abd"`; `...` stands for leading axes.
        output_shape: The output's shape without the batch; `None` for dimensions taken from inputs.
        activation: What is applied to the result.
        bias_axes: The letters of the output that the bias has; no bias where it is left out.
        kernel_initializer, bias_initializer: Draw the weights.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties.
        kernel_constraint, bias_constraint: Projections after each update.
        lora_rank, lora_alpha: Low-rank adaptation of the kernel.
        quantization_config: How it is quantized where its dtype policy says that it is, such as `int8_from_float32`.

    >>> import numpy as np
    >>> EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")(np.ones((2, 3, 4))).shape
    (2, 3, 5)
    """

    _optional_arguments = frozenset({"gptq_unpacked_column_size"})

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        *,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.partial_output_shape = (
            (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        )
        self.output_shape = self.partial_output_shape

    def build(self, input_shape: Any) -> None:
        """Make the kernel and bias that the equation asks for."""
        kernel_shape, bias_shape, self.full_output_shape = einsum_shapes(
            self.equation, self.bias_axes, tuple(input_shape), self.partial_output_shape
        )
        self.kernel = self._described_weight("kernel", kernel_shape)
        self.bias = self._described_weight("bias", bias_shape) if bias_shape is not None else None

    def call(self, inputs: Any, training: Any = None) -> Any:
        """`activation(einsum(equation, inputs, kernel) + bias)`."""
        x = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)


def einsum_shapes(
    equation: str,
    bias_axes: str | None,
    input_shape: tuple[Any, ...],
    output_shape: tuple[Any, ...],
) -> tuple[tuple[int, ...], tuple[int, ...] | None, tuple[Any, ...]]:
    """The shapes of kernel, bias and output of an equation `inputs,kernel->output`."""
    found = re.fullmatch(
        r"(\.{3})?([a-zA-Z]+)(\.{3})?,([a-zA-Z]+)->(\.{3})?([a-zA-Z]+)(\.{3})?", equation
    )
    if found is None:
        raise ValueError(
            "An equation must have the form 'X,Y->Z', of letters and `...`. Received: "
            f"equation={equation!r}. An example is '...bc,cd->...bd'."
        )
    left, inputs, _, kernel, _, output, _ = found.groups()
    elided = len(input_shape) - len(inputs)
    if left:
        sizes = dict(zip(inputs, input_shape[elided:], strict=True))
        leading, trailing = input_shape[:elided], ()
        named = output_shape[len(output_shape) - len(output) :]
    else:
        sizes = dict(zip(inputs, input_shape, strict=False))
        leading, trailing = (), input_shape[len(inputs) :]
        named = (input_shape[0], *output_shape)[: len(output)]
    if left and len(named) < len(output):
        named = (*(sizes.get(letter) for letter in output[: len(output) - len(named)]), *named)
    sizes_out = dict(zip(output, named, strict=False))
    for letter, size in sizes_out.items():
        if letter in sizes and size is not None and sizes[letter] not in (size, None):
            raise ValueError(
                "The output's shape must agree with the input's. Received: "
                f"{letter}={size} in output_shape={output_shape}, {letter}={sizes[letter]} in "
                f"input_shape={input_shape}, for equation={equation!r}."
            )
        if letter in sizes and size is None:
            sizes_out[letter] = sizes[letter]
    known = {
        **{k: v for k, v in sizes_out.items() if v is not None},
        **{k: v for k, v in sizes.items() if v is not None},
    }
    for letter in kernel:
        if letter not in known:
            raise ValueError(
                "Every dimension of the kernel must be known from inputs or output. Received: "
                f"{letter!r} unknown, for equation={equation!r}, input_shape={input_shape}, "
                f"output_shape={output_shape}."
            )
    bias_shape = None
    if bias_axes:
        for letter in bias_axes:
            if letter not in output:
                raise ValueError(
                    "A bias has axes of the output. Received: "
                    f"bias_axes={bias_axes!r} with {letter!r}, which is not in {output!r}."
                )
        first = min(output.index(letter) for letter in bias_axes)
        bias_shape = tuple(
            known[letter] if letter in bias_axes else 1 for letter in output[first:]
        ) + (1,) * len(trailing)
    full = (*leading, *(sizes_out.get(letter) for letter in output), *trailing)
    return tuple(known[letter] for letter in kernel), bias_shape, full


class Embedding(Layer):
    """Integers turned into vectors by a table.

    Args:
        input_dim: The number of integers: inputs lie in [0, input_dim).
        output_dim: The size of a vector.
        embeddings_initializer: Draws the table.
        embeddings_regularizer, embeddings_constraint: Penalty and projection of the table.
        mask_zero: Whether 0 is padding, which a mask marks for the layers that follow.
        weights: A table to start from.
        lora_rank, lora_alpha: Low-rank adaptation of the table.
        quantization_config: How it is quantized where its dtype policy says that it is, such as `int8_from_float32`.

    Input shape: `(batch, ...)`, integers. Output shape: `(batch, ..., output_dim)`.

    >>> import numpy as np
    >>> Embedding(10, 4)(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    _unwritten_arguments = frozenset({"weights"})

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        *,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        positive_integer(input_dim=input_dim, output_dim=output_dim)
        self.supports_masking = mask_zero
        self.autocast = False
        if weights is not None:
            self.build()
            self.set_weights([weights] if hasattr(weights, "shape") else weights)

    def build(self, input_shape: Any = None) -> None:
        """Make the table (input_dim, output_dim)."""
        self.embeddings = self._described_weight("embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: Any) -> Any:
        """The table's rows at the inputs."""
        if not is_integer(standardize_dtype(inputs.dtype)):
            inputs = ops.cast(inputs, "int32")
        return ops.cast(ops.take(self.embeddings, inputs, axis=0), self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where an input is not 0, if 0 is padding."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None


class ReversibleEmbedding(Embedding):
    """An embedding that also leads back: from vectors to a score for each integer.

    Press and Wolf, 2016, https://arxiv.org/abs/1608.05859.

    Args:
        input_dim, output_dim, mask_zero: As in `Embedding`.
        tie_weights: Whether the way back is by the transposed table, not by a matrix of its own.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: As in `Embedding`.
        reverse_dtype: The dtype of the product on the way back; that of vectors and table where it is left out.
        logit_soft_cap: Scores are `cap * tanh(scores / cap)`.

    Input shape: `(batch, ...)`, integers; with `reverse=True` `(batch, ..., output_dim)`.
    Output shape: `(batch, ..., output_dim)`; with `reverse=True` `(batch, ..., input_dim)`.

    >>> import numpy as np
    >>> embedding = ReversibleEmbedding(10, 4)
    >>> embedding(embedding(np.array([[1, 2, 3]])), reverse=True).shape
    (1, 3, 10)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:
        """Make the table (input_dim, output_dim), and the matrix of the way back where it has one."""
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self._described_weight(
                "reverse_embeddings", (self.output_dim, self.input_dim), part="embeddings"
            )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        """The table's rows at the inputs; with `reverse` the scores of all integers."""
        if not reverse:
            return super().call(inputs)
        kernel = self.embeddings if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype:
            inputs, kernel = (ops.cast(x, self.reverse_dtype) for x in (inputs, kernel))
        letters = "...i,oi->...o" if self.tie_weights else "...i,io->...o"
        logits = ops.einsum(letters, inputs, kernel)
        cap = self.logit_soft_cap
        return logits if cap is None else ops.tanh(logits / cap) * cap

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """As in `Embedding`; on the way back that of the vectors."""
        on_the_way_back = not is_integer(standardize_dtype(inputs.dtype)) and mask is not None
        return mask if on_the_way_back else super().compute_mask(inputs, mask)


class Activation(Layer):
    """A function applied to each element.

    Args:
        activation: The function, or its name.

    >>> import numpy as np
    >>> Activation("relu")(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """The function of the inputs."""
        return self.activation(inputs)


class Identity(Layer):
    """The inputs as they are."""

    _supports_masking = True
    _weightless = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        return inputs


class Weight(Layer):
    """A weight as a tensor of a graph, whatever it is called on: what ops take that have no layer.

    Keras has no such layer, and reads no file that has one.

    Args:
        shape: The weight's shape, without a batch.
        initializer: Draws it.
        regularizer: A penalty.
        constraint: A projection after each update.

    >>> import numpy as np
    >>> x = np.ones((2, 3))
    >>> (x * Weight((3,), "ones")(x)).shape
    (2, 3)
    """

    def __init__(
        self,
        shape: Any,
        initializer: Any = "zeros",
        regularizer: Any = None,
        constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def build(self, input_shape: Any) -> None:
        """Make the weight."""
        self.weight = self.add_weight(
            name="weight",
            shape=self.shape,
            initializer=self.initializer,
            regularizer=self.regularizer,
            constraint=self.constraint,
        )

    def call(self, inputs: Any) -> Any:
        """The weight."""
        return ops.convert_to_tensor(self.weight)


class Lambda(Layer):
    """A function as a layer.

    A model with one is saved only if the function is registered: files never hold code.

    Args:
        function: What is called on the inputs, with `mask` and `training` if it takes them.
        output_shape: The output's shape without the batch, or a function of the input's shape.
        mask: The output's mask, or a function of inputs and mask that gives it.
        arguments: More arguments for the function, by name.

    >>> import numpy as np
    >>> Lambda(lambda x: x * 2)(np.ones(2)).tolist()
    [2.0, 2.0]
    """

    _kept_as = {"output_shape": "_output_shape"}
    _output_shape: Any
    _optional_arguments = frozenset({"output_shape", "mask"})

    def __init__(
        self,
        function: Any,
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments or {}
        self.supports_masking = mask is not None

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The output's spec: what the caller said, else what the function does to specs."""
        if self._output_shape is None:
            return super().compute_output_spec(*args, **kwargs)
        inputs = args[0] if args else kwargs["inputs"]
        shapes = tree.map_structure(lambda x: x.shape, inputs)
        return tree.map_shape_structure(
            lambda shape: KerasTensor(shape, self.compute_dtype), self._shape_for(shapes)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's shape."""
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        return self._shape_for(input_shape)

    def _shape_for(self, input_shape: Any) -> Any:
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        first = input_shape[0] if isinstance(input_shape[0], (tuple, list)) else input_shape
        return (first[0], *self._output_shape)

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        """The function of the inputs."""
        takes = _parameters(self.function)
        extra = dict(self.arguments)
        if "mask" in takes:
            extra["mask"] = mask
        if "training" in takes:
            extra["training"] = training
        return self.function(inputs, **extra)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that the caller gave."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; functions by their registered names."""
        return {**super().get_config(), "function": serialize_keras_object(self.function)}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: Any = None
    ) -> Any:
        """The layer that `get_config` described."""
        config = dict(config)
        if isinstance(config["function"], (list, tuple)):  # code, as Keras 2 wrote it
            config["function"] = {"class_name": "__lambda__", "config": {}}
        if isinstance(config["function"], str):
            config["function"] = deserialize_keras_object(config["function"], custom_objects)
        if isinstance(config.get("output_shape"), list):
            config["output_shape"] = tuple(config["output_shape"])
        return super().from_config(config, custom_objects)


def _parameters(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()


class Masking(Layer):
    """Steps of a sequence that hold one value throughout are marked to be skipped.

    Args:
        mask_value: The value; steps in which every feature has it are masked and set to 0.

    Shape: `(batch, time, features)`, kept.

    >>> import numpy as np
    >>> Masking()(np.array([[[1.0, 2.0], [0.0, 0.0]]])).shape
    (1, 2, 2)
    """

    _supports_masking = True
    _weightless = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, dict) and mask_value.get("config", None):
            mask_value = deserialize_keras_object(mask_value)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True at the steps that are kept: (batch, time)."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        """The inputs, with masked steps set to 0."""
        kept = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        outputs = inputs * ops.cast(kept, inputs.dtype)
        set_keras_mask(outputs, ops.squeeze(kept, axis=-1))
        return outputs
