"""Adapters alone: the low-rank products of a model without its weights.

A file that ends in `.h5` has the factors by the layers' paths. A folder has the layout of Hugging Face's PEFT
(https://huggingface.co/docs/peft/developer_guides/checkpoint): `adapter_config.json` beside
`adapter_model.safetensors`, with matrices as PyTorch has them: `lora_A` (rank, rows), `lora_B` (columns, rank).
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.files import replacing
from ..core.variable import Variable
from ..layers import Embedding, Layer
from ..transforms import LowRank
from ._files import LARGEST_TEXT, BrokenFileError, as_path, from_json, may_write, require
from ._hdf5 import HDF5
from ._names import Names, join, rule
from ._safetensors import Safetensors
from ._stores import Item
from ._walk import walk

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
_ROOT = "base_model.model."
#: What PEFT calls the arrays; it has other names for those of embeddings.
_ENDINGS = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_magnitude_vector": "magnitude",
}
#: Settings of PEFT's that change what is computed, where they are not these.
_PLAIN = {"peft_type": "LORA", "bias": "none", "modules_to_save": None, "lora_bias": False}

_CHANGING = ("layer_replication", "alora_invocation_tokens", "use_qalora")
#: Beginnings that move the weights themselves: the products of such are beside other weights.
_MOVING = ("pissa", "olora", "corda", "loftq")


class Place(NamedTuple):
    """A weight that may have a product, and the layer that owns it."""

    layer: Layer
    variable: Variable

    @property
    def product(self) -> LowRank | None:
        """The product that it has."""
        return next((t for t in self.variable.transforms if isinstance(t, LowRank)), None)

    @property
    def is_convolution(self) -> bool:
        """Whether PyTorch would have windows as last axes, and a second convolution for `lora_B`."""
        return hasattr(self.layer, "kernel_size") and len(self.variable.shape) > 2


def save_adapter(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Save the low-rank products of a model, without its weights.

    Args:
        model: The model.
        filepath: A path that ends in `.h5`; or a folder, in which PEFT's two files are written. There a kernel of
            more than two axes, but of convolutions, is the matrix of its rows and columns.
        overwrite: Whether what exists is replaced without asking.

    Raises:
        ValueError: If there are none, or they are merged into the weights.
    """
    path = as_path(filepath, "save_adapter")
    found = {name: place for name, place in _places(model).items() if place.product is not None}
    merged = [name for name, place in found.items() if place.product and place.product.merged]
    if not found or merged:
        raise ValueError(
            "An adapter is the products of `enable_lora` beside a model's weights. Received: the model "
            f"{model.name!r} with {f'those of {merged} merged' if merged else 'none'}. "
            f"Call `model.{'unmerge_lora()' if merged else 'enable_lora(rank)'}` first."
        )
    arrays = {name: _arrays(place) for name, place in found.items()}
    if path.endswith(".h5"):
        if may_write(path, overwrite):
            with replacing(path) as draft:
                HDF5().write(draft, [Item(name, _Kept(kept)) for name, kept in arrays.items()])
    elif may_write(os.path.join(path, CONFIG), overwrite):
        os.makedirs(path, exist_ok=True)
        tensors = {
            _ROOT + _module(name) + ending: np.ascontiguousarray(array)
            for name, kept in arrays.items()
            for ending, array in _for_peft(found[name], kept)
        }
        with replacing(os.path.join(path, TENSORS)) as draft:
            Safetensors().write(draft, [Item("", _Kept(tensors))])
        with replacing(os.path.join(path, CONFIG)) as draft, open(draft, "w") as file:
            json.dump(_config(model, arrays), file, indent=2, sort_keys=True)


def load_adapter(model: Any, filepath: Any, names: Names | None = None) -> None:
    """Give a model the low-rank products of a file, in place of those that it has of the same weights.

    Args:
        model: The model, built, with the weights that the adapter was trained beside.
        filepath: A path that ends in `.h5`, or a folder with PEFT's files.
        names: What names in the file become, as `load_weights` takes them: `encoder.query` of PEFT's becomes
            `encoder/query`, where that is a layer's place in the model.

    Raises:
        ValueError: If a product has no weight, or one of another shape, in which case nothing is changed; or if it
            is of a kind that there is not.
    """
    path = as_path(filepath, "load_adapter")
    require(path)
    found = _of_h5(path) if path.endswith(".h5") else _of_peft(path)
    places, rename = _places(model), rule(names)
    taken: dict[str, tuple[Place, LowRank, dict[str, np.ndarray[Any, Any]]]] = {}
    for name, kept in found.items():
        known = next((n for n in _candidates(rename(name)) if n in places), None)
        if known is None or known in taken or not {"a", "b", "alpha"} <= kept.keys():
            raise ValueError(
                "An adapter's products are of the model's weights, one of each. Received: "
                f"{sorted(kept)} of {name!r} in {path!r}, for the weights {list(places)[:8]}. `names` says what "
                "names in the file become."
            )
        taken[known] = places[known], *_fitting(places[known], name, kept)
    for place, product, kept in taken.values():
        if (former := place.product) is not None:
            former.unmerge()
            place.layer.remove_transform(place.variable, former)
        place.layer.add_transform(place.variable, product)
        for key, part in product.parts.items():
            part.assign(kept[key])


