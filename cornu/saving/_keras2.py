"""What Keras 1 and Keras 2 wrote, as Keras 3 would have: what differs stands in tables here.

A config is translated as a whole: names of classes and arguments, the calls of a graph, how a model
is trained. A class is looked up only among those of this library; a user's stays as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..core.described import parameters
from ..core.op import OPS
from ..core.serialization import (
    get_registered_object,
    public_class,
    register_keras_serializable,
)
from ..core.variable import Variable
from ..layers import Layer
from ..models import Sequential
from ..optimizers import SGD
from ._files import BrokenFileError
from ._stores import Arrays, StoredArray

Config = dict[str, Any]
Array = np.ndarray[Any, Any]


@register_keras_serializable("keras2", "hard_sigmoid")
def steep_hard_sigmoid(x: Any) -> Any:
    """`0.2 x + 0.5` between 0 and 1, as before Keras 3, which has `x / 6 + 0.5`."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


# --------------------------------------------------------------------- classes

#: Where the classes of an argument's values are, by how its name ends.
FAMILIES = {
    "initializer": "keras.initializers",
    "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
    "dtype": "keras.dtype_policies",
    "optimizer": "keras.optimizers",
    "learning_rate": "keras.optimizers.schedules",
    "loss": "keras.losses",
    "metrics": "keras.metrics",
}
#: Where those of all others are.
PACKAGES = ("keras.layers", "keras.models", "keras.src.models.functional")
#: Classes by former names, with the arguments that make them of the one of today.
CLASSES: dict[str, tuple[str, Config]] = {
    "AtrousConvolution1D": ("Conv1D", {}),
    "AtrousConvolution2D": ("Conv2D", {}),
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    "Container": ("Functional", {}),
    "Deconvolution2D": ("Conv2DTranspose", {}),
    "GroupedQueryAttention": ("GroupQueryAttention", {}),  # its name within Keras 3
    "L1L2Regularizer": ("L1L2", {}),
    "LossScaleOptimizerV3": ("LossScaleOptimizer", {}),
    "Model": ("Functional", {}),
    "Network": ("Functional", {}),
    "Policy": ("DTypePolicy", {}),
    "SyncBatchNormalization": ("BatchNormalization", {"synchronized": True}),
    "ThresholdedReLU": ("ReLU", {}),
    "TimeDistributedDense": ("Dense", {}),
}
#: Those of Keras 1's `Merge`, by its mode.
MERGES: dict[str, tuple[str, dict[str, str], Config]] = {
    "sum": ("Add", {}, {}),
    "mul": ("Multiply", {}, {}),
    "ave": ("Average", {}, {}),
    "max": ("Maximum", {}, {}),
    "concat": ("Concatenate", {"concat_axis": "axis"}, {}),
    "dot": ("Dot", {"dot_axes": "axes"}, {}),
    "cos": ("Dot", {"dot_axes": "axes"}, {"normalize": True}),
}

# ------------------------------------------------------------------- arguments

