"""What quantization does on a layer: its kernels are read from few bits, and its dtype policy says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import dtype_policies
from ..core.checks import one_of
from ..core.dtypes import is_float
from ..core.scopes import concrete_scope
from ..core.transforms import CODES, Operand, Transform
from ..core.variable import Variable

if TYPE_CHECKING:
    from ..quantizers import QuantizationConfig
    from ..quantizers.scaled import Axes


class Quantizing:
    """A layer's part that has to do with quantization."""

    #: How it is quantized, where that was said.
    quantization_config: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.quantization_config is not None:
            check_config(self.quantization_config)

    def _post_build(self) -> None:
        """Store codes where the dtype policy says so: they come out of a file, so far there are zeros."""
        layer: Any = self
        policy = layer.dtype_policy
        if policy.quantization_mode is not None:
            from ..quantizers import CONFIGS

            mode = policy.quantization_mode
            config = self.quantization_config or (CONFIGS[mode]() if mode in CONFIGS else None)
            with concrete_scope():
                for variable in quantizable(layer, mode):
                    _add(layer, variable, policy, config, blank=True)
        super()._post_build()  # type: ignore[misc]

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Keep the layer's kernels in few bits from now on; layers inside of it stay as they are.

        Args:
            mode: `"int8"`, `"int4"` or `"float8"`.
            type_check: Kept for compatibility: every layer that has kernels can be quantized.
            config: How, as one of the configs in `cornu.quantizers`; by the mode alone where it is left out.

        Raises:
            ValueError: If the layer is not built, or quantized already.
            NotImplementedError: If it has no kernels that the mode is for.

        >>> from cornu import layers
        >>> layer = layers.Dense(2)
        >>> layer.build((None, 3))
        >>> layer.quantize("int8")
        >>> layer.kernel.dtype, layer.dtype_policy.name
        ('int8', 'int8_from_float32')
        """
        layer: Any = self
        config = config_of(mode, config)
        if not layer.built:
            raise ValueError(
                f"A layer must be built before it is quantized. Received: the layer {layer.path!r}, never "
                "built. Call it on data, or `build(input_shape)`, first."
            )
        if layer.quantization_mode is not None:
            raise ValueError(
                f"A layer is quantized once. Received: mode={config.mode!r} for the layer {layer.path!r} of "
                f"dtype policy {layer.dtype_policy.name!r}. `strip_transforms()` makes its weights floats."
            )
        found = quantizable(layer, config.mode)
        if not found:
            raise NotImplementedError(
                f"What is quantized are kernels. Received: the layer {layer.path!r} "
                f"({type(layer).__name__}), which has none for mode={config.mode!r}."
            )
        policy = policy_of(layer, config)
        for variable in found:
            _add(layer, variable, policy, config, blank=False)
        layer.dtype_policy, self.quantization_config = policy, config


def check_config(config: Any) -> None:
    """See that what is given as a config is one."""
    from ..quantizers import QuantizationConfig

    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            "How a layer is quantized is said by a QuantizationConfig. Received: "
            f"{config!r} of type {type(config).__name__}. An example is "
            "`quantizers.Int8QuantizationConfig()`."
        )


def config_of(mode: str | None, config: Any) -> QuantizationConfig:
    """The config that a mode and a config mean together.

    Raises:
        ValueError: If they contradict each other, or there is no such mode.
    """
    from ..quantizers import CONFIGS

    if mode is None and config is None:
        raise ValueError(
            "`quantize` must be told a mode or a config. Received: mode=None, config=None. "
            "An example is quantize('int8')."
        )
    if config is not None:
        check_config(config)
        if mode not in (None, config.mode):
            raise ValueError(
                f"Mode and config must agree. Received: mode={mode!r}, config.mode={config.mode!r}. "
                "Leave the mode out."
            )
        found: QuantizationConfig = config
        return found
    one_of(dtype_policies.QUANTIZED, mode=mode)
    if mode is None or mode not in CONFIGS:
        raise ValueError(
            f"The mode {mode!r} needs data. Received: config=None. Give a quantizers."
            f"{str(mode).upper()}Config."
        )
    return CONFIGS[mode]()


def kernels(layer: Any) -> list[Variable]:
    """The layer's own weights of two axes and more that it was made to train, read as floats; biases are none."""
    untrained = layer._tracker.untrained
    found = []
    for variable in layer._transformable():
        operand = Operand(variable, len(variable.transforms))
        trained = variable.transforms or variable not in untrained
        wide = len(operand.shape) > 1 and is_float(operand.dtype)
        if trained and wide and "bias" not in variable.name:
            found.append(variable)
    return found


