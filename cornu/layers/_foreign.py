"""Layers around what an engine's own library computes: functions, modules, programs in files.

Each runs, and trains, on the engines that adopt such things (`Engine.adopts`); its weights are variables like
any others, so they are saved, frozen, copied and counted on every engine.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import random
from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.scopes import here
from ..core.serialization import ConfigError, deserialize_keras_object
from ..core.variable import Variable
from ..engines import Engine, current, get
from ._layer import Layer
from ._native import traced_spec


class _Foreign(Layer):
    """What such layers share: which engines they run on, and shapes by the engine's own tracer."""

    #: What is wrapped, as `Engine.adopts` calls it, and the engine of Cornu's that adopts it.
    _wraps: ClassVar[str]
    _home: ClassVar[str]

    def _adopting(self) -> Engine:
        """The engine that computes, if it can run what is wrapped."""
        engine = current()
        engine = engine if engine.computes else here.computing.get() or engine
        if self._wraps not in engine.adopts:
            raise NotImplementedError(
                f"{type(self).__name__} runs on an engine whose library knows what it wraps. Received: a "
                f"call of the layer {self.path!r} on the {engine.name} engine. Run the model on "
                f"{self._home!r}: `with cornu.backend.use({self._home!r}):`, or `model.to({self._home!r})`."
            )
        return engine

    @property
    def _home_engine(self) -> Engine:
        """The engine that the wrapped thing is read on, whichever is current."""
        engine = current()
        return engine if self._wraps in engine.adopts else get(self._home)

    def _called_on_specs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._adopting()
        return traced_spec(self, args, kwargs)

    def _weight_of(self, value: Any, trainable: bool, name: str) -> Variable:
        """A weight that starts with a tensor of the home engine."""
        engine = self._home_engine
        dtype, array = engine.dtype_of(value), np.asarray(engine.convert_to_numpy(value))
        return self.add_weight(
            shape=array.shape,
            initializer=lambda shape, dtype=None: array,
            dtype=dtype,
            trainable=trainable,
            autocast=False,
            name=name,
        )


