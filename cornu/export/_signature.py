"""What a model takes: the specs of its inputs, their names, and those of its outputs."""

from __future__ import annotations

from typing import Any

from ..core import tree
from ..core.dtypes import standardize_dtype
from ..core.keras_tensor import KerasTensor


def signature(model: Any, given: Any = None) -> Any:
    """The specs of a model's inputs, in the structure that it is called with.

    Raises:
        ValueError: If they are unknown: of a model that was neither made from `Input`s nor called.
    """
    if given is not None:
        # Of one input, Keras has it in a list.
        alone = isinstance(given, (list, tuple)) and len(given) == 1 and not _takes_list(model)
        return tree.map_structure(_spec, given[0] if alone else given)
    if getattr(model, "inputs", None):
        struct = getattr(model, "input", None)
        flat = list(model.inputs)
        if getattr(model, "_seen_on_data", False):
            (x,) = flat
            return KerasTensor((None, *x.shape[1:]), x.dtype, name=x.name)
        return struct if tree.flatten(struct) == flat else flat if len(flat) > 1 else flat[0]
    shapes = model.get_build_config() or {}
    if "input_shape" in shapes:
        return tree.map_shape_structure(
            lambda shape: KerasTensor((None, *shape[1:]), model.input_dtype), shapes["input_shape"]
        )
    raise ValueError(
        "What a model takes must be known for its export. Received: the model "
        f"{model.name!r}, which was not made from `Input`s. Call it on data first, or give "
        "`input_signature=[cornu.InputSpec(shape=(None, 4), dtype='float32')]`."
    )


def _takes_list(model: Any) -> bool:
    return isinstance(getattr(model, "input", None), (list, tuple))


def _spec(x: Any) -> KerasTensor:
    """A spec as a symbolic tensor, from anything with a shape and a dtype."""
    dtype = getattr(x, "dtype", None)
    if getattr(x, "shape", None) is None:
        raise ValueError(
            "An `input_signature` has specs with a shape, in the structure of the inputs. Received: "
            f"{x!r}. Give `input_signature=[cornu.InputSpec(shape=(None, 4), dtype='float32')]`."
        )
    return KerasTensor(x.shape, standardize_dtype(dtype), name=getattr(x, "name", None))


def input_names(specs: list[Any]) -> list[str]:
    """The names of the inputs, each once."""
    names = [
        spec._name or ("input" if len(specs) == 1 else f"input_{i}") for i, spec in enumerate(specs)
    ]
    return unique(names)


def output_names(model: Any, results: Any) -> list[str]:
    """The names of the outputs, each once: those in a dictionary go by their keys."""
    paths = [path for path, x in tree.flatten_with_path(results) if x is not None]
    if all(path and all(isinstance(key, str) for key in path) for path in paths):
        return unique(["_".join(path) for path in paths])
    count = len(paths)
    known = model._output_names() if hasattr(model, "_output_names") else None
    if known is None or len(known) != count:
        known = ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
    return unique(list(known))


def unique(names: list[str]) -> list[str]:
    """The names, with numbers where one comes twice."""
    seen: set[str] = set()
    result = []
    for name in names:
        fresh, count = name, 1
        while fresh in seen:
            count += 1
            fresh = f"{name}_{count}"
        seen.add(fresh)
        result.append(fresh)
    return result
