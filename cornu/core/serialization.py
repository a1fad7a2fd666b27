"""Objects as dictionaries of plain values, in Keras's format, and back.

An object is written as its public name and its config:

    {"module": "keras.layers", "class_name": "Dense", "config": {...}, "registered_name": None}

so that files are exchanged with Keras, a class of Cornu goes by the path that Keras exports it at.
Reading never runs or imports what a file names: a name is looked up among the registered objects,
in the public packages listed here, and, for a class, in the modules that are loaded already
(`described.loaded_class`). What is found nowhere is an error.
"""

from __future__ import annotations

import importlib
import os
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..engines import current
from . import naming
from .dtypes import numpy_dtype, standardize_dtype
from .keras_tensor import KerasTensor

#: Keras's public packages that files may name, and the packages of Cornu with the same contents.
PACKAGES = {
    "keras.layers": "cornu.layers",
    "keras.models": "cornu.models",
    "keras.initializers": "cornu.initializers",
    "keras.regularizers": "cornu.regularizers",
    "keras.constraints": "cornu.constraints",
    "keras.dtype_policies": "cornu.dtype_policies",
    "keras.activations": "cornu.activations",
    "keras.losses": "cornu.losses",
    "keras.metrics": "cornu.metrics",
    "keras.optimizers": "cornu.optimizers",
    "keras.optimizers.schedules": "cornu.optimizers.schedules",
    "keras.quantizers": "cornu.quantizers",
    "keras.random": "cornu.random",
    "keras.distillation": "cornu.distillation",
    "keras.utils": "cornu.utils",
    "keras.ops": "cornu.ops",
    "cornu.optimization": "cornu.optimization",
    "cornu.quantizers.codes": "cornu.quantizers.codes",
    "cornu.quantizers.float8": "cornu.quantizers.float8",
    "cornu.quantizers.scaled": "cornu.quantizers.scaled",
}
#: Classes that Keras exports at its root, and where Cornu has them.
ROOT = {
    "DTypePolicy": "cornu.dtype_policies",
    "FloatDTypePolicy": "cornu.dtype_policies",
    "Function": "cornu.models",
    "Initializer": "cornu.initializers",
    "InputSpec": "cornu.layers",
    "Layer": "cornu.layers",
    "Loss": "cornu.losses",
    "Metric": "cornu.metrics",
    "Model": "cornu.models",
    "Optimizer": "cornu.optimizers",
    "Quantizer": "cornu.quantizers",
    "Regularizer": "cornu.regularizers",
    "Sequential": "cornu.models",
}
#: Classes that Keras does not export but its files name, and where Cornu has them.
INTERNAL = {
    "Cross": ("keras.src.layers.preprocessing.feature_space", "cornu.utils._feature_space"),
    "CustomScaleLayer": (
        "keras.src.applications.inception_resnet_v2",
        "cornu.applications.inception_resnet_v2",
    ),
    "Feature": ("keras.src.layers.preprocessing.feature_space", "cornu.utils._feature_space"),
    "Functional": ("keras.src.models.functional", "cornu.models._functional"),
    "LayerScale": ("keras.src.applications.convnext", "cornu.applications.convnext"),
    "LossFunctionWrapper": ("keras.src.losses.losses", "cornu.losses"),
    "TFDIdentity": ("keras.src.layers.preprocessing.feature_space", "cornu.utils._feature_space"),
}
#: Packages whose functions a file may name; those after `ops` are also searched for a bare name.
FUNCTION_PACKAGES: tuple[str, ...] = (
    "cornu.ops",
    "cornu.activations",
    "cornu.losses",
    "cornu.metrics",
)
_NOT_MODELING = {"get", "serialize", "deserialize"}


#: Calls `(module, class_name) -> class or None` that are asked for what no public package has.
RESOLVERS: list[Callable[[str, str], type | None]] = []

_registered: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}


_custom_objects: ContextVar[Mapping[str, Any]] = ContextVar(
    "custom_objects", default=types.MappingProxyType({})
)
#: The configs that were written, each with its object, and the objects that were revived, within an
#: `ObjectSharingScope`: who is held there leaves its id to nobody.
_shared: ContextVar[tuple[dict[int, Any], dict[int, Any]] | None] = ContextVar(
    "shared", default=None
)


class ConfigError(TypeError):
    """A config that can't be read. It is raised where that is, and configs around it add nothing."""