#: Arguments by former names, whatever the class.
ARGUMENTS = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "atrous_rate": "dilation_rate",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "length": "size",
    "lr": "learning_rate",
    "m": "max_value",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
    "theta": "threshold",
}
#: Those of one class that are called otherwise than elsewhere.
OWN_ARGUMENTS: dict[str, dict[str, str]] = {
    "Embedding": {
        "W_constraint": "embeddings_constraint",
        "W_regularizer": "embeddings_regularizer",
        "init": "embeddings_initializer",
        "output_dim": "output_dim",
    },
    "InputLayer": {"batch_input_shape": "batch_shape", "input_dtype": "dtype"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "PReLU": {"init": "alpha_initializer"},
}
#: Several that are one now.
JOINED = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
#: Values that are called, or are, something else now, by the argument.
VALUES: dict[tuple[str, Any], Any] = {
    ("activation", "hard_sigmoid"): "keras2>hard_sigmoid",
    ("recurrent_activation", "hard_sigmoid"): "keras2>hard_sigmoid",
    ("data_format", "th"): "channels_first",
    ("data_format", "tf"): "channels_last",
    ("reduction", "auto"): "sum_over_batch_size",
}
#: Arguments that a class has no more, with the values that said what is so without them; none if any did.
GONE: dict[str, tuple[Any, ...]] = {
    "adjustment": (None,),
    "batch_input_shape": (),
    "causal": (False,),
    "consume_less": (),
    "dropout": (0,),
    "dtype": (),
    "dynamic": (),
    "fn": (),
    "fused": (),
    "groups": (1,),
    "implementation": (),
    "input_dim": (),
    "input_dtype": (),
    "input_length": (),
    "is_legacy_optimizer": (),
    "jit_compile": (),
    "kernel_constraint": (),
    "kernel_initializer": (),
    "kernel_regularizer": (),
    "key_shape": (),
    "mode": (0,),
    "noise_shape": (None,),
    "output_shape": (),
    "partitioner": (),
    "query_shape": (),
    "schedule_decay": (0.004,),
    "softmax_robust_masking": (False,),
    "time_major": (False,),
    "trainable": (),
    "value_shape": (),
    "virtual_batch_size": (None,),
}

# ------------------------------------------------------------------------- ops

#: TensorFlow's functions, by the last part of their names, and the ops that they are.
TENSORFLOW = {
    **{
        name: name
        for name in (
            "add cast ceil cos equal exp expand_dims floor gelu greater greater_equal less "
            "less_equal log log1p log_softmax logical_and logical_not logical_or matmul maximum "
            "minimum mod multiply negative not_equal ones_like relu relu6 reshape round selu "
            "sigmoid sign sin softmax softplus softsign sqrt square squeeze stack subtract tan "
            "tanh tile transpose where zeros_like"
        ).split()
    },
    "abs": "absolute",
    "clip_by_value": "clip",
    "concat": "concatenate",
    "floordiv": "floor_divide",
    "getitem": "get_item",
    "leaky_relu": "leaky_relu",
    "pow": "power",
    "silu": "silu",
    "swish": "silu",
    "truediv": "divide",
    **{f"reduce_{name}": name for name in ("all", "any", "max", "mean", "min", "prod", "sum")},
}
#: Their arguments by other names than ours.
TENSORFLOW_ARGUMENTS = {
    "alpha": "negative_slope",
    "b": "x2",
    "clip_value_max": "x_max",
    "clip_value_min": "x_min",
    "multiples": "repeats",
    "perm": "axes",
    "shape": "newshape",
    "slice_spec": "key",
    "y": "x2",
}


# --------------------------------------------------------------------- configs


def translated(config: Any, version: int) -> Any:
    """The config of a model, or of how it is trained, as those of today are.

    Args:
        config: What the file has, read from JSON. Of Keras 3 it may lack where classes are, as its
            files in the old format do.
        version: The Keras that wrote it: 1, 2 or 3.

    Raises:
        BrokenFileError: If it is no such config.
        ValueError: If it asks for what there is no more.
    """
    try:
        return _Reader(version < 3).value(config)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise BrokenFileError(
            "A config of an earlier Keras must be in its form. Received: one in which something is "
            f"missing or in the place of something else ({error!r}). Copy or save the file again."
        ) from error


class _Reader:
    """The translation of a config: of all that differs, or only of where classes are."""

    def __init__(self, is_old: bool) -> None:
        self.is_old = is_old

    def value(self, value: Any, key: str = "") -> Any:
        """What an argument of that name is now."""
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if isinstance(value, str) and self.is_old:
            return VALUES.get((key, value), value)
        if not isinstance(value, dict):
            return value
        name = value.get("class_name")
        if self.is_old and name in ("__tuple__", "TensorShape"):
            return self.value(value["items"], key)
        if self.is_old and key.endswith(("regularizer", "constraint")) and "name" in value:
            rest = {name: item for name, item in value.items() if name != "name"}
            return self.object({"class_name": value["name"], "config": rest}, key)
        if isinstance(name, str) and isinstance(value.get("config"), (dict, list)):
            return self.object(value, key)
        kept = key if _family(key) else ""  # losses and metrics may go by the names of outputs
        return {name: self.value(item, kept or name) for name, item in value.items()}

    def object(self, entry: Config, key: str) -> Config:
        """An object's class and arguments, and what else is said of it."""
        name, config = entry["class_name"], entry["config"]
        if name.startswith("__") or str(entry.get("module")).startswith("keras.src.ops."):
            return entry
        name, config = _renamed(name, config)
        module = _home(name, key) if _is_ours(entry, self.is_old) else None
        if module is not None and self.is_old:
            config = _adjusted(name, _arguments(public_class(module, name), name, config))
        if self.is_old and "input_layers" in config:
            config = _graph(config)
        found = {**entry, "config": {name: self.value(item, name) for name, item in config.items()}}
        if isinstance(training := entry.get("compile_config"), dict) and self.is_old:
            given = {name: item for name, item in training.items() if item is not None}
            found["compile_config"] = self.value(given)
        if module is not None:
            registered = name if module.startswith("keras.src.") else None
            found.update(module=module, class_name=name, registered_name=registered)
            found.pop("build_config", None)  # its shapes are those of the calls
        return found


def _is_ours(entry: Config, is_old: bool) -> bool:
    """Whether an object may be of a class of the library, and of no user's."""
    if "module" in entry and not (is_old and str(entry["module"]).startswith(_KERAS)):
        return False
    names = entry["class_name"].removeprefix("Custom>"), str(entry.get("registered_name"))
    return not any(">" in name or get_registered_object(name) for name in names)


_KERAS = ("keras", "tf_keras", "tensorflow.python.keras")


def _family(key: str) -> list[str]:
    return [package for ending, package in FAMILIES.items() if key.endswith(ending)]


def _home(name: str, key: str) -> str | None:
    """Where a class of the library is exported."""
    places = (*_family(key), *PACKAGES, *FAMILIES.values())
    return next((place for place in places if public_class(place, name)), None)


# ------------------------------------------------------------------- arguments


def _renamed(name: str, config: Any) -> tuple[str, Config]:
    """The name that a class has now, and what its config lacks for that."""
    name = name.removeprefix("Custom>")
    if isinstance(config, list):
        config = {"layers": config}
    if name == "Merge" and str(config.get("mode")) in MERGES:
        name, renamed, more = MERGES[config["mode"]]
        kept = {new: config[old] for old, new in renamed.items()}
        return name, {"name": config["name"], **kept, **more}
    name, more = CLASSES.get(name, (name, {}))
    return name, {**config, **more}


def _arguments(kind: Any, name: str, config: Config) -> Config:
    """The arguments of a class of the library, by the names that they have now."""
    names = ARGUMENTS | OWN_ARGUMENTS.get(name, {})
    given = dict(config)
    for parts in JOINED:
        if parts[0] in given:
            given["kernel_size"] = [given.pop(part) for part in parts]
    found = {}
    for old, value in given.items():
        new = names.get(old, old)
        if new == "name" and isinstance(value, str):
            found[new] = safe_name(value)
        elif new not in GONE or _takes(kind, new):
            found[new] = value
        elif GONE[new] and value not in GONE[new]:
            raise ValueError(
                "What a model of an earlier Keras says must have a counterpart. Received: "
                f"{old}={value!r} of {name} {config.get('name', '')!r}, which has none. Load the "
                "model there, and save it without it."
            )
    return found


def _takes(kind: Any, argument: str) -> bool:
    """Whether the constructor of a class has an argument, or passes it on to one that has."""
    for base in kind.__mro__[:-1]:
        constructor = vars(base).get("__init__")
        if constructor is not None and argument in parameters(constructor):
            return True
        kinds = inspect.signature(constructor).parameters.values() if constructor else ()
        if constructor is not None and not any(p.kind is p.VAR_KEYWORD for p in kinds):
            return False
    return False


def _adjusted(name: str, config: Config) -> Config:
    """What no table says: arguments that became others."""
    if name in _ADJUST:
        _ADJUST[name](config)
    if decay := config.pop("decay", None):
        rate = {"initial_learning_rate": config["learning_rate"], "decay_steps": 1}
        rate["decay_rate"] = decay
        config["learning_rate"] = {"class_name": "InverseTimeDecay", "config": rate}
    if config.get("epsilon", 0) is None:
        del config["epsilon"]
    return config


def _batch_normalization(config: Config) -> None:
    if isinstance(config.get("axis"), list):
        (config["axis"],) = config["axis"]


def _gru(config: Config) -> None:
    config.setdefault("reset_after", False)


def _lstm(config: Config) -> None:
    if "forget_bias_init" in config:
        config["unit_forget_bias"] = config.pop("forget_bias_init") in ("one", "ones")


def _lambda(config: Config) -> None:
    for argument in ("module", "function_type", "output_shape_type", "output_shape_module"):
        config.pop(argument, None)
    if isinstance(config["function"], list):
        config["function"] = {"class_name": "__lambda__", "config": config["function"]}
    elif isinstance(config["function"], str):
        config["function"] = _function(config["function"])


def _metric(config: Config) -> None:
    if isinstance(config["fn"], str):
        config["fn"] = _function(config["fn"])


def _function(name: str) -> Config:
    return {"module": "builtins", "class_name": "function", "config": name}


def _zero_padding(config: Config) -> None:
    if len(config["padding"]) == 4:
        config["padding"] = [config["padding"][:2], config["padding"][2:]]


def _sequential(config: Config) -> None:
    first = config["layers"][0] if config["layers"] else {}
    shape = first.get("config", {}).get("batch_input_shape") if first else None
    if shape is not None and first["class_name"] != "InputLayer":
        dtype = first["config"].get("input_dtype") or "float32"
        entry = {"batch_shape": shape, "dtype": dtype, "name": f"{first['config']['name']}_input"}
        config["layers"] = [{"class_name": "InputLayer", "config": entry}, *config["layers"]]


_ADJUST: dict[str, Callable[[Config], None]] = {
    "BatchNormalization": _batch_normalization,
    "GRU": _gru,
    "GRUCell": _gru,
    "LSTM": _lstm,
    "Lambda": _lambda,
    "MeanMetricWrapper": _metric,
    "Sequential": _sequential,
    "ZeroPadding2D": _zero_padding,
}


# ---------------------------------------------------------------------- graphs


def _graph(config: Config) -> Config:
    """A model's layers with the arguments of each of their calls.

    Before Keras 3 a call is the list of its inputs, `[layer, number of its call, output, arguments]`
    each, all with the same other arguments. Calls of a model within a model count from 1.
    """
    entries = config["layers"]
    graph = _Graph({entry["name"] for entry in entries}, config)
    models = {entry["name"] for entry in entries if "input_layers" in entry["config"]}

    def place(value: Any) -> Any:
        if not graph.is_place(value) and isinstance(value, list) and len(value) == 1:
            (value,) = value
        if not graph.is_place(value):
            items = value.items() if isinstance(value, dict) else None
            return {k: place(v) for k, v in items} if items else [place(item) for item in value]
        name, call, output = value[:3]
        return [safe_name(name), call - graph.first[name] + (name in models), output]

    layers = []
    for entry in entries:
        calls = [graph.call(node) for node in entry["inbound_nodes"]]
        function = entry["config"].get("function") if entry["class_name"] in _TF_LAYERS else None
        if function is not None:
            layers.append(_op(entry, function, calls))
            continue
        for args, kwargs in calls:
            if entry["class_name"] in _RECURRENT and isinstance(args[0], list):
                # The initial states were once passed along with the input.
                args[0], *kwargs["initial_state"] = args[0]
        nodes = [{"args": args, "kwargs": kwargs} for args, kwargs in calls]
        layers.append({**entry, "name": safe_name(entry["name"]), "inbound_nodes": nodes})
    ends = {key: place(config[key]) for key in ("input_layers", "output_layers")}
    return {**config, "layers": layers, **ends}


_TF_LAYERS = ("TFOpLambda", "SlicingOpLambda")
_RECURRENT = ("Bidirectional", "GRU", "LSTM", "RNN", "SimpleRNN")
_CONSTANT = "_CONSTANT_VALUE"


class _Graph:
    """The calls of a graph as they were written."""

    def __init__(self, names: set[str], config: Config) -> None:
        self.names = names
        #: The number of each layer's first call.
        self.first: dict[str, int] = {}
        nodes = [entry["inbound_nodes"] for entry in config["layers"]]
        for name, call in self._places([nodes, config["input_layers"], config["output_layers"]]):
            self.first[name] = min(call, self.first.get(name, call))

    def is_place(self, value: Any) -> bool:
        """Whether a value stands for a tensor."""
        if not isinstance(value, list) or len(value) not in (3, 4):
            return False
        return isinstance(value[0], str) and value[0] in self.names and isinstance(value[1], int)

    def _places(self, value: Any) -> Iterator[tuple[str, int]]:
        if self.is_place(value):
            yield value[0], value[1]
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (list, dict)):
                yield from self._places(item)

    def call(self, node: Any) -> tuple[list[Any], Config]:
        """The arguments of a call."""
        kwargs: Config = {}
        inputs = self._inputs(node, kwargs)
        if isinstance(inputs, list) and len(inputs) == 1:
            (inputs,) = inputs
        return [inputs], {name: self._argument(value) for name, value in kwargs.items()}

    def _inputs(self, value: Any, kwargs: Config) -> Any:
        """The first argument, in its structure; what went along with its tensors is collected."""
        if self.is_place(value) or self._is_constant(value):
            kwargs.update(value[3] if len(value) == 4 else {})
            return self._argument(value[:3])
        if isinstance(value, dict):
            return {name: self._inputs(item, kwargs) for name, item in value.items()}
        return [self._inputs(item, kwargs) for item in value]

    def _argument(self, value: Any) -> Any:
        if self.is_place(value):
            name, call, output = value[:3]
            source = [safe_name(name), call - self.first[name], output]
            return {"class_name": "__keras_tensor__", "config": {"keras_history": source}}
        if self._is_constant(value):
            return value[2]
        if isinstance(value, dict):
            return {name: self._argument(item) for name, item in value.items()}
        return [self._argument(item) for item in value] if isinstance(value, list) else value

    @staticmethod
    def _is_constant(value: Any) -> bool:
        return isinstance(value, list) and len(value) in (3, 4) and value[0] == _CONSTANT


