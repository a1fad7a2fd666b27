"""The HDF5 format of whole models and weights that came before `.keras`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.naming import numbered
from ..core.serialization import custom_object_scope
from ..core.variable import Variable, host_array, take_all
from ..engines import current
from ..training import Trainer
from ._configs import described, describing, plain_text, version_of
from ._files import FORMAT_VERSION, BrokenFileError, from_json, warn
from ._hdf5 import group_in, new_file, opened_file, own_item, put_array, stored_array
from ._keras2 import optimizer_state, parts_in_files, safe_name, todays_weights, translated
from ._reports import WeightsReport
from ._stores import Arrays, Numbered, StoredArray

_TOP = "top_level_model_weights"
#: The most bytes of names that Keras puts into one attribute.
_LARGEST_ATTRIBUTE = 64512


# -------------------------------------------------------------------- writing


def save_legacy_model(
    model: Any, config: dict[str, Any], path: str, include_optimizer: bool = True
) -> None:
    """Write a model in the old format, as Keras 3 does, but that layers say of which module they are.

    Keras looks for a bare name's value among its layers, and reads none that has `"dot"` somewhere.

    Args:
        model: The model.
        config: Its config.
        path: Where a new file is made.
        include_optimizer: Whether the file says how the model is trained.
    """
    warn(
        "A whole model as HDF5 is Keras's old format, which keeps neither assets nor metrics. "
        "Received: a path that ends in `.h5`. Save it as `.keras` where it need not be read by "
        "something older."
    )
    training, backend = config.get("compile_config"), current().name
    name = config.get("registered_name") or config["class_name"]
    described = {"class_name": name, "config": config["config"]}
    with new_file(path) as file:
        written = {"backend": backend, "keras_version": FORMAT_VERSION}
        file.attrs.update(written, model_config=json.dumps(described))
        group = group_in(file, "model_weights")
        group.attrs.update(written)
        _put_names(group, "layer_names", [layer.name for layer in model.layers])
        for layer in model.layers:
            variables = [*layer.trainable_weights, *layer.non_trainable_weights]
            _put_variables(group_in(group, layer.name), variables)
        _put_variables(group_in(group, _TOP), model._own_weights())
        if training and include_optimizer:
            rest = {key: value for key, value in training.items() if key != "optimizer"}
            rest["optimizer_config"] = training["optimizer"]
            file.attrs["training_config"] = json.dumps(rest)
            _put_variables(group_in(file, "optimizer_weights"), model.optimizer.variables)


def _put_variables(group: Any, variables: list[Variable]) -> None:
    names: list[str] = []
    for variable in variables:
        names.append(next(name for name in numbered(variable.path) if name not in names))
        put_array(group, names[-1], host_array(variable))
    _put_names(group, "weight_names", names)


def _put_names(group: Any, attribute: str, names: list[str]) -> None:
    """Write names as an attribute, or as several where they are too long for one."""
    array = np.array([name.encode("utf-8") for name in names] or np.zeros(0, "S1"))
    count = max(1, _LARGEST_ATTRIBUTE // array.itemsize)
    if len(array) <= count:
        group.attrs[attribute] = array
    else:
        for n, start in enumerate(range(0, len(array), count)):
            group.attrs[f"{attribute}{n}"] = array[start : start + count]


# -------------------------------------------------------------------- reading


@dataclass(frozen=True)
class OldWeights:
    """The weights of a model in an open file of the old format.

    Args:
        group: The group that has them.
        called: What errors call the file.
    """

    group: Any
    called: str

    @property
    def version(self) -> int:
        """The Keras that wrote them."""
        return version_of(self.group.attrs.get("keras_version"))

    def layers(self) -> dict[str, list[StoredArray]]:
        """The arrays of each layer that has some, in order."""
        names = _names(self.group, "layer_names") or ()
        return {safe_name(name): kept for name in names if (kept := _values(self.group, name))}

    def own(self) -> list[StoredArray]:
        """The arrays of the model itself."""
        return _values(self.group, _TOP) if _TOP in self.group else []

    def named(self) -> Arrays:
        """All arrays by their names, which the layers' begin."""
        return {
            array.name: array for kept in (*self.layers().values(), self.own()) for array in kept
        }


@contextmanager
def opened_legacy(path: str) -> Iterator[OldWeights | None]:
    """The weights in a file of the old format; None in a file of today's."""
    with opened_file(path, path) as file:
        group = own_item(file, "model_weights")
        group = file if group is None else group
        yield OldWeights(group, path) if _names(group, "layer_names") is not None else None