# ------------------------------------------------------------ registered names


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """A decorator that makes a class or function loadable from files.

    Args:
        package: What the name stands under, usually the name of your package.
        name: The name in files; that of the class or function where it is left out.

    Raises:
        ValueError: If a class has no method `get_config`.

    >>> @register_keras_serializable("docs")
    ... def double(x):
    ...     return 2 * x
    >>> get_registered_name(double)
    'docs>double'
    """

    def register(target: Any) -> Any:
        if isinstance(target, type) and not hasattr(target, "get_config"):
            raise ValueError(
                "A class that is registered must have a method `get_config`. "
                f"Received: {target!r}. Let it return the arguments of its constructor as a dict."
            )
        registered_name = f"{package}>{name or target.__name__}"
        _registered[registered_name] = target
        _registered_names[target] = registered_name
        return target

    return register


def get_custom_objects() -> dict[str, Any]:
    """The registered objects by name; changing this dict changes what is registered."""
    return _registered


class CustomObjectScope:
    """A block in which names in configs may mean the given objects.

    Args:
        custom_objects: Objects by the name that configs have for them.

    >>> with CustomObjectScope({"double": lambda x: 2 * x}):
    ...     get_registered_object("double")(2)
    4
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})
        self._previous: list[Mapping[str, Any]] = []

    def __enter__(self) -> CustomObjectScope:
        outer = _custom_objects.get()
        self._previous.append(outer)
        _custom_objects.set({**outer, **self.custom_objects})
        return self

    def __exit__(self, *_: object) -> None:
        _custom_objects.set(self._previous.pop())


custom_object_scope = CustomObjectScope


def get_registered_name(obj: Any) -> str:
    """The name that a class or function has in files: the registered one, else its own."""
    try:
        return _registered_names[obj]
    except (KeyError, TypeError):
        name: str = obj.__name__
        return name


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The class or function registered under a name, or None.

    Looked up in the open `CustomObjectScope`s, among the registered objects, in `custom_objects`
    and in `module_objects`, in this order.
    """
    places = (_custom_objects.get(), _registered, custom_objects or {}, module_objects or {})
    return next((place[name] for place in places if name in place), None)


# ---------------------------------------------------------------- public names


def public_name(kind: type) -> tuple[str, str] | None:
    """The module and name that files have for a class of Cornu; None for any other class.

    >>> public_name(dict)
    """
    module, name = kind.__module__, kind.__name__
    if module.startswith("keras.src."):
        return module, name
    if not naming.is_ours(kind):
        return None
    if name in ROOT and _attribute(ROOT[name], name) is kind:
        return "keras", name
    if name in INTERNAL and _attribute(INTERNAL[name][1], name) is kind:
        return INTERNAL[name][0], name
    for public, package in PACKAGES.items():
        if module.startswith(package) and (found := _exported_name(package, kind)):
            return public, found
    for public, package in PACKAGES.items():
        if _attribute(package, name) is kind:
            return public, name
    return None


def _exported_name(package: str, kind: type) -> str | None:
    """The name of a class in a package: its own where the package has it, else an alias."""
    own_name: str = kind.__name__
    if _attribute(package, own_name) is kind:
        return own_name
    exported: Mapping[str, Any] = vars(importlib.import_module(package))
    names = (name for name, value in exported.items() if value is kind)
    return next((name for name in names if not name.startswith("_")), None)


def _attribute(package: str, name: str) -> Any:
    """A public name of one of the packages listed above, or None."""
    if not name.isidentifier() or name.startswith("_"):
        return None
    try:
        return getattr(importlib.import_module(package), name, None)
    except ModuleNotFoundError as error:
        if error.name is not None and package.startswith(error.name):
            return None
        raise


