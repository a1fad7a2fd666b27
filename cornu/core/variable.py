"""Variable: named state that a model trains, updates and saves.

Its value lives in the container that is native to an engine and moves by itself when another engine
is current. Initial values are drawn on the host, so making one compiles nothing; and only when somebody
reads them, so a model whose weights are loaded at once draws none.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..engines import Engine, active, current
from ..engines.contract import Layout
from . import layouts, naming, processes
from .checks import one_of
from .dtypes import is_float, numpy_dtype, standardize_dtype
from .operators import OpOperators
from .scopes import here, within

_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")
_SYNCHRONIZATIONS = (None, "none", "auto", "on_read", "on_write")


class Held(NamedTuple):
    """Where a variable's value lives. It is replaced, never changed: who has read it has three things that
    belong together, whatever other threads do."""

    #: None for the host.
    engine: Engine | None
    #: The engine's; on the host an array, or a call that draws it.
    container: Any
    #: How the engine has it on several devices.
    layout: Layout | None = None


class NewArrays(Mapping[str, Any]):
    """Arrays by key that are made, or read from a file, when they are asked for: nobody else has them."""


class Variable(OpOperators):
    """A tensor that is changed in place, known by its path.

    Args:
        initializer: The initial value, a call `initializer(shape, dtype)` that gives it, or the name of one.
        shape: The shape, for an initializer that is called; every dimension is known.
        dtype: The dtype's name; floatx, or that of the initial value, where it is left out.
        trainable: Whether it takes part in gradient updates.
        autocast: Whether it reads as the compute dtype within an autocasting block.
        aggregation: How replicas of the value are joined.
        name: A name without `/`.
        layout: How the value lies on several devices.

    >>> v = Variable(np.zeros(3), name="offset")
    >>> v.shape, v.dtype, v.path
    ((3,), 'float32', 'offset')
    """

    _tracked_as: ClassVar[str] = "variables"
    #: How layers read it, from what is stored on (`core.transforms`).
    transforms: tuple[Any, ...] = ()
    #: How it was said to lie on several devices.
    _layout: Layout | None = None
    #: What it is kept for, as an optimizer's are: it lies as that does, where it has its shape.
    kept_for: Variable | None = None
    #: Gives the initializer of a name; the floor of initializers puts its `get` here.
    _named_initializer: ClassVar[Callable[[str], Any]]

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Layout | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"Variable takes no such arguments. Received: {sorted(kwargs)}.")
        name = name or naming.auto_name(type(self).__name__)
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                f"A variable's name must be a string without '/'. Received: name={name!r}."
            )
        one_of(_AGGREGATIONS, aggregation=aggregation)
        one_of(_SYNCHRONIZATIONS, synchronization=synchronization)
        if layout is not None and not hasattr(layout, "axes"):
            raise TypeError(
                "A variable's layout must have `axes` and a `device_mesh`. Received: "
                f"layout={layout!r}. Leave it out for one device."
            )
        scope = naming.current_path()
        self._name = name
        self._path = f"{scope}/{name}" if scope else name
        self._trainable = bool(trainable)
        self._autocast = bool(autocast)
        self._aggregation = aggregation or "none"
        self._synchronization = synchronization or "none"
        self._regularizer: Any = None
        self._constraint: Any = None
        self.overwrite_with_gradient = False
        #: Whether others draw from it while steps run: the state of random numbers.
        self.is_shared = False
        #: Held by whoever moves the value or writes it.
        self.lock = threading.RLock()
        value, self._shape, self._dtype = initial_value(initializer, shape, dtype)
        self._held = Held(None, value)
        if layout is not None:
            self._layout = layout
        self._casts = self._autocast and is_float(self._dtype)

    # --- the value

    @property
    def value(self) -> Any:
        """The value, as a tensor of the current engine."""
        scope = here.stateless.get()
        value = scope.get_current_value(self) if scope is not None else None
        if value is None:
            engine = current()
            held = self._held
            if held.engine is not engine:
                if not engine.computes:
                    return self._cast(engine, engine.stand_in(self))
                held = self.move_to(engine)
            value = engine.read(held.container)
        if here.autocast.get() is not None and self._casts:
            return self._cast(current(), value)
        return value

    def _cast(self, engine: Engine, value: Any) -> Any:
        dtype = here.autocast.get()
        return (
            value
            if dtype is None or not self._casts or dtype == self._dtype
            else engine.cast(value, dtype)
        )

    @property
    def stored(self) -> Any:
        """What is stored, as a tensor of the current engine: neither cast nor transformed."""
        with within(here.autocast, None):
            return Variable.value.fget(self)  # type: ignore[attr-defined]

    def effective(self) -> Any:
        """What layers compute with, as a tensor of the current engine: the value through its transforms."""
        return self.value

    def store_as(self, initializer: Any, shape: Any = None, dtype: Any = None) -> None:
        """Store something else from now on, of another shape and dtype maybe: codes of the value, or the value again.

        Args:
            initializer, shape, dtype: As the constructor takes them.
        """
        value, self._shape, self._dtype = initial_value(initializer, shape, dtype)
        self._casts = self._autocast and is_float(self._dtype)
        with self.lock:
            self._held = Held(None, value)

    def leave_devices(self) -> None:
        """Let the value come to the host, when it is next read."""
        with self.lock:
            engine, container, _ = self._held
            if engine is not None:
                self._held = Held(None, functools.partial(_from, engine, container))

    def move_to(self, engine: Engine) -> Held:
        """Bring the value to an engine; returns what is held then."""
        held = self._held
        if held.engine is engine:
            return held
        with self.lock, engine.untraced():
            held = self._held
            if held.engine is engine:
                return held
            if held.engine is None:
                value = _drawn(held.container)
            else:
                value = engine.received(held.engine.read(held.container), held.engine)
            return self._store(engine, value)

    def _store(self, engine: Engine, value: Any) -> Held:
        with self.lock:
            held = self._held
            layout = held.layout
            if engine is held.engine:
                if layout is not None:
                    value = engine.place(value, layout)
                container = engine.write(held.container, value)
                if container is held.container:
                    return held
            else:
                layout = layouts.layout_of(self, engine)
                container = engine.container_of(self, value, self._trainable, layout)
            self._held = held = Held(engine, container, layout)
            return held

    def fitting(self, value: Any) -> Any:
        """A value as a tensor of this dtype; an error if it has another shape."""
        engine = current()
        value = engine.convert_to_tensor(
            value.value if isinstance(value, Variable) else value, self._dtype
        )
        shape = engine.shape_of(value)
        if shape != self._shape and engine.computes:
            raise ValueError(
                "The shape of a variable can't change. Received: "
                f"value.shape={shape} for the variable {self._path!r} of shape {self._shape}."
            )
        return value

    def assign(self, value: Any) -> Any:
        """Replace the value; returns the new one."""
        value = self.fitting(value)
        scope = here.stateless.get()
        if scope is not None:
            scope.add_update((self, value))
        else:
            self._store(current(), value)
        return value

    def take(self, array: np.ndarray[Any, Any], store: Mapping[str, Any]) -> None:
        """Replace the value by an array of this shape out of a mapping.

        Where that is of `NewArrays`, nothing is copied until an engine reads the value.
        """
        with self.lock:
            held = self._held
            waits = held.engine is None and here.stateless.get() is None
            if not waits or not isinstance(store, NewArrays) or array.shape != self._shape:
                self.assign(array)
                return
            value = array.astype(numpy_dtype(self._dtype), copy=False)
            self._held = Held(None, value)

    def assign_add(self, value: Any) -> Any:
        """Add to the value; returns the new one."""
        return self.assign(_binary("add", self, value))

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the value; returns the new one."""
        return self.assign(_binary("subtract", self, value))

    def numpy(self) -> np.ndarray[Any, Any]:
        """The value as a NumPy array, which may be written into and is nobody else's."""
        return np.array(self._on_host())

    def _on_host(self) -> np.ndarray[Any, Any]:
        """The value as a scope has it; an array that may not be written into."""
        if here.stateless.get() is not None or (here.autocast.get() is not None and self._casts):
            return np.asarray(current().convert_to_numpy(self.value))
        return self.held()

    def held(self) -> np.ndarray[Any, Any]:
        """The value as it is stored, whatever a scope says; nothing moves to the current engine."""
        engine = self._held.engine
        lent = self.lent()
        return np.array(lent) if engine is None or engine.in_place else lent

    def lent(self) -> np.ndarray[Any, Any]:
        """The value as it is stored, maybe in the engine's own memory: to be read at once, and not kept."""
        engine, container, _ = self._drawn()
        if engine is None:
            return container
        return _from(engine, container)

    def own_parts(self) -> list[tuple[tuple[int, ...], np.ndarray[Any, Any]]]:
        """The parts of the value that this process is to write where several compute together, each with the indices
        where it begins: of a value on the host process 0 the whole, else as the engine has them."""
        engine, container, _ = self._drawn()
        if engine is not None:
            return engine.own_parts(container)
        return [((0,) * container.ndim, container)] if processes.is_first() else []

    def _drawn(self) -> Held:
        """What is held, with an initial value drawn."""
        held = self._held
        if held.engine is None and callable(held.container):
            with self.lock:
                held = self._held
                if held.engine is None:
                    self._held = held = Held(None, _drawn(held.container))
        return held

    def __getstate__(self) -> dict[str, Any]:
        """For copies: the value on the host, or how it will be drawn; engines' containers are nobody else's."""
        held = self._held
        value = held.container if held.engine is None else self.held()
        kept = {name: value for name, value in vars(self).items() if name != "lock"}
        return {**kept, "_held": Held(None, value)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=threading.RLock())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        value = self._on_host()
        return np.array(value, dtype) if copy else np.asarray(value, dtype)

    def __jax_array__(self) -> Any:
        return self.value

    def __getattr__(self, name: str) -> Any:
        """What the native container has beside, such as the `grad` of a torch parameter."""
        engine = active()
        if engine is not None and name in engine.protocols:
            return getattr(engine.convert_to_tensor(self.value), name)
        if name.startswith("__") or "_held" not in vars(self):
            return object.__getattribute__(self, name)  # which raises its own error
        if here.calling.get() is not None and not name.startswith("_"):
            return getattr(self.value, name)  # such as `T`: what a layer computes with
        return getattr(self._drawn().container, name)

    # --- what it is

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._name

    @property
    def path(self) -> str:
        """The names of the scopes it was made in and its own, joined by `/`."""
        return self._path

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self._shape

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of what is stored."""
        return self._shape

    @property
    def stored_dtype(self) -> str:
        """The dtype of what is stored."""
        return self._dtype

    @property
    def autocast(self) -> bool:
        """Whether it reads as the compute dtype within an autocasting block, where it is a float."""
        return self._autocast

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> str:
        """The dtype that it reads as."""
        cast = here.autocast.get()
        return cast if cast is not None and self._casts else self._dtype

    @property
    def trainable(self) -> bool:
        """Whether it takes part in gradient updates."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        with self.lock:
            if self._held.engine is not None:
                self._held.engine.set_trainable(self._held.container, self._trainable)

    @property
    def aggregation(self) -> str | None:
        """How replicas of the value are joined."""
        return self._aggregation

    @property
    def synchronization(self) -> str:
        """When replicas are joined."""
        return self._synchronization

    @property
    def regularizer(self) -> Any:
        """A call that gives a penalty on the value, or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value: Any) -> None:
        self._regularizer = _callable_or_none("regularizer", value)

    @property
    def constraint(self) -> Any:
        """A call that projects the value after each update, or None."""
        return self._constraint

    @constraint.setter
    def constraint(self, value: Any) -> None:
        self._constraint = _callable_or_none("constraint", value)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("A scalar variable has no length.")
        return self.shape[0]

    def __iter__(self) -> Any:
        return iter(self.value)

    def __float__(self) -> float:
        return float(self._on_host())

    def __int__(self) -> int:
        return int(self._on_host())

    __index__ = __int__

    def __bool__(self) -> bool:
        return bool(self._on_host())

    def __repr__(self) -> str:
        return (
            f"<Variable path={self._path}, shape={self._shape}, dtype={self._dtype}, "
            f"value={self._on_host() if here.stateless.get() is None else '?'}>"
        )

    def __pos__(self) -> Any:
        return self.value

    def __invert__(self) -> Any:
        return self._operate("bitwise_not", self)


class State(Variable):
    """What a layer carries from call to call and is no weight.

    Files have it beside the weights, where Keras looks for none.
    """

    _tracked_as: ClassVar[str] = "states"
    #: What files call it.
    KEY: ClassVar[str] = "state"

    @property
    def state(self) -> Variable:
        """The variable that holds it."""
        return self

    def save_own_variables(self, store: Any) -> None:
        """Put the value into a mapping."""
        store[self.KEY] = self.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the value from a mapping; stay as it is where that, as in Keras's files, is empty."""
        if store:
            self.assign(np.asarray(store[self.KEY]))


