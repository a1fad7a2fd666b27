"""Transforms of weights in a saved model: what they are, and what is stored where its weights have what is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..core.scopes import here, within
from ..core.serialization import custom_object_scope
from ..layers import Layer
from ._configs import describing
from ._files import BrokenFileError
from ._package import STORED, TRANSFORMS, Package, PackageWriter, read_json, stored_weights
from ._stores import Item, StoredWeights
from ._walk import walk
from ._weights import FORMATS


def write_transforms(model: Any, writer: PackageWriter) -> None:
    """Write what transforms the layers of a model have, if they have any."""
    parts = {
        path: part for path, part in walk(model) if isinstance(part, Layer) and part.transforms
    }
    baked = [Item(path, part) for path, part in parts.items() if part._baked()]
    if not parts:
        return
    with writer.new(TRANSFORMS) as file:
        configs = {path: part.get_transforms_config() for path, part in parts.items()}
        file.write(json.dumps(configs).encode("utf-8"))
    with within(here.exact, True), writer.new(STORED) as file:
        FORMATS[0].write(file, baked)


def take_transforms(model: Any, package: Package, custom_objects: Mapping[str, Any] | None) -> None:
    """Put the transforms of a saved model on the layers of one that was made of its config.

    Raises:
        BrokenFileError: If the model has no such layer, or weight.
    """
    if TRANSFORMS not in package.names():
        return
    parts = dict(walk(model))
    with describing(package.called), custom_object_scope(custom_objects):
        for path, config in read_json(package, TRANSFORMS).items():
            if not isinstance(parts.get(path), Layer):
                raise BrokenFileError(
                    f"Transforms are of the model's layers. Received: {package.called!r} with some of "
                    f"{path!r}, which is none. Save the model again with `model.save`."
                )
            parts[path].transform_from_config(config)


def load_stored(model: Any, package: Package) -> None:
    """Set what is stored, and the parts of transforms, where the weights of a saved model have what is read."""
    if STORED not in package.names():
        return
    baked = [(p, part) for p, part in walk(model) if isinstance(part, Layer) and part._baked()]
    with within(here.exact, True), stored_weights(package, STORED) as arrays:
        weights = StoredWeights(arrays)
        for path, part in baked:
            part.load_own_variables(weights.arrays(path))
