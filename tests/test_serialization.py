"""Objects in files: the dictionaries that Keras writes, and errors where it gives errors."""

from __future__ import annotations

import json
import sys
import types
from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
import keras
import ml_dtypes
import numpy as np
import pytest

from cornu import constraints, dtype_policies, engines, initializers, regularizers
from cornu.core import serialization
from cornu.core.keras_tensor import KerasTensor
from cornu.core.serialization import deserialize_keras_object, serialize_keras_object


class Plain:
    """Can't be written."""


class Described:
    def __init__(self, a: Any = 1) -> None:
        self.a = a

    def get_config(self) -> dict[str, Any]:
        return {"a": self.a}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Described:
        return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": (None, 2)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        self.built_from = config

    def get_compile_config(self) -> dict[str, Any]:
        return {"loss": "mse"}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compiled_from = config


class Unrevivable:
    def get_config(self) -> dict[str, Any]:
        return {}


def function(x: Any) -> Any:
    return x


#: Values that mean the same to both libraries.
VALUES = [
    None,
    True,
    3,
    1.5,
    "text",
    b"abc",
    (1, (2,), [3]),
    [1, (2, {"a": None})],
    OrderedDict(b=1, a=(2,)),
    {1: 2},
    np.float32(1.5),
    np.int64(3),
    np.bool_(True),
    np.array(1.0),
    np.arange(3),
    np.ones((2, 2), "float32"),
    np.ones(2, ml_dtypes.bfloat16),
    jnp.ones(2),
    jnp.ones((2, 1), "bfloat16"),
    jnp.array(2.0),
    slice(1, None, 2),
    slice(np.int64(1), 3),
    Ellipsis,
    np.float32,
    len,
    function,
    Described(3),
    Described(Described(None)),
    {1, 2},
    1 + 2j,
    Plain(),
    np.dtype("float32"),
    range(3),
    Described,
]


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_written_as_by_keras(value: Any) -> None:
    written = outcome(serialize_keras_object, value)
    assert repr(written) == repr(outcome(keras.saving.serialize_keras_object, value))


#: An object of Cornu, and the same one of Keras.
OBJECTS = [
    (getattr(package, name)(*arguments), getattr(getattr(keras, place), name)(*arguments))
    for package, place, name, arguments in [
        (initializers, "initializers", "GlorotUniform", (3,)),
        (initializers, "initializers", "Constant", (np.ones(2),)),
        (initializers, "initializers", "Identity", ()),
        (regularizers, "regularizers", "L1L2", (0.1, 0.2)),
        (constraints, "constraints", "MinMaxNorm", ()),
        (dtype_policies, "dtype_policies", "DTypePolicy", ("mixed_float16",)),
        (dtype_policies, "dtype_policies", "FloatDTypePolicy", ("float16",)),
        (dtype_policies, "dtype_policies", "DTypePolicyMap", ("float16",)),
    ]
]


@pytest.mark.parametrize("ours, theirs", OBJECTS, ids=lambda x: type(x).__name__)
def test_objects_go_from_one_library_to_the_other(ours: Any, theirs: Any) -> None:
    written = json.dumps(serialize_keras_object(ours))
    assert written == json.dumps(keras.saving.serialize_keras_object(theirs))
    read = deserialize_keras_object(json.loads(written))
    assert type(read) is type(ours)
    assert json.dumps(serialize_keras_object(read)) == written
    assert type(keras.saving.deserialize_keras_object(json.loads(written))) is type(theirs)


#: Configs that no `serialize` wrote, or whose tuples came back as lists.
CONFIGS = [
    [1, (2, 3)],
    {"a": [1, (2,)]},
    {"class_name": "only a name"},
    {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "int64"}},
    {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "bfloat16"}},
    {"class_name": "__tensor__", "config": {"value": [1.0, 2], "dtype": "bfloat16"}},
    {"class_name": "__numpy__", "config": {}},
    {"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": 2}},
    {"class_name": "__ellipsis__", "config": {}},
    {"class_name": "__bytes__", "config": {"value": "abc"}},
    {"class_name": "__lambda__", "config": {"value": ["code", None, None]}},
    {"class_name": "__unknown__", "config": {}},
    {"module": "builtins", "class_name": "function", "config": "unknown"},
    {"module": "builtins", "class_name": "function", "config": "get_file"},
    {"module": "os", "class_name": "function", "config": "system"},
    {"module": "builtins", "class_name": "function", "config": "add"},
    {"module": "os", "class_name": "system", "config": "ls"},
    {"module": "builtins", "class_name": "type", "config": "float32"},
    {"module": "builtins", "class_name": "eval", "config": {"source": "1"}},
    {"module": "keras.layers", "class_name": "Unknown", "config": {}},
    {"module": "keras", "class_name": "L2", "config": {}},
    {"module": "keras.constraints", "class_name": "L2", "config": {}},
    {"module": "keras.regularizers", "class_name": "l2", "config": {"l2": 0.5}},
    {"module": "keras.regularizers", "class_name": "L2", "config": {"unknown": 1}},
    {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": -1}},
    {"module": "keras.unknown", "class_name": "L2", "config": {}},
    {"module": None, "class_name": "Described", "config": {}},
    {"module": __name__, "class_name": "Described", "config": {}, "registered_name": "Described"},
    {"class_name": ["unhashable"], "config": {}},
    # What a file says to be registered is not taken for what the library has under that name.
    {
        "module": "keras.regularizers",
        "class_name": "L2",
        "config": {},
        "registered_name": "mine>L2",
    },
    {
        "module": "builtins",
        "class_name": "function",
        "config": "relu",
        "registered_name": "mine>relu",
    },
    object(),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: str(c)[:60].partition(" at 0x")[0])
