"""Read the HDF5 format of whole models and weights that came before `.keras`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import layers
from ..core.serialization import ROOT, deserialize_keras_object
from ..core.variable import Variable
from ._files import BrokenFileError, warn
from ._hdf5 import opened_file, own_item, stored_array
from ._reports import WeightsReport
from ._stores import Arrays, StoredArray

_TOP = "top_level_model_weights"


@contextmanager
def opened_legacy(path: str) -> Iterator[Any]:
    """The group with the weights in a file of the old format; None in a file of today's."""
    with opened_file(path, path) as file:
        group = own_item(file, "model_weights")
        group = file if group is None else group
        yield group if _names(group, "layer_names") is not None else None


def load_legacy_model(path: str, custom_objects: Any, compile: bool) -> Any:
    """The model in a file that Keras 3 wrote in the old format.

    Raises:
        ValueError: If there is no model in the file, or an earlier Keras wrote it.
    """
    with opened_file(path, path) as file:
        text, version = file.attrs.get("model_config"), str(file.attrs.get("keras_version", "?"))
        weights = own_item(file, "model_weights")
        if text is None or weights is None:
            raise BrokenFileError(
                "An HDF5 file of a whole model must have a config. Received: "
                f"{path!r} without one. If it has weights alone, make the model, then "
                "`model.load_weights`."
            )
        if not version.startswith("3."):
            raise ValueError(
                "Models in the old HDF5 format are read if Keras 3 wrote them. Received: "
                f"{path!r}, of Keras {version}. Load it there and save it as `.keras`, or make the "
                "model and use `model.load_weights`."
            )
        config = _with_modules(json.loads(text))
        model = deserialize_keras_object(config, custom_objects)
        load_legacy_weights(model, weights, path)
        training = file.attrs.get("training_config")
        if compile and training is not None:
            _compile(model, json.loads(training), own_item(file, "optimizer_weights"))
    return model


def _with_modules(config: Any) -> Any:
    """A config whose classes say where they are exported, as configs of today do."""
    if isinstance(config, list):
        return [_with_modules(item) for item in config]
    if not isinstance(config, dict):
        return config
    found = {key: _with_modules(value) for key, value in config.items()}
    name = config.get("class_name")
    if isinstance(name, str) and "config" in config and "module" not in config:
        if name in ROOT:
            found.update(module="keras", registered_name=None)
        elif name == "Functional":
            found.update(module="keras.src.models.functional", registered_name=name)
        elif hasattr(layers, name):
            found.update(module="keras.layers", registered_name=None)
    return found


def load_legacy_weights(
    model: Any, group: Any, called: str, by_name: bool = False, skip_mismatch: bool = False
) -> WeightsReport:
    """Set a model's weights from a group of the old format.

    Args:
        model: The model.
        group: The open group.
        called: What errors call the file.
        by_name: Whether layers take the weights of the layer of their name, and others none;
            else all layers with weights take them in order.
        skip_mismatch: Whether a layer whose weights do not fit is left as it is, with a warning.

    Raises:
        ValueError: If the file is of another architecture.
    """
    stored = {n: kept for n in _names(group, "layer_names") or () if (kept := _values(group, n))}
    targets = [layer for layer in model.layers if layer.weights]
    if by_name:
        pairs = [(layer, layer.name) for layer in targets]
    elif len(targets) != len(stored):
        raise ValueError(
            f"Weights must be of the model's architecture. Received: {called!r} with weights of "
            f"{len(stored)} layers for the model {model.name!r}, which has {len(targets)} layers "
            "with weights."
        )
    else:
        pairs = list(zip(targets, stored, strict=True))
    report = WeightsReport()
    for layer, name in pairs:
        variables = [*layer.trainable_weights, *layer.non_trainable_weights]
        values = stored.pop(name, [])
        fits = not values or _assign(variables, values, layer.path, called, skip_mismatch)
        report.note(dict(enumerate(variables)), dict(enumerate(values)), fits)
    report.unexpected.extend(value.name for values in stored.values() for value in values)
    top = _values(group, _TOP) if _TOP in group else []
    own = model._own_weights()
    if top and own:
        fits = _assign(own, top, model.name, called, skip_mismatch)
        report.note(dict(enumerate(own)), dict(enumerate(top)), fits)
    return report


def legacy_arrays(group: Any) -> Arrays:
    """The weights in a group of the old format by their names, which the group's layers begin."""
    names = [*(_names(group, "layer_names") or ()), *([_TOP] if _TOP in group else [])]
    return {array.name: array for name in names for array in _values(group, name)}


def _assign(
    variables: list[Variable], values: list[Any], path: str, called: str, skip_mismatch: bool
) -> bool:
    """Set variables if all values fit, and tell whether they do."""
    shapes = [variable.shape for variable in variables]
    arrays = [value.read() for value in values]
    received = [array.shape for array in arrays]
    if shapes == received:
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return True
    message = (
        f"The weights of the layer {path!r} have the shapes {shapes}. Received: {received} in "
        f"{called!r}."
    )
    if not skip_mismatch:
        raise ValueError(f"{message} Pass `skip_mismatch=True` to leave such layers as they are.")
    warn(f"{message} They are left as they are.")
    return False


def _compile(model: Any, config: dict[str, Any], state: Any) -> None:
    optimizer = {"module": "keras.optimizers", **config.pop("optimizer_config")}
    model.compile_from_config({"optimizer": optimizer, **config})
    values = [value.read() for value in _values(state, "")] if state is not None else []
    variables = model.optimizer.variables
    shapes, received = ([tuple(x.shape) for x in kept] for kept in (variables, values))
    if shapes == received:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    elif values:
        warn(
            f"The optimizer of {model.name!r} starts anew: its state has the shapes {shapes}. "
            f"Received: {received} in the file."
        )


def _names(group: Any, attribute: str) -> list[str] | None:
    """The names in an attribute, which long ones are cut into several."""
    names = group.attrs.get(attribute)
    if names is None and f"{attribute}0" in group.attrs:
        parts = sorted(
            (key for key in group.attrs if key.startswith(attribute)),
            key=lambda key: int(key.removeprefix(attribute)),
        )
        names = [name for part in parts for name in group.attrs[part]]
    if names is None:
        return None
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]


def _values(group: Any, name: str) -> list[StoredArray]:
    """The arrays of a layer, in order."""
    layer = own_item(group, name) if name else group
    if layer is None:
        return []
    found: list[StoredArray] = []
    for path in _names(layer, "weight_names") or ():
        above, _, key = path.rpartition("/")
        owner = own_item(layer, above) if above else layer
        if owner is None or key not in owner:
            raise BrokenFileError(
                "A file with weights must have those that it lists. Received: "
                f"{layer.file.filename!r} without {path!r} in {layer.name!r}. Save the model again."
            )
        found.append(stored_array(owner, key, f"{name}/{path}"))
    return found
