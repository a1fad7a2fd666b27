"""A model's layers and weights as TensorFlow.js has them: in configs of Keras 2.

TensorFlow.js leaves out without a word what it doesn't know, and some of what it knows it computes otherwise. So
tables say what it reads of each layer, found by running it; anything else must be as if it weren't there, or is
refused.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import layers
from ..core.described import parameters
from ..core.scopes import StatelessScope
from ..core.serialization import serialize_keras_object
from ..engines import use

Config = dict[str, Any]

_ACTIVE = (
    "activation use_bias kernel_regularizer bias_regularizer kernel_constraint bias_constraint"
)
_CONV = f"kernel_size strides padding data_format dilation_rate {_ACTIVE}"
_CELL = f"units recurrent_regularizer recurrent_constraint dropout recurrent_dropout {_ACTIVE}"
_RNN = "return_sequences return_state go_backwards"
_DEPTH = "depth_multiplier depthwise_regularizer depthwise_constraint"
_NORM = "epsilon center scale beta_regularizer gamma_regularizer"
_POOL = "pool_size strides padding"
#: The layers that TensorFlow.js has, and what it reads of each, its name and dtype aside.
KNOWN = {
    name: arguments.split()
    for names, arguments in (
        ("Add Average ELU GlobalAveragePooling1D GlobalMaxPooling1D Maximum Minimum Multiply", ""),
        ("Activation", "activation"),
        ("AlphaDropout Dropout GaussianDropout SpatialDropout1D", "rate"),
        ("AveragePooling1D MaxPooling1D", _POOL),
        ("AveragePooling2D AveragePooling3D MaxPooling2D MaxPooling3D", f"{_POOL} data_format"),
        ("BatchNormalization", f"axis momentum {_NORM} beta_constraint gamma_constraint"),
        ("Bidirectional", "layer merge_mode"),
        ("Concatenate Softmax", "axis"),
        ("Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose", f"filters {_CONV}"),
        ("ConvLSTM2D", f"filters recurrent_activation {_CELL} {_RNN} {_CONV}"),
        ("Cropping2D", "cropping data_format"),
        ("Dense", f"units {_ACTIVE}"),
        ("DepthwiseConv2D", f"{_DEPTH} {_CONV}"),
        ("Dot", "axes normalize"),
        (
            "Embedding",
            "input_dim output_dim mask_zero embeddings_regularizer embeddings_constraint",
        ),
        ("Flatten GlobalAveragePooling2D GlobalMaxPooling2D", "data_format"),
        ("GRU LSTM", f"recurrent_activation {_CELL} {_RNN}"),
        ("GRUCell LSTMCell", f"recurrent_activation {_CELL}"),
        ("GaussianNoise", "stddev"),
        ("InputLayer", "batch_shape"),
        ("LayerNormalization", f"axis {_NORM}"),
        ("LeakyReLU", "negative_slope"),
        ("Masking", "mask_value"),
        ("PReLU", "shared_axes alpha_regularizer alpha_constraint"),
        ("Permute", "dims"),
        ("RNN", f"cell {_RNN}"),
        ("ReLU", "max_value"),
        ("RepeatVector", "n"),
        ("Rescaling", "scale offset"),
        ("Reshape", "target_shape"),
        (
            "SeparableConv2D",
            f"filters pointwise_regularizer pointwise_constraint {_DEPTH} {_CONV}",
        ),
        ("SimpleRNN", f"{_CELL} {_RNN}"),
        ("SimpleRNNCell", _CELL),
        ("StackedRNNCells", "cells"),
        ("TimeDistributed", "layer"),
        ("UpSampling2D", "size data_format"),
        ("ZeroPadding2D", "padding data_format"),
    )
    for name in names.split()
}
#: Arguments and weights that have other names there.
RENAMED = {
    ("InputLayer", "batch_shape"): "batch_input_shape",
    ("LeakyReLU", "negative_slope"): "alpha",
    ("DepthwiseConv2D", "kernel"): "depthwise_kernel",
}
#: The only values of arguments with which TensorFlow.js computes as here, be they other than the default.
ONLY: dict[tuple[str, str], tuple[Any, ...]] = {
    ("BatchNormalization", "axis"): (-1,),
    ("Conv1D", "data_format"): ("channels_last",),
    ("Conv1D", "padding"): ("valid", "same"),
    ("Conv2DTranspose", "dilation_rate"): ((1, 1),),
    ("Conv3DTranspose", "dilation_rate"): ((1, 1, 1),),
    ("DepthwiseConv2D", "dilation_rate"): ((1, 1),),
    ("GRU", "reset_after"): (False,),
    ("GRUCell", "reset_after"): (False,),
    ("SeparableConv2D", "data_format"): ("channels_last",),
    ("Softmax", "axis"): (-1,),
}
#: The axes that an input must have at least and at most, the batch's among them.
RANKS = {"BatchNormalization": (2, 4), "Flatten": (3, 6)}
#: Arguments that say nothing of what a layer with given weights computes.
SILENT = (
    "name seed unroll use_cudnn implementation unit_forget_bias synchronized build_input_shape"
).split()
#: Activations by the names that TensorFlow.js has for them.
ACTIVATIONS = {
    **{
        name: name
        for name in (
            "elu gelu linear log_softmax mish relu relu6 selu sigmoid softmax softplus softsign tanh"
        ).split()
    },
    "keras2>hard_sigmoid": "hard_sigmoid",
    "silu": "swish",
}
#: Ops of tensors that are layers there.
OPS = ("Add", "Maximum", "Minimum", "Multiply")
#: What may act on weights in training, by the classes there.
ON_WEIGHTS = {
    **dict.fromkeys(("L1", "L2", "L1L2"), "L1L2"),
    **{name: name for name in ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")},
}
_RECURRENT = ("GRU", "LSTM", "RNN", "SimpleRNN")
#: What a mask goes through both here and there. Through any other layer it goes there alone.
_MASKED = (
    *("Activation", "AlphaDropout", "BatchNormalization", "Bidirectional", "Concatenate", "Dense"),
    *("Dropout", "ELU", "GaussianDropout", "GaussianNoise", "LayerNormalization", "LeakyReLU"),
    *("Masking", "PReLU", "ReLU", "Rescaling", "SpatialDropout1D", "TimeDistributed", *_RECURRENT),
)
#: What fails there where a mask comes in.
_UNMASKED = ("Average", "Softmax", *OPS)


def dialect(model: Any) -> Config:
    """A model's config as Keras 2 wrote it.

    Raises:
        NotImplementedError: If TensorFlow.js lacks a layer, an argument of it, or a way to call it, or
            has a mask where the model has none.
    """
    return _model(serialize_keras_object(model))


def _refused(received: str, way_out: str = "") -> NotImplementedError:
    return NotImplementedError(
        "A layers-model has what TensorFlow.js knows, and computes as here. Received: "
        f"{received}. {way_out or 'Change the layer, or export'} with format='tfjs': a graph has any layer, but is "
        "not trained further."
    )


# ---------------------------------------------------------------------- graphs


def _model(entry: Config) -> Config:
    """The entry of a model, or of one within it."""
    kind, config = entry["class_name"], entry["config"]
    if kind not in ("Sequential", "Functional"):
        name = config.get("name", "")
        raise _refused(f"the model {name!r} of the class {kind}", "Make it of `Input`s, or export")
    name, entries = config["name"], config["layers"]
    if kind == "Sequential":
        found = [_entry(x) for x in entries]
        before = [[], *([[x["config"]["name"]]] for x in found)]
        _check_masks(zip(found, before, strict=False))
        return {"class_name": kind, "config": {"name": name, "layers": found}}
    entries = _without_masks(config)
    models = {x["name"]: x["class_name"] for x in entries if "layers" in x["config"]}

    def place(history: list[Any], counted: str = "") -> list[Any]:
        """A model's first call is that of its making, which Keras counts of a Functional at the ends alone."""
        layer, call, output = history
        return [layer, call + (models.get(layer, counted) != counted), output]

    found = []
    for x in entries:
        made = _entry(x)
        calls = [_inputs(x, call) for call in x["inbound_nodes"]]
        nodes = [[[*place(history), {}] for history in call] for call in calls]
        found.append({**made, "name": x["name"], "inbound_nodes": nodes})
    _check_masks((x, [[y[0] for y in call] for call in x["inbound_nodes"]]) for x in found)
    end = functools.partial(place, counted="Functional")
    ends = {key: _places(config[key], end) for key in ("input_layers", "output_layers")}
    return {"class_name": kind, "config": {"name": name, "layers": found, **ends}}


