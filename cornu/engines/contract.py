"""The contract between Cornu and an array library.

An engine gives a meaning to the primitives below: JAX computes them, the spec engine infers their
shapes, an exporter writes them to a file. Everything else in Cornu is written once, over them.

What reaches a primitive is clean: tensors of this engine, operands of one dtype (promotion happens
above), axes that are not negative, paddings as explicit `(low, high)` pairs, images with channels
last, static arguments that can be hashed. So an engine's method is a few lines.

Abstract methods must be given. The others have a default body over the abstract ones, which an
engine may replace where it pays. An engine may also define a method with the name of any op of
`cornu.ops` (`softmax`, `gelu`, `dot_product_attention`, ...; ops of `cornu.random` and
`cornu.ops.image` with the prefix `random_` or `image_`): it then takes the place of the op's
default body, with the op's own signature. Which body runs is decided once, when the op is first
used on the engine.

Shapes in the comments: n batch, i input channels, o output channels, g groups.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeVar

import numpy as np
import optree

if TYPE_CHECKING:
    from .profiles import Profile

Tensor = Any
Body = TypeVar("Body", bound=Callable[..., Any])
Axes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]


class State(Protocol):
    """The variables of a compiled step, as the engine sees them: those it changes, those it reads."""

    def read(self) -> tuple[list[Tensor], list[Tensor]]:
        """The values that the changing and the constant variables hold now."""

    def layouts(self) -> tuple[list[Layout | None], list[Layout | None]]:
        """How the changing and the constant variables lie on several devices."""

    def containers(self) -> tuple[list[Any], list[Any]]:
        """What the changing and the constant variables hold, for an engine whose functions hold it."""

    def bound(
        self, changing: Sequence[Tensor], constant: Sequence[Tensor]
    ) -> AbstractContextManager[Callable[[], list[Tensor]]]:
        """Within it, the variables have these values; the yielded call collects the changed ones."""

    def write(self, changing: Sequence[Tensor]) -> None:
        """Store the values that a step returned."""


class Native(Protocol):
    """A module, or a program, of an engine's library, as a layer runs it."""

    def parts(self) -> Iterable[tuple[str, Any, bool]]:
        """Its tensors: the name, what holds it as a variable's container does, and whether it is trained."""

    def call(
        self, values: Mapping[str, Tensor], args: Any, kwargs: Any, training: bool | None
    ) -> tuple[Any, Mapping[str, Tensor]]:
        """What it gives with these values in place of its own; the values that the call has changed."""


class Mesh(Protocol):
    """Devices in the form of an array."""

    @property
    def axis_names(self) -> Sequence[str]:
        """The names of its axes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of devices along each axis."""

    @property
    def devices(self) -> Any:
        """Their names, as `Engine.devices` gives them: an array of this shape."""


class Layout(Protocol):
    """How a tensor lies on several devices: `axes` names for each of its axes the axis of the mesh along
    which it is divided, or a tuple of several, or None where each device has all of it. Axes that it doesn't
    name are not divided."""

    @property
    def axes(self) -> tuple[Any, ...]:
        """For each axis of the tensor what divides it."""

    @property
    def device_mesh(self) -> Any:
        """The `Mesh`; None where a layout says nothing."""


def names_of(axis: Any) -> tuple[str, ...]:
    """The axes of a mesh along which a layout divides one axis of a tensor."""
    return () if axis is None else axis if isinstance(axis, tuple) else (axis,)


def divisions(layout: Layout) -> list[int]:
    """Into how many parts a layout divides each axis of a tensor."""
    sizes = dict(zip(layout.device_mesh.axis_names, layout.device_mesh.shape, strict=True))
    return [math.prod(sizes[name] for name in names_of(axis)) for axis in layout.axes]


def parts(layout: Layout | None) -> int:
    """Into how many parts a layout divides a tensor."""
    return 1 if layout is None or layout.device_mesh is None else math.prod(divisions(layout))


def default(body: Body) -> Body:
    """Mark a primitive whose body serves every engine that has nothing better."""
    body.is_default = True  # type: ignore[attr-defined]
    return body