def test_configs_are_read_as_by_keras(config: Any) -> None:
    expected = outcome(keras.saving.deserialize_keras_object, config)
    result = outcome(deserialize_keras_object, config)
    if isinstance(expected, type) and issubclass(expected, Exception):
        if config == {"module": "keras.regularizers", "class_name": "l2", "config": {"l2": 0.5}}:
            assert result.l2 == 0.5  # an alias of a class is as good as its name
        else:
            assert issubclass(result, expected)
    else:
        assert repr(result) == repr(expected)
        assert getattr(result, "dtype", None) == getattr(expected, "dtype", None)


def test_keras_tensors() -> None:
    written = serialize_keras_object(KerasTensor((None, 2), "int32"))
    assert written == keras.saving.serialize_keras_object(keras.KerasTensor((None, 2), "int32"))
    read = deserialize_keras_object(written)
    assert (read.shape, read.dtype) == ((None, 2), "int32")


@pytest.mark.parametrize(
    "module, class_name",
    [
        ("keras.src.regularizers.regularizers", "L2"),
        ("keras.src.regularizers", "L2"),
        ("keras.regularizers", "L2"),
    ],
)
def test_internal_modules_of_keras_are_known(module: str, class_name: str) -> None:
    config = {"module": module, "class_name": class_name, "config": {"l2": 0.5}}
    config["registered_name"] = class_name
    assert deserialize_keras_object(config).l2 == 0.5


@pytest.mark.parametrize("module", ["numpy", "nn", "core"])
def test_operations_of_keras_are_known(module: str) -> None:
    name, config = {
        "numpy": ("Sum", {"name": "total", "axis": 1, "keepdims": False}),
        "nn": ("LogSoftmax", {"name": "softmax", "axis": -1}),
        "core": ("Cast", {"name": "cast", "dtype": "float16"}),
    }[module]
    written = {"module": f"keras.src.ops.{module}", "class_name": name, "config": config}
    operation = deserialize_keras_object(written)
    assert serialize_keras_object(operation) == {**written, "registered_name": name}
    theirs = keras.saving.deserialize_keras_object(written)
    assert keras.saving.serialize_keras_object(theirs) == {**written, "registered_name": name}


@pytest.mark.parametrize("name", ["relu", "linear", "mean_squared_error", "binary_accuracy"])
def test_functions_of_keras_are_known(name: str) -> None:
    config = keras.saving.serialize_keras_object(
        getattr(keras.activations, name, None)
        or getattr(keras.losses, name, None)
        or getattr(keras.metrics, name)
    )
    function = deserialize_keras_object(config)
    assert function.__module__.startswith("cornu.")
    assert serialize_keras_object(function) == config


def test_registered_objects() -> None:
    @serialization.register_keras_serializable("tests", "renamed")
    class Registered(Described):
        pass

    @serialization.register_keras_serializable()
    def registered(x: Any) -> Any:
        return x

    try:
        written = serialize_keras_object([Registered(2), registered])
        assert written[0]["registered_name"] == "tests>renamed"
        assert written[0]["module"] == __name__
        assert written[1]["config"] == "Custom>registered"
        read = deserialize_keras_object(json.loads(json.dumps(written)))
        assert type(read[0]) is Registered
        assert read[0].a == 2
        assert read[0].built_from == {"input_shape": [None, 2]}
        assert read[0].compiled_from == {"loss": "mse"}
        assert read[1] is registered
        assert serialization.get_registered_object("tests>renamed") is Registered
        assert serialization.get_registered_name(Registered) == "tests>renamed"
    finally:
        for name in ("tests>renamed", "Custom>registered"):
            del serialization.get_custom_objects()[name]
    with pytest.raises(TypeError, match="register_keras_serializable"):
        deserialize_keras_object(written[0])


