"""`@op`: one function becomes a public op.

The decorated function is the op's default body, written over primitives and other ops. The
decorator gives back a wrapper. At its first call the signature is read: parameters annotated as
tensors (`core.types`) are converted and promoted, the others are static; and the wrapper gets code
made for that signature, whose eager path is one type test an operand and one table look-up. `Op`
keeps what the rest of Cornu derives from an op: its symbolic call, its `Operation` class, its name
in files.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, overload

import numpy as np

from ..engines import Engine, current
from ..engines.contract import refusal
from ..engines.generated import define
from ..engines.sparse import SparseTensor, on_engine
from . import naming, tree
from .config import floatx
from .dtypes import is_float, result_type, standardize_dtype
from .keras_tensor import KerasTensor
from .operation import Operation
from .operators import OPS as OPS
from .scopes import SymbolicScope, here
from .serialization import RESOLVERS
from .transforms import Operand, product
from .variable import Variable

Function = TypeVar("Function", bound=Callable[..., Any])
Rule = Callable[[tuple[Any, ...]], str]

_TENSOR_KINDS = ("Tensor", "Tensors", "Raw", "Index", "Bool", "Nest")
_PLAIN = {"bool", "int", "float", "str", "str | None", "float | None", "int | None"}
#: Names of operation classes in Keras's files that are not the op's name in camel case.
_CLASS_NAMES: dict[str, str] = {
    "allclose": "AllClose",
    "batch_normalization": "BatchNorm",
    "cdist": "CDist",
    "ctc_decode": "CTCDecode",
    "ctc_loss": "CTCLoss",
    "fft": "FFT",
    "fft2": "FFT2",
    "hsv_to_rgb": "HSVToRGB",
    "ifft2": "IFFT2",
    "irfft": "IRFFT",
    "isin": "IsIn",
    "istft": "ISTFT",
    "jvp": "JVP",
    "layer_normalization": "LayerNorm",
    "psnr": "PSNR",
    "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm",
    "searchsorted": "SearchSorted",
    "ssim": "SSIM",
    "stft": "STFT",
    "svd": "SVD",
}
#: Further names in Keras's files, of operations that are one op here.
_CLASS_ALIASES = {
    "Abs": "absolute",
    "BitwiseInvert": "bitwise_not",
    "Conjugate": "conj",
    "LeftShift": "bitwise_left_shift",
    "RightShift": "bitwise_right_shift",
}


# ------------------------------------------------------------- promotion rules


def common(types: tuple[Any, ...]) -> str:
    """All operands take the least dtype above theirs."""
    return result_type(*types)


def floating(types: tuple[Any, ...]) -> str:
    """As `common`, and integers become floats: floatx for 64 bits, else float32."""
    if types and all(type_ in ("int64", int) for type_ in types):
        return floatx()
    return result_type(*types, float)


# ------------------------------------------------------------------- mechanism


class SparseRule(NamedTuple):
    """What an op does with sparse tensors.

    Attributes:
        run: Takes the op's arguments and gives its result, or `NotImplemented` where dense ones are needed.
        keeps: Whether the result is sparse, by which of the operands are.
    """

    run: Callable[..., Any]
    keeps: Callable[[list[bool]], bool]


#: What ops do with sparse tensors, by name; those without a rule get dense ones.
SPARSE: dict[str, SparseRule] = {}


class Op:
    """What is known of an op: its body, its parameters, and how its operands are promoted."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        namespace: str,
        promote: Rule,
        compose: bool,
        constructed: tuple[str, ...],
        called: tuple[str, ...],
    ) -> None:
        self.function = function
        self.name = name
        self.namespace = namespace
        self.slot = self.name if namespace in _SHARED else f"{namespace}_{self.name}"
        self.promote = promote
        self.compose = compose
        self._where = (constructed, called)
        self.wrapper: Callable[..., Any] = _wrapper(self)

    def __repr__(self) -> str:
        return f"<Op {self.namespace}.{self.name}>"

    # --- its signature, read when it is first used: importing Cornu makes hundreds of ops

    @functools.cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """The function's parameters."""
        return list(inspect.signature(self.function).parameters.values())

    @functools.cached_property
    def kinds(self) -> list[str]:
        """What each parameter takes: a kind of `core.types`, or nothing where it is static."""
        return [_kind(parameter) for parameter in self.parameters]

    @functools.cached_property
    def tensors(self) -> list[tuple[int, str]]:
        """The positions and kinds of the parameters that take tensors."""
        return [(i, kind) for i, kind in enumerate(self.kinds) if kind]

    @functools.cached_property
    def static(self) -> tuple[int, ...]:
        """The positions of the others."""
        return tuple(i for i, kind in enumerate(self.kinds) if not kind)

    @functools.cached_property
    def variadic(self) -> int | None:
        """The position of `*args`."""
        found = [i for i, p in enumerate(self.parameters) if p.kind is p.VAR_POSITIONAL]
        return found[0] if found else None

    @functools.cached_property
    def keywords(self) -> tuple[int, ...]:
        """The positions of those given by name only."""
        return tuple(i for i, p in enumerate(self.parameters) if p.kind is p.KEYWORD_ONLY)

    @functools.cached_property
    def constructed(self) -> tuple[int, ...]:
        """The parameters of the operation's constructor; the others are those of its calls."""
        constructed, called = self._where
        return tuple(
            i
            for i, p in enumerate(self.parameters)
            if p.name in constructed or (i in self.static and p.name not in called)
        )

    # --- on an engine

    def resolve(self, engine: Engine) -> Callable[..., Any]:
        """The body that this op has on an engine: its override or the default one, prepared."""
        if self.slot in engine.refused:
            engine.bodies[self] = refusal(engine, self.slot)
            return engine.bodies[self]
        override = None
        if engine.overrides and not hasattr(Engine, self.slot):
            override = getattr(engine, self.slot, None)
        body = self._prepared(engine, _or_default(override, self.function))
        if self.compose and engine.computes:
            body = engine.compose(body, self.static, self.name)
        if any(kind == "Index" for _, kind in self.tensors):
            body = self._with_whole_indices(engine, body)
        engine.bodies[self] = body
        return body

    def _prepared(self, engine: Engine, body: Callable[..., Any]) -> Callable[..., Any]:
        """The body behind conversion and promotion of its operands."""
        promoted = [(i, kind) for i, kind in self.tensors if kind in ("Tensor", "Tensors")]
        kept = [(i, kind) for i, kind in self.tensors if kind in ("Raw", "Index", "Bool")]
        variadic = self.variadic
        promote = self.promote

        def general(*args: Any) -> Any:
            if engine.mixes_sparse and any(map(_is_sparse, args)):
                return self.dispatch(engine, args)
            values = list(args)
            types = tuple(engine.weak_type(x) for x in _leaves(promoted, values))
            if types:
                dtype = promote(types)
                for i, kind in promoted:
                    if kind == "Tensor":
                        values[i] = _convert(engine, values[i], dtype)
                    else:
                        values[i] = [_convert(engine, x, dtype) for x in values[i]]
            for i, kind in kept:
                values[i] = _keep(engine, values[i], kind)
            if variadic is None:
                return body(*values)
            named = {self.parameters[i].name: values[i] for i in self.keywords}
            return body(*values[:variadic], *values[variadic], **named)

        return self._quick(engine, body, general)

    def _with_whole_indices(self, engine: Engine, body: Callable[..., Any]) -> Callable[..., Any]:
        """The body, for integers; floats stand for them where they are whole, as far as values are known."""
        places = [(i, self.parameters[i].name) for i, kind in self.tensors if kind == "Index"]

        def checked(*args: Any) -> Any:
            for i, name in places:
                if not _is_whole(engine, args[i]):
                    raise ValueError(
                        f"`{self.name}` takes integers, or floats that are whole. Received: "
                        f"{name}={args[i]}. Round them first, as by `ops.floor`."
                    )
            return body(*args)

        return checked

    def _quick(
        self, engine: Engine, body: Callable[..., Any], general: Callable[..., Any]
    ) -> Callable[..., Any]:
        """`general`, or the body at once on tensors of one dtype that promotion leaves alone.

        That is almost every call, and 30 calls of Python for three operands.
        """
        kinds = {kind for _, kind in self.tensors}
        tells_all = type(engine).weak_type is Engine.weak_type  # else a dtype is not the whole type
        if "Tensor" not in kinds or kinds - {"Tensor", "Raw"} or not tells_all:
            return general
        operands = [self.parameters[i].name for i, kind in self.tensors if kind == "Tensor"]

        @functools.cache
        def stays(dtype: Any) -> bool:
            name = standardize_dtype(dtype)
            try:
                return "64" not in name and self.promote((name,) * len(operands)) == name
            except (TypeError, ValueError):
                return False  # `general` raises it

        header = tuple(p.name for p in self.parameters)
        made = _quick_maker(
            header,
            tuple(self.parameters[i].name for i, _ in self.tensors),
            tuple(operands),
            engine.mixes_sparse,
        )
        return made(engine.arrays, stays, body, general)

    def dispatch(self, engine: Engine, args: Sequence[Any]) -> Any:
        """Run on operands that are not all native tensors of the engine."""
        result = self._product(args)
        if result is not NotImplemented:
            return result
        values = list(args)
        symbolic = False
        for i, kind in self.tensors:
            if kind == "Tensors":
                values[i] = _listed(self, i, values[i])
                values[i] = [_admit(engine, x) for x in values[i]]
                symbolic |= any(isinstance(x, KerasTensor) for x in values[i])
            elif kind == "Nest":
                values[i] = tree.map_structure(lambda x: _admit(engine, x, False), values[i])
                symbolic |= any(isinstance(x, KerasTensor) for x in tree.flatten(values[i]))
            else:
                values[i] = _admit(engine, values[i])
                symbolic |= isinstance(values[i], KerasTensor)
        if symbolic and engine.computes:
            return self._symbolic_call(args)
        if any(isinstance(x, SparseTensor) for x in self._operands(values)):
            return self._on_sparse(engine, values)
        return (engine.bodies.get(self) or self.resolve(engine))(*values)

    def _product(self, args: Sequence[Any]) -> Any:
        """The result by a transform of one of the operands (`core.transforms`), or `NotImplemented`."""
        at, named = self.variadic, self.keywords
        flat = args if at is None else [*args[:at], *args[at]]
        return product(self, flat, lambda: {self.parameters[i].name: args[i] for i in named})

    def _operands(self, values: Sequence[Any]) -> list[Any]:
        """The operands among the arguments."""
        return tree.flatten([values[i] for i, _ in self.tensors])

    def _on_sparse(self, engine: Engine, values: list[Any]) -> Any:
        """Run on operands some of which are sparse: by the op's rule, or on dense ones."""
        rule = SPARSE.get(self.slot)
        result = rule.run(*values) if rule is not None else NotImplemented
        if result is not NotImplemented:
            return result
        for i, _ in self.tensors:
            values[i] = tree.map_structure(functools.partial(_dense, self), values[i])
        return (engine.bodies.get(self) or self.resolve(engine))(*values)

    def explained(self, engine: Engine, args: Sequence[Any], error: Exception) -> Exception | None:
        """What the spec engine says to arguments that an engine refused, where that is an error.

        Engines differ in their texts and classes of errors; the spec engine, which runs the same
        body on shapes and dtypes alone, says what was received. Users' functions are not run again.
        """
        if not engine.computes or _was_explained(error) or isinstance(error, IndexError):
            return None  # an IndexError ends loops: it stays one
        if any(map(callable, tree.flatten(tuple(args)))):
            return None

        def as_spec(x: Any) -> Any:
            if isinstance(x, np.ndarray):
                return KerasTensor(x.shape, standardize_dtype(x.dtype))
            if isinstance(x, (Variable, Operand)) or engine.is_tensor(x):
                value = _admit(engine, x)
                return KerasTensor(tuple(engine.shape_of(value)), engine.dtype_of(value))
            return x

        try:
            specs = tree.map_structure(as_spec, tuple(args))
            with SymbolicScope():
                self.dispatch(current(), specs)
        except (TypeError, ValueError) as better:
            told = naming.raised_in(better) and str(better) != str(error)
            return better if told and not _was_explained(better) else None
        except Exception:  # the engine's own error is the one to show
            return None
        return None

    # --- in a graph

    def _symbolic_call(self, args: Sequence[Any]) -> Any:
        constructed: dict[str, Any] = {}
        called: list[Any] = []
        for i, (parameter, value) in enumerate(zip(self.parameters, args, strict=True)):
            if i not in self.constructed:
                called += value if i == self.variadic else [value]
            elif isinstance(value, KerasTensor):
                raise TypeError(
                    f"`{parameter.name}` of `{self.name}` is a constant of a model. Received: "
                    f"{parameter.name}={value!r}. Give a number or an array."
                )
            else:
                constructed[parameter.name] = value
        outputs = self.operation_class(**constructed).symbolic_call(*called)
        rule = SPARSE.get(self.slot)
        if rule is not None:
            given = [getattr(x, "sparse", False) for x in self._operands(args) if x is not None]
            outputs.sparse = any(given) and rule.keeps(given)
        return outputs

    @functools.cached_property
    def operation_class(self) -> type[Operation]:
        """The class that stands for this op in a graph and in a file."""
        return type(self.class_name, (OpOperation,), {"op": self, "__module__": self.module})

    @property
    def class_name(self) -> str:
        """The operation's class name in files."""
        return _CLASS_NAMES.get(self.name) or naming.to_camel_case(self.name)

    @property
    def module(self) -> str:
        """The operation's module in files."""
        return _HOMES.get(self.namespace, f"keras.src.ops.{self.namespace}")


