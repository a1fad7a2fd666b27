"""Layers at a model's beginning that its file can't hold: written beside it, for the package `cornu-runtime` (js/)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..core import tree
from ..core.files import making_folder, replacing
from ..core.keras_tensor import KerasTensor
from ..core.operation import node_of
from ..models import Model
from ._report import report
from ._signature import input_names

#: What the package computes: the arguments that it reads of each layer, and their values where not all are known to it.
LAYERS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Rescaling": {"scale": (), "offset": ()},
    "Normalization": {"mean": (), "variance": (), "invert": ()},
    "Resizing": {
        "height": (),
        "width": (),
        "interpolation": ("bilinear", "nearest"),
        "crop_to_aspect_ratio": (),
        "pad_to_aspect_ratio": (),
        "fill_mode": ("constant",),
        "fill_value": (),
        "antialias": (False,),
        "data_format": ("channels_last",),
    },
    **dict.fromkeys(
        ("StringLookup", "IntegerLookup"),
        {
            "vocabulary": (),
            "mask_token": (),
            "num_oov_indices": (1,),
            "invert": (False,),
            "output_mode": ("int",),
        },
    ),
    "TextVectorization": {
        "vocabulary": (),
        "standardize": (None, "lower", "strip_punctuation", "lower_and_strip_punctuation"),
        "split": ("whitespace", "character"),
        "ngrams": (),
        "output_mode": ("int", "multi_hot", "count"),
        "output_sequence_length": (),
        "max_tokens": (),
        "pad_to_max_tokens": (),
        "ragged": (False,),
    },
}


@contextmanager
def without_preprocessing(model: Any, path: Path, verbose: bool) -> Iterator[tuple[Any, Any]]:
    """A block that writes a model without the layers that no file holds, at the end of which these are written too.

    They are layers of strings, and those that resize images of any size, with what comes before them.

    Args:
        model: A model that was made from `Input`s.
        path: Where the layers are written: JSON, by the name of an input what it takes, and the layers before it.
        verbose: Whether to print what was written.

    Yields:
        The model, and the specs of its inputs under the names that they have.

    Raises:
        ValueError: If there are no such layers.
        NotImplementedError: If the package can't compute one.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            "`preprocessing` is for models that were made from `Input`s. Received: the model "
            f"{model.name!r}, which was not. Leave it out, and call its layers of strings before it."
        )
    places = {id(x): place for place, x in enumerate(model.inputs)}
    begins = sorted(map(_chain, _begins(model)), key=lambda found: places[id(found[0])])
    sources = [source for source, _, _ in begins]
    for one, two in itertools.pairwise(sources):
        if one is two:
            raise NotImplementedError(
                "Layers before a model go from an input to one tensor. Received: the input "
                f"{one.name!r} of the model {model.name!r}, which goes to more. Give each an input of its own."
            )
    names = input_names(sources)
    before = {name: layers for name, (_, layers, _) in zip(names, begins, strict=True) if layers}
    if not before:
        raise ValueError(
            "`preprocessing` is for layers that a file can't hold: of strings, or that resize images of any "
            f"size. Received: the model {model.name!r}, which begins with none. Leave it out."
        )
    described = {
        name: {"dtype": x.dtype, "shape": x.shape, "layers": [_described(y) for y in before[name]]}
        for name, x in zip(names, sources, strict=True)
        if name in before
    }
    starts = [start for _, _, start in begins]
    body = Model(starts, model.output, name=model.name)
    specs = [KerasTensor(x.shape, x.dtype, name=n) for x, n in zip(starts, names, strict=True)]
    with making_folder(path.parent), replacing(path) as draft:
        Path(draft).write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
        yield body, specs
    if verbose:
        told = [
            (name, ", ".join(type(layer).__name__ for layer in before[name])) for name in before
        ]
        report(path, [path], told)


def _begins(model: Any) -> list[KerasTensor]:
    """Where the part of a model begins that a file holds: at inputs, and at what the last other layers give."""
    found: dict[int, KerasTensor] = {}
    waiting, seen = tree.flatten(model.output), set()
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        node = node_of(x)
        if node is None or node.is_input or _is_outside(node):
            found[id(x)] = x
        else:
            waiting.extend(node.input_tensors)
    return list(found.values())


def _is_outside(node: Any) -> bool:
    """Whether no file holds a call: of a layer of strings, or one that resizes images of any size."""
    (x, *_), layer = node.input_tensors, node.operation
    resizes = type(layer).__name__ == "Resizing" and None in x.shape[1:3]
    return resizes or bool(getattr(layer, "on_host", False))


def _chain(start: KerasTensor) -> tuple[KerasTensor, list[Any], KerasTensor]:
    """The input from which a tensor is made, and the layers between them."""
    x, layers = start, []
    while (node := node_of(x)) is not None and not node.is_input:
        layer = node.operation
        if type(layer).__name__ not in LAYERS or len(node.input_tensors) != 1:
            raise NotImplementedError(
                f"Layers before a model are those of {sorted(LAYERS)}, one after the other. Received: "
                f"{type(layer).__name__} {layer.name!r}. Export what comes after it, "
                "`cornu.Model(layer.output, model.output)`, and call the layer before that."
            )
        layers.append(layer)
        (x,) = node.input_tensors
    return x, layers[::-1], start


def _described(layer: Any) -> dict[str, Any]:
    """A layer as the package reads it."""
    kind = type(layer).__name__
    found = {name: getattr(layer, name) for name in LAYERS[kind]}
    if "vocabulary" in found:
        found["vocabulary"] = layer.get_vocabulary(include_special_tokens=False)
    if kind == "Normalization":
        found.update(_moments(layer))
    for name, values in LAYERS[kind].items():
        if values and found[name] not in values:
            raise NotImplementedError(
                f"A {kind} before a model has `{name}` of {list(values)}. Received: {name}={found[name]!r} "
                f"for {layer.name!r}. Call the layer before the model."
            )
    plain = {name: x.tolist() if hasattr(x, "tolist") else x for name, x in found.items()}
    return {"class_name": kind, "config": plain}


def _moments(layer: Any) -> dict[str, Any]:
    """The moments of each channel."""
    mean, variance = (np.asarray(x, "float32") for x in (layer.mean, layer.variance))
    if mean.size != mean.shape[-1]:
        raise NotImplementedError(
            "A Normalization before a model has a mean for all, or for each place of the last axis. Received: "
            f"means of shape {mean.shape} for {layer.name!r}. Call the layer before the model."
        )
    return {"mean": mean.ravel().tolist(), "variance": variance.ravel().tolist()}
