"""The format `onnx_training`: a step of training as a graph, whose weights are inputs and outputs.

Two graphs share a state, arrays by name: one trains on a batch and gives the new state, the other predicts.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core import tree
from ..core.files import making_folder, replacing_together
from ..core.keras_tensor import KerasTensor
from ..core.scopes import StatelessScope
from ..core.variable import Variable
from ..engines import use
from ..engines.spec import Dimension
from ..saving.named import named_variables, safetensors
from ..training import prepare
from ._checking import TOLERANCE, check, difference, drawn
from ._onnx import IR_VERSION, onnx_engine, serialized
from ._report import report
from ._signature import input_names, output_names, signature, unique
from ._tracing import Traced, inputs_of, plain, run, told
from .measuring import as_given

#: Random numbers are bits of integers, for which ONNX has operations since then.
OPSET = 18
#: What the names of a step's outputs that are the new state begin with.
NEW = "new/"
#: The sizes of the batches that a check trains on, where they are free.
_BATCHES = (4, 3, 5)
#: How far a weight may be apart: where a gradient is nothing but rounding errors, as that of a bias before a
#: normalization, they decide which way it goes.
_APART = 1e-2


class Learner(NamedTuple):
    """A model that learns where it runs.

    Args:
        state: Its variables and those of its optimizer, by name.
        inputs: The specs of `x` and `y`.
        step: The graph of a step: the state and a batch in, metrics and the new state out.
        predict: The graph that predicts: some of the state and inputs in, outputs out.
    """

    state: dict[str, Variable]
    inputs: tuple[Any, Any]
    step: Traced
    predict: Traced

    def files(self, ir_version: int = IR_VERSION) -> tuple[bytes, bytes, bytes]:
        """The step, what predicts, and the state."""
        step, predict = (serialized(x, ir_version) for x in (self.step, self.predict))
        return step, predict, safetensors(self.state)


def write_training(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    opset_version: int | None = None,
    ir_version: int | None = None,
    examples: Any = None,
) -> list[str]:
    """Three files: the step, the graph that predicts, and the state that both read.

    Args:
        opset_version: The version of ONNX's operations; 18 where it is left out.
        ir_version: The version of the format itself.
        examples: `(x, y)`, of which the targets have their shape; the file is checked with them.

    Returns:
        The names of the arrays of a batch, inputs and targets.
    """
    if path.suffix == ".safetensors":
        raise ValueError(
            "A step has its state beside it, in a file of that name. Received: "
            f"filepath={str(path)!r}. Choose a name that ends in .onnx."
        )
    learner = traced_learner(model, input_signature, opset_version, examples)
    contents = learner.files(ir_version or IR_VERSION)
    checked = check_step(model, learner, contents, examples)
    names = (path.name, f"{path.stem}_predict.onnx", f"{path.stem}.safetensors")
    with making_folder(path.parent), replacing_together(path) as folder:
        for name, content in zip(names, contents, strict=True):
            (Path(folder) / name).write_bytes(content)
    if verbose:
        report(path, map(path.with_name, names), [*told(learner.step)[:1], *checked])
    return learner.step.names[0]


def traced_learner(
    model: Any, input_signature: Any = None, opset: int | None = None, examples: Any = None
) -> Learner:
    """Read a step of training, and of prediction, off a compiled model.

    Raises:
        ValueError: If the model isn't compiled, or it is unknown what its targets look like.
    """
    model._require_compiled("train_step")
    opset = opset or OPSET
    specs = signature(model, input_signature)
    if examples is not None:
        arrays = as_given(_pair(examples)[0], specs)
        found = [_like(x, spec) for x, spec in zip(arrays, tree.flatten(specs), strict=True)]
        specs = tree.pack_sequence_as(specs, found)
    _check_sizes(model, specs)
    model.optimizer.follow(model)
    state = named_variables(model)
    names = input_names(tree.flatten(specs))
    inputs = dict(zip(names, tree.flatten(specs), strict=True))

    def outputs_of(*x: Any) -> dict[str, Any]:
        results = run(model, tree.pack_sequence_as(specs, list(x)))
        values = [value for value in tree.flatten(results) if value is not None]
        return dict(zip(output_names(model, results), values, strict=True))

    predict = _traced(model, opset, inputs, state, outputs_of)
    graph = predict.engine.graph
    graph.inputs = [x for x in graph.inputs if x.name in inputs.keys() | graph.names()]
    targets = _targets(model, graph.outputs, examples)
    prepare(model, (specs, targets), training=True)  # losses and metrics learn their outputs' names
    flat = tree.flatten(targets)
    given = ["y"] if len(flat) == 1 else [f"y_{i}" for i in range(len(flat))]
    given = unique([*names, *given])[len(names) :]

    def metrics_of(*values: Any) -> dict[str, Any]:
        x, y = values[: len(names)], values[len(names) :]
        return trained(
            model, tree.pack_sequence_as(specs, list(x)), tree.pack_sequence_as(targets, list(y))
        )

    both = {**inputs, **dict(zip(given, flat, strict=True))}
    step = _traced(model, opset, both, state, metrics_of)
    return Learner(state, (specs, targets), step, predict._replace(specs=specs))


def trained(model: Any, x: Any, y: Any) -> dict[str, Any]:
    """The metrics of one batch that a model trains on, on the current engine."""
    model.reset_metrics()
    told = model.train_step((x, y))
    logged = getattr(model.optimizer, "logged_variables", {})
    return {**told, **{name: variable.value for name, variable in logged.items()}}


def _targets(model: Any, outputs: list[Any], examples: Any) -> Any:
    """The specs of the targets: of examples, or as the loss takes them."""
    if examples is not None:
        return tree.map_structure(_like, examples[1])
    loss = model.loss
    name = getattr(loss, "name", getattr(loss, "__name__", loss))
    if not isinstance(name, str) or len(outputs) != 1:
        raise ValueError(
            "The targets of a step must be known. Received: the model "
            f"{model.name!r} with loss={loss!r} and {len(outputs)} outputs. Give `examples=(x, y)`, "
            "some inputs and targets."
        )
    dims = tuple(None if isinstance(n, Dimension) else n for n in outputs[0].dims)
    sparse = name.startswith("sparse_")
    return KerasTensor(dims[:-1] if sparse else dims, "int32" if sparse else "float32")


def _pair(examples: Any) -> tuple[Any, Any]:
    if isinstance(examples, tuple) and len(examples) == 2:
        return examples
    raise ValueError(
        "`examples` of training are a pair `(x, y)` of inputs and targets. Received: examples of "
        f"{type(examples).__name__}. Give both, as `fit` takes them."
    )


def _like(x: Any, spec: Any = None) -> KerasTensor:
    """The spec of batches like an array's: of known sizes but for the first, 32 bits a number."""
    array = np.asarray(x)
    dtype = spec.dtype if spec is not None else "int32" if array.dtype.kind in "iub" else "float32"
    return KerasTensor((None, *array.shape[1:]), dtype, name=getattr(spec, "_name", None))


