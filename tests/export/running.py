"""Graphs of TensorFlow's operations, run by TensorFlow and by TensorFlow.js, for the table of exports."""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornu.engines.graphdef import GraphDefEngine, TensorFlowJsEngine
from cornu.engines.graphdef.messages import graph_message
from cornu.engines.host import numpy_dtype
from cornu.export._beside import PROGRAMS, Beside
from cornu.export._checking import check
from cornu.export._tfjs import write_graph_model
from cornu.export._tracing import Traced, trace

from .tables import Feeds

MODULES = Path(__file__).parent / "node" / "node_modules"
IN_NODE = [
    pytest.mark.browser,
    pytest.mark.skipif(not MODULES.is_dir(), reason="`scripts/browser` installs what this needs"),
]
Run = Callable[[Feeds], list[np.ndarray]]


# ------------------------------------------------------------------- TensorFlow


def in_tensorflow(graph: Any) -> Run:
    """A finished graph as a function."""
    import tensorflow as tf

    made = tf.compat.v1.GraphDef.FromString(graph_message(graph).SerializeToString())
    with tf.Graph().as_default() as known:
        tf.import_graph_def(made, name="")
    plain = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
    plain.graph_options.rewrite_options.disable_meta_optimizer = True
    session = tf.compat.v1.Session(graph=known, config=plain)
    names = [graph.reference(x.name) for x in graph.outputs]
    if graph.tables:
        session.run("init")
    return lambda feeds: session.run(names, {f"{name}:0": x for name, x in feeds.items()})


def run_saved_model(engine: GraphDefEngine, feeds: Feeds, names: list[str]) -> list[np.ndarray]:
    """What a graph gives in TensorFlow."""
    return in_tensorflow(engine.graph)(feeds)


def check_saved_model(model: Any) -> list[tuple[str, str]]:
    """What the check of a model's graph says."""
    traced = trace(model, None, GraphDefEngine.for_file())
    return check(model, traced, in_tensorflow(traced.engine.graph))


# ---------------------------------------------------------------- TensorFlow.js


@functools.cache
def node() -> Beside:
    """A process that runs graph-models, as long as this one does."""
    os.environ["NODE_PATH"] = str(MODULES)
    program = Beside(["node", str(PROGRAMS / "running.mjs")]).__enter__()
    atexit.register(program.__exit__, None, None, None)
    return program


def in_node(traced: Traced) -> Run:
    """A finished graph as a function."""
    graph, taken = traced.engine.graph, {"f": "float32", "b": "bool", "O": "O"}
    with tempfile.TemporaryDirectory() as folder:
        write_graph_model(traced, Path(folder))
        node().load(Path(folder))

    def run(feeds: Feeds) -> list[np.ndarray]:
        given = {name: x.astype(taken.get(x.dtype.kind, "int32")) for name, x in feeds.items()}
        found = node().run(given, [x.name for x in graph.outputs])
        pairs = zip(found, graph.outputs, strict=True)
        return [x.astype(numpy_dtype(one.dtype)) for x, one in pairs]

    return run


def run_tfjs(engine: TensorFlowJsEngine, feeds: Feeds, names: list[str]) -> list[np.ndarray]:
    """What a graph gives in TensorFlow.js."""
    return in_node(Traced(engine, None, (list(feeds), names), {}, "op"))(feeds)


def check_tfjs(model: Any) -> list[tuple[str, str]]:
    """What the check of a model's graph says."""
    traced = trace(model, None, TensorFlowJsEngine.for_file())
    return check(model, traced, in_node(traced))