class OpOperation(Operation):
    """An op in a graph: its static arguments; calling it gives it tensors."""

    op: Op
    _describes_itself = True

    def __init__(self, *, name: str | None = None, **static: Any) -> None:
        super().__init__(name=name)
        known = [self.op.parameters[i] for i in self.op.constructed]
        unknown = set(static) - {parameter.name for parameter in known}
        if unknown:
            raise TypeError(
                f"{type(self).__name__} takes {[p.name for p in known]}. "
                f"Received: {sorted(unknown)}."
            )
        self.static = {p.name: static.get(p.name, p.default) for p in known}

    def call(self, *tensors: Any, **named: Any) -> Any:
        """Run the op."""
        given = iter(tensors)
        arguments: list[Any] = []
        keywords = {self.op.parameters[i].name: None for i in self.op.keywords}
        for i, parameter in enumerate(self.op.parameters):
            name = parameter.name
            if i == self.op.variadic:
                arguments += given
            elif name in keywords:
                keywords[name] = self.static[name]
            elif i in self.op.constructed:
                arguments.append(self.static[name])
            else:
                arguments.append(named[name] if name in named else next(given, parameter.default))
        return self.op.wrapper(*arguments, **keywords)

    def get_config(self) -> dict[str, Any]:
        """The name, but for operations that take none in Keras, and the static arguments."""
        named = {} if self.op.namespace in _HOMES else {"name": self.name}
        return {**named, **self.static}


