"""The engine of ONNX Runtime: compiled steps run there, all else as on NumPy.

A step is traced by the ONNX engine, its arguments as inputs, the variables that it reads as weights,
and runs as one session. It predicts and evaluates; it can't train.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import onnx
import onnxruntime
import optree

from . import use
from .contract import State
from .numpy import NumpyEngine
from .onnx import OnnxEngine
from .onnx.graph import IR_VERSION
from .onnx.nodes import OPSET
from .spec import Dimension

flatten: Any = optree.tree_flatten
_UNTRAINED = "ONNX Runtime runs models, it can't train them"


class _Tracer(OnnxEngine):
    """The ONNX engine under the name that errors should show."""

    name = "onnxruntime"
    writes_files: ClassVar[bool] = False  # weights change from one step to the next
    refused: ClassVar[Mapping[str, str]] = {
        **OnnxEngine.refused,
        **dict.fromkeys("value_and_grad vjp jvp".split(), _UNTRAINED),
    }


class _Program(NamedTuple):
    """A traced step: its session, the weights that stand in it, and what it gives."""

    session: Any
    weights: list[tuple[int, Any]]  # their places among the constants, and the arrays
    inputs: list[tuple[int, str]]  # the places among the operands, and the names, of those it reads
    outputs: list[str]
    structure: Any
    narrow: set[int]  # outputs of bfloat16, of which the runtime has no arrays


class OnnxRuntimeEngine(NumpyEngine):
    """NumPy's arrays, with compiled steps as sessions of ONNX Runtime."""

    name = "onnxruntime"
    trains: ClassVar[bool] = False
    whole_models: ClassVar[bool] = True
    refused: ClassVar[Mapping[str, str]] = {
        **NumpyEngine.refused,
        **dict.fromkeys("value_and_grad vjp jvp".split(), _UNTRAINED),
    }

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        programs: dict[Any, _Program] = {}

        def run(*args: Any) -> Any:
            leaves, structure = flatten(args)
            arrays = [np.asarray(leaf) for leaf in leaves]
            changing, constant = state.read()
            key = (structure, *((x.dtype, x.shape[1:], x.ndim, _first(arrays, x)) for x in arrays))
            program = programs.get(key)
            if program is None or any(constant[i] is not x for i, x in program.weights):
                program = programs[key] = _traced(step, state, arrays, structure)
            operands = [*arrays, *map(np.asarray, changing)]
            given = {name: operands[place] for place, name in program.inputs}
            results = program.session.run(program.outputs, given)
            for i in program.narrow:
                results[i] = self.cast(results[i], "bfloat16")
            count = len(results) - len(changing)
            if changing:
                state.write(results[count:])
            return optree.tree_unflatten(program.structure, results[:count])

        return run


def _first(arrays: list[Any], x: Any) -> int:
    """The first array that has as many rows as x: those that share them share an unknown."""
    return next(i for i, y in enumerate(arrays) if y.shape[:1] == x.shape[:1])


def _traced(step: Callable[..., Any], state: State, arrays: list[Any], structure: Any) -> _Program:
    """A step as a session, for any number of rows."""
    engine = _Tracer.for_file()
    changing, constant = state.read()
    rows: dict[Any, Dimension] = {}
    with use(engine):
        graph = engine.graph
        inputs = [
            graph.input(
                (*(rows.setdefault(n, Dimension()) for n in x.shape[:1]), *x.shape[1:]),
                x.dtype.name,
            )
            for x in arrays
        ]
        states = [graph.input(x.shape, x.dtype.name, "state") for x in map(np.asarray, changing)]
        weights = [graph.constant(np.asarray(x), f"weight_{i}") for i, x in enumerate(constant)]
        with state.bound(states, weights) as collect:
            result = step(*optree.tree_unflatten(structure, inputs))
            new = collect()
        found, returned = flatten(result)
        values = [engine.convert_to_tensor(x) for x in (*found, *new)]
        narrow = {i for i, x in enumerate(values) if x.dtype == "bfloat16"}
        outputs = [engine.cast(x, "float32") if i in narrow else x for i, x in enumerate(values)]
        names = [f"output_{i}" for i in range(len(outputs))]
        graph.finish(outputs, names)
    session = _session(engine)
    read = {value.name for value in session.get_inputs()}
    places = [(i, x.name) for i, x in enumerate([*inputs, *states]) if x.name in read]
    # The state of random generators, say, is declared by every step and seldom read.
    labels = {graph.labels[name] for name in graph.initializers}
    used = [(i, constant[i]) for i, x in enumerate(weights) if x.label in labels]
    return _Program(session, used, places, names, returned, narrow)


def _session(engine: OnnxEngine) -> Any:
    opset = onnx.helper.make_opsetid("", OPSET)
    graph = engine.graph.message("step")
    message = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return open_session(message.SerializeToString())


def open_session(model: Any, threads: int = 0, integers: bool = True, spins: bool = True) -> Any:
    """A session on the CPU for a model's bytes or file; 0 threads leave their number to the runtime.

    Without `integers` what is rounded to integers is computed with as floats, as layers do. Without `spins` threads
    sleep while they wait for work: a server whose machine does more takes 0.7 of the processor's time.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # no remarks: what is wrong is raised
    options.add_session_config_entry("session.disable_quant_qdq", str(int(not integers)))
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