def _op(entry: Config, function: str, calls: list[tuple[list[Any], Config]]) -> Config:
    """A call of a function of TensorFlow's as that of an op."""
    name = safe_name(entry["name"])
    op = OPS.get(TENSORFLOW.get(function.rpartition(".")[2], ""))
    if op is None:
        raise ValueError(
            "A function of TensorFlow's in a graph must have an op for it. Received: "
            f"tf.{function} in {name!r}, which has none. Load the model with Keras 2, and make that "
            "part of a layer."
        )
    static: Config = {"name": name}
    nodes = []
    for args, kwargs in calls:
        given = dict(zip((p.name for p in op.parameters), args, strict=False))
        for key, value in kwargs.items():
            if value is not None and key != "name":
                given[TENSORFLOW_ARGUMENTS.get(key, key)] = (
                    _key(value) if key == "slice_spec" else value
                )
        constructed = [op.parameters[i].name for i in op.constructed]
        static |= {key: given.pop(key) for key in constructed if key in given}
        first = [given.pop(p.name) for p in op.parameters if p.name in given]
        given = {key: value for key, value in given.items() if value is not False}
        if given:
            raise ValueError(
                "A function of TensorFlow's in a graph must have an op for it. Received: "
                f"tf.{function} with {given} in {name!r}, while `ops.{op.name}` has no such argument."
            )
        nodes.append({"args": first, "kwargs": {}})
    found = {"module": op.module, "class_name": op.class_name, "registered_name": op.class_name}
    return {**found, "config": static, "name": name, "inbound_nodes": nodes}