class Decorator(Protocol):
    """`@op` of a module of ops: the function's own signature stays."""

    @overload
    def __call__(self, function: Function, /) -> Function: ...

    @overload
    def __call__(
        self,
        *,
        promote: Rule = ...,
        compose: bool = ...,
        named: str | None = ...,
        constructed: tuple[str, ...] = ...,
        called: tuple[str, ...] = ...,
    ) -> Callable[[Function], Function]: ...


def namespace(name: str) -> Decorator:
    """The decorator `@op` of a module of ops; `name` is where Keras's files say the ops live.

    `@op` alone promotes operands by `common`. `@op(promote=floating)` chooses another rule;
    `@op(compose=False)` is for bodies that need values or call functions given by the user.
    `@op(named="switch")` names an op whose public function is another one, that calls it.
    Tensors are arguments of the operation's call and static arguments those of its constructor, but
    for the tensors in `constructed` and the static ones in `called`, where Keras has it the other
    way.
    """

    def op(
        function: Function | None = None,
        *,
        promote: Rule = common,
        compose: bool = True,
        named: str | None = None,
        constructed: tuple[str, ...] = (),
        called: tuple[str, ...] = (),
    ) -> Any:
        if function is None:
            return functools.partial(
                op,
                promote=promote,
                compose=compose,
                named=named,
                constructed=constructed,
                called=called,
            )
        name_ = named or function.__name__
        made = Op(function, name_, name, promote, compose, constructed, called)
        OPS[made.slot] = made
        return made.wrapper

    return op