def load_legacy_model(path: str, custom_objects: Any, compile: bool) -> Any:
    """The model in a file of the old format.

    Raises:
        ValueError: If there is no model in the file, or one with what there is no more.
        TypeError: If a class or function that it names is not known.
    """
    with opened_file(path, path) as file:
        config, group = _json(file, "model_config", path), own_item(file, "model_weights")
        if config is None or group is None:
            raise BrokenFileError(
                "An HDF5 file of a whole model must have a config. Received: "
                f"{path!r} without one. If it has weights alone, make the model, then "
                "`model.load_weights`."
            )
        version = version_of(file.attrs.get("keras_version"))
        model = described(config, path, version, custom_objects)
        weights = OldWeights(group, path)
        names = {layer.name for layer in parts_in_files(model, weights.version)}
        load_legacy_weights(model, weights, by_name=names == weights.layers().keys())
        training = _json(file, "training_config", path) if compile else None
        if training is not None:
            with describing(path), custom_object_scope(custom_objects):
                _compile(model, training, own_item(file, "optimizer_weights"), version)
    return model


def _json(file: Any, attribute: str, called: str) -> Any:
    text = file.attrs.get(attribute)
    try:
        return None if text is None else from_json(plain_text(text))
    except (ValueError, RecursionError) as error:
        raise BrokenFileError(
            f"A file with a model must describe it as JSON. Received: {called!r} with a damaged "
            f"{attribute!r}: {error}. Copy or save it again."
        ) from error


def load_legacy_weights(
    model: Any, old: OldWeights, by_name: bool = False, skip_mismatch: bool = False
) -> WeightsReport:
    """Set a model's weights from a file of the old format.

    Args:
        model: The model.
        old: The weights in the open file.
        by_name: Whether layers take the weights of the layer of their name, and others none;
            else all layers with weights take them in order.
        skip_mismatch: Whether a layer whose weights do not fit is left as it is, with a warning.

    Raises:
        ValueError: If the file is of another architecture.
    """
    stored, targets = old.layers(), parts_in_files(model, old.version)
    if by_name:
        pairs = [(layer, layer.name) for layer in targets]
    elif len(targets) != len(stored):
        raise ValueError(
            f"Weights must be of the model's architecture. Received: {old.called!r} with weights of "
            f"{len(stored)} layers for the model {model.name!r}, which has {len(targets)} layers "
            "with weights."
        )
    else:
        pairs = list(zip(targets, stored, strict=True))
    kept = [
        (layer, [*layer.trainable_weights, *layer.non_trainable_weights], stored.pop(name, []))
        for layer, name in pairs
    ]
    if (top := old.own()) and model._own_weights():
        kept.append((model, model._own_weights(), top))
    report = WeightsReport()
    fit = [not values or _fits(o, own, values, old, skip_mismatch) for o, own, values in kept]
    for (layer, variables, values), fits in zip(kept, fit, strict=True):
        if fits and values:
            arrays = todays_weights(layer, [value.read() for value in values], old.version)
            take_all(variables, Numbered.of(arrays))
        report.note(dict(enumerate(variables)), dict(enumerate(values)), fits)
    report.unexpected.extend(value.name for values in stored.values() for value in values)
    return report


def _fits(
    owner: Any,
    variables: list[Variable],
    values: list[StoredArray],
    old: OldWeights,
    skip_mismatch: bool,
) -> bool:
    """Whether values fit variables, told by their shapes alone, so that none is set where some don't."""
    empty = [np.broadcast_to(np.zeros((), bool), value.shape()) for value in values]
    arrays = todays_weights(owner, empty, old.version)
    shapes, received = ([tuple(x.shape) for x in side] for side in (variables, arrays))
    if shapes == received:
        return True
    message = (
        f"The weights of the layer {owner.path!r} have the shapes {shapes}. Received: {received} in "
        f"{old.called!r}."
    )
    if not skip_mismatch:
        raise ValueError(f"{message} Pass `skip_mismatch=True` to leave such layers as they are.")
    warn(f"{message} They are left as they are.")
    return False


def _compile(model: Any, config: dict[str, Any], state: Any, version: int) -> None:
    config = translated({"optimizer": config.pop("optimizer_config"), **config}, version)
    known = inspect.signature(Trainer.compile).parameters
    model.compile_from_config({key: value for key, value in config.items() if key in known})
    kept = _values(state, "") if state is not None else []
    counter = kept[0].name.rpartition("/")[2].partition(":")[0] if kept else ""
    load_optimizer(model, kept, version, by_weight=counter == "iteration")


def load_optimizer(model: Any, stored: list[StoredArray], version: int, by_weight: bool) -> None:
    """Set the state of a model's optimizer, as far as it fits; arguments as of `optimizer_state`."""
    variables, arrays = model.optimizer.variables, [array.read() for array in stored]
    if version < 3:
        variables, arrays = optimizer_state(model, arrays, version, by_weight)
    shapes, received = ([tuple(x.shape) for x in side] for side in (variables, arrays))
    if shapes == received:
        take_all(variables, Numbered.of(arrays))
    elif arrays:
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
