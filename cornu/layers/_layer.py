"""Layer: state and a computation on tensors; the base of everything in `cornu.layers`."""

from __future__ import annotations

import functools
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from .. import activations, dtype_policies, initializers, ops, regularizers, tuning
from .. import constraints as constraint_functions
from ..core import naming, tree
from ..core.config import standardize_data_format
from ..core.dtypes import is_float
from ..core.keras_tensor import KerasTensor, NoValueError
from ..core.masks import get_keras_mask, set_keras_mask
from ..core.operation import Operation, any_symbolic
from ..core.remat import RematScope, remat
from ..core.scopes import SymbolicScope, concrete_scope, given_values, here, within
from ..core.tracebacks import shorten
from ..core.tracking import PLAIN, Family, Tracker
from ..core.variable import Variable, host_array, take_all
from ..engines import Engine, at_hand, current
from ..engines.host import TEXT_KINDS, holds_text
from ..engines.sparse import SparseTensor, on_engine
from ..transforms.low_rank import Adaptable
from ..transforms.on_layers import Transforming, is_baked
from ..transforms.quantizing import Quantizing, in_files
from ._call import BuildSignature, CallSignature, shapes_of
from ._input_spec import assert_input_compatibility
from ._native import joined, new, traced_spec

#: Tensors that say their own shape and dtype.
_SYMBOLIC = (KerasTensor, SparseTensor)