def initial_value(initializer: Any, shape: Any, dtype: Any) -> tuple[Any, tuple[int, ...], str]:
    """The initial value of a variable on the host, or a call that draws it; its shape and dtype."""
    if isinstance(initializer, str):
        initializer = Variable._named_initializer(initializer)
    if not callable(initializer) or isinstance(initializer, Variable):
        value = host_array(initializer)
        if dtype is None:
            wide = {np.dtype(np.float64): None, np.dtype(np.int64): "int32"}
            dtype = wide.get(value.dtype, value.dtype)
        if shape is not None and tuple(shape) != value.shape:
            raise ValueError(
                "The initial value must have the variable's shape. "
                f"Received: shape={tuple(shape)}, initializer.shape={value.shape}."
            )
        dtype = standardize_dtype(dtype)
        return np.array(value, dtype=numpy_dtype(dtype)), value.shape, dtype
    dtype = standardize_dtype(dtype)
    if shape is None:
        raise ValueError(
            "A variable with an initializer needs a shape. Received: shape=None, "
            f"initializer={initializer!r}."
        )
    sizes = tuple(shape) if np.iterable(shape) else (None,)
    if not all(isinstance(size, (int, np.integer)) and size >= 0 for size in sizes):
        raise ValueError(
            "Every dimension of a variable must be a known integer. Received: "
            f"shape={shape}. Give the input's size, or call the layer on data first."
        )
    shape = tuple(map(int, sizes))
    pending = getattr(initializer, "pending", None)
    value = pending(shape, dtype) if pending is not None else initializer(shape, dtype=dtype)
    if callable(value):
        return value, shape, dtype
    value = host_array(value)
    if value.shape != shape:
        raise ValueError(
            "An initializer must give the shape it was asked for. Received: "
            f"shape={value.shape} from {initializer!r}, asked for {shape}."
        )
    return value.astype(numpy_dtype(dtype), copy=False), shape, dtype