def operation_class(module: str, class_name: str) -> type[Operation] | None:
    """The operation class that a file means, if it is one of an op."""
    return _operation_classes(len(OPS)).get((module, class_name))


@functools.cache
def _operation_classes(count: int) -> dict[tuple[str, str], type[Operation]]:
    """Those of all ops, of which there are so many by now."""
    classes = {(op.module, op.class_name): op.operation_class for op in OPS.values()}
    for alias, name in _CLASS_ALIASES.items():
        if name in OPS:
            classes[OPS[name].module, alias] = OPS[name].operation_class
    return classes


RESOLVERS.append(operation_class)


_SHARED = ("core", "numpy", "nn", "linalg", "math", "quantizers")
#: Where Keras's files say that ops live, if not among its ops.
_HOMES = {"quantizers": "keras.src.quantizers.quantizers"}


# --------------------------------------------------------------------- operands


def _or_default(override: Any, body: Callable[..., Any]) -> Callable[..., Any]:
    """An engine's own body, and the default one for arguments to which it says `NotImplemented`."""
    if override is None:
        return body

    def chosen(*args: Any, **named: Any) -> Any:
        result = override(*args, **named)
        return body(*args, **named) if result is NotImplemented else result

    return chosen


def _kind(parameter: inspect.Parameter) -> str:
    annotation = str(parameter.annotation).removesuffix(" | None")
    if annotation not in _TENSOR_KINDS:
        return ""
    several = parameter.kind is parameter.VAR_POSITIONAL and annotation == "Tensor"
    return "Tensors" if several else annotation