def test_a_class_without_a_config_is_not_registered() -> None:
    with pytest.raises(ValueError, match="get_config"):
        serialization.register_keras_serializable()(Plain)


def test_custom_objects() -> None:
    config = {"module": "elsewhere", "class_name": "Described", "config": {"a": 2}}
    config["registered_name"] = "Described"
    assert deserialize_keras_object(config, {"Described": Described}).a == 2
    known = dict(serialization.get_custom_objects())
    with serialization.custom_object_scope({"Described": Described, "f": function}):
        assert deserialize_keras_object(config).a == 2
        assert initializers.get("f") is function
        assert serialization.get_custom_objects() == known
        with serialization.CustomObjectScope({"f": len}):
            assert deserialize_keras_object("f") is len
        assert deserialize_keras_object("f") is function
    assert deserialize_keras_object("f") == "f"
    # A class of the library is not replaced by the bare name of another one.
    config = {"module": "keras.regularizers", "class_name": "L2", "config": {}}
    assert type(deserialize_keras_object(config, {"L2": Described})) is regularizers.L2


def test_custom_objects_hold_for_nested_objects() -> None:
    class Holder(Described):
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Holder:
            return cls(deserialize_keras_object(config["a"]))

    written = serialize_keras_object(Holder(Described(5)))
    read = deserialize_keras_object(written, {"Holder": Holder, "Described": Described})
    assert read.a.a == 5


def test_shared_objects_stay_shared() -> None:
    penalty = regularizers.L2(0.5)
    objects = [penalty, {"again": penalty}, regularizers.L2(0.5)]
    with serialization.ObjectSharingScope():
        written = serialize_keras_object(objects)
    assert written[0]["shared_object_id"] == written[1]["again"]["shared_object_id"]
    assert "shared_object_id" not in written[2]
    with serialization.ObjectSharingScope():
        read = deserialize_keras_object(written)
    assert read[0] is read[1]["again"]
    assert read[2] is not read[0]
    assert "shared_object_id" not in serialize_keras_object(objects)[0]
    with (
        serialization.ObjectSharingScope()
    ):  # of objects that are gone, as those that a `get_config` makes
        gone = [serialize_keras_object(regularizers.L2(x)) for x in (0.1, 0.2, 0.3)]
    assert not any("shared_object_id" in config for config in gone)


@pytest.mark.parametrize("safe_mode", [True, False])
def test_code_is_never_read(safe_mode: bool) -> None:
    with pytest.warns(UserWarning, match="lambda"):
        theirs = keras.saving.serialize_keras_object(lambda x: x)
    with pytest.raises(ValueError, match="named function"):
        deserialize_keras_object(theirs, safe_mode=safe_mode)
    with pytest.warns(UserWarning, match="named function"):
        ours = serialize_keras_object({"f": lambda x: x})
    where = ours["f"]["config"]["value"][0]
    assert where.startswith("test_serialization.py:")
    with pytest.raises(ValueError, match="named function"):
        deserialize_keras_object(ours, safe_mode=safe_mode)