def _check_sizes(model: Any, specs: Any) -> None:
    shapes = [spec.shape for spec in tree.flatten(specs)]
    if any(size is None for shape in shapes for size in shape[1:]):
        raise ValueError(
            "A step needs inputs whose sizes are known, but for the batch: loops are written out. "
            f"Received: {shapes} for the model {model.name!r}. Give `examples=(x, y)`, or an "
            "`input_signature` in full."
        )


# --------------------------------------------------------------------- tracing


def _traced(
    model: Any,
    opset: int,
    specs: Mapping[str, Any],
    state: Mapping[str, Variable],
    call: Callable[..., dict[str, Any]],
) -> Traced:
    """A call of a model as a graph: it takes tensors and the state, and gives results and the new state."""
    engine = onnx_engine(opset, trains=True)
    graph = engine.graph
    inputs, axes = inputs_of(graph, specs)
    narrow = [name for name, variable in state.items() if variable.dtype == "bfloat16"]
    if narrow:
        raise NotImplementedError(
            "Runtimes have no arrays of bfloat16, as weights are that go in and out. Received: "
            f"{narrow[:3]} of {model.name!r}. Use the dtype policy 'mixed_bfloat16'."
        )
    held = [graph.input(v.shape, v.dtype, name) for name, v in state.items()]
    pairs = list(zip(state.values(), held, strict=True))
    with use(engine), StatelessScope.of(pairs) as scope:
        results = call(*inputs)
        new = _new(model, scope, state)
        outputs = [plain(engine, x) for x in (*results.values(), *new.values())]
        graph.finish(outputs, [*results, *(NEW + name for name in new)])
    return Traced(engine, None, (list(specs), [x.name for x in graph.outputs]), axes, model.name)