def quantizable(layer: Any, mode: str) -> list[Variable]:
    """The layer's kernels that a mode is for: none for float8 of a layer with a table."""
    found = [v for v in kernels(layer) if not any(t.quantizes for t in v.transforms)]
    refused = mode == "float8" and any(axes_of(layer, v).is_table for v in found)
    return [] if refused else found


def in_files(layer: Any, weights: list[Variable]) -> list[Variable]:
    """A layer's weights in the order of files: a second kernel stands behind the scales of the first, as in Keras."""
    coded = [(name, x) for name, x in layer.transforms if x.order == CODES][1:]
    if not coded:
        return weights
    named = {variable.name: variable for variable in weights}
    last = [v for name, x in coded for v in (named[name], *x.parts.values())]
    seen = {id(v) for v in last}
    return [*(v for v in weights if id(v) not in seen), *last]


def axes_of(layer: Any, variable: Variable) -> Axes:
    """The axes of a kernel, and those of its scales: by what it is multiplied with, one for each output."""
    from ..quantizers.scaled import Axes

    kinds = {kind.__name__ for kind in type(layer).__mro__}
    if "EinsumDense" in kinds:
        kernel, output = layer.equation.replace("...", "").partition(",")[2].split("->")
        return Axes(kernel, output, order=kernel)  # as it lies, as in Keras
    letters = "abcdefghij"[: len(variable.stored_shape)]
    if variable.name == "embeddings":
        return Axes(letters, letters[:-1], is_table=True)
    if variable.name == "reverse_embeddings":
        return Axes(letters, letters[-1], packed=0)
    if variable.name == "depthwise_kernel" or "_DepthwiseConv" in kinds:
        return Axes(letters, letters[-2:])
    return Axes(letters, letters[-2] if "_ConvTranspose" in kinds else letters[-1])


def policy_of(layer: Any, config: QuantizationConfig) -> Any:
    """The dtype policy of a layer once it is quantized."""
    return dtype_policies.get(f"{config.dtype_policy_string()}_from_{layer.dtype_policy.name}")


def store_grouped(layer: Any, variable: Variable, axes: Any, found: Any, config: Any) -> None:
    """Store a kernel as what was fitted to data: the codes of groups of inputs."""
    quantized = layer.quantization_mode is not None
    policy = layer.dtype_policy if quantized else policy_of(layer, config)
    layer.add_transform(variable, _codes(layer, variable, policy, axes, found))
    layer.dtype_policy, layer.quantization_config = policy, config.without_data()


def _add(layer: Any, variable: Variable, policy: Any, config: Any, blank: bool) -> Any:
    transform = _METHODS[policy.quantization_mode](layer, variable, policy, config, blank)
    return layer.add_transform(variable, transform)


def leave(layer: Any) -> None:
    """Have a layer compute by the policy from before it was quantized, once nothing of that is left."""
    source = getattr(layer.dtype_policy, "_source_name", None)
    if source is not None and not any(transform.quantizes for _, transform in layer.transforms):
        layer.dtype_policy = source


def _integers(layer: Any, variable: Variable, policy: Any, config: Any, blank: bool) -> Transform:
    from ..quantizers.scaled import ScaledCodes

    said = policy if layer.quantization_config is None and blank else config
    size = getattr(said, "block_size", None)
    bits, size = (4, None if size == -1 else size) if config.mode == "int4" else (8, None)
    of = config.weight_quantizer, config.activation_quantizer
    return ScaledCodes(bits, axes_of(layer, variable), size, *of, blank=blank)


def _float8(layer: Any, variable: Variable, policy: Any, config: Any, blank: bool) -> Transform:
    from ..quantizers.float8 import Float8

    return Float8(policy.amax_history_length)


def _grouped(layer: Any, variable: Variable, policy: Any, config: Any, blank: bool) -> Transform:
    from ..quantizers.codes import as_matrix

    axes = axes_of(layer, variable)
    shared = [axes.weight.index(letter) for letter in axes.shared]
    found = None if blank else config.rounded(as_matrix(variable.numpy(), shared))
    return _codes(layer, variable, policy, shared, found)


def _codes(layer: Any, variable: Variable, policy: Any, axes: Any, found: Any) -> Transform:
    from ..quantizers.codes import GroupedCodes, matrix_shape

    mode = policy.quantization_mode
    if mode == "gptq" and "gptq_unpacked_column_size" in vars(layer):
        layer.gptq_unpacked_column_size = matrix_shape(variable.stored_shape, axes)[1]
    return GroupedCodes(policy.weight_bits, policy.group_size, axes, mode == "awq", found)


#: The transform of a kernel by modes, for a layer, its variable, its policy and config, and whether it is blank.
_METHODS: Mapping[str, Callable[[Any, Variable, Any, Any, bool], Transform]] = {
    "int8": _integers,
    "int4": _integers,
    "float8": _float8,
    "gptq": _grouped,
    "awq": _grouped,
}