def _drawn(container: Any) -> Any:
    return container() if callable(container) else container


def _from(engine: Engine, container: Any) -> np.ndarray[Any, Any]:
    return np.asarray(engine.convert_to_numpy(engine.read(container)))


def take_all(variables: Sequence[Variable], store: Mapping[str, Any]) -> None:
    """Replace values by the arrays of a mapping, numbered: of all variables, or of none where a shape differs."""
    values = [np.asarray(store[str(index)]) for index in range(len(variables))]
    for variable, value in zip(variables, values, strict=True):
        if value.shape != variable.shape:
            raise ValueError(
                f"The weight {variable.path!r} has the shape {variable.shape}. Received: "
                f"shape={value.shape} in the file. The file is of another architecture."
            )
    for variable, value in zip(variables, values, strict=True):
        variable.take(value, store)


def host_array(value: Any) -> np.ndarray[Any, Any]:
    """A value of any library as a NumPy array."""
    if isinstance(value, (np.ndarray, np.generic, int, float, bool, list, tuple)):
        return np.asarray(value)
    if isinstance(value, Variable):
        return value.numpy()
    engine = current()
    return np.asarray(engine.convert_to_numpy(value) if engine.is_tensor(value) else value)


def _binary(name: str, variable: Variable, value: Any) -> Any:
    engine = current()
    if isinstance(value, Variable):
        value = value.value
    own = variable.stored
    dtype = engine.dtype_of(own)
    return getattr(engine, name)(own, engine.convert_to_tensor(value, dtype))


def _callable_or_none(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise ValueError(f"A {name} must be a callable. Received: {name}={value!r}.")
    return value