class _Kept:
    """Arrays as an object with state."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = arrays

    def save_own_variables(self, store: dict[str, Any]) -> None:
        store.update(self.arrays)


def _places(model: Any) -> dict[str, Place]:
    """The weights of a model by the paths of their layers and their names."""
    return {
        join(path, variable.name): Place(part, variable)
        for path, part in walk(model)
        if isinstance(part, Layer)
        for variable in part._transformable()
    }


def _arrays(place: Place) -> dict[str, np.ndarray[Any, Any]]:
    product = place.product
    assert product is not None
    parts = {key: part.numpy() for key, part in product.parts.items()}
    return {**parts, "alpha": np.asarray(product.alpha, "float32")}


def _fitting(
    place: Place, name: str, kept: dict[str, np.ndarray[Any, Any]]
) -> tuple[LowRank, dict[str, np.ndarray[Any, Any]]]:
    """A product for a weight, and its arrays in the weight's axes."""
    a, b, shape = kept["a"], kept["b"], place.variable.shape
    sizes = math.prod(a.shape[:-1]), math.prod(b.shape[1:])
    splits = [(math.prod(shape[:n]), math.prod(shape[n:])) for n in range(1, len(shape))]
    lengths = kept.get("magnitude", b[:1]).size
    if (
        sizes not in splits
        or b.shape[:1] != a.shape[-1:]
        or lengths != sizes[1]
        or kept["alpha"].ndim
    ):
        raise ValueError(
            f"A product has the size of its weight, {place.variable.path!r} of the shape {shape}. Received: "
            f"{a.shape} and {b.shape} of {name!r}. Is it the adapter of another model?"
        )
    rows = len(splits) - splits[::-1].index(sizes)
    product = LowRank(len(b), float(kept["alpha"]), rows=rows, dora="magnitude" in kept)
    shapes = {"a": (*shape[:rows], len(b)), "b": (len(b), *shape[rows:]), "magnitude": shape[rows:]}
    return product, {key: x.reshape(shapes[key]) for key, x in kept.items() if key in shapes}


def _candidates(name: str) -> Iterator[str]:
    """The names that a weight may have: one in a file, where slashes may be dots, with a kernel's left out."""
    for path in (name, name.replace(".", "/")):
        yield from (path, f"{path}/kernel", f"{path}/embeddings")


def _of_h5(path: str) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    with HDF5().opened(path, path) as arrays:
        for name, array in arrays.items():
            place, _, key = name.rpartition("/")
            found.setdefault(place, {})[key] = array.read()
    return found


# ---------------------------------------------------------------------------- PEFT


def _module(name: str) -> str:
    """`layers.dense` of `layers/dense/kernel`."""
    path, _, last = name.rpartition("/")
    return (path if last in ("kernel", "embeddings") else name).replace("/", ".")


def _for_peft(
    place: Place, kept: Mapping[str, np.ndarray[Any, Any]]
) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    a, b = kept["a"], kept["b"]
    embeds = isinstance(place.layer, Embedding)
    ends = ("embedding_A", "embedding_B") if embeds else ("A.weight", "B.weight")
    windows = (1,) * (a.ndim - 2) if place.is_convolution else ()
    if place.is_convolution:  # (*window, channels, rank) becomes (rank, channels, *window)
        yield f".lora_{ends[0]}", np.moveaxis(a, (-1, -2), (0, 1))
    else:
        yield f".lora_{ends[0]}", a.reshape(-1, a.shape[-1]).T
    yield f".lora_{ends[1]}", b.reshape(b.shape[0], -1).T.reshape(-1, b.shape[0], *windows)
    if "magnitude" in kept:
        lengths = kept["magnitude"].reshape(-1)
        yield ".lora_magnitude_vector", lengths.reshape((1, -1, *windows) if windows else (-1,))