def _places(value: Any, place: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """The places of a model's inputs or outputs, in their order."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if value and isinstance(value[0], str):
        return [place(value)]
    return [found for item in value for found in _places(item, place)]


def _without_masks(config: Config) -> list[Config]:
    """The layers that outputs follow from, without those that make masks: TensorFlow.js makes its own."""
    entries = {entry["name"]: entry for entry in config["layers"]}
    names = [x[0] for key in ("input_layers", "output_layers") for x in _places(config[key], list)]
    needed: set[str] = set()
    while names:
        needed.add(name := names.pop())
        calls = [_sources(entries[name], call)[0] for call in entries[name]["inbound_nodes"]]
        names += [x[0] for call in calls for x in call if x is not None and x[0] not in needed]
    return [entry for name, entry in entries.items() if name in needed]


def _inputs(entry: Config, call: Config) -> list[list[Any]]:
    """Where the tensors of a layer's call come from, if they are all that it takes."""
    found, more = _sources(entry, call)
    if more or None in found:
        given = ", ".join(more) or "numbers"
        raise _refused(f"the layer {entry['name']!r}, called with {given} beside its inputs")
    return found


def _sources(entry: Config, call: Config) -> tuple[list[Any], list[str]]:
    """Where the tensors of a layer's call come from, and what else says how it computes."""
    args, kwargs = list(call["args"]), dict(call["kwargs"])
    if entry["class_name"] in _RECURRENT:
        args.append(kwargs.pop("initial_state", None) or [])
    kind = getattr(layers, entry["class_name"], None)
    known = inspect.signature(kind.call).parameters if kind else {}
    usual = {name: known[name].default for name in kwargs if name in known}
    more = [name for name, x in kwargs.items() if x not in (None, False, usual.get(name))]
    return list(_histories(args)), [name for name in more if name != "mask"]


def _histories(value: Any) -> Iterator[Any]:
    """Where each tensor in an argument comes from; None for what is no tensor."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _histories(item)
    else:
        is_tensor = isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"
        yield value["config"]["keras_history"] if is_tensor else None


def _check_masks(entries: Iterable[tuple[Config, list[list[str]]]]) -> None:
    """See that no layer has another mask in TensorFlow.js, where one goes through every layer.

    Args:
        entries: Layers, each after those that it takes from, with the names of these in each call.
    """
    here: dict[str, bool] = {}  # of those that have a mask there: whether they have it here too
    for entry, calls in entries:
        kind, config = entry["class_name"], entry["config"]
        name, recurs = config["name"], kind in _RECURRENT
        if kind == "Masking" or config.get("mask_zero"):
            here[name] = True
        sources = [x for call in calls for x in (call[:1] if recurs else call)]
        seen = [here[source] for source in sources if source in here]
        if not seen:
            continue
        sequences = config.get("layer", entry)["config"].get("return_sequences")
        zeros = kind == "Bidirectional" or recurs and any(len(call) > 1 for call in calls)
        if (
            kind in _UNMASKED
            or "layers" in config
            or (not all(seen) and (recurs or kind == "Bidirectional"))
            or (any(seen) and (kind == "GlobalAveragePooling1D" or zeros and sequences))
        ):
            raise _refused(f"the mask that comes to the {kind} {name!r}")
        here[name] = all(seen) and kind in _MASKED and bool(sequences or not recurs)


# ---------------------------------------------------------------------- layers


def _entry(entry: Config) -> Config:
    """A layer's entry, or that of a model within a model."""
    kind, config = entry["class_name"], entry["config"]
    if kind in ("Sequential", "Functional"):
        return _model(entry)
    name = str(config.get("name") or entry.get("name"))
    if not re.fullmatch(r"[A-Za-z0-9][\w./-]*", name, re.ASCII):
        raise _refused(f"the name {name!r} of the {kind}", "Use letters, digits and '_', or export")
    if entry["module"].startswith("keras.src.ops.") and kind in OPS:
        return {"class_name": kind, "config": {"name": name}}
    if kind not in KNOWN or entry["module"] != "keras.layers":
        raise _refused(f"{name!r} of the class {kind}")
    shape = (entry.get("build_config") or {}).get("input_shape") or []
    rank = len(shape[0] if shape and isinstance(shape[0], (list, tuple)) else shape)
    least, most = RANKS.get(kind, (0, 9))
    if rank and not least <= rank <= most:
        raise _refused(f"the {kind} {name!r} of an input of {rank} axes")
    given = {
        "name": name,
        "trainable": config.get("trainable", True),
        **_arguments(kind, config, rank),
    }
    return {"class_name": kind, "config": given}


def _arguments(kind: str, config: Config, rank: int) -> Config:
    """The arguments of a layer's constructor, in the terms of Keras 2."""
    known = KNOWN[kind]
    found: Config = {}
    for argument, value in config.items():
        if (
            argument == "axis" and isinstance(value, int) and rank
        ):  # -1 for the last, others from the first
            value = value % rank - (rank if value % rank == rank - 1 else 0)
        shown = value["class_name"] if isinstance(value, dict) else repr(value)
        place = f"{argument}={shown} of the {kind} {config.get('name', '')!r}"
        only = ONLY.get((kind, argument))
        if only and (tuple(value) if isinstance(value, list) else value) not in only:
            use = " or ".join(f"{argument}={x!r}" for x in only)
            raise _refused(place, f"Use {use}, or export")
        if argument == "dtype":
            found[argument] = _dtype(value, place)
        elif argument in known:
            found[RENAMED.get((kind, argument), argument)] = _value(argument, value, place)
        elif not only and not _says_nothing(kind, argument, value, config):
            raise _refused(place)
    if kind == "Bidirectional":  # which puts the word before the name again
        inner = found["layer"]["config"]
        inner["name"] = inner["name"].removeprefix("forward_")
    return found


def _says_nothing(kind: str, argument: str, value: Any, config: Config) -> bool:
    """Whether a layer computes the same without an argument, once it has its weights."""
    if argument == "backward_layer":
        apart = dict.fromkeys(("name", "go_backwards"))
        return bool({**value["config"], **apart} == {**config["layer"]["config"], **apart})
    if argument in (*SILENT, "trainable", "zero_output_for_mask") or value == "channels_last":
        return True
    if argument.endswith("_initializer"):
        return True
    for base in getattr(layers, kind).__mro__[:-1]:
        found = parameters(base.__init__).get(argument) if "__init__" in vars(base) else None
        if found is not None:
            return bool(found.default == value or not (found.default or value))
    return not value


def _dtype(value: Any, place: str) -> str:
    name = value["config"].get("name", value["class_name"]) if isinstance(value, dict) else value
    if name not in ("float32", "int32", "bool"):
        raise _refused(f"{name!r}, the {place}", "Use the policy 'float32', or export")
    return str(name)


def _value(argument: str, value: Any, place: str) -> Any:
    """What an argument's value is in Keras 2."""
    if argument.endswith("activation"):
        if value not in ACTIVATIONS:
            raise _refused(place, f"Use one of {sorted(ACTIVATIONS)}, or export")
        return ACTIVATIONS[value]
    if argument.endswith(("regularizer", "constraint")) and value is not None:
        if value["class_name"] not in ON_WEIGHTS:
            raise _refused(place)
        return {"class_name": ON_WEIGHTS[value["class_name"]], "config": value["config"]}
    if argument == "cells":
        return [_entry(cell) for cell in value]
    return _entry(value) if argument in ("layer", "cell") else value


# --------------------------------------------------------------------- weights


def named_weights(model: Any) -> Iterator[tuple[str, Any]]:
    """The variables of a model's layers, by the names that TensorFlow.js gives them."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from named_weights(layer)
            continue
        kind = type(layer).__name__
        for start, part in _parts(layer):
            for variable in part.weights:
                yield f"{start}/{RENAMED.get((kind, variable.name), variable.name)}", variable


def _parts(layer: Any) -> list[tuple[str, Any]]:
    """The parts of a layer that have weights, and how the names of these begin."""
    if isinstance(layer, layers.Bidirectional):
        return [(f"{layer.name}/{x.name}", x) for x in (layer.forward_layer, layer.backward_layer)]
    if isinstance(cell := getattr(layer, "cell", None), layers.StackedRNNCells):
        return [(f"{layer.name}/RNNCell_{i}", part) for i, part in enumerate(cell.cells)]
    return [(layer.name, layer)]


def arrays(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """What the layers of a model compute with, by the names that TensorFlow.js gives it.

    Raises:
        ValueError: If two weights have one name, or one breaks its constraint, which TensorFlow.js would apply.
    """
    found: dict[str, np.ndarray[Any, Any]] = {}
    with use("numpy"), StatelessScope([(x, x.held()) for x in model.variables]):
        for name, variable in named_weights(model):
            value = np.asarray(variable.effective())
            if name in found:
                raise ValueError(
                    "TensorFlow.js knows weights by the names of their layers. Received: two of the name "
                    f"{name!r}. Give each layer, in models within the model too, a name of its own."
                )
            kept = variable.constraint is None or np.asarray(variable.constraint(value))
            if kept is not True and not np.allclose(kept, value, atol=1e-6):
                raise ValueError(
                    "TensorFlow.js applies a weight's constraint when it reads it. Received: "
                    f"{name!r}, which breaks its own. Train the model, or assign what the constraint gives."
                )
            found[name] = value
    return found