def _key(value: Any) -> Any:
    """The key of an index: its slices as configs of today have them."""
    if isinstance(value, list):
        return [_key(item) for item in value]
    if isinstance(value, dict) and value.keys() == {"start", "stop", "step"}:
        return {"class_name": "__slice__", "config": value}
    return value


# --------------------------------------------------------------------- weights

#: The gates that Keras 1 keeps apart, three arrays each, in the order in which they are one now.
GATES = {"LSTMCell": (0, 2, 1, 3), "GRUCell": (0, 1, 2)}
#: How the axes of Keras 1's kernels lie now, by class and whether channels come first.
AXES: dict[tuple[str, bool], tuple[int, ...]] = {
    ("Conv2D", True): (2, 3, 1, 0),
    ("Conv2DTranspose", False): (0, 1, 3, 2),
    ("Conv2DTranspose", True): (2, 3, 0, 1),
    ("Conv3D", True): (2, 3, 4, 1, 0),
    ("SeparableConv2D", True): (2, 3, 1, 0),
}
#: The parts of objects that have other names now, in `.keras` files.
PARTS = {
    "_layer_checkpoint_dependencies": "layers",
    **{f"_{name}_dense": f"{name}_dense" for name in ("key", "output", "query", "value")},
}


def safe_name(name: str) -> str:
    """The name that a layer has now, which may have no slash."""
    return name.replace("/", "_")


