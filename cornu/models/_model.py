"""Model: a layer that is trained, saved and summarized."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Self

from ..core.serialization import serialize_keras_object
from ..core.variable import Variable
from ..engines import current, get, names
from ..layers import Layer
from ..training import Trainer, at_home
from ._whole import WholeCalls

if TYPE_CHECKING:
    from ..saving import WeightsReport
    from ..visualization import Picture


class Model(Trainer, Layer):
    """Layers as one model, with training, evaluation, prediction and saving.

    There are three ways to make one: `Model(inputs, outputs)` from a graph of layers called on
    `Input`s; `Sequential([...])` for a plain stack; a subclass that makes layers in `__init__` and
    calls them in `call`.

    >>> import numpy as np
    >>> from cornu import Input, layers
    >>> x = Input((3,))
    >>> model = Model(x, layers.Dense(2)(x))
    >>> model.predict(np.zeros((4, 3)), verbose=0).shape
    (4, 2)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # A subclass may take two arguments for something else: what it gives to `__init__` here decides.
        if cls is Model and _is_functional(args, kwargs):
            from ._functional import Functional

            return Functional.__new__(Functional, *args, **kwargs)  # type: ignore[return-value]
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from ._functional import Functional

        if _is_functional(args, kwargs):
            _make_functional(type(self))
            Functional.__init__(self, *args, **kwargs)  # type: ignore[arg-type]
            return
        Trainer.__init__(self)
        Layer.__init__(self, *args, **kwargs)

    _may_rematerialize = False  # its layers do

    #: What training holds is no part of a model, and what it changes is no change of it.
    _beside = frozenset(vars(Trainer()))

    @functools.cached_property
    def _whole_calls(self) -> WholeCalls:
        return WholeCalls(self)

    def __getstate__(self) -> dict[str, Any]:
        made = "_whole_calls", "_ending"
        return {k: x for k, x in super().__getstate__().items() if k not in made}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the model computes; subclasses define it."""
        raise NotImplementedError(
            f"The model {type(self).__name__} must have a method `call`. Received: none. Define "
            "`call(self, inputs)`, or make the model by `Model(inputs, outputs)`."
        )

    @at_home
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model on tensors."""
        engine = current()
        if (engine.whole_calls or engine.whole_models) and len(args) == 1 and not kwargs:
            return self._whole_calls(engine, args[0])
        return Layer.__call__(self, *args, **kwargs)

    def quantize(  # type: ignore[override]
        self, mode: str | None = None, config: Any = None, filters: Any = None, **kwargs: Any
    ) -> None:
        """Keep the kernels of the layers inside in few bits from now on.

        Args:
            mode: `"int8"`, `"int4"` or `"float8"`; `"gptq"` and `"awq"` with a config.
            config: How, as one of the configs in `cornu.quantizers`; by the mode alone where it is left out.
            filters: Which layers: a regular expression that is searched for in their names (in their paths, where
                it has a slash), a list of such, or a callable that is given a layer. All that have kernels
                where it is left out; in Keras only dense layers and embeddings have them.

        Raises:
            ValueError: If mode and config contradict each other, or `filters` are none.

        >>> from cornu import Input, Sequential, layers
        >>> model = Sequential([Input((3,)), layers.Dense(4, name="first"), layers.Dense(2)])
        >>> model.quantize("int8", filters="first")
        >>> [layer.dtype_policy.name for layer in model.layers]
        ['int8_from_float32', 'float32']
        """
        from ._quantizing import quantize

        if kwargs:
            raise ValueError(f"`quantize` has no such arguments. Received: {sorted(kwargs)}.")
        quantize(self, mode, config, filters)

    def to(self, engine: Any = None, *args: Any, **kwargs: Any) -> Self:
        """Move the model to an engine, where it stays whichever is current elsewhere.

        Weights, the optimizer's state, metrics and the state of random generators come along. The
        model is neither rebuilt nor compiled again by hand.

        Args:
            engine: The engine's name, such as `"numpy"`; on PyTorch also what `torch.nn.Module.to` takes.
            *args: More for `torch.nn.Module.to`.
            **kwargs: More for `torch.nn.Module.to`.

        Raises:
            ValueError: If there is no such engine.

        >>> import numpy as np
        >>> from cornu import Sequential, layers
        >>> model = Sequential([layers.Dense(2)]).to("numpy")
        >>> type(model(np.ones((1, 3), "float32"))).__module__
        'numpy'
        """
        if "to" in current().module_names and engine not in names():
            given = args if engine is None else (engine, *args)
            try:
                moved: Self = self.native_module().to(*given, **kwargs)
            except RuntimeError as error:
                engines = sorted({*names()} - {"spec"})
                raise ValueError(
                    f"A model moves to an engine, one of {engines}, or where `torch.nn.Module.to` can. "
                    f"Received: engine={engine!r}, for which that says: {error}"
                ) from error
            return moved
        target = get(engine)
        self.home = engine
        for variables in self._state_groups().values():
            for variable in variables:
                variable.move_to(target)
        return self

    @property
    def layers(self) -> list[Layer]:
        """The layers, without those inside of them."""
        return self._flatten_layers(include_self=False, recursive=False)

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError("`Model.layers` is read off the model. Use another attribute name.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if (name is None) == (index is None):
            raise ValueError(
                f"A layer is found by its name or its index. Received: name={name!r}, index={index}."
            )
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"The model {self.name!r} has {len(self.layers)} layers. Received: index={index}."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"The model {self.name!r} has no layer of that name. Received: name={name!r}. "
            f"Its layers: {[layer.name for layer in self.layers]}."
        )

    def summary(
        self,
        line_length: int | None = None,
        positions: list[float] | None = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: list[str] | tuple[str, str] | None = None,
        flops: bool = False,
        memory: bool = False,
        batch_size: int = 1,
        input_shape: Any = None,
    ) -> None:
        """Print the layers, their output shapes and numbers of parameters.

        Args:
            line_length: The width in characters.
            positions: The right edge of each column, as a share of the width.
            print_fn: Where the text goes instead of the terminal.
            expand_nested: Whether the layers of models inside the model are listed.
            show_trainable: Whether a column says what is trainable.
            layer_range: The names, or patterns of names, of the first and last layer to list.
            flops: Whether the multiply-adds of a call are listed: those of products and convolutions.
            memory: Whether the bytes of weights and activations are listed: a layer's are what training
                keeps of it for the way back.
            batch_size: How many samples such a call has.
            input_shape: The shapes of its inputs with the batch, where the model leaves more open than that.
        """
        from ._summary import print_summary

        print_summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
            flops=flops,
            memory=memory,
            batch_size=batch_size,
            input_shape=input_shape,
        )

    def visualize(self, path: Any = None, flops: bool = False, input_shape: Any = None) -> Picture:
        """The graph of the model as a page of its own; `cornu.visualization.visualize` says how."""
        from ..visualization import visualize

        return visualize(self, path, flops, input_shape)

    def save(
        self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
    ) -> None:
        """Save architecture, weights and training state in a `.keras` file."""
        from ..saving import save_model

        save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Save the weights in a `.weights.h5` file."""
        from ..saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def export(
        self,
        filepath: Any,
        format: str | None = None,
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write a file that runs without Cornu; `cornu.export.export` says how."""
        from ..export import export

        export(self, filepath, format, verbose, input_signature, **kwargs)

    def save_adapter(self, filepath: Any, overwrite: bool = True) -> None:
        """Save the products of `enable_lora` alone; `cornu.saving.save_adapter` says how."""
        from ..saving import save_adapter

        save_adapter(self, filepath, overwrite=overwrite)

    def load_adapter(self, filepath: Any, names: Any = None) -> None:
        """Have the low-rank products of a file; `cornu.saving.load_adapter` says how."""
        from ..saving import load_adapter

        load_adapter(self, filepath, names=names)

    def load_weights(
        self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any
    ) -> WeightsReport:
        """Load weights from a file; `cornu.saving.load_weights` says how. Returns what was loaded."""
        from ..saving import load_weights

        return load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def _graph_of_calls(self) -> dict[str, Any]:
        from ..visualization import graph_of

        return graph_of(self)

    def _checkpoints(self, *args: Any) -> Any:
        from ..saving import Checkpoints

        return Checkpoints(*args)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON, which `cornu.models.model_from_json` reads."""
        return json.dumps(serialize_keras_object(self), **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that `get_config` described."""
        from ._functional import Functional, functional_from_config

        functional = {"name", "layers", "input_layers", "output_layers"}
        if functional <= set(config) and (cls is Model or issubclass(cls, Functional)):
            return functional_from_config(cls, config, custom_objects=custom_objects)
        return super().from_config(config)

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build for the shapes in a file's build config."""
        if config and config.get("input_shape") is None and "shapes_dict" not in config:
            return
        super().build_from_config(config)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """The values of all variables, in nested dictionaries by path.

        Args:
            value_format: `backend_tensor` or `numpy_array`.
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            raise ValueError(
                "`value_format` must be 'backend_tensor' or 'numpy_array'. "
                f"Received: value_format={value_format!r}."
            )
        tree: dict[str, Any] = {}
        for group, variables in self._state_groups().items():
            tree[group] = {}
            for variable in variables:
                *parents, last = variable.path.split("/")
                place = tree[group]
                for part in parents:
                    place = place.setdefault(part, {})
                place[last] = (
                    variable.value if value_format == "backend_tensor" else variable.numpy()
                )
        return tree

    def set_state_tree(self, state_tree: dict[str, Any]) -> None:
        """Set variables from what `get_state_tree` gave."""
        groups = self._state_groups()
        for group, values in state_tree.items():
            if group not in groups:
                raise ValueError(f"A state tree has {sorted(groups)}. Received: {group!r}.")
            by_path = {variable.path: variable for variable in groups[group]}
            for path, value in _leaves_by_path(values):
                if path not in by_path:
                    raise ValueError(
                        f"The model has no variable of that path. Received: {path!r} in {group!r}."
                    )
                by_path[path].assign(value)

    def _state_groups(self) -> dict[str, list[Variable]]:
        groups = {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "metrics_variables": self.metrics_variables,
        }
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None:
            groups["optimizer_variables"] = optimizer.variables
        return groups


def _leaves_by_path(values: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in values.items():
        path = f"{above}/{key}" if above else key
        found += _leaves_by_path(value, path) if isinstance(value, dict) else [(path, value)]
    return found


def _is_functional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return (
        len(args) == 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )


def _make_functional(cls: type) -> None:
    """Let a subclass of Model that calls `super().__init__(inputs, outputs)` be a Functional."""
    from ._functional import Functional

    if issubclass(cls, Functional):
        return
    for owner in cls.__mro__:
        if Model in owner.__bases__:
            owner.__bases__ = tuple(Functional if b is Model else b for b in owner.__bases__)
            return