class JaxLayer(_Foreign):
    """A function of JAX as a layer.

    Args:
        call_fn: `call_fn(params, state, rng, inputs, training)` with any of these arguments, by these names,
            `inputs` among them: the outputs, or `(outputs, state)` where it takes a state.
        init_fn: `init_fn(rng, inputs, training)`, the last one where it takes it: the parameters, or
            `(params, state)`. Called once, when the layer is built, on inputs of ones.
        params, state: What to start from in place of `init_fn`: structures of arrays (pytrees).
        seed: What the keys `rng` are drawn from.
        native_serialization_platforms: Kept for compatibility.

    The functions are written to files by their registered names.

    >>> import numpy as np
    >>> def scaled(params, inputs):
    ...     return params["scale"] * inputs
    >>> JaxLayer(scaled, params={"scale": np.float32(2)})(np.ones((1, 2))).tolist()
    [[2.0, 2.0]]
    """

    _wraps, _home = "functions", "jax"
    _unwritten_arguments = frozenset({"params", "state"})
    _optional_arguments = frozenset({"seed"})
    _arguments_of_call = ("params", "state", "rng", "inputs", "training")

    def __init__(
        self,
        call_fn: Callable[..., Any],
        init_fn: Callable[..., Any] | None = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_functions(call_fn, init_fn)
        self.seed_generator = random.SeedGenerator(seed)
        self._weights: dict[str, list[Variable]] = {}
        self._structures: dict[str, Callable[[Sequence[Any]], Any]] = {}
        if params is None and state is None and init_fn is None:
            raise ValueError(
                "A function needs parameters to start from. Received: neither `init_fn` nor `params` nor "
                "`state`. Give one of them; a function without parameters has `params={}`."
            )
        if params is not None or state is not None:
            self._start_from(params, state)

    def _set_functions(self, call_fn: Callable[..., Any], init_fn: Any) -> None:
        self._call_names = list(inspect.signature(call_fn).parameters)
        self._init_names = list(inspect.signature(init_fn).parameters) if init_fn else []
        unknown = set(self._call_names) - set(self._arguments_of_call)
        if unknown or "inputs" not in self._call_names:
            raise ValueError(
                f"`call_fn` takes `inputs` and any of {list(self._arguments_of_call)}. Received: a function "
                f"of {self._call_names}. Name its arguments so."
            )

    def _start_from(self, params: Any, state: Any) -> None:
        """Make weights of the parameters, which are trained, and of the state."""
        for kind, structure in (("params", params), ("state", state)):
            leaves, rebuilt = self._home_engine.leaves({} if structure is None else structure)
            self._weights[kind] = [
                self._weight_of(
                    self._home_engine.convert_to_tensor(x), kind == "params", f"{kind}_{i}"
                )
                for i, x in enumerate(leaves)
            ]
            self._structures[kind] = rebuilt

    @property
    def params(self) -> Any:
        """The parameters as variables, in their structure."""
        return self._structure("params", lambda variable: variable)

    @property
    def state(self) -> Any:
        """The state as variables, in its structure."""
        return self._structure("state", lambda variable: variable)

    def _structure(self, kind: str, value: Callable[[Variable], Any]) -> Any:
        return (
            self._structures[kind](list(map(value, self._weights[kind])))
            if kind in self._weights
            else None
        )

    def build(self, input_shape: Any) -> None:
        """Make the parameters for inputs of a shape, if none were given."""
        if self._weights:
            return
        engine = self._home_engine
        shapes = tree.map_shape_structure(_known, input_shape)
        ones = tree.map_shape_structure(lambda s: engine.full(s, 1, self.compute_dtype), shapes)
        key = engine.convert_to_tensor(np.asarray(self.seed_generator.next()))
        given = {"rng": key, "inputs": ones, "training": True}
        made = self.init_fn(**{name: given[name] for name in self._init_names})
        takes_state = "state" in self._call_names
        self._start_from(*(made if takes_state else (made, None)))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the function gives; its state is kept."""
        engine = self._adopting()
        given = {kind: self._structure(kind, lambda v: v.value) for kind in ("params", "state")}
        given |= {"inputs": inputs, "training": bool(training)}
        if "rng" in self._call_names:
            given["rng"] = self.seed_generator.next()
        outputs = self.call_fn(**{name: given[name] for name in self._call_names})
        if "state" not in self._call_names:
            return outputs
        outputs, state = outputs
        before, after = engine.leaves(given["state"])[0], engine.leaves(state)[0]
        if len(before) != len(after):
            raise ValueError(
                "`call_fn` returns the outputs and a state like the one that it was given. Received: "
                f"{len(after)} arrays of state for {len(before)} in the layer {self.path!r}."
            )
        for variable, old, new in zip(self._weights["state"], before, after, strict=True):
            if new is not old:
                variable.assign(new)
        return outputs


def _known(shape: Any) -> tuple[int, ...]:
    """A shape with 1 for what is not known."""
    return tuple(1 if size is None else size for size in shape)


class FlaxLayer(JaxLayer):
    """A `flax.linen.Module` as a layer.

    Args:
        module: The module.
        method: A method of the module, its name, or a function `(module, inputs, training)`, the last one
            where it takes it; the module's `__call__` where it is left out.
        variables: What to start from in place of the module's `init`: as that gives it.

    The collection `params` is trained, all others are state. Random numbers of every name, such as `dropout`,
    come from the layer's seed.

    >>> import numpy as np
    >>> from flax import linen
    >>> FlaxLayer(linen.Dense(4))(np.ones((2, 3))).shape
    (2, 4)
    """

    _unwritten_arguments = frozenset(
        {"call_fn", "init_fn", "params", "state", "variables", "native_serialization_platforms"}
    )

    def __init__(
        self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any
    ) -> None:
        function = (
            getattr(module, method) if isinstance(method, str) else method or type(module).__call__
        )
        options = ("training",) if "training" in inspect.signature(function).parameters else ()

        def run(kind: str, *first: Any, inputs: Any, training: Any, **more: Any) -> Any:
            chosen = dict.fromkeys(options, training)
            return getattr(module, kind)(*first, inputs, method=method, **chosen, **more)

        def call_fn(params: Any, state: Any, rng: Any, inputs: Any, training: Any) -> Any:
            given = {**(params or {}), **(state or {})}
            options = {"rngs": rng, "mutable": True}
            outputs, variables = run("apply", given, inputs=inputs, training=training, **options)
            return outputs, {kind: variables[kind] for kind in state}  # not what modules `sow`

        def init_fn(rng: Any, inputs: Any, training: Any) -> Any:
            return _split(run("init", rng, inputs=inputs, training=training))

        params, state = _split(variables) if variables is not None else (None, None)
        super().__init__(call_fn, init_fn, params=params, state=state, **kwargs)


def _split(variables: Any) -> tuple[Any, Any]:
    """Flax's variables as parameters and state."""
    params = {"params": variables["params"]} if "params" in variables else {}
    return params, {kind: value for kind, value in variables.items() if kind != "params"}


class _Adopted(_Foreign):
    """What has weights of its own, which are those of the layer."""

    def _adopt(self, *native: Any) -> None:
        engine = self._home_engine
        self._adopted = engine.adopt(*native)
        self._by_name: dict[str, Variable] = {}
        for name, tensor, trained in self._adopted.parts():
            variable = self._weight_of(engine.read(tensor), trained, name.rpartition("/")[-1])
            engine.share(variable, tensor)
            self._by_name[name] = variable

    def _run_adopted(self, args: Any, kwargs: Any, training: bool | None) -> Any:
        self._adopting()
        values = {name: variable.value for name, variable in self._by_name.items()}
        outputs, changed = self._adopted.call(values, args, kwargs, training)
        for name, value in changed.items():
            self._by_name[name].assign(value)
        return outputs


class TorchModuleWrapper(_Adopted):
    """A `torch.nn.Module` as a layer.

    Its parameters and buffers are the layer's weights: they train with the model, and the module sees it. In
    training the module is in its training mode. A module is written to files if its class is registered and has
    `get_config` and `from_config`; the weights are in any case.

    Args:
        module: The module; lazy ones must have been called once.
        output_shape: The shape of the output, without the batch, where it can't be found by tracing.

    >>> import numpy as np, torch
    >>> from cornu import backend
    >>> with backend.use("torch"):
    ...     print(TorchModuleWrapper(torch.nn.Linear(3, 4))(np.ones((2, 3))).shape)
    torch.Size([2, 4])
    """

    _wraps, _home = "modules", "torch"
    _optional_arguments = frozenset({"output_shape"})

    def __init__(
        self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._adopt(module)

    def parameters(self, recurse: bool = True) -> Any:
        """The module's parameters."""
        return self.module.parameters(recurse=recurse)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """What the module gives."""
        return self._run_adopted(args, kwargs, training)

    def _called_on_specs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.output_shape is None:
            return super()._called_on_specs(args, kwargs)
        first = tree.flatten(args)[0]
        return KerasTensor((first.shape[0], *self.output_shape), self.compute_dtype)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: bool | None = None
    ) -> Any:
        """The layer that `get_config` described; never of a pickled module."""
        module = deserialize_keras_object(config["module"], custom_objects)
        if isinstance(module, (str, bytes, dict)):
            raise ConfigError(
                "A file runs no code, and a pickled module is code. Received: the module of the layer "
                f"{config.get('name')!r} as bytes. Make the model in Python and load its weights "
                "(`load_weights`), or register the module's class with a `get_config`."
            )
        return cls(**{**config, "module": module})


class TFSMLayer(_Adopted):
    """A TensorFlow SavedModel as a layer.

    Args:
        filepath: The folder.
        call_endpoint: The function that is called: one of the model's, or a signature.
        call_training_endpoint: That for training, where it is another one.
        trainable: Whether its variables are trained.
        name: The layer's name.
        dtype: The dtype or dtype policy.
    """

    _wraps, _home = "programs", "tensorflow"

    def __init__(
        self,
        filepath: str,
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        self._adopt(str(filepath), call_endpoint, call_training_endpoint)

    def call(self, inputs: Any, training: bool = False, **kwargs: Any) -> Any:
        """What the function gives."""
        return self._run_adopted((inputs,), kwargs, training)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: bool | None = None
    ) -> Any:
        """The layer that `get_config` described, if `safe_mode=False` says that its program is trusted."""
        if safe_mode is not False:
            raise ConfigError(
                "A file runs no program that lies elsewhere. Received: a TFSMLayer of "
                f"filepath={config.get('filepath')!r}. If you trust it, make the model in Python and load its "
                "weights, or call `TFSMLayer.from_config(config, safe_mode=False)`."
            )
        return cls(**config)