class Lazy(types.ModuleType):
    """A module that loads something when it is asked for anything."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError("never")


#: Modules and names that a file may say, where nothing may be found.
NOT_TAKEN = {
    "a function": (__name__, "function"),
    "another class": (__name__, "Described"),
    "a class from elsewhere": (__name__, "Borrowed"),
    "another name": (__name__, "Renamed"),
    "within a class": (__name__, "Holder.Inner"),
    "an instance": (__name__, "INSTANCE"),
    "a class of the library": ("cornu.regularizers._regularizers", "Regularizer"),
    "what is private in the library": ("cornu.losses._declared", "Declared"),
    "a module of another kind": ("lazy_module", "Mine"),
    "no module": ("no_module", "Mine"),
    "not loaded": ("this", "Mine"),
    "not by attributes": ("os.path", "os"),
}


class Mine(constraints.Constraint):
    pass


class Holder(constraints.Constraint):
    class Inner(constraints.Constraint):
        pass


Borrowed, Renamed, INSTANCE = regularizers.L2, Mine, Mine()


@pytest.mark.parametrize("case", NOT_TAKEN)
def test_nothing_else_is_found_by_module_and_name(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy = Lazy("lazy_module")
    object.__getattribute__(lazy, "__dict__")["Mine"] = Mine
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    monkeypatch.setitem(sys.modules, "no_module", types.SimpleNamespace(Mine=Mine))  # type: ignore[arg-type]
    module, name = NOT_TAKEN[case]
    with pytest.raises(TypeError, match="must be known"):
        deserialize_keras_object({"module": module, "class_name": name, "config": {}})
    assert "this" not in sys.modules


def test_a_class_that_is_loaded_is_found_by_module_and_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = serialize_keras_object(Mine())
    assert written["registered_name"] == "Mine"
    assert type(deserialize_keras_object(written)) is Mine
    script = types.ModuleType("__main__")
    exec("class InScript(Mine): pass", vars(script) | {"Mine": Mine}, vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)
    written = serialize_keras_object(script.InScript())
    assert written["module"] is None
    assert type(deserialize_keras_object(written)) is script.InScript
    del written["module"]
    with pytest.raises(TypeError, match="must be known"):
        deserialize_keras_object(written)


def test_files_from_before_something_was_registered() -> None:
    class Own(constraints.Constraint):
        pass

    def own(x: Any) -> Any:
        return x

    written = json.loads(json.dumps(serialize_keras_object([Own(), own])))
    known = serialization.get_custom_objects()
    before = dict(known)
    try:
        for target in (Own, own):
            with pytest.raises(
                TypeError, match=r"Put `@keras.saving.register_keras_seriali.*\(\)`"
            ):
                deserialize_keras_object(written)
            serialization.register_keras_serializable("one")(target)
        assert type(deserialize_keras_object(written)[0]) is Own
        assert deserialize_keras_object(written)[1] is own
        later = serialize_keras_object([Own(), own])
        known["two>Own"] = Mine
        with pytest.raises(TypeError, match="must be known. Received: 'Own'"):
            deserialize_keras_object(written)
    finally:
        known.clear()
        known.update(before)
    for config, name in zip(later, ("Own", "own"), strict=True):
        with pytest.raises(TypeError, match=rf"serializable\('one', '{name}'\)`"):
            deserialize_keras_object(config)


def test_a_function_under_a_name_of_the_librarys_is_told() -> None:
    def relu(x: Any) -> Any:
        return x

    with pytest.warns(UserWarning, match="is read as the library's. Received: 'relu' of 'test_"):
        serialize_keras_object({"activation": relu})
    with serialization.functions_as_they_are():
        assert serialize_keras_object(relu)["config"]["value"] is relu


def test_a_class_must_be_revivable() -> None:
    config = {"class_name": "Unrevivable", "config": {}}
    with pytest.raises(TypeError, match="from_config"):
        deserialize_keras_object(config, {"Unrevivable": Unrevivable})


def test_public_names() -> None:
    assert serialization.public_name(initializers.Zeros) == ("keras.initializers", "Zeros")
    assert serialization.public_name(initializers.Initializer) == ("keras", "Initializer")
    assert serialization.public_name(dtype_policies.DTypePolicy) == ("keras", "DTypePolicy")
    assert serialization.public_name(Described) is None


@pytest.mark.parametrize("package", [initializers, regularizers, constraints, dtype_policies])
def test_public_names_are_those_of_keras(package: Any) -> None:
    theirs = getattr(keras, package.__name__.partition(".")[2])
    for name, value in vars(theirs).items():
        if not isinstance(value, type) or "Quantized" in name or name.endswith("QDTypePolicy"):
            continue
        if name == "Int4DTypePolicy":
            continue
        ours = serialization.public_name(getattr(package, name))
        assert ".".join(ours or ()) == keras.src.api_export.get_name_from_symbol(value)


def test_tensors_belong_to_the_current_engine() -> None:
    config = {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}}
    with engines.use("numpy"):
        assert isinstance(deserialize_keras_object(config), np.ndarray)


def test_arguments_of_constructors() -> None:
    arguments = {"units": 2, "shape": (1, (2,)), "penalty": regularizers.L2(0.5)}
    written = {name: serialization.serialize_argument(value) for name, value in arguments.items()}
    read = serialization.deserialize_arguments(written)
    assert read["units"] == 2
    assert read["shape"] == (1, (2,))
    assert read["penalty"].l2 == 0.5
    assert serialization.serialize_argument(function)["config"] == "function"


def test_a_name_of_a_module_s_class_is_one_of_them() -> None:
    """As `get("adam")` of many a library asks for it."""

    class Sampler:
        pass

    found = deserialize_keras_object(
        "top_k", module_objects={"top_k": Sampler}, printable_module_name="samplers"
    )
    assert isinstance(found, Sampler)
    assert deserialize_keras_object("Sampler", custom_objects={"Sampler": Sampler}) is Sampler