def _was_explained(error: Exception) -> bool:
    """Whether an op within has seen to an error already; from now on it counts as seen to."""
    seen = getattr(error, "_cornu_explained", False)
    with contextlib.suppress(AttributeError):  # of exceptions with slots
        error._cornu_explained = True  # type: ignore[attr-defined]
    return seen


def _leaves(slots: list[tuple[int, str]], values: list[Any]) -> Iterator[Any]:
    for i, kind in slots:
        if kind == "Tensors":
            yield from values[i]
        elif values[i] is not None:
            yield values[i]


def _convert(engine: Engine, x: Any, dtype: str) -> Any:
    if x is None:
        return None
    if not engine.is_tensor(x):
        return engine.convert_to_tensor(x, dtype)
    return x if engine.weak_type(x) == dtype else engine.cast(x, dtype)


def _keep(engine: Engine, x: Any, kind: str) -> Any:
    if x is None:
        return None
    if not engine.is_tensor(x):
        x = engine.convert_to_tensor(x)
    dtype = engine.dtype_of(x)
    if kind == "Bool" and dtype != "bool":
        return engine.not_equal(x, engine.full((), 0, dtype))
    if kind == "Index" and "int" not in dtype:
        return engine.cast(x, "int32")
    return x


def _is_whole(engine: Engine, x: Any) -> bool:
    if isinstance(x, (int, type(None))):
        return True
    if engine.is_tensor(x):
        known = engine.computes and not engine.is_traced(x) and here.stateless.get() is None
        if not known or not is_float(engine.dtype_of(x)):
            return True
        x = engine.convert_to_numpy(x)
    x = np.asarray(x)
    return not is_float(x.dtype.name) or bool(np.all(np.isfinite(x) & (np.trunc(x) == x)))


def _admit(engine: Engine, x: Any, convert: bool = True) -> Any:
    """An operand as something that the engine's bodies take, or a KerasTensor as it is."""
    if engine.mixes_sparse and _is_sparse(x):
        return on_engine(engine, x)
    if x.__class__ in engine.native or isinstance(x, KerasTensor) or engine.is_tensor(x):
        return x
    if isinstance(x, Variable):
        return x.value
    if isinstance(x, Operand):
        return x.value()
    sparse = on_engine(engine, x)
    if sparse is not None:
        return sparse
    return engine.convert_to_tensor(x) if convert else x


def _is_sparse(x: Any) -> bool:
    return getattr(x, "is_sparse", False) is True


#: From how many elements on a sparse tensor is not made dense without a word.
LARGE = 2**22


def _dense(op: Op, x: Any) -> Any:
    """An operand as a dense tensor; a warning says where that takes much memory."""
    if not isinstance(x, SparseTensor):
        return x
    if math.prod(x.shape) >= LARGE:
        layer = here.calling.get()
        where = f"in the layer {layer.path!r}" if layer is not None else "outside of layers"
        warnings.warn(
            f"`{op.name}` takes dense tensors: a sparse one was made dense. Received: a tensor of "
            f"shape {x.shape}, of {math.prod(x.shape):,} elements, {where}. Put layers that take "
            "sparse tensors, such as Dense, in front, or give dense data.",
            stacklevel=2,
        )
    return OPS["scatter"].wrapper(x.indices, x.values, x.shape)


def _listed(op: Op, position: int, value: Any) -> Sequence[Any]:
    if isinstance(value, (list, tuple)):
        return value
    shape = getattr(value, "shape", ())
    if not shape or shape[0] is None:
        raise ValueError(
            f"`{op.name}` takes a list of tensors. Received: "
            f"{op.parameters[position].name}={value!r}."
        )
    return [value[i] for i in range(shape[0])]


