"""ExportArchive: functions of models, each an endpoint of what is written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..core.checks import one_of
from ..core.files import check_replaceable, replacing
from ..core.keras_tensor import KerasTensor
from ..core.variable import Variable
from ..engines import get, use
from ..layers import Layer
from ._onnx import write_onnx
from ._report import report
from ._saved_model import CONTENT
from ._signature import signature


class Endpoint(NamedTuple):
    """A function, and the specs of its arguments."""

    call: Callable[..., Any]
    specs: list[Any]


class ExportArchive:
    """Functions of models, written together to run without Cornu.

    Args:
        format: `"saved_model"` is a folder that `tf.saved_model.load` and TF-Serving read; TensorFlow must be
            installed, whichever engine trained the models. `"onnx"` is a folder with a file for each endpoint.
        **kwargs: None so far.

    Raises:
        ValueError: If there is no such format.

    >>> import tempfile
    >>> from cornu import InputSpec, Sequential, layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(2)])
    >>> archive = ExportArchive("onnx")
    >>> serve = archive.add_endpoint("serve", model.call, [InputSpec(shape=(None, 4), dtype="float32")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     archive.write_out(folder, verbose=False)
    ...     [path.name for path in Path(folder).iterdir()]
    ['serve.onnx']
    """

    def __init__(self, format: str = "saved_model", **kwargs: Any) -> None:
        one_of(("saved_model", "onnx"), format=format)
        if kwargs:
            raise ValueError(f"There are no such arguments. Received: {sorted(kwargs)}.")
        self.format = format
        self._tracked: list[Any] = []
        self._endpoints: dict[str, Endpoint] = {}
        self._collections: dict[str, list[Variable]] = {}

    @property
    def variables(self) -> list[Variable]:
        """The variables of what is tracked."""
        return [variable for layer in self._tracked for variable in layer.variables]

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those of them that are trained."""
        return [variable for variable in self.variables if variable.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Those of them that are not."""
        return [variable for variable in self.variables if not variable.trainable]

    def track(self, resource: Any) -> None:
        """Take a layer or model along, with its variables.

        Raises:
            ValueError: If it is neither, or was not built.
        """
        if not isinstance(resource, Layer) or not resource.built:
            raise ValueError(
                "What is tracked must be a layer or model that was built. Received: "
                f"{resource!r} (of {type(resource).__name__}). Call it on data first."
            )
        self._take_along(resource)

    def _take_along(self, layer: Layer) -> None:
        if not any(layer is known for known in self._tracked):
            self._tracked.append(layer)

    def add_endpoint(self, name: str, fn: Any, input_signature: Any = None, **kwargs: Any) -> Any:
        """Add a function under a name.

        Args:
            name: The name.
            fn: The function of tensors, such as `model.call`, or a model.
            input_signature: A list with the spec of each argument: `InputSpec`, or what has a shape and a
                dtype, in the structure of the argument. That of the model where it is left out.
            **kwargs: What Keras takes for single backends (`is_static`, `jax2tf_kwargs`); of no effect.

        Returns:
            The function.

        Raises:
            ValueError: If the name is taken, or there is no signature to be found.
        """
        if name in self._endpoints:
            raise ValueError(
                f"An endpoint has a name of its own. Received: name={name!r}, which is taken."
            )
        unknown = set(kwargs) - {"is_static", "jax2tf_kwargs"}
        if unknown:
            raise ValueError(f"There are no such arguments. Received: {sorted(unknown)}.")
        owner = fn if isinstance(fn, Layer) else getattr(fn, "__self__", None)
        if input_signature is None:  # a `tf.function` may have one
            input_signature = getattr(fn, "input_signature", None)
        if input_signature is None:
            if not isinstance(owner, Layer):
                raise ValueError(
                    "The arguments of an endpoint must be known. Received: "
                    f"fn={fn!r}, input_signature=None. Give `input_signature=[InputSpec(...)]`."
                )
            specs = [signature(owner)]
        else:
            given = (
                input_signature if isinstance(input_signature, (list, tuple)) else [input_signature]
            )
            specs = list(given)
        if isinstance(owner, Layer):
            self._take_along(owner)
        self._endpoints[name] = Endpoint(fn, specs)
        return fn

    def track_and_add_endpoint(
        self, name: str, resource: Any, input_signature: Any, **kwargs: Any
    ) -> Any:
        """`track` a layer or model, and `add_endpoint` of its call."""
        self.track(resource)
        return self.add_endpoint(name, resource, input_signature, **kwargs)

    def add_variable_collection(self, name: str, variables: Iterable[Variable]) -> None:
        """Let what is loaded have variables as an attribute of this name; in a SavedModel alone.

        Raises:
            ValueError: If they are no list, tuple or set of variables, or the format has no such things.
        """
        if self.format != "saved_model":
            raise ValueError(
                "A file of the format has no variables of its own. Received: "
                f"format={self.format!r}. Write a 'saved_model'."
            )
        if not isinstance(variables, (list, tuple, set)) or not all(
            isinstance(variable, Variable) for variable in variables
        ):
            raise ValueError(
                "A collection is a list, tuple or set of variables. Received: "
                f"variables={variables!r}."
            )
        self._collections[name] = list(variables)

    def write_out(self, filepath: Any, options: Any = None, verbose: bool = True) -> None:
        """Write the endpoints to a folder. The first one is `serving_default`, too, if none is called so.

        Args:
            filepath: The folder.
            options: A `tf.saved_model.SaveOptions`, for a SavedModel.
            verbose: Whether to print what was written.

        Raises:
            ValueError: If there are no endpoints.
            FileExistsError: If a SavedModel would take the place of anything else.
            ModuleNotFoundError: If the format's library is not installed.
        """
        if not self._endpoints:
            raise ValueError(
                "What is written must have endpoints. Received: none. Call `add_endpoint` first."
            )
        folder = Path(filepath)
        if self.format == "onnx":
            for name, endpoint in self._endpoints.items():
                layer = _Endpoint(endpoint.call, self._tracked, len(endpoint.specs), name=name)
                specs = endpoint.specs if len(endpoint.specs) > 1 else endpoint.specs[0]
                write_onnx(layer, folder / f"{name}.onnx", verbose, specs)
            return
        check_replaceable(folder, *CONTENT)
        collections = {
            name: getattr(self, name)
            for name in ("variables", "trainable_variables", "non_trainable_variables")
        }
        engine = get("tensorflow")
        functions = {
            name: Endpoint(one.call, _named(one.call, [signature(None, x) for x in one.specs]))
            for name, one in self._endpoints.items()
        }
        with use(engine), replacing(folder) as draft:
            engine.save_functions(draft, functions, {**collections, **self._collections}, options)
        if verbose:
            files = [path for path in sorted(folder.iterdir()) if path.is_file()]
            rows = [(name, ", ".join(map(str, one.specs))) for name, one in self._endpoints.items()]
            report(folder, files, rows)


def _named(function: Any, specs: list[Any]) -> list[Any]:
    """Specs of arguments; those without a name get that of the function's parameter, which clients send."""
    if isinstance(function, Layer):
        return specs
    names = [*inspect.signature(function).parameters, *[None] * len(specs)]
    return [
        KerasTensor(x.shape, x.dtype, name=name) if getattr(x, "_name", x) is None else x
        for x, name in zip(specs, names, strict=False)
    ]


class _Endpoint(Layer):
    """A function as a layer of one argument, which ONNX's writer reads; of several arguments it takes a list."""

    _describes_itself = True

    def __init__(
        self, function: Callable[..., Any], tracked: list[Any], count: int, name: str
    ) -> None:
        super().__init__(name=name)
        self.function, self.tracked, self._count = function, list(tracked), count
        self.built = True

    def call(self, inputs: Any) -> Any:
        """What the function gives."""
        return self.function(*inputs) if self._count > 1 else self.function(inputs)