def parts_in_files(model: Any, version: int) -> list[Layer]:
    """The layers that have arrays of their own in the old format; Keras 1 looks into stacks."""
    found: list[Layer] = []
    for layer in model.layers:
        inner = (
            parts_in_files(layer, version) if version == 1 and isinstance(layer, Sequential) else []
        )
        found += inner or [layer]
    return [layer for layer in found if layer.weights]


def todays_weights(layer: Layer, arrays: list[Array], version: int) -> list[Array]:
    """A layer's arrays as they are now: first those that are trained, then the others."""
    if version > 1:
        return arrays
    trained, others = _trained(layer), _untrained(layer)
    count = len(arrays) - len(others)
    return [*_of_keras_1(layer, arrays[:count], len(trained)), *arrays[count:]]


def _trained(layer: Layer) -> list[Variable]:
    return [v for part in layer._flatten_layers() for v in _own(part)]


def _own(part: Layer) -> list[Variable]:
    return [v for v in part._own_weights() if v not in part._tracker.untrained]


def _untrained(layer: Layer) -> list[Variable]:
    trained = {id(variable) for variable in _trained(layer)}
    return [variable for variable in layer.weights if id(variable) not in trained]


def _of_keras_1(layer: Layer, arrays: Sequence[Array], count: int) -> list[Array]:
    """Arrays of trained weights, or of what an optimizer keeps for each, as they are now."""
    left = list(arrays)
    found: list[Array] = []
    for part in layer._flatten_layers():
        own, order = _own(part), GATES.get(type(part).__name__, ())
        if order and len(arrays) > count:
            gates, left = left[: 3 * len(order)], left[3 * len(order) :]
            found += [
                np.concatenate([gates[3 * gate + kind] for gate in order], axis=-1)
                for kind in range(3 if len(gates) == 3 * len(order) else 0)
            ]
        else:
            mine, left = left[: len(own)], left[len(own) :]
            found += [_of_kernel(part, array) for array in mine]
    return [*found, *left]