class Layer(Transforming, Quantizing, Adaptable, Operation):
    """A computation with state.

    A subclass makes its weights in `__init__` or in `build(input_shape)`, which runs at the first
    call, and computes in `call(inputs)`. Its parts (weights, sublayers) are found by themselves.

    Args:
        activity_regularizer: A penalty on the outputs, added to the losses.
        trainable: Whether the weights take part in training.
        dtype: The dtype or dtype policy of computation and weights.
        autocast: Whether float inputs are cast to the compute dtype. Weights read as that in any case.
        name: The layer's name; made from the class name where it is left out.

    >>> import numpy as np
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.scale
    >>> Scale()(np.ones((2, 3), "float32")).shape
    (2, 3)
    """

    _tracked_as: ClassVar[str] = "layers"
    _describes_itself = True
    _unwritten_arguments = frozenset({"name", "trainable", "dtype", "autocast"})
    _converters = {
        "activation": activations.get,
        "constraint": constraint_functions.get,
        "data_format": standardize_data_format,
        "initializer": initializers.get,
        "regularizer": regularizers.get,
    }
    _supports_masking = False
    #: Whether there is nothing to build, unless a subclass has a `build` of its own.
    _weightless: ClassVar[bool] = False
    _call_signature: ClassVar[CallSignature]
    _build_signature: ClassVar[BuildSignature]
    _built_by_calling: ClassVar[bool] = True
    #: Within a build: whether the layer was built before it.
    _building: bool | None = None
    #: The layer as a module of libraries, by their engines' names.
    _native: Mapping[str, Any] = MappingProxyType({})
    #: Whether arguments of a call become tensors of the compute dtype, and whether other things than
    #: tensors may be given by position: for layers that take strings, or any object, as in Keras.
    _convert_input_args = True
    _allow_non_tensor_positional_args = False
    #: From how many elements of its output on a call is computed again in differentiation; None for never.
    _remat: int | None = None
    #: Whether a `RematScope` counts it among all layers.
    _may_rematerialize: ClassVar[bool] = True
    #: Whether it computes in NumPy on the host, on strings maybe, before a compiled step.
    on_host: bool = False
    #: Attributes that say nothing about what a call computes.
    _beside: ClassVar[frozenset[str]] = frozenset()

    _tracker: Tracker

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):
            cls._call_signature = CallSignature(vars(cls)["call"])
        if "build" in vars(cls):
            cls._build_signature = BuildSignature(vars(cls)["build"])
            cls._built_by_calling = False
            cls.build = _in_build(vars(cls)["build"])

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().__new__(cls, *args, **kwargs)
        object.__setattr__(instance, "_tracker", Tracker())
        object.__setattr__(instance, "built", False)
        return instance

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._given_shape: tuple[Any, ...] | None = None
        if "input_shape" in kwargs:
            self._given_shape = tuple(kwargs.pop("input_shape"))
        elif "input_dim" in kwargs:
            self._given_shape = (kwargs.pop("input_dim"),)
        if kwargs:
            raise ValueError(
                f"{type(self).__name__} has no such arguments. Received: {sorted(kwargs)}. "
                f"It takes {list(_argument_names(type(self)))}."
            )
        self._path: str | None = None
        self._trainable = bool(trainable)
        self.dtype_policy = dtype
        self.autocast = autocast
        self._input_spec: Any = None
        #: Shape and dtype of the last input that was taken as it is, and what it was checked against.
        self._accepted: Any = None
        if self._weightless and self._built_by_calling:
            self.built = True
        self._losses: list[Any] = []
        self._build_shapes: dict[str, Any] | None = None
        RematScope.tell(self)

    # ------------------------------------------------------------------ parts

    def __setattr__(self, name: str, value: Any) -> None:
        tracker, old = self._tracker, self.__dict__.get(name)
        if type(value) not in PLAIN:
            value = tracker.track(value)
        if old is not value:
            if type(old) not in PLAIN:
                tracker.drop(old)
            if not name.startswith("_") and name not in self._beside:
                tracker.change()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._tracker.drop(self.__dict__.get(name))
        super().__delattr__(name)

    if not TYPE_CHECKING:  # or every name would be right

        @property
        def __class__(self) -> type:
            """The layer's class; where the engine's library has modules, one that is a class of modules too.

            `isinstance(layer, torch.nn.Module)` is so true, and PyTorch takes a layer in.
            """
            engine = next(self._libraries(), None)
            return type(self) if engine is None else joined(type(self), engine.module_type)

        def __getattr__(self, name: str) -> Any:
            """What a module of the engine's library is asked for, such as `parameters` on PyTorch."""
            for engine in self._libraries():
                if name in engine.module_names:
                    return getattr(self._module_on(engine), name)
            return object.__getattribute__(self, name)  # which raises its own error

    def __reduce__(self) -> Any:
        return new, (type(self),), self.__getstate__()  # not by `__class__`, as `object` does

    def _libraries(self) -> Iterator[Engine]:
        """The engines to whose libraries the layer is a module: the current one, then those it has served."""
        engine = at_hand()
        if engine is not None and engine.module_type is not None:
            yield engine
        yield from (module.engine for module in self._native.values())

    def native_module(self) -> Any:
        """The layer as a module of the current engine's library, over the same variables.

        On PyTorch it is a `torch.nn.Module`, on TensorFlow a `tf.Module`. The layer itself may stand wherever
        the library takes a module, and answers as this one. Parameters are there once the layer is built.

        Raises:
            NotImplementedError: If the library has no modules, as JAX and NumPy.
        """
        return self._module_on(current())

    def _module_on(self, engine: Engine) -> Any:
        """The layer's module on an engine, made once."""
        if engine.name not in self._native:
            module = engine.module(self)
            object.__setattr__(self, "_native", {**self._native, engine.name: module})
            module.refresh()
        return self._native[engine.name]

    def _parts_on(self, engine: Engine) -> tuple[dict[str, Any], dict[str, Any], dict[str, Layer]]:
        """What an engine's module of the layer has, by name: containers made to be trained, other containers,
        and sublayers, which are such modules themselves.

        A part has the name of the attribute that holds it, else its own; both without what makes a name
        differ from those of other models.
        """
        attributes = {id(x): name for name, x in vars(self).items() if not name.startswith("_")}
        found: tuple[dict[str, Any], ...] = {}, {}, {}
        names: set[str] = set()
        parts: list[Any] = [*self._own_weights(), *self._layers]
        for part in parts:
            name = attributes.get(id(part)) or naming.local_name(part)
            name = next(n for n in naming.numbered(name) if n not in names)
            names.add(name)
            if isinstance(part, Layer):
                part._module_on(engine)
                found[2][name] = part
            else:
                found[part in self._tracker.untrained][name] = part.move_to(engine).container
        return found  # type: ignore[return-value]

    def _owned(self, kind: str) -> list[Any]:
        return self._tracker.parts(kind, self.__dict__)

    @property
    def _layers(self) -> list[Layer]:
        return self._owned("layers")

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        found: list[Layer] = [self] if include_self else []
        for layer in self._layers:
            found.append(layer)
            if recursive:
                found.extend(layer._flatten_layers(include_self=False))
        return list({id(layer): layer for layer in found}.values())

    def _family(self) -> Family:
        """This layer and all inside of it: another object once one of them has changed."""
        family: Family | None = self.__dict__.get("_found")
        if family is None or not family.is_current():
            family = self.__dict__["_found"] = Family(self._flatten_layers())
        return family

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: all but what it finds out again, and losses, which are of a call."""
        kept = {k: x for k, x in vars(self).items() if k != "_found"}
        return {**kept, "_accepted": None, "_losses": []}

    def _own_weights(self) -> list[Variable]:
        """Those made to be trained first: freezing them changes no order."""
        owned, untrained = self._owned("variables"), self._tracker.untrained
        return sorted(owned, key=lambda variable: variable in untrained)

    def _stored_weights(self) -> list[Variable]:
        """Those that files have, in order."""
        baked = {part for transform in self._baked() for part in transform.parts.values()}
        return in_files(self, [v for v in self._own_weights() if v not in baked])

    def _stored_values(self) -> Sequence[Any]:
        """What files have of each: the variable, or a tensor in its place."""
        found: dict[Variable, Any] = {}
        for variable in filter(is_baked, self._owned("variables")):
            value, first = variable.effective(), variable.transforms[0]
            found |= first.encoded(value) if first.encodes else {variable: value}
        return [found.get(variable, variable) for variable in self._stored_weights()]

    def _collect(self, own: Callable[[Layer], Sequence[Variable]]) -> list[Variable]:
        """Variables of this layer, then those of its sublayers, each once."""
        found: dict[int, Variable] = {}
        _gather(self, own, found)
        return list(found.values())

    @property
    def variables(self) -> list[Variable]:
        """All state: weights and the states of random generators."""
        return self._collect(Layer._own_variables)

    def _own_variables(self) -> list[Variable]:
        return [*self._own_weights(), *(kept.state for kept in self._owned("states"))]

    @property
    def weights(self) -> list[Variable]:
        """The weights, trainable or not, of this layer and its sublayers."""
        return self._collect(Layer._own_weights)

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training changes by gradients."""
        return [v for v in self.variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that training does not change by gradients."""
        if not self._trainable:
            return self.variables
        return [v for v in self.variables if not v.trainable]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes by gradients."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change by gradients."""
        if not self._trainable:
            return self.weights
        return [v for v in self.weights if not v.trainable]

    @property
    def metrics(self) -> list[Any]:
        """The metrics of this layer and its sublayers."""
        return [*self._owned("metrics"), *(m for layer in self._layers for m in layer.metrics)]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The state of the metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    @property
    def trainable(self) -> bool:
        """Whether the weights take part in training."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        self._trainable = value
        self._tracker.change()
        for variable in self._owned("variables"):
            if variable not in self._tracker.frozen:
                variable.trainable = value
        for layer in self._layers:
            layer.trainable = value

    def count_params(self) -> int:
        """The number of elements in the weights."""
        if not self.built:
            raise ValueError(
                "A layer's parameters can be counted once it is built. Received: the layer "
                f"{self.name!r}, never built. Call it on data, or `build(input_shape)`."
            )
        return sum(int(np.prod(weight.shape)) for weight in self.weights)

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer.

        Args:
            shape: The shape; a scalar where it is left out.
            initializer: What draws the initial value: glorot_uniform for floats, zeros for others.
            dtype: The dtype; the policy's variable dtype where it is left out.
            trainable: Whether gradients change it.
            autocast: Whether it reads as the compute dtype within the layer's call.
            regularizer: A penalty on the value, added to the losses.
            constraint: A projection of the value after each update.
            aggregation: How replicas are joined.
            overwrite_with_gradient: Whether the gradient replaces the value.
            name: The weight's name.

        Returns:
            The variable.
        """
        dtype = self.variable_dtype if dtype is None else dtype
        if initializer is None:
            initializer = "glorot_uniform" if "float" in str(dtype) else "zeros"
        with naming.NameScope(self.name, caller=self):
            variable = Variable(
                initializers.get(initializer),
                shape=() if shape is None else shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraint_functions.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._tracker.keep("variables", variable)
        if not self._trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    def _described_weight(self, name: str, shape: Any, part: str = "", **options: Any) -> Variable:
        """Make a weight by the constructor's arguments named after it, or after `part`."""
        kinds = ("initializer", "regularizer", "constraint")
        given = {kind: getattr(self, f"{part or name}_{kind}") for kind in kinds}
        return self.add_weight(name=name, shape=shape, **{**given, **options})

    # ------------------------------------------------------------------ dtype

    @property
    def dtype_policy(self) -> Any:
        """The dtypes of computation and of weights."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._dtype_policy = dtype_policies.get(value)
        # What every call asks for.
        self._cast_dtype: str = self._dtype_policy.compute_dtype
        self._variable_dtype: str = self._dtype_policy.variable_dtype

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype of the computation."""
        dtype: str = self._dtype_policy.compute_dtype
        return dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        dtype: str = self._dtype_policy.variable_dtype
        return dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that float inputs are cast to."""
        return self.compute_dtype

    @property
    def quantization_mode(self) -> Any:
        """How the weights are quantized; None where they are not."""
        return self._dtype_policy.quantization_mode

    @property
    def supports_masking(self) -> bool:
        """Whether the layer knows what to do with masks."""
        return self._supports_masking

    @supports_masking.setter
    def supports_masking(self, value: bool) -> None:
        self._supports_masking = bool(value)

    @property
    def input_spec(self) -> Any:
        """What the inputs must be like, as one or several InputSpec."""
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self._input_spec = value
        self._accepted = None

    @property
    def path(self) -> str:
        """Where the layer is: the names of the layers it is part of, and its own."""
        if self._path:
            return self._path
        outer = naming.current_path()
        return f"{outer}/{self.name}" if outer else self.name

    # ------------------------------------------------------------------ build

    build: Callable[..., None]

    def _has_unbuilt_parts(self) -> bool:
        return any(not layer.built for layer in self._layers)

    def _build_for(self, arguments: dict[str, Any]) -> None:
        """Build for the arguments of the first call.

        A layer whose parts are built by a call stays as it is where none can be made on shapes alone:
        the call itself builds it then, or says what is wrong.
        """
        shapes = shapes_of(arguments)
        if self._built_by_calling:
            try:
                self._build_by_calling(arguments if shapes else {})
            except Exception as error:
                tuning.say("The layer %s is built by a call on values: %r.", self.path, error)
                return
            self._build_shapes = shapes or None
            self._after_build()
            return
        given = self._build_signature.arguments(shapes)
        if given is None and not shapes:
            raise ValueError(
                f"The layer {self.name!r} is built from the shapes of its inputs. Received: a call "
                "without tensors. Pass a tensor as the first argument, or call `build` yourself."
            )
        if given is None:
            raise ValueError(
                f"`build` of {type(self).__name__} must take the shapes of the call's tensors. "
                f"Received: {list(shapes)}, while `build` takes {self._build_signature.names}. "
                "Name its parameters after those of `call`, with `_shape` added."
            )
        self._build_shapes = shapes
        self.build(**given)

    def _build_by_calling(self, arguments: dict[str, Any]) -> None:
        """Run the call on shapes alone, which builds the parts."""
        with naming.NameScope(self.name, caller=self):
            self._path = naming.current_path()
        if arguments and self._has_unbuilt_parts():
            self._called_on_specs((), tree.map_structure(_as_spec, arguments))

    def _after_build(self) -> None:
        self.built = True
        self._post_build()
        self._tracker.locked = self.path
        for module in self._native.values():
            module.refresh()

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the layer was built for."""
        shapes = self._build_shapes
        if not shapes:
            return None
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": shapes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build for shapes that `get_build_config` gave."""
        if not config:
            return
        if "shapes_dict" in config:
            shapes = {key: tree.as_shapes(shape) for key, shape in config["shapes_dict"].items()}
        else:
            shapes = {"input_shape": tree.as_shapes(config["input_shape"])}
        if self._built_by_calling:
            specs = self._specs_of_shapes(shapes)
            if not self._call_signature.takes(specs):
                return  # it takes more than tensors: its first call builds it
            self._build_by_calling(specs)
            self._after_build()
        else:
            given = self._build_signature.arguments(shapes)
            self.build(**(shapes if given is None else given))
        self._build_shapes = shapes

    def _specs_of_shapes(self, shapes: dict[str, Any]) -> dict[str, Any]:
        """Symbolic arguments of the call, from shapes by the names that `build` has for them."""
        if len(shapes) == 1:
            shapes = {self._call_signature.first or "inputs": next(iter(shapes.values()))}
        return {
            name.removesuffix("_shape"): _spec_of_shape(shape, self.input_dtype)
            for name, shape in shapes.items()
            if shape is not None
        }

    # ------------------------------------------------------------------- call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer on tensors; build it first where that has not happened."""
        try:
            engine = current()
            if self._native and engine.name in self._native:
                return self._native[engine.name].run(*args, **kwargs)
            plain = len(args) == 1 and self.built and self._convert_input_args
            if plain and (not kwargs or self._is_plain_call(kwargs)):
                x = args[0]
                if x.__class__ is np.ndarray and x.dtype.kind not in TEXT_KINDS:
                    x = engine.convert_to_tensor(x)
                if x.__class__ in engine.arrays or engine.is_tensor(x):
                    return self._call_on_tensor(engine, x, kwargs.get("training"))
            return self._call_on_arguments(engine, args, kwargs)
        except Exception as error:
            self._locate(error)
            raise

    def _call_within(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None = None
    ) -> Any:
        """The call, within what a library does around it; `training` where nobody else says it."""
        said = here.training.get()
        with within(here.training, training if said is None else said):
            return self._call_on_arguments(current(), args, kwargs)

    def _is_plain_call(self, kwargs: dict[str, Any]) -> bool:
        """Whether a call has no arguments by name besides `training`."""
        return len(kwargs) == 1 and "training" in kwargs and not self._call_signature.takes_any

    def _call_on_tensor(self, engine: Engine, x: Any, training: bool | None) -> Any:
        """The fast path: a built layer on one tensor."""
        seen = (x.shape, x.dtype, self._cast_dtype, self.autocast)
        if seen != self._accepted:
            dtype = engine.dtype_of(x)
            cast = dtype != self._cast_dtype and self.autocast and is_float(dtype)
            x = self._cast_input(engine, x) if cast else x
            if self._input_spec is not None:
                self._check_inputs(engine, x)
            if not cast:
                object.__setattr__(self, "_accepted", seen)
        mask = get_keras_mask(x)
        signature = self._call_signature
        kwargs: dict[str, Any] = {}
        if mask is not None and signature.has_mask:
            kwargs["mask"] = mask
        if training is None:
            training = here.training.get()
        if signature.has_training:
            if training is None:
                training = signature.default_training
            if training is not None:
                kwargs["training"] = training
        return self._run(engine, (x,), kwargs, x, mask, training)

    def _call_on_arguments(
        self, engine: Engine, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        signature = self._call_signature
        training = kwargs.get("training")
        if self._convert_input_args:
            convert = functools.partial(self._convert_input, engine)
            args, kwargs = tree.map_structure(convert, (args, kwargs))
        given: dict[str, Any] | None = dict(kwargs)
        if "training" in kwargs and not (signature.has_training or signature.takes_any):
            del kwargs["training"]
        for leaf in () if self._allow_non_tensor_positional_args else tree.flatten(args):
            if not (
                leaf is None
                or isinstance(leaf, _SYMBOLIC)
                or engine.is_tensor(leaf)
                or holds_text(leaf)
            ):
                raise ValueError(
                    "Positional arguments of a layer must be tensors. Received: "
                    f"{leaf!r} (of {type(leaf).__name__}) for the layer {self.path!r}. "
                    "Convert it with `cornu.ops.convert_to_tensor`, or pass it by its name."
                )
        arguments = self._bind(args, kwargs)
        first = next(iter(arguments.values()), None)
        if self._input_spec is not None:
            self._check_inputs(engine, first)
        if not self.built:
            self._build_for(arguments)
            if self._input_spec is not None:
                self._check_inputs(engine, first)
        if signature.has_training:
            training = arguments.get("training")
            if training is None:
                training = here.training.get()
            if training is None:
                training = signature.default_training
            if training is not None and not _given_by_position(signature, args, "training"):
                kwargs["training"] = training
        self._fill_masks(arguments, kwargs)
        previous = tree.map_structure(get_keras_mask, first)
        if not (engine.computes and any_symbolic((args, kwargs))):
            given = None
        elif not given and len(args) == 1 and isinstance(args[0], KerasTensor):
            given = {"mask": kwargs.get("mask")} if signature.has_mask else {}
            given |= {key: x for key, x in kwargs.items() if key != "training"}
        outputs = self._run(engine, args, kwargs, first, previous, training, given)
        if not self.built and given is None:
            self._after_build()
        return outputs

    def _fill_masks(self, arguments: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Add the masks of the tensors that are given.

        `mask` is that of a tensor, or of a structure of them, given alone: beside initial states, say,
        it takes no part, as in Keras. Pass it by its name there.
        """
        for name, mask_name in self._call_signature.masks.items():
            if arguments.get(mask_name) is not None or arguments.get(name) is None:
                continue
            masks = tree.map_structure(get_keras_mask, arguments[name])
            if all(mask is None for mask in tree.flatten(masks)):
                continue
            if mask_name != "mask" or sum(map(_holds_tensors, arguments.values())) == 1:
                kwargs[mask_name] = masks

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._call_signature.bind(args, kwargs)
        except TypeError as error:
            raise TypeError(
                f"{error} in the call of the layer {self.path!r} ({type(self).__name__}). "
                f"Received: {len(args)} positional argument(s) and {sorted(kwargs)}. "
                f"`call` takes {list(self._call_signature.parameters)}."
            ) from None

    def _run(
        self,
        engine: Engine,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        first: Any,
        previous_mask: Any,
        training: bool | None,
        recorded: dict[str, Any] | None = None,
    ) -> Any:
        """`call` within what holds during it: training, autocasting, the path of what it makes.

        On symbolic tensors the call becomes a node; `recorded` is what it has by name: `training` only
        where the caller said it, so that it holds whatever the model is called with.
        """
        outputs = None
        passes = self._passes if recorded is None else None
        outer = (here.training.get(), here.autocast.get(), here.calling.get())
        if outer[2] is None and (self._losses or self._tracker.owned["layers"]):
            self._clear_losses()
        if training is not None:
            here.training.set(training)
        here.calling.set(self)
        if outer[1] is not None or self._cast_dtype != self._variable_dtype:
            here.autocast.set(self._cast_dtype if is_float(self._cast_dtype) else None)
        if (watch := here.watch.get()) is not None:
            watch.enter(self, args, kwargs)
        try:
            if passes:
                args = self._passed("inputs", args[:1]) + args[1:]
            call = self.call if self._remat is None else self._rematerialized(args, kwargs)
            if recorded is not None:
                outputs = tree.map_structure(_as_spec, self.compute_output_spec(*args, **kwargs))
                outputs = self._record(args, recorded, outputs)
            elif not engine.computes and any_symbolic((args, kwargs)):
                outputs = self._called_on_specs(args, kwargs)
            elif self._tracker.owned["layers"] or not self.built:
                with naming.NameScope(self.name, caller=self):
                    outputs = call(*args, **kwargs)
            else:
                outputs = call(*args, **kwargs)
            if passes:
                outputs = self._passed("outputs", outputs)
            if self.activity_regularizer is not None:
                for output in tree.flatten(outputs):
                    if not isinstance(output, KerasTensor):
                        batch = ops.cast(ops.shape(output)[0], self.compute_dtype)
                        self.add_loss(self.activity_regularizer(output) / batch)
        finally:
            here.training.set(outer[0])
            here.autocast.set(outer[1])
            here.calling.set(outer[2])
            if watch is not None:
                outputs = watch.leave(self, outputs)
        if previous_mask is not None or self._makes_masks:
            self._mask_outputs(first, outputs, previous_mask)
        return outputs

    def _convert_input(self, engine: Engine, x: Any) -> Any:
        kind = type(x)
        if kind in PLAIN:
            return x
        if isinstance(x, Variable):
            x = x.value
        elif not isinstance(x, KerasTensor) and not engine.is_tensor(x):
            sparse = on_engine(engine, x)
            if sparse is not None:
                return sparse.map(functools.partial(self._convert_input, engine))
            if not hasattr(x, "__array__") and not hasattr(x, "__dlpack__") or holds_text(x):
                return x
            x = engine.convert_to_tensor(x)
        if self.autocast:
            dtype = x.dtype if isinstance(x, KerasTensor) else engine.dtype_of(x)
            if dtype != self._cast_dtype and is_float(dtype) and is_float(self._cast_dtype):
                return self._cast_input(engine, x)
        return x

    def _cast_input(self, engine: Engine, x: Any) -> Any:
        if not is_float(self._cast_dtype):
            return x
        mask = get_keras_mask(x)
        x = ops.cast(x, self._cast_dtype)
        if mask is not None:
            set_keras_mask(x, mask)
        return x

    def _check_inputs(self, engine: Engine, inputs: Any) -> None:
        def dtype_of(x: Any) -> str:
            if holds_text(x):
                engine.convert_to_tensor(x)  # which says what is wrong
            return x.dtype if isinstance(x, _SYMBOLIC) else engine.dtype_of(x)

        assert_input_compatibility(
            self._input_spec, inputs, self.path, lambda x: tuple(x.shape), dtype_of
        )

    def _locate(self, error: Exception) -> None:
        """Add to an error in which layer it came up; the innermost layer says so."""
        shorten(error)
        if getattr(error, "_cornu_located", False):
            return
        try:
            error._cornu_located = True  # type: ignore[attr-defined]
        except AttributeError:
            return
        error.add_note(f"Raised in the layer {self.path!r} ({type(self).__name__}).")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the outputs, as KerasTensors.

        They come from `compute_output_shape` where a user's class has one, else from running `call`
        on the spec engine, else from the current engine's own tracer.
        """
        if not naming.is_ours(type(self).compute_output_shape):
            return self._spec_from_shape(args, kwargs)
        return self._called_on_specs(args, kwargs)

    def _called_on_specs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs' specs by running `call` on the spec engine, or on the engine's own tracer."""
        with naming.NameScope(self.name, caller=self):
            try:
                with SymbolicScope():
                    return self.call(*args, **kwargs)
            except (TypeError, AttributeError) as error:
                try:
                    traced = traced_spec(self, args, kwargs)
                except Exception as other:
                    if isinstance(error, NoValueError):  # a tracer has none either
                        raise error from other
                    raise
                if traced is None:
                    raise
                return traced

    def _spec_from_shape(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        shapes = shapes_of(self._call_signature.bind(args, kwargs))
        given = BuildSignature(type(self).compute_output_shape).arguments(shapes) or shapes
        shape = self.compute_output_shape(**given)
        return _spec_of_shape(shape, self.compute_dtype)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the output for a shape of the input."""
        names = [f"{name}_shape" for name in self._call_signature.parameters]
        specs = self._specs_of_shapes({**dict(zip(names, args, strict=False)), **kwargs})
        if not self.built:
            with concrete_scope():
                self._build_for(specs)
        outputs = self.compute_output_spec(**specs)
        return tree.map_structure(lambda x: x.shape, outputs)

    # ----------------------------------------------------------------- masks

    @functools.cached_property
    def _makes_masks(self) -> bool:
        return type(self).compute_mask is not Layer.compute_mask

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs: that of the inputs, unless a subclass says otherwise."""
        return previous_mask

    def _mask_outputs(self, inputs: Any, outputs: Any, previous_mask: Any) -> None:
        flat = tree.flatten(outputs)
        has_mask = any(mask is not None for mask in tree.flatten(previous_mask))
        if not self._supports_masking and not self._makes_masks:
            if has_mask:
                warnings.warn(
                    f"The layer {self.path!r} ({type(self).__name__}) does not support masks: the "
                    "mask of its input is dropped.",
                    stacklevel=4,
                )
            return
        if flat and all(get_keras_mask(x) is not None for x in flat):
            return
        masks = self.compute_mask(inputs, previous_mask)
        if masks is None:
            return
        flat_masks = tree.flatten(masks)
        for x, mask in zip(flat, flat_masks, strict=False):
            if mask is not None and get_keras_mask(x) is None:
                set_keras_mask(x, mask)

    # ---------------------------------------------------------------- losses

    def add_loss(self, loss: Any) -> None:
        """Add a scalar, or a list of them, to what training minimizes; call it within `call`."""
        for value in tree.flatten(loss):
            scope = here.stateless.get()
            if scope is not None and scope.collect_losses:
                scope.add_loss((self, value))
            else:
                self._losses.append(value)

    def _clear_losses(self) -> None:
        for layer in self._family().members:
            if layer._losses:
                layer._losses.clear()

    @property
    def losses(self) -> list[Any]:
        """The penalties of the last call and those on the weights."""
        found = [loss for layer in self._flatten_layers() for loss in layer._losses]
        return found + [
            weight.regularizer(weight) for weight in self.trainable_weights if weight.regularizer
        ]

    # ------------------------------------------------------------- stateless

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call the layer as a pure function of its variables' values.

        Returns:
            `(outputs, non_trainable_variables)`, and the losses where they are asked for.
        """
        if not self.built:
            raise ValueError(
                "A stateless call needs the layer's variables. Received: the layer "
                f"{self.name!r}, never built. Call it on data, or `build(input_shape)`, first."
            )
        with given_values(
            self.path,
            trainable_variables=(self.trainable_variables, trainable_variables),
            non_trainable_variables=(self.non_trainable_variables, non_trainable_variables),
        ) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else None
        self._clear_losses()
        state = [scope.get_current_value(variable) for variable in self.non_trainable_variables]
        return (outputs, state, losses) if return_losses else (outputs, state)

    def rematerialize(self, on: bool = True, larger_than: int = 0) -> None:
        """Compute the call again during differentiation, in place of keeping what it makes on its way.

        Args:
            on: Whether to do so.
            larger_than: From how many elements of the output on, without the batch; one whose size is
                not known is large.
        """
        self._remat = larger_than if on else None
        self._tracker.change()

    def rematerialized_call(self, layer_call: Any, *args: Any, **kwargs: Any) -> Any:
        """`layer_call`, computed again during differentiation instead of kept in memory."""
        return remat(layer_call, variables=self.variables)

    def _rematerialized(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        """`call`, or where it is large enough for it, the call that is computed again."""
        again = self.built and not here.recomputed.get()
        if not again or (self._remat and not self._gives_much(args, kwargs)):
            return self.call
        return self.rematerialized_call(self.call, *args, **kwargs)

    def _gives_much(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the outputs for such arguments are large; where that is not known, they are."""
        specs = tree.map_structure(_as_spec, (args, kwargs))
        try:
            with SymbolicScope(collect_losses=True):
                outputs = self.call(*specs[0], **specs[1])
        except (TypeError, AttributeError):  # it uses native functions
            return True
        return self._is_much(outputs)

    def _is_much(self, outputs: Any) -> bool:
        """Whether outputs are larger than those that are kept."""
        sizes = [
            math.inf if None in x.shape[1:] else math.prod(x.shape[1:])
            for x in tree.flatten(outputs)
        ]
        return sum(sizes) > (self._remat or 0)

    # --------------------------------------------------------------- weights

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of the weights, as NumPy arrays of their own."""
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the values of the weights from arrays."""
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"`weights` must have an array for each of the {len(own)} weights of the layer "
                f"{self.path!r}. Received: {len(weights)} arrays. "
                "`[weight.path for weight in layer.weights]` lists them."
            )
        for variable, value in zip(own, weights, strict=True):
            if variable.shape != tuple(value.shape):
                raise ValueError(
                    f"An array must have the shape {variable.shape} of the weight "
                    f"{variable.path!r}. Received: shape={tuple(value.shape)}. `get_weights()` of a "
                    "layer of the same arguments gives arrays that fit."
                )
        for variable, value in zip(own, weights, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put the weights that this layer itself owns into a mapping, numbered."""
        for index, value in enumerate(self._stored_values()):
            store[str(index)] = host_array(value)

    def load_own_variables(self, store: Any) -> None:
        """Take the weights that this layer itself owns from a mapping, numbered."""
        own = self._stored_weights()
        for _, transform in self.transforms:
            store = transform.completed(store, own)
        if len(store.keys()) != len(own):
            if not own and not self.built:
                raise ValueError(
                    f"The layer {self.path!r} must be built before its weights can be loaded. "
                    f"Received: {len(store.keys())} weights for a layer that has none yet. Call it "
                    "on data, or `build(input_shape)`."
                )
            raise ValueError(
                f"The layer {self.path!r} has {len(own)} weights. Received: "
                f"{len(store.keys())} in the file. The file is of another architecture."
            )
        take_all(own, store)
        for transform in self._baked():
            transform.restart()

    # ----------------------------------------------------------------- config

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as what a file can hold."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        config["dtype"] = dtype_policies.serialize(self._dtype_policy)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return {**config, **super().get_config()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _argument_names(cls: type) -> Iterator[str]:
    """What the constructors of a layer and its bases take, each name once."""
    seen = {"self", "args", "kwargs"}
    for owner in cls.__mro__:
        if "__init__" in vars(owner) and issubclass(owner, Layer):
            names = set(inspect.signature(vars(owner)["__init__"]).parameters) - seen
            seen |= names
            yield from (
                n for n in inspect.signature(vars(owner)["__init__"]).parameters if n in names
            )


def _in_build(build: Callable[..., None]) -> Callable[..., None]:
    """A `build` within the layer's name scope, which marks the layer as built.

    One of this library does nothing to a layer that was built before.
    """
    once = naming.is_ours(build)

    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        within = self._building is not None
        again = self._building if within else self.built
        if again and once:
            return None
        if within:
            return build(self, *args, **kwargs)
        object.__setattr__(self, "_building", again)
        try:
            with concrete_scope(), naming.NameScope(self.name, caller=self):
                self._path = naming.current_path()
                build(self, *args, **kwargs)
            if self._build_shapes is None:
                names = self._build_signature.names
                shapes = {**dict(zip(names, args, strict=False)), **kwargs}
                self._build_shapes = {k: v for k, v in shapes.items() if v is not None} or None
            self._after_build()
        finally:
            object.__setattr__(self, "_building", None)

    return wrapper


def _gather(
    layer: Layer, own: Callable[[Layer], Sequence[Variable]], found: dict[int, Variable]
) -> None:
    for variable in own(layer):
        found.setdefault(id(variable), variable)
    for sublayer in layer._layers:
        _gather(sublayer, own, found)


def _given_by_position(signature: CallSignature, args: tuple[Any, ...], name: str) -> bool:
    return name in list(signature.parameters)[: len(args)]


def _holds_tensors(value: Any) -> bool:
    return any(hasattr(leaf, "shape") for leaf in tree.flatten(value))


def _as_spec(x: Any) -> Any:
    if isinstance(x, KerasTensor) or not hasattr(x, "shape") or not hasattr(x, "dtype"):
        return x
    engine = current()
    dtype = engine.dtype_of(x) if engine.is_tensor(x) else x.dtype
    return KerasTensor(x.shape, dtype)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        size is None or isinstance(size, (int, np.integer)) for size in value
    )


def _spec_of_shape(shape: Any, dtype: str) -> Any:
    if _is_shape(shape):
        return KerasTensor(tuple(shape), dtype)
    if isinstance(shape, dict):
        return {key: _spec_of_shape(item, dtype) for key, item in shape.items()}
    return type(shape)(_spec_of_shape(item, dtype) for item in shape)


def _default_build(self: Layer, input_shape: Any = None) -> None:
    """Make the weights. Subclasses that need shapes for it override this."""
    if input_shape is not None and self._has_unbuilt_parts():
        specs = self._specs_of_shapes({"input_shape": input_shape})
        self._bind((), specs)
        self._build_by_calling(specs)


Layer.build = _in_build(_default_build)
Layer._build_signature = BuildSignature(_default_build)
Layer._call_signature = CallSignature(Layer.call)