def refusal(engine: Any, name: str) -> Callable[..., Any]:
    """The body of what an engine refuses: it says why, and where to go."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError(
            f"The {engine.name} engine can't do `{name}`: {engine.refused[name]}. Received: a call "
            f"of `{name}`. Run it on another engine: `with cornu.backend.use('jax'): ...`."
        )

    return refuse


class Engine(ABC):
    """One interpretation of the primitives."""

    name: ClassVar[str]
    #: Exact classes that an op takes without conversion: the fast path's one type test.
    native: frozenset[type] = frozenset({type(None), bool, int, float})
    #: Those of them that are tensors of the engine, with a `shape` and a `dtype` of the library.
    arrays: frozenset[type] = frozenset()
    #: Whether models can be trained.
    trains: ClassVar[bool] = True
    #: Whether tensors hold values; an engine of shapes or of a file format has none.
    computes: ClassVar[bool] = True
    #: Whether what is computed goes into a file, in which weights never change.
    writes_files: ClassVar[bool] = False
    #: Whether `write` changes a container in place, so that functions may hold it.
    in_place: ClassVar[bool] = False
    #: Whether the class of native tensors has sparse ones too, which say so by `is_sparse`.
    mixes_sparse: ClassVar[bool] = False
    #: Special methods by which the library's functions read what is no tensor of theirs: variables have them.
    protocols: ClassVar[frozenset[str]] = frozenset()
    #: The class of modules in the engine's library, where it has one: a layer is one to it.
    module_type: ClassVar[type | None] = None
    #: What the library, and programs in its style, ask of modules: a layer answers by its `module`.
    module_names: ClassVar[frozenset[str]] = frozenset()
    #: What of its library a layer may wrap: "functions" of structures, "modules", "programs" in files.
    adopts: ClassVar[frozenset[str]] = frozenset()
    #: Whether a model that is called on tensors must run as one compiled step.
    whole_models: ClassVar[bool] = False
    #: Whether it does so from some call on (`tuning.whole_calls`) where that makes no difference.
    whole_calls: ClassVar[bool] = False
    #: Whether a step is compiled, or recorded, anew for arguments of other shapes.
    compiles: ClassVar[bool] = True
    #: Whether one call of several short steps, in a loop (`scan`), is faster than as many calls.
    repeats_steps: ClassVar[bool] = False
    #: Whether attention uses a fused kernel where a call doesn't say; None for where there is one. Of the process.
    flash_attention: ClassVar[bool | None] = None
    #: Whether tensors may lie on several devices, and processes compute together.
    distributes: ClassVar[bool] = False
    #: Whether ops may use the engine's own bodies instead of their default ones.
    overrides: ClassVar[bool] = True
    #: The ops and primitives that the engine can't do, by name, each with the reason.
    refused: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.refused:
            if getattr(Engine, name, None) is not None and name not in vars(cls):
                setattr(cls, name, refusal(cls, name))

    def __init__(self) -> None:
        #: The body of each op on this engine, filled when an op is first used (`core/op.py`).
        self.bodies: dict[Any, Callable[..., Any]] = {}

    def __reduce__(self) -> Any:
        from . import get  # a copy of what holds an engine holds the same one

        return get, (self.name, self.overrides)

    # ---------------------------------------------------------------- tensor

    @abstractmethod
    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Tensor:
        """A tensor of this engine from numbers, nested lists, NumPy arrays or tensors."""

    @abstractmethod
    def convert_to_numpy(self, x: Tensor) -> Any:
        """The value as a NumPy array."""

    @abstractmethod
    def is_tensor(self, x: Any) -> bool:
        """Whether `x` is a tensor of this engine."""

    def is_traced(self, x: Any) -> bool:
        """Whether `x` has no value yet: it is the operand of a function that the library traces."""
        return False

    @abstractmethod
    def dtype_of(self, x: Tensor) -> str:
        """The dtype's standard name, such as `"float32"`."""

    @abstractmethod
    def shape_of(self, x: Tensor) -> tuple[Any, ...]:
        """The shape: integers, or dimensions that support arithmetic where they are unknown."""

    @abstractmethod
    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """The values in another dtype."""

    @abstractmethod
    def stop_gradient(self, x: Tensor) -> Tensor:
        """The same values, constant for differentiation."""

    @abstractmethod
    def view(self, x: Tensor, dtype: str) -> Tensor:
        """The same bytes read as another dtype."""

    def sparse_parts(self, x: Any) -> tuple[Tensor, Tensor, tuple[int, ...]] | None:
        """The places `(elements, axes)`, the values and the shape of a sparse tensor of the library; each
        place occurs once. None for anything else."""
        return None

    def weak_type(self, x: Any) -> Any:
        """What promotion should take `x` for: `int` or `float` for Python numbers, else a dtype."""
        return type(x) if type(x) in (int, float, bool) else self.dtype_of(x)

    def dtype_name(self, dtype: Any) -> str | None:
        """The standard name of a dtype of the library, where that calls it otherwise."""
        return None

    def canonical_dtype(self, dtype: str) -> str:
        """The dtype that the engine computes in when asked for `dtype`."""
        return dtype

    def device(self, name: str) -> AbstractContextManager[Any]:
        """Within it, new tensors lie on the device `"cpu"`, `"gpu:0"`, ..."""
        if name.lower().partition(":")[0] != "cpu":
            raise ValueError(
                f"A device must exist. Received: name={name!r}. The {self.name} engine knows 'cpu'."
            )
        return nullcontext()

    def synchronize(self, x: Tensor) -> None:  # noqa: B027  (nothing to wait for by default)
        """Wait until `x` has been computed."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an error says that memory, the device's or the host's, was not enough."""
        return isinstance(error, MemoryError)

    def is_ready(self, x: Tensor) -> bool:
        """Whether `x` has been computed. Most libraries give a tensor no sooner."""
        return True

    @property
    def is_far(self) -> bool:
        """Whether tensors lie elsewhere than arrays of the host, so that these are to be sent."""
        return False

    def send(self, x: Any) -> Any:
        """An array of the host on its way to the device, before the step that takes it; no call waits for it."""
        return x

    # -------------------------------------------------- from another engine

    def from_dlpack(self, x: Any) -> Tensor:
        """A tensor on the memory of another library's, wherever that lies."""
        raise BufferError(f"The {self.name} engine reads no DLPack.")

    def received(self, x: Tensor, sender: Engine) -> Tensor:
        """A tensor of another engine: by DLPack where both can, else through NumPy."""
        if hasattr(x, "__dlpack__"):
            try:
                return self.from_dlpack(sender.stop_gradient(x))
            except (BufferError, RuntimeError, TypeError, ValueError):
                pass  # of a dtype or on a device that one of the two lacks
        return self.convert_to_tensor(sender.convert_to_numpy(x))

    # ------------------------------------------- state: what a Variable holds

    def container(self, value: Tensor, trainable: bool, layout: Layout | None = None) -> Any:
        """What a variable with this value holds: an array, a parameter, ..., laid out so."""
        return self.place(value, layout)

    def untraced(self) -> AbstractContextManager[Any]:
        """Within it tensors hold values, also while a step is being traced: what is made there outlives it."""
        return nullcontext()

    def container_of(
        self, owner: Any, value: Tensor, trainable: bool, layout: Layout | None
    ) -> Any:
        """The container of a variable whose value comes to this engine."""
        return self.container(value, trainable, layout)

    def read(self, container: Any) -> Tensor:
        """The value in a container."""
        return container

    def write(self, container: Any, value: Tensor) -> Any:
        """Put a value in a container; returns the container that holds it now."""
        return value

    def set_trainable(self, container: Any, trainable: bool) -> None:  # noqa: B027  (most containers don't say)
        """Tell a container whether its variable is trained now, for what else of the library holds it."""

    def share(self, owner: Any, container: Any) -> None:
        """Let a variable hold a container of somebody else's once it comes to this engine."""
        raise NotImplementedError(f"Variables of the {self.name} engine hold values of their own.")

    # ------------------------------------------------- what layers wrap of the library

    def adopt(self, native: Any, *options: Any) -> Native:
        """A module of the library, or a program in a file with the names of its functions, for a layer."""
        raise NotImplementedError(f"The library of the {self.name} engine has no modules.")

    def leaves(self, structure: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
        """The tensors of a structure, as functions of the library know it, and what gives it with others."""
        leaves, form = optree.tree_flatten(structure)
        return leaves, lambda others: optree.tree_unflatten(form, others)

    # --------------------------------------------------------------- devices
    # Several processes that compute together run the same program. A layout says where the parts of a
    # tensor lie, which has the shape and the values that it has on one device: nothing else of a step changes.

    def devices(self, kind: str | None = None) -> list[str]:
        """The names of the devices of a kind (`"cpu"`, `"gpu"`, `"tpu"`; None for the best that there is), of all
        processes, in the same order in each: `["gpu:0", "gpu:1"]`."""
        self._refuse_devices("devices")

    def connect(self, address: str, size: int, rank: int, local_rank: int | None = None) -> None:
        """Make this process number `rank` of `size` that compute together, before anything is computed.

        All meet at the `address` (host:port) of number 0. The accelerator `local_rank` of its machine is its own;
        None leaves it to the library, be that all."""
        self._refuse_devices("connect")

    @property
    def rank(self) -> int:
        """The number of this process among those that compute together."""
        return 0

    @property
    def processes(self) -> int:
        """How many processes compute together."""
        return 1

    def place(self, x: Any, layout: Layout | None) -> Tensor:
        """A value of the host or of this engine, such as a weight or a batch, where a layout says. Every process
        has the whole of it. With one device that is where it is."""
        if parts(layout) > 1:
            raise NotImplementedError(
                "A layout must divide a tensor among devices that there are. Received: a layout of "
                f"{parts(layout)} parts on the {self.name} engine, which uses one device. "
                "Distribution runs on jax and torch; elsewhere use a mesh of one device."
            )
        return x

    def constrain(self, x: Tensor, layout: Layout | None) -> Tensor:
        """The same tensor, laid out so where it is computed: within a step too."""
        return self.place(x, layout)

    def rows(self, size: int, layout: Layout | None) -> slice:
        """Which of the first axis, of `size` entries that a layout divides evenly or not at all, this process has."""
        return slice(0, size)

    def joined(self, rows: Any, size: int, layout: Layout | None) -> Tensor:
        """A tensor of `size` entries along its first axis, laid out, of which each process gives its `rows`."""
        return self.place(rows, layout)

    def gathered(self, x: Tensor) -> Any:
        """The whole value of a tensor as a NumPy array, wherever its parts lie. All processes call it."""
        return self.convert_to_numpy(x)

    def own_parts(self, container: Any) -> list[tuple[tuple[int, ...], Any]]:
        """The parts of a variable that this process is to write, NumPy arrays in its memory, each with the indices
        where it begins. Those of all processes are the whole, and each is one process's."""
        whole = self.convert_to_numpy(self.read(container))
        return [((0,) * whole.ndim, whole)] if self.rank == 0 else []

    def agreed(self, x: Any) -> Any:
        """What process 0 gives, in each process: an array of the host of one shape and dtype. All processes call it."""
        return x

    def of_all(self, x: Any) -> Any:
        """What each process gives, stacked in the order of their numbers. Else as of `agreed`."""
        return np.asarray(x)[None]

    def barrier(self) -> None:  # noqa: B027  (one process waits for nobody)
        """Wait until all processes are here."""

    def _refuse_devices(self, name: str) -> NoReturn:
        raise NotImplementedError(
            f"Distribution runs on jax and torch. Received: a call of `{name}` on the {self.name} engine. Choose "
            "one of them: `cornu.config.set_backend('jax')`, or `model.to('jax')` for a model that is there."
        )

    # ----------------------------------------------------------------- more

    def stand_in(self, variable: Any) -> Tensor:
        """What a variable (stored_shape, stored_dtype, path) reads as where tensors hold no values."""
        raise NotImplementedError(f"The {self.name} engine computes: it reads the variable itself.")

    def shape_alone(self, name: str) -> None:  # noqa: B027  (values are there by then, or none ever are)
        """Called by the body of an op that can't compute for unknown sizes, and gives the shape alone.

        An engine whose values come later, when sizes are known, refuses it here."""

    def module(self, layer: Any) -> Any:
        """A layer as an object of the library's own kind, `module_type`, with the `engine`.

        It asks the layer for its parts whenever it is asked for them, by `layer._parts_on(engine)`, and not yet
        when it is made. Its `run(*args, **kwargs)` calls `layer._call_within(args, kwargs, training)`, with what
        the library does around a call. `refresh()` tells it that the layer has it now, or has been built.
        """
        raise NotImplementedError(f"The library of the {self.name} engine has no modules.")

    def scope(self, name: str) -> AbstractContextManager[Any]:
        """Within it, what is called or traced carries a name that the library's profiler knows it by."""
        return nullcontext()

    def profile(
        self, step: Callable[[], Any], plain: Callable[[], Any], times: int
    ) -> Profile | None:
        """Where the time of a step goes, by the library's profiler; None where there is none.

        Args:
            step: Runs the step to its end, compiled; it was never called.
            plain: Runs it as it is.
            times: How often to run it, after what makes it ready.
        """
        return None

    def save_functions(
        self,
        path: str,
        functions: Mapping[str, Any],
        groups: Mapping[str, Any],
        options: Any = None,
    ) -> None:
        """Write functions in the library's own format, to run without this package.

        Args:
            path: The folder.
            functions: By name what has a `call` and its arguments' `specs`, of a shape, a dtype and a name.
            groups: By name lists of variables, which go along.
            options: The library's own.
        """
        raise NotImplementedError(
            f"The library of the {self.name} engine has no format of functions."
        )

    # ------------------------------------------------------------ transforms

    @abstractmethod
    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        """The result of one of two calls, which give the same structure."""

    @abstractmethod
    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        """`state = body(*state)` while `cond(*state)`."""

    @abstractmethod
    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        """`carry, y = f(carry, x)` over the leading axis; the last carry and the stacked ys."""

    @abstractmethod
    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        """`f` on each slice of the leading axis, as one batched computation."""

    @abstractmethod
    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        """`f(*args)` gives `(y, vjp)`; the result is a function whose gradient is `vjp`."""

    @default
    def watch_gradient(self, x: Tensor, look: Callable[[Tensor], None]) -> Tensor:
        """x, whose gradient `look` is given when it comes: with a value, where x has one."""

        def watched(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            def back(gradient: Tensor) -> Tensor:
                look(gradient)
                return gradient

            return x, back

        return self.custom_gradient(watched)(x)

    @abstractmethod
    def value_and_grad(
        self, f: Callable[[list[Tensor]], tuple[Tensor, Any]]
    ) -> Callable[[list[Tensor]], Any]:
        """`f(values) -> (scalar, aux)` made into `values -> ((scalar, aux), gradients)`."""

    @abstractmethod
    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """The result, and the function from its cotangents to the arguments' cotangents."""

    @abstractmethod
    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """The result, and its derivative along `tangents`."""

    @abstractmethod
    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        """The step over `state` as one native call: variables bound, new values stored.

        The changing values are the call's to destroy; the constant ones stay. `jit` says whether to use the
        library's compiler; None leaves it to the engine."""

    def compose(
        self, body: Callable[..., Any], static: tuple[int, ...], name: str
    ) -> Callable[..., Any]:
        """An op's body as one native call; `static` are the positions of hashable arguments."""
        return body

    def dataset(self, arrays: Any) -> Any:
        """Arrays with samples along their first axis as a data set of the library; None where it has none."""
        return None

    def stream(
        self, elements: Callable[[], Iterator[Any]], like: Any, batched: bool, length: int
    ) -> Any:
        """What a call iterates over, anew for each pass, as a data set of the library; None where it has none.

        Elements have the structure, dtypes and shapes of `like`, but for the first axis of what is batched."""
        return None

    def each(self, f: Callable[..., Any], rows: Sequence[Sequence[Tensor]]) -> list[Any]:
        """`f(*row)` for each row, of an `f` that computes element by element: an optimizer's rule.

        An engine may do it for all rows in one call of each operation."""
        return [f(*row) for row in rows]

    def renewed(
        self, due: Tensor, f: Callable[..., list[Tensor]], olds: list[Tensor], others: list[Tensor]
    ) -> list[Tensor]:
        """`f(*olds, *others)`, tensors like `olds`, where the scalar `due` holds, which it seldom does; else `olds`.

        `f` computes by its arguments alone, and its `repr` says all of what."""
        return list(self.cond(due, lambda: f(*olds, *others), lambda: olds))

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f`, computed again during differentiation instead of kept in memory."""
        return f

    def eval_shape(self, f: Callable[..., Any], *specs: Any) -> Any:
        """`(shape, dtype)` of what `f` gives, found without computing. `specs` are such pairs."""
        raise NotImplementedError(f"The {self.name} engine has no tracer for native functions.")

    def on_host(
        self, f: Callable[..., list[Any]], tensors: Sequence[Any], specs: Sequence[Any]
    ) -> list[Any]:
        """The arrays that `f` gives for the values of tensors, in NumPy; as tensors of the library where it traces.

        `specs` are pairs `(shape, dtype)` of what `f` gives, with None for unknown sizes."""
        return f(*[self.convert_to_numpy(x) if self.is_tensor(x) else x for x in tensors])

    # ---------------------------------------------------------------- create

    @abstractmethod
    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
        """A tensor filled with one value (a number or a scalar tensor)."""

    @abstractmethod
    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        """start, start + step, ..., below stop."""

    # ---------------------------------------------------------------- unary

    @abstractmethod
    def negative(self, x: Tensor) -> Tensor:
        """-x"""

    @abstractmethod
    def abs(self, x: Tensor) -> Tensor:
        """|x|; of a complex number its modulus, as a real number."""

    @abstractmethod
    def sign(self, x: Tensor) -> Tensor:
        """-1, 0 or 1."""

    @abstractmethod
    def ceil(self, x: Tensor) -> Tensor:
        """Rounded up."""

    @abstractmethod
    def floor(self, x: Tensor) -> Tensor:
        """Rounded down."""

    @abstractmethod
    def round(self, x: Tensor) -> Tensor:
        """Rounded to the nearest integer, halves to even."""

    @abstractmethod
    def trunc(self, x: Tensor) -> Tensor:
        """Rounded towards zero."""

    @abstractmethod
    def sqrt(self, x: Tensor) -> Tensor:
        """Square root."""

    @abstractmethod
    def exp(self, x: Tensor) -> Tensor:
        """e to the x."""

    @abstractmethod
    def expm1(self, x: Tensor) -> Tensor:
        """exp(x) - 1, exact near zero."""

    @abstractmethod
    def log(self, x: Tensor) -> Tensor:
        """Natural logarithm."""

    @abstractmethod
    def log1p(self, x: Tensor) -> Tensor:
        """log(1 + x), exact near zero."""

    @abstractmethod
    def sin(self, x: Tensor) -> Tensor:
        """Sine of radians."""

    @abstractmethod
    def cos(self, x: Tensor) -> Tensor:
        """Cosine of radians."""

    @abstractmethod
    def tan(self, x: Tensor) -> Tensor:
        """Tangent of radians."""

    @abstractmethod
    def arcsin(self, x: Tensor) -> Tensor:
        """Inverse sine."""

    @abstractmethod
    def arccos(self, x: Tensor) -> Tensor:
        """Inverse cosine."""

    @abstractmethod
    def arctan(self, x: Tensor) -> Tensor:
        """Inverse tangent."""

    @abstractmethod
    def sinh(self, x: Tensor) -> Tensor:
        """Hyperbolic sine."""

    @abstractmethod
    def cosh(self, x: Tensor) -> Tensor:
        """Hyperbolic cosine."""

    @abstractmethod
    def tanh(self, x: Tensor) -> Tensor:
        """Hyperbolic tangent."""

    @abstractmethod
    def arcsinh(self, x: Tensor) -> Tensor:
        """Inverse hyperbolic sine."""

    @abstractmethod
    def arccosh(self, x: Tensor) -> Tensor:
        """Inverse hyperbolic cosine."""

    @abstractmethod
    def arctanh(self, x: Tensor) -> Tensor:
        """Inverse hyperbolic tangent."""

    @abstractmethod
    def erf(self, x: Tensor) -> Tensor:
        """Error function."""

    @abstractmethod
    def erfinv(self, x: Tensor) -> Tensor:
        """Inverse error function."""

    @abstractmethod
    def lgamma(self, x: Tensor) -> Tensor:
        """log |gamma(x)|."""

    @abstractmethod
    def isnan(self, x: Tensor) -> Tensor:
        """True where x is not a number."""

    @abstractmethod
    def logical_not(self, x: Tensor) -> Tensor:
        """Not x, of booleans."""

    @abstractmethod
    def bitwise_not(self, x: Tensor) -> Tensor:
        """Every bit inverted."""

    @abstractmethod
    def real(self, x: Tensor) -> Tensor:
        """Real part."""

    @abstractmethod
    def imag(self, x: Tensor) -> Tensor:
        """Imaginary part."""

    @abstractmethod
    def conj(self, x: Tensor) -> Tensor:
        """Complex conjugate."""

    @default
    def rsqrt(self, x: Tensor) -> Tensor:
        """1 / sqrt(x)."""
        return self.divide(self.full((), 1, self.dtype_of(x)), self.sqrt(x))

    @default
    def log2(self, x: Tensor) -> Tensor:
        """Logarithm to base 2."""
        return self.divide(self.log(x), self.full((), math.log(2), self.dtype_of(x)))

    @default
    def log10(self, x: Tensor) -> Tensor:
        """Logarithm to base 10."""
        return self.divide(self.log(x), self.full((), math.log(10), self.dtype_of(x)))

    @default
    def sigmoid(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x)), as (tanh(x / 2) + 1) / 2, which can't overflow."""
        half = self.full((), 0.5, self.dtype_of(x))
        return self.add(self.multiply(self.tanh(self.multiply(x, half)), half), half)

    @default
    def erfc(self, x: Tensor) -> Tensor:
        """1 - erf(x)."""
        return self.subtract(self.full((), 1, self.dtype_of(x)), self.erf(x))

    @abstractmethod
    def i0(self, x: Tensor) -> Tensor:
        """Modified Bessel function of the first kind, order 0."""

    @default
    def isinf(self, x: Tensor) -> Tensor:
        """True where x is infinite."""
        return self.equal(self.abs(x), self.full((), math.inf, self.dtype_of(x)))

    @default
    def isfinite(self, x: Tensor) -> Tensor:
        """True where x is neither infinite nor NaN."""
        return self.logical_not(self.logical_or(self.isnan(x), self.isinf(x)))

    @abstractmethod
    def complex(self, real: Tensor, imag: Tensor) -> Tensor:
        """real + i imag."""

    # -------------------------------------------- binary, with broadcasting

    @abstractmethod
    def add(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 + x2"""

    @abstractmethod
    def subtract(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 - x2"""

    @abstractmethod
    def multiply(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 * x2"""

    @abstractmethod
    def divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 / x2, of floats or complex numbers."""

    @abstractmethod
    def floor_divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 / x2 rounded down."""

    @abstractmethod
    def mod(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The remainder with the sign of x2."""

    @abstractmethod
    def fmod(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The remainder with the sign of x1."""

    @abstractmethod
    def power(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 to the x2."""

    @abstractmethod
    def maximum(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The larger one; NaN where either is."""

    @abstractmethod
    def minimum(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The smaller one; NaN where either is."""

    @abstractmethod
    def arctan2(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The angle of (x2, x1)."""

    @abstractmethod
    def nextafter(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The next float after x1 towards x2."""

    @abstractmethod
    def equal(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 == x2"""

    @abstractmethod
    def less(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 < x2"""

    @abstractmethod
    def less_equal(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 <= x2"""

    @abstractmethod
    def logical_and(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Both, of booleans."""

    @abstractmethod
    def logical_or(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Either, of booleans."""

    @abstractmethod
    def bitwise_and(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Bits in both."""

    @abstractmethod
    def bitwise_or(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Bits in either."""

    @abstractmethod
    def bitwise_xor(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Bits in one of the two."""

    @abstractmethod
    def left_shift(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 * 2 ** x2, of integers."""

    @abstractmethod
    def right_shift(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 shifted down by x2 bits, keeping the sign."""

    @default
    def not_equal(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 != x2"""
        return self.logical_not(self.equal(x1, x2))

    @default
    def greater(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 > x2"""
        return self.less(x2, x1)

    @default
    def greater_equal(self, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 >= x2"""
        return self.less_equal(x2, x1)

    @default
    def logical_xor(self, x1: Tensor, x2: Tensor) -> Tensor:
        """One of the two, of booleans."""
        return self.not_equal(x1, x2)

    # ------------------------------------------------- select, reduce, scan

    @abstractmethod
    def where(self, condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        """x1 where the condition holds, else x2, with broadcasting."""

    @abstractmethod
    def sum(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """Sum, in the dtype of x."""

    @abstractmethod
    def prod(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """Product, in the dtype of x."""

    @abstractmethod
    def max(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """Largest element."""

    @abstractmethod
    def min(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """Smallest element."""

    @abstractmethod
    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """True where every element is, of booleans."""

    @abstractmethod
    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """True where some element is, of booleans."""

    @default
    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """Mean, of floats."""
        total = self.sum(x, axes, keepdims)
        shape = self.shape_of(x)
        count = math.prod([shape[axis] for axis in axes])
        return self.divide(total, self.full((), count, self.dtype_of(x)))

    @default
    def var(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        """Mean squared distance from the mean, of floats."""
        centred = self.subtract(x, self.mean(x, axes, True))
        return self.mean(self.multiply(centred, centred), axes, keepdims)

    @abstractmethod
    def argmax(self, x: Tensor, axis: int) -> Tensor:
        """The first index of the largest element, int32."""

    @abstractmethod
    def argmin(self, x: Tensor, axis: int) -> Tensor:
        """The first index of the smallest element, int32."""

    @abstractmethod
    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        """Running sum, in the dtype of x."""

    @abstractmethod
    def cumprod(self, x: Tensor, axis: int) -> Tensor:
        """Running product, in the dtype of x."""

    # ---------------------------------------------------------- move, index

    @abstractmethod
    def reshape(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        """The elements in order in another shape; one dimension may be -1."""

    @abstractmethod
    def transpose(self, x: Tensor, axes: Axes) -> Tensor:
        """Axis k of the result is axis axes[k] of x."""

    @abstractmethod
    def broadcast_to(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        """x repeated along new axes and axes of size 1."""

    @abstractmethod
    def concatenate(self, xs: Sequence[Tensor], axis: int) -> Tensor:
        """Tensors joined along an axis."""

    @abstractmethod
    def pad(self, x: Tensor, pads: Pads, value: Any) -> Tensor:
        """x surrounded by a constant."""

    @abstractmethod
    def flip(self, x: Tensor, axes: Axes) -> Tensor:
        """The order along the axes reversed."""

    @abstractmethod
    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        """Slices of x at indices, int32 or int64; the axis is replaced by the indices' shape.

        Indices are in range, here and below, and count from either end."""

    @abstractmethod
    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        """Elements of x at indices of the same rank."""

    @abstractmethod
    def get_item(self, x: Tensor, key: tuple[Any, ...]) -> Tensor:
        """x[key], of integers in range, slices that go forward, None and one Ellipsis.

        What else a key may hold is worked out above (`indexing.py`)."""

    @default
    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        """The elements of x at indices (..., k) of its first k axes."""
        *_, depth = self.shape_of(indices)
        sizes, dtype = self.shape_of(x), self.dtype_of(indices)
        place = zero = self.full((), 0, dtype)
        for axis, extent in enumerate(sizes[:depth]):
            size = self.cast(self.full((), extent, "int32"), dtype)
            column = self.get_item(indices, (Ellipsis, axis))
            column = self.where(self.less(column, zero), self.add(column, size), column)
            place = self.add(self.multiply(place, size), column)
        rows = self.reshape(x, (math.prod(sizes[:depth]), *sizes[depth:]))
        return self.take(rows, place, 0)

    @abstractmethod
    def slice(self, x: Tensor, start: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        """The block of the given shape at `start`, whose entries may be scalar tensors."""

    @abstractmethod
    def slice_update(self, x: Tensor, start: Sequence[Any], updates: Tensor) -> Tensor:
        """x with the block at `start` replaced."""

    @abstractmethod
    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        """x with updates put at indices (..., k) by `set`, `add`, `max`, `min` or `mul`."""

    # ---------------------------------------------------------------- order

    @abstractmethod
    def sort(self, x: Tensor, axis: int) -> Tensor:
        """Ascending."""

    @abstractmethod
    def argsort(self, x: Tensor, axis: int) -> Tensor:
        """Indices that sort, stable, int32."""

    @default
    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k largest elements of the last axis, descending, and their int32 indices."""
        axis = len(self.shape_of(x)) - 1
        keys = x if self.dtype_of(x) != "bool" else self.cast(x, "int32")
        order = self.slice_axis(
            self.flip(self.argsort(self.flip(keys, (axis,)), axis), (axis,)), axis, 0, k
        )
        size = self.full((), self.shape_of(x)[axis] - 1, "int32")
        order = self.subtract(size, order)
        return self.take_along_axis(x, order, axis), order

    @abstractmethod
    def searchsorted(self, sequence: Tensor, values: Tensor, side: str) -> Tensor:
        """Where values belong in a sorted vector, int32; side is `left` or `right`."""

    @abstractmethod
    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sorted unique elements of a vector; first index, inverse and count of each, int32.

        `size` fixes how many there are, padded with `fill`."""

    @abstractmethod
    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        """Indices of the elements that are not zero, one int32 vector per axis."""

    # ----------------------------------------------------- contract, window

    @abstractmethod
    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Matrix product of the last two axes, leading ones broadcast; vectors as in NumPy."""

    @abstractmethod
    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        """Einstein's summation, with an explicit `->`."""

    @default
    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        """Cross-correlation of x (n, *spatial, i) with a kernel (*window, i / g, o)."""
        patches = self.patches(x, self.shape_of(kernel)[:-2], strides, pads, dilation, 0)
        *window, depth, filters = self.shape_of(kernel)
        size = math.prod(window)
        *leading, _, channels = self.shape_of(patches)
        patches = self.reshape(patches, (*leading, size, groups, channels // groups))
        weights = self.reshape(kernel, (size, depth, groups, filters // groups))
        letters = "abcdefgh"[: len(leading)]
        result = self.einsum(f"{letters}wgi,wigo->{letters}go", [patches, weights])
        return self.reshape(result, (*leading, filters))

    @default
    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        """The transpose of `conv`: x (n, *spatial, i) with zeros between its elements, padded by `pads`
        and correlated with the flipped kernel (*window, o, i)."""
        rank = len(strides)
        spread = self.spread(x, strides)
        swapped = self.transpose(kernel, (*range(rank), rank + 1, rank))
        flipped = self.flip(swapped, tuple(range(rank)))
        return self.conv(spread, flipped, (1,) * rank, pads, dilation, 1)

    @default
    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        """The largest element in each window of x (n, *spatial, i)."""
        dtype = self.dtype_of(x)
        lowest = (
            -math.inf
            if "float" in dtype
            else -(2 ** (int(dtype.strip("uint")) - 1))
            if dtype[0] == "i"
            else 0
        )
        patches = self.patches(x, window, strides, pads, (1,) * len(window), lowest)
        return self.max(patches, (len(window) + 1,), False)

    @default
    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        """The mean of each window of x (n, *spatial, i), padding left out."""
        dilation = (1,) * len(window)
        total = self.sum(
            self.patches(x, window, strides, pads, dilation, 0), (len(window) + 1,), False
        )
        ones = self.full((1, *self.shape_of(x)[1:-1], 1), 1, self.dtype_of(x))
        count = self.sum(
            self.patches(ones, window, strides, pads, dilation, 0), (len(window) + 1,), False
        )
        return self.divide(total, count)

    # ---------------------------------------------------------- linalg, fft

    @abstractmethod
    def cholesky(self, x: Tensor) -> Tensor:
        """The lower triangular factor of x = L L^H."""

    @abstractmethod
    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        """x of a x = b, for matrices b."""

    @abstractmethod
    def solve_triangular(self, a: Tensor, b: Tensor, lower: bool) -> Tensor:
        """x of a x = b, for a triangular a and matrices b."""

    @abstractmethod
    def qr(self, x: Tensor, mode: str) -> tuple[Tensor, Tensor]:
        """Orthogonal and upper triangular factors; mode is `reduced` or `complete`."""

    @abstractmethod
    def svd(self, x: Tensor, full_matrices: bool) -> tuple[Tensor, Tensor, Tensor]:
        """u, s, v^H of x = u s v^H."""

    @abstractmethod
    def eigh(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues, ascending, and eigenvectors of a Hermitian matrix."""

    @abstractmethod
    def eig(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Complex eigenvalues and eigenvectors."""

    @abstractmethod
    def lu_factor(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Packed LU factors and int32 pivots."""

    @abstractmethod
    def fft(self, x: Tensor) -> Tensor:
        """Discrete Fourier transform of the last axis, of complex numbers."""

    @abstractmethod
    def ifft(self, x: Tensor) -> Tensor:
        """The inverse of `fft`."""

    @abstractmethod
    def rfft(self, x: Tensor) -> Tensor:
        """The first half of the Fourier transform of a real last axis."""

    @abstractmethod
    def irfft(self, x: Tensor, length: int) -> Tensor:
        """The inverse of `rfft`, of `length` elements."""

    # -------------------------------------- random, from a key: uint32 (2,)
    # Uniform and normal numbers are written over the integers above (`random/words.py`): a draw
    # gives the same numbers on every engine.

    @abstractmethod
    def random_gamma(
        self, key: Tensor, shape: tuple[Any, ...], alpha: Tensor, dtype: str
    ) -> Tensor:
        """Gamma numbers of shape parameter alpha, which broadcasts to `shape`, and scale 1."""

    @abstractmethod
    def random_binomial(
        self, key: Tensor, shape: tuple[Any, ...], counts: Tensor, p: Tensor, dtype: str
    ) -> Tensor:
        """Successes among `counts` trials of probability `p`."""

    # ------------------------------------------- helpers for default bodies

    def slice_axis(
        self, x: Tensor, axis: int, start: int, stop: int | None, step: int = 1
    ) -> Tensor:
        """x[start:stop:step] along one axis."""
        return self.get_item(x, (slice(None),) * axis + (slice(start, stop, step),))

    def patches(
        self, x: Tensor, window: Axes, strides: Axes, pads: Pads, dilation: Axes, fill: float
    ) -> Tensor:
        """The windows of x (n, *spatial, i), as (n, *positions, window elements, i)."""
        x = self.pad(x, ((0, 0), *pads, (0, 0)), fill)
        rank = len(window)
        columns = []
        for flat in range(math.prod(window)):
            offset, column = flat, x
            for axis in reversed(range(rank)):
                offset, position = divmod(offset, window[axis])
                reach = (window[axis] - 1) * dilation[axis]
                size = (self.shape_of(x)[axis + 1] - reach - 1) // strides[axis] + 1
                start = position * dilation[axis]
                stop = start + (size - 1) * strides[axis] + 1
                column = self.slice_axis(column, axis + 1, start, stop, strides[axis])
            shape = self.shape_of(column)
            columns.append(self.reshape(column, (*shape[:-1], 1, shape[-1])))
        return self.concatenate(columns, rank + 1)

    def spread(self, x: Tensor, strides: Axes) -> Tensor:
        """x (n, *spatial, i) with stride - 1 zeros between the elements of each spatial axis."""
        for axis, stride in enumerate(strides, start=1):
            if stride == 1:
                continue
            shape = self.shape_of(x)
            column = self.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
            pads = [(0, 0)] * (len(shape) + 1)
            pads[axis + 1] = (0, stride - 1)
            filled = self.reshape(
                self.pad(column, tuple(pads), 0),
                (*shape[:axis], shape[axis] * stride, *shape[axis + 1 :]),
            )
            x = self.slice_axis(filled, axis, 0, shape[axis] * stride - stride + 1)
        return x