def _new(model: Any, scope: StatelessScope, state: Mapping[str, Variable]) -> dict[str, Any]:
    """What of the state a step has written."""
    written = dict(scope.updates())
    known = {*state.values(), *model.metrics_variables}
    known |= {*getattr(model.optimizer, "logged_variables", {}).values()}
    others = [variable.path for variable in written if variable not in known]
    if others:
        raise NotImplementedError(
            "A step that is exported changes variables of its model and optimizer alone. Received: "
            f"{model.name!r}, which also changes {others}. Give draws a `seed=SeedGenerator(...)` "
            "that a layer of the model holds."
        )
    return {name: written[variable] for name, variable in state.items() if variable in written}


# -------------------------------------------------------------------- checking


def check_step(
    model: Any, learner: Learner, files: Sequence[bytes], examples: Any = None
) -> list[tuple[str, str]]:
    """Compare predictions, and three steps, with those of the NumPy engine.

    Returns:
        What was found, in words.

    Raises:
        ValueError: If a metric, what is kept for a weight, or most weights differ by more than 1e-4.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return [("checked", "no: pip install onnxruntime, which checks each export")]
    from ..engines.onnxruntime import open_session

    session, answers = (open_session(file) for file in files[:2])
    names, worst = learner.step.names[1], 0.0
    state = {name: variable.held() for name, variable in learner.state.items()}
    read = {x.name: state[x.name] for x in answers.get_inputs() if x.name in state}
    x = None if examples is None else examples[0]
    told = check(model, learner.predict, lambda inputs: answers.run(None, {**inputs, **read}), x)
    targets = tree.flatten(learner.inputs[1])
    given = [None] * len(targets) if examples is None else tree.flatten(examples[1])
    fixed = next((x.shape[0] for x in tree.flatten(learner.inputs[0]) if x.shape), None)
    for size in [fixed] * len(_BATCHES) if fixed else _BATCHES:
        arrays = drawn(model, learner.predict, size, examples=x)
        arrays += [_target(spec, size, y) for spec, y in zip(targets, given, strict=True)]
        feeds = dict(zip(learner.step.names[0], arrays, strict=True))
        found = dict(zip(names, session.run(names, {**feeds, **state}), strict=True))
        wanted = _reference(model, learner, state, arrays)
        worst = max(worst, _compared(learner, found, wanted, size))
        state |= {name: found[NEW + name] for name in state if NEW + name in found}
    return [*told, ("trained", f"{len(_BATCHES)} steps: largest difference {worst:.1e}")]


def _compared(learner: Learner, found: Any, wanted: Any, size: int) -> float:
    """The largest difference of two steps from the same state, but of weights, most of which must be the same."""
    worst, apart, moved = 0.0, 0, 0
    for name, value in found.items():
        variable = learner.state.get(name.removeprefix(NEW))
        trains = variable is not None and variable.trainable
        limit = _APART if trains else TOLERANCE
        largest = difference(name, value, wanted[name], size, None, limit)
        if trains:
            apart += int(np.count_nonzero(np.abs(value - wanted[name]) > TOLERANCE))
            moved += value.size
        else:
            worst = max(worst, largest)
    if 2 * apart > moved:
        raise ValueError(
            "An exported step must change weights as its model does. Received: "
            f"{apart:,} weights of {moved:,} that differ by more than {TOLERANCE}. No file was written. "
            "Give typical `examples=(x, y)`, whose loss isn't zero; where they differ too, please report it."
        )
    return worst


def _target(spec: Any, batch: int, given: Any) -> np.ndarray[Any, Any]:
    """Targets of a batch: examples, else the first classes, or numbers up to 1."""
    shape = (batch, *spec.shape[1:])
    if given is not None:
        return np.resize(given, shape).astype(spec.dtype)
    generator = np.random.default_rng(batch)
    numbers = generator.integers(0, 2, shape) if spec.dtype == "int32" else generator.random(shape)
    return numbers.astype(spec.dtype)


def _reference(
    model: Any, learner: Learner, state: Mapping[str, Any], arrays: list[Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """What a step gives on the NumPy engine, to which no variable moves."""
    x, y = tree.pack_sequence_as(learner.inputs, arrays)
    pairs = [(variable, state[name]) for name, variable in learner.state.items()]
    with use("numpy"), np.errstate(all="ignore"), StatelessScope(pairs) as scope:
        told = trained(model, x, y)
        new = _new(model, scope, learner.state)
    results = map(np.asarray, (*told.values(), *new.values()))
    return dict(
        zip(learner.step.names[1], results, strict=True)
    )  # an input may be called as a metric