def resolve_class(
    module: str | None,
    class_name: str,
    registered_name: str | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The class that a config means, or None; the module None is that of the running script.

    Raises:
        ValueError: If a class of the library would stand in for one registered under another name.
    """
    if registered_name:
        found = get_registered_object(registered_name, custom_objects)
        if found is not None:
            return found
    module = "__main__" if module is None else module
    found = public_class(module, class_name) if isinstance(module, str) else None
    if found is not None:
        _require_own_name(f"{module}.{class_name}", registered_name, class_name)
        return found
    found = get_registered_object(class_name, custom_objects)
    if found is None and isinstance(module, str):
        found = _resolved(module, class_name)
    return _in_any_package(registered_name or class_name) if found is None else found


def _resolved(module: str, class_name: str) -> type | None:
    return next((kind for resolve in RESOLVERS if (kind := resolve(module, class_name))), None)


def _require_own_name(public: str, registered_name: Any, own_name: str) -> None:
    """See that what a file says to be registered is not taken for what the library has."""
    if registered_name and registered_name != own_name:
        raise ValueError(
            f"What is registered under a name is not replaced by the library's. Received: "
            f"registered_name={registered_name!r} for {public!r}. Import what registers it before "
            "loading."
        )


def _in_any_package(name: str) -> Any:
    """What is registered by a bare name in one package, for files from before it was registered."""
    found = {id(kind): kind for key, kind in _registered.items() if key.endswith(f">{name}")}
    return next(iter(found.values())) if len(found) == 1 else None


def public_class(module: str, class_name: str) -> type | None:
    """The library's class that a file means by a public module of Keras's, or one within it."""
    if module == "keras":
        packages = [ROOT[class_name]] if class_name in ROOT else []
    elif module in PACKAGES:
        packages = [PACKAGES[module]]
    elif class_name in INTERNAL and module.startswith("keras."):
        packages = [INTERNAL[class_name][1]]
    elif module.startswith("keras.src."):
        family = module.split(".")[2]
        packages = [
            package
            for package in dict.fromkeys(PACKAGES.values())
            if package.split(".")[1] == family
        ]
    else:
        packages = []
    for package in packages:
        found = _attribute(package, class_name)
        if isinstance(found, type) and naming.is_ours(found) and hasattr(found, "from_config"):
            return found
    # The packages are loaded by now, so their modules have added their resolvers.
    return _resolved(module, class_name) if module.startswith("keras.src.") else None


def _public_function(module: str | None, name: str) -> Any:
    packages = FUNCTION_PACKAGES[1:]
    if module in PACKAGES:
        packages = tuple(p for p in FUNCTION_PACKAGES if p == PACKAGES[module])
    for package in packages:
        found = None if name in _NOT_MODELING else _attribute(package, name)
        if (
            callable(found)
            and not isinstance(found, (type, types.ModuleType))
            and naming.is_ours(found)
        ):
            return found
    return None


# ------------------------------------------------------------------- writing


def serialize_keras_object(obj: Any) -> Any:
    """What a file can hold of an object: plain values, and dictionaries for everything else.

    Args:
        obj: A plain value, an array, a tensor, a function, an object with a method `get_config`,
            or a dict, list or tuple of them.

    Raises:
        TypeError: If the object can't be described.

    >>> serialize_keras_object({"window": slice(1, None), "scale": np.float32(0.5)})["scale"]
    0.5
    """
    if isinstance(obj, np.generic) or (isinstance(obj, np.ndarray) and not obj.shape):
        return obj.item()
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(item) for item in obj]
        return tuple(items) if isinstance(obj, tuple) else items
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if (value := _serialize_value(obj)) is not None:
        return value
    if not isinstance(obj, type) and hasattr(obj, "get_config"):
        return _serialize_instance(obj)
    if callable(obj) and hasattr(obj, "__name__") and not hasattr(obj, "get_config"):
        return _serialize_function(obj)
    if _is_tensor(obj):
        array = np.asarray(current().convert_to_numpy(obj) if current().is_tensor(obj) else obj)
        return _marked("__tensor__", value=array.tolist(), dtype=array.dtype.name)
    raise TypeError(
        "An object that is written to a file must be a plain value, an array, a function or have a "
        f"method `get_config`. Received: {obj!r} of type {type(obj)}. Give its class a "
        "`get_config` that returns the arguments of its constructor as a dict."
    )


def _serialize_value(obj: Any) -> dict[str, Any] | None:
    """Values that are no JSON but have a mark of their own."""
    if isinstance(obj, np.ndarray):
        return _marked("__numpy__", value=obj.tolist(), dtype=standardize_dtype(obj.dtype))
    if isinstance(obj, KerasTensor):
        history = obj._keras_history
        source = [history.operation.name, *history[1:]] if history else None
        return _marked("__keras_tensor__", shape=obj.shape, dtype=obj.dtype, keras_history=source)
    if isinstance(obj, bytes):
        return _marked("__bytes__", value=obj.decode("utf-8"))
    if isinstance(obj, slice):
        parts = (serialize_keras_object(part) for part in (obj.start, obj.stop, obj.step))
        return _marked("__slice__", **dict(zip(("start", "stop", "step"), parts, strict=True)))
    return _marked("__ellipsis__") if obj is Ellipsis else None


def _marked(mark: str, **config: Any) -> dict[str, Any]:
    return {"class_name": mark, "config": config}


def _is_tensor(obj: Any) -> bool:
    return hasattr(obj, "__array__") and hasattr(obj, "shape") and not hasattr(obj, "trainable")


_in_memory: ContextVar[bool] = ContextVar("in_memory", default=False)


@contextmanager
def functions_as_they_are() -> Iterator[None]:
    """A block in which configs hold functions themselves: for copies that are made in memory."""
    token = _in_memory.set(True)
    try:
        yield
    finally:
        _in_memory.reset(token)


def _serialize_function(function: Any) -> dict[str, Any]:
    if _in_memory.get():
        return _marked("__function__", value=function)
    if function.__name__ == "<lambda>":
        code = getattr(function, "__code__", None)
        where = f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}" if code else "?"
        warnings.warn(
            "What is written includes a lambda, and a file can't hold a lambda: loading it will "
            f"fail. Received: the lambda of {where}. Write it as a named function under "
            "`@keras.saving.register_keras_serializable()`.",
            stacklevel=4,
        )
        return _marked("__lambda__", value=[where, None, None])
    kind, name = type(function), get_registered_name(function)
    if naming.is_ours(function):
        kind = types.FunctionType
    elif _public_function(None, name) is not None:
        warnings.warn(
            "A function that is written under a name of the library's is read as the library's. "
            f"Received: {name!r} of {function.__module__!r}. Put "
            "`@keras.saving.register_keras_serializable()` above it, or give it another name.",
            stacklevel=4,
        )
    # Python's own types say "builtins" as their module, which is what files have for functions.
    return {
        "module": kind.__module__,
        "class_name": kind.__name__,
        "config": name,
        "registered_name": kind.__name__,
    }


def _serialize_instance(obj: Any) -> dict[str, Any]:
    kind = type(obj)
    public = public_name(kind)
    if public is not None:
        module: str | None
        module, class_name = public
        registered_name = class_name if module.startswith("keras.src.") else None
    else:
        module = None if kind.__module__ == "__main__" else kind.__module__
        class_name = kind.__name__
        registered_name = get_registered_name(kind)
    config: dict[str, Any] = {
        "module": module,
        "class_name": class_name,
        "config": serialize_keras_object(obj.get_config()),
        "registered_name": registered_name,
    }
    for key in ("build_config", "compile_config"):
        describe = getattr(obj, f"get_{key}", None)
        described = None if describe is None else describe()
        if described is not None:
            config[key] = serialize_keras_object(described)
    _mark_shared(obj, config)
    return config


def _mark_shared(obj: Any, config: dict[str, Any]) -> None:
    """Give an object that is written more than once the same id at each place."""
    shared = _shared.get()
    if shared is None:
        return
    _, first = shared[0].setdefault(id(obj), (obj, config))
    if first is not config:
        first["shared_object_id"] = config["shared_object_id"] = id(obj)


class ObjectSharingScope:
    """A block in which an object that several others hold is written, and read, as one object."""

    def __enter__(self) -> ObjectSharingScope:
        self._previous = _shared.get()
        _shared.set(({}, {}))
        return self

    def __exit__(self, *_: object) -> None:
        _shared.set(self._previous)


# ------------------------------------------------------------------- reading


def deserialize_keras_object(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    *,
    module_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """The object that `serialize_keras_object` described.

    Args:
        config: What it returned, as it is or read from JSON: tuples come back as lists.
        custom_objects: Classes and functions by the names that the config has for them.
        safe_mode: Kept for compatibility: code in a file is refused whatever it says.
        module_objects: Further objects by name, for bare names and old configs.
        printable_module_name: Kept for compatibility.

    Raises:
        TypeError: If a class or function is not known, or does not accept its config.
        ValueError: If a class that Keras should have is not known, or the config holds a lambda.

    >>> deserialize_keras_object({"class_name": "__slice__", "config": {"start": 1, "stop": 3}})
    slice(1, 3, None)
    """
    with custom_object_scope(custom_objects):
        return _deserialize(config, module_objects)


def _deserialize(config: Any, module_objects: Mapping[str, Any] | None = None) -> Any:
    if isinstance(config, str):
        found = get_registered_object(config, None, module_objects)
        if isinstance(found, type) and config in (module_objects or ()):
            return found()  # `get("adam")` of a module's classes means one of them
        return config if found is None else found
    if config is None or isinstance(config, (bool, int, float)):
        return config
    if isinstance(config, (list, tuple)):
        return [_deserialize(item) for item in config]
    if not isinstance(config, dict):
        raise TypeError(
            "A config must consist of plain values, lists and dicts. "
            f"Received: config={config!r} of type {type(config).__name__}."
        )
    if "class_name" not in config or "config" not in config:
        return {key: _deserialize(value) for key, value in config.items()}
    name = str(config["class_name"])
    if name in _MARKS:
        return _MARKS[name](config["config"])
    if name == "function":
        return _revive_function(config)
    return _revive_instance(config, module_objects)


def _revive_function(config: dict[str, Any]) -> Any:
    name = str(config["config"])
    found = get_registered_object(name)
    if found is not None:
        return found
    found = _public_function(config.get("module"), name)
    if found is not None:
        _require_own_name(name, config.get("registered_name"), "function")
        return found
    found = _in_any_package(name)
    if found is None:
        raise _unknown("function", name, config)
    return found


def _revive_instance(config: dict[str, Any], module_objects: Mapping[str, Any] | None) -> Any:
    inner = config["config"] if config["config"] is not None else {}
    name = str(config["class_name"])
    if not isinstance(inner, dict):
        raise ConfigError(
            f"The config of a class must be a dict. Received: {inner!r} for {name!r}, in {config}."
        )
    shared = config.get("shared_object_id")
    sharing = _shared.get()
    revived = sharing[1] if sharing is not None else None
    if revived is not None and shared is not None and shared in revived:
        return revived[shared]
    kind = resolve_class(config.get("module", ""), name, config.get("registered_name"))
    if kind is None:
        kind = (module_objects or {}).get(name)
    if kind is None:
        raise _unknown("class", name, config)
    if isinstance(kind, types.FunctionType):
        return kind
    instance = _from_config(kind, inner, config)
    if revived is not None and shared is not None:
        revived[shared] = instance
    return instance


def _from_config(kind: Any, inner: dict[str, Any], config: dict[str, Any]) -> Any:
    if not hasattr(kind, "from_config"):
        raise ConfigError(
            f"A class that is read from a config must have a classmethod `from_config`. "
            f"Received: {kind!r}, for {config}. Let it return `cls(**config)`."
        )
    try:
        instance = kind.from_config(inner)
    except ConfigError:
        raise
    except TypeError as error:
        raise ConfigError(
            f"{kind.__name__} must be what its config says. Received: config={config}. {error} "
            "Where `get_config` of a class writes other objects, its `from_config` must read them "
            "with `deserialize_keras_object`."
        ) from error
    build_config, compile_config = config.get("build_config"), config.get("compile_config")
    if build_config and not getattr(instance, "built", False):
        instance.build_from_config(build_config)
    if compile_config:
        instance.compile_from_config(compile_config)
    return instance


def _unknown(what: str, name: str, config: dict[str, Any]) -> Exception:
    module = config.get("module")
    if what == "class" and (module == "keras" or module in PACKAGES):
        return ValueError(
            f"A {what} of {module} must be one of its serializable ones. Received: "
            f"{name!r}, in {config}. Check the name, or register your own class with "
            "`@keras.saving.register_keras_serializable()`."
        )
    package, _, own_name = str(config.get("registered_name") or "").rpartition(">")
    if what == "function":
        package, _, own_name = name.rpartition(">")
    line = f"({package!r}, {own_name!r})" if package else "()"
    return ConfigError(
        f"A {what} that a config names must be known. Received: {name!r}, in {config}. Put "
        f"`@keras.saving.register_keras_serializable{line}` above it and import it before loading, "
        f"or pass `custom_objects={{{name!r}: ...}}`."
    )


def _revive_array(config: dict[str, Any]) -> Any:
    return np.array(config["value"], dtype=numpy_dtype(standardize_dtype(config["dtype"])))


def _revive_tensor(config: dict[str, Any]) -> Any:
    return current().convert_to_tensor(_revive_array(config), standardize_dtype(config["dtype"]))


def _revive_keras_tensor(config: dict[str, Any]) -> KerasTensor:
    return KerasTensor(tuple(config["shape"]), config["dtype"])


def _revive_slice(config: dict[str, Any]) -> slice:
    return slice(*(_deserialize(config.get(key)) for key in ("start", "stop", "step")))


def _same_function(config: Any) -> Any:
    value = config["value"]  # itself described where the config of a layer was written as a whole
    return value if callable(value) else _deserialize(value)


def _refuse_lambda(config: Any) -> Any:
    raise ValueError(
        "A lambda can't be loaded: it would be code from a file, which is never run, whatever "
        "`safe_mode` says. Received: a config with a lambda. Write it as a named function "
        "under `@keras.saving.register_keras_serializable()` and save the model again."
    )


_MARKS: dict[Any, Callable[[Any], Any]] = {
    "__numpy__": _revive_array,
    "__tensor__": _revive_tensor,
    "__keras_tensor__": _revive_keras_tensor,
    "__bytes__": lambda config: config["value"].encode("utf-8"),
    "__slice__": _revive_slice,
    "__ellipsis__": lambda config: Ellipsis,
    "__lambda__": _refuse_lambda,
    "__function__": _same_function,
}


# ------------------------------------------------- arguments of constructors


def serialize_argument(value: Any) -> Any:
    """What a config holds of a constructor's argument: an activation is its name."""
    name = None if isinstance(value, type) else getattr(value, "__name__", None)
    if name and naming.is_ours(value) and _attribute("cornu.activations", name) is not None:
        return name
    return serialize_keras_object(value)


def deserialize_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its objects revived, ready for a constructor; plain values stay as they are."""
    return {key: _revive_nested(value) for key, value in config.items()}


def _revive_nested(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_revive_nested(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "class_name" in value and "config" in value:
        return _deserialize(value)
    return {key: _revive_nested(item) for key, item in value.items()}


# ------------------------------------------------------------- names of a kind


def kinds(names: Mapping[str, Any], base: type) -> tuple[type, ...]:
    """The classes of a kind among names, such as those of a module.

    >>> kinds({"a": bool, "b": int, "c": str}, int)
    (<class 'bool'>, <class 'int'>)
    """
    return tuple(k for k in names.values() if isinstance(k, type) and issubclass(k, base))


class Catalog:
    """The names of one kind of object, and what `get` of their package accepts.

    Args:
        noun: What an error calls them, such as `"initializer"`.
        members: Classes, found by their name as it is and in snake case, and functions by theirs.
        aliases: Further names.
    """

    def __init__(self, noun: str, members: tuple[Any, ...], aliases: Mapping[str, Any]) -> None:
        self.noun = noun
        self.names: dict[str, Any] = {}
        for member in members:
            self.names[member.__name__] = member
            self.names[naming.to_snake_case(member.__name__)] = member
        self.names.update(aliases)

    def get(self, identifier: Any) -> Any:
        """The object that a name, a config, a class or a callable means; None for None."""
        if identifier is None:
            return None
        if isinstance(identifier, (str, dict)):
            return self.deserialize(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier):
            return identifier
        raise self._unknown(identifier)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object that a name or a config means."""
        if config is None:
            return None
        with custom_object_scope(custom_objects):
            if isinstance(config, str):
                return self._named(config, config, {})
            if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
                raise ValueError(
                    f"A config given as {self.noun} must be a dict with `class_name` and `config`. "
                    f"Received: config={config!r}. Use what `serialize` returned."
                )
            if "module" in config or config["class_name"] in _MARKS:
                return _deserialize(config)
            return self._named(str(config["class_name"]), config, config["config"] or {})

    def _named(self, name: str, received: Any, config: dict[str, Any]) -> Any:
        found = get_registered_object(name, None, self.names)
        if found is None:
            raise self._unknown(received)
        if not isinstance(found, type):
            return found
        return _from_config(found, config, {"class_name": name, "config": config})

    def _unknown(self, received: Any) -> ValueError:
        return ValueError(
            f"What is given as {self.noun} must be a known name, a config, a callable or None. "
            f"Received: {received!r}. Known names: {sorted(self.names)}. Make your own known with "
            "`@keras.saving.register_keras_serializable()` or `custom_object_scope`."
        )