def _config(model: Any, arrays: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]) -> dict[str, Any]:
    """What PEFT reads beside the tensors."""
    ranks = {_module(name): int(kept["a"].shape[-1]) for name, kept in arrays.items()}
    alphas = {_module(name): float(kept["alpha"]) for name, kept in arrays.items()}
    rank, alpha = (Counter(own.values()).most_common(1)[0][0] for own in (ranks, alphas))
    return {
        **_PLAIN,
        "base_model_name_or_path": model.name,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_dropout": 0.0,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {module: own for module, own in ranks.items() if own != rank},
        "alpha_pattern": {module: own for module, own in alphas.items() if own != alpha},
        "target_modules": sorted(ranks),
        "task_type": None,
        "use_dora": any("magnitude" in kept for kept in arrays.values()),
        "use_rslora": False,
    }


def _of_peft(path: str) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    config = _read_config(os.path.join(path, CONFIG))
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    tensors = os.path.join(path, TENSORS)
    require(tensors)
    with Safetensors().opened(tensors, tensors) as arrays:
        for name, array in arrays.items():
            ending = next((ending for ending in _ENDINGS if name.endswith(ending)), None)
            if ending is None or not name.startswith(_ROOT):
                raise ValueError(
                    "An adapter has `lora_A`, `lora_B` and `lora_magnitude_vector` of modules. Received: "
                    f"{name!r} in {tensors!r}. Save it without other weights (`modules_to_save=None`)."
                )
            module = name.removeprefix(_ROOT).removesuffix(ending)
            found.setdefault(module, {})[_ENDINGS[ending]] = array.read()
    for module, kept in found.items():
        if config.get("use_dora") and "magnitude" not in kept:
            raise ValueError(
                "An adapter of DoRA has a magnitude beside each product. Received: "
                f"use_dora={config['use_dora']!r} and {sorted(kept)} of {module!r} in {tensors!r}. "
                "Save the adapter again."
            )
        if {"a", "b"} <= kept.keys():
            if (
                kept["a"].ndim < 2
                or not kept["a"].size
                or kept["a"].shape[:1] != kept["b"].shape[1:2]
            ):
                raise ValueError(
                    "The two matrices of a product have a rank. Received: `lora_A` of the shape "
                    f"{kept['a'].shape}, `lora_B` of {kept['b'].shape}, of {module!r} in {tensors!r}. "
                    "Save the adapter again."
                )
            rank, window = kept["a"].shape[0], kept["a"].ndim > 2
            kept["a"] = np.moveaxis(kept["a"], (0, 1), (-1, -2)) if window else kept["a"].T
            kept["b"] = kept["b"].reshape(-1, rank).T
            alpha = _of_pattern(config["alpha_pattern"], module, config["lora_alpha"])
            rescaled = math.sqrt(rank) if config.get("use_rslora") else 1.0
            kept["alpha"] = np.asarray(alpha * rescaled, "float32")
    return found


def _read_config(path: str) -> dict[str, Any]:
    require(path)
    with open(path, encoding="utf-8") as file:
        text = file.read(LARGEST_TEXT)
    try:
        config = from_json(text)
        config["lora_alpha"] = float(config["lora_alpha"])
        alphas = config.get("alpha_pattern") or {}
        config["alpha_pattern"] = {module: float(alpha) for module, alpha in alphas.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BrokenFileError(
            f"An adapter's config must be JSON with `lora_alpha`. Received: {path!r}: {error!r:.200}. "
            "Save the adapter again."
        ) from error
    other = {key: config[key] for key in _PLAIN if config.get(key, _PLAIN[key]) != _PLAIN[key]}
    other |= {key: config[key] for key in _CHANGING if config.get(key)}
    if str(config.get("init_lora_weights")).startswith(_MOVING):
        other["init_lora_weights"] = config["init_lora_weights"]
    if other:
        raise ValueError(
            "An adapter is of LoRA or DoRA, on kernels alone, beside the weights as they were. Received: "
            f"{other} in {path!r}. Save one with {_PLAIN}, without {[*_CHANGING, *_MOVING]}."
        )
    found: dict[str, Any] = config
    return found


def _of_pattern(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first pattern, a name or the end of one, that a module has."""
    ends = (pattern for pattern in patterns if f".{module}".endswith(f".{pattern}"))
    return next((patterns[pattern] for pattern in ends), default)