def _of_kernel(part: Any, array: Array) -> Array:
    name = type(part).__name__
    if name == "Conv1D" and array.ndim == 4:
        is_older = array.shape[:2] != (*part.kernel_size, 1)
        return (array.transpose(2, 3, 1, 0) if is_older else array)[:, 0]
    axes = AXES.get((name, getattr(part, "data_format", "") == "channels_first"), ())
    return array.transpose(axes) if array.ndim == len(axes) else array


def optimizer_state(
    model: Any, arrays: Sequence[Array], version: int, by_weight: bool
) -> tuple[list[Variable], list[Array]]:
    """The state of a model's optimizer, and the arrays for it in a file of an earlier Keras.

    Args:
        model: The model.
        arrays: What the file has for the optimizer, in order.
        version: The Keras that wrote it.
        by_weight: Whether what is kept for one weight stands together, as it does since Keras 2.11;
            before, all that is of one kind does.
    """
    optimizer, left = getattr(model.optimizer, "inner_optimizer", model.optimizer), list(arrays)
    rate, product = optimizer._learning_rate, getattr(optimizer, "_product", None)
    found = [optimizer._iterations] if left and not left[0].shape else []
    trained = len(model.trainable_variables)
    if by_weight:
        found += [rate] if len(left) > 1 and not left[1].shape else []
        known = {id(variable) for variable in (optimizer._iterations, rate, product)}
        kept = [variable for variable in optimizer.variables if id(variable) not in known]
        if isinstance(optimizer, SGD) and not optimizer.momentum and len(left) > trained:
            left = left[:-trained]  # zeros
    else:
        kinds = [kept for kept in optimizer._slots.values() if kept and kept[0] is not None]
        kept = [variable for kind in kinds for variable in kind]
        values = left[len(found) :]
        if version == 1:
            values = _slots_of_keras_1(model, values, len(kinds))
        if all(array.shape == (1,) for array in values[len(kept) :]):
            values = values[: len(kept)]  # what more there is stands for `amsgrad`
        left[len(found) :] = values
    if product is not None and left:
        steps = np.arange(1, int(left[0]) + 1)
        found.insert(0, product)
        left.insert(0, np.prod(optimizer._momentum_at(steps)))
    return [*found, *kept], left


def _slots_of_keras_1(model: Any, arrays: list[Array], kinds: int) -> list[Array]:
    each, trained = len(arrays) // max(1, kinds), len(model.trainable_variables)
    parts = [arrays[start : start + each] for start in range(0, each * kinds, max(1, each))]
    return [array for part in parts for array in _of_keras_1(model, part, trained)]


def today(arrays: Arrays) -> Arrays:
    """The arrays of a `.keras` file of Keras 2 by the names that they have now.

    Metrics have others now, and start anew; for optimizers there is `optimizer_state`.
    """
    found: dict[str, StoredArray] = {}
    for name, array in arrays.items():
        steps = [PARTS.get(step, step) for step in name.split("/")]
        if steps[0] not in ("metrics", "optimizer"):
            found["/".join(steps)] = array
    return found