def freeze(value: Any) -> Any:
    """A static argument as something that can be hashed and written to a file.

    Lists and integer arrays become tuples, dtypes given as types their names.
    """
    kind = value.__class__
    if kind is int or value is None or kind is str:
        return value
    if isinstance(value, (type, np.dtype)):
        return standardize_dtype(value)
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((key, freeze(item)) for key, item in value.items()))
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return freeze(value.tolist())
    return value


# ------------------------------------------------------------- generated wrappers


def _wrapper(op: Op) -> Callable[..., Any]:
    """The public function of an op, with its signature, as a person would write it by hand.

    Its code is made at its first call: that of all 358 ops takes 27 ms, a fifth of the import.
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _specialize(op)
        return op.wrapper(*args, **kwargs)

    return functools.wraps(op.function)(wrapper)


def _specialize(op: Op) -> None:
    """Give an op's public function the code that its signature asks for.

    Code can take the place of other code that has the same free variables: here `op` alone.
    """
    wrapper: Any = op.wrapper
    wrapper.__defaults__, wrapper.__kwdefaults__ = (
        op.function.__defaults__,
        op.function.__kwdefaults__,
    )
    frozen = tuple(
        parameter.name
        for parameter, kind in zip(op.parameters, op.kinds, strict=True)
        if not kind and str(parameter.annotation) not in _PLAIN
    )
    tests = tuple(op.parameters[i].name for i, kind in op.tensors if kind != "Tensors")
    header = tuple("*" * (i == op.variadic) + p.name for i, p in enumerate(op.parameters))
    wrapper.__code__ = _code(header, frozen, () if "Tensors" in op.kinds else tests)


@functools.cache
def _code(header: tuple[str, ...], frozen: tuple[str, ...], tests: tuple[str, ...]) -> Any:
    """The code of a wrapper; ops with the same parameters share it.

    Args:
        header: The parameters.
        frozen: Those that are made hashable.
        tests: Those that must be native tensors for the fast path; without any there is none.
    """
    arguments = ", ".join(name.lstrip("*") for name in header)
    lines = [
        "def make(op):",
        f"    def wrapper({', '.join(header)}):",
        *(f"        {name} = freeze({name})" for name in frozen),
        "        engine = current()",
        "        try:",
    ]
    if tests:
        lines += [
            "            native = engine.native",
            *(
                f"            if {name}.__class__ is Variable: {name} = {name}.value"
                for name in tests
            ),
            f"            if {' and '.join(f'{name}.__class__ in native' for name in tests)}:",
            f"                return (engine.bodies.get(op) or op.resolve(engine))({arguments})",
        ]
    lines += [
        f"            return op.dispatch(engine, ({arguments},))",
        "        except Exception as error:",
        f"            better = op.explained(engine, ({arguments},), error)",
        "            if better is None:",
        "                raise",
        "            raise better from error",
        "    return wrapper",
    ]
    made = define("make", "\n".join(lines), {}, f"op of {', '.join(header)}; {', '.join(frozen)}")
    return made(None).__code__


@functools.cache
def _quick_maker(
    header: tuple[str, ...], tensors: tuple[str, ...], operands: tuple[str, ...], mixes_sparse: bool
) -> Callable[..., Any]:
    """What makes the code of `Op._quick`; ops with the same parameters share it.

    Args:
        header: The parameters.
        tensors: Those that take tensors.
        operands: Those that are promoted.
        mixes_sparse: Whether tensors must be asked if they are sparse.
    """
    arguments, first = ", ".join(header), operands[0]
    tests = [f"{name}.__class__ in arrays" for name in tensors]
    tests += [f"{first}.dtype is {name}.dtype" for name in operands[1:]]
    tests += [f"not {name}.is_sparse" for name in tensors if mixes_sparse]
    source = (
        "def make(arrays, stays, body, general):\n"
        f"    def prepared({arguments}):\n"
        f"        if {' and '.join(tests)} and stays({first}.dtype):\n"
        f"            return body({arguments})\n"
        f"        return general({arguments})\n"
        "    return prepared"
    )
    made: Callable[..., Any] = define(
        "make", source, {}, f"prepared {arguments}; {', '.join(tests)}"
    )
    return made
