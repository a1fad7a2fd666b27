"""The package as a whole: what an import loads, and which of Keras's names there are."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cornu
from benchmarks import api
from cornu.core.op import OPS, _specialize

#: What an import must not load: the engines' libraries, and what takes long and is needed later.
LATE = (
    *("jax", "torch", "tensorflow", "pytensor", "onnx", "onnxruntime"),
    *("sklearn", "matplotlib", "PIL", "pandas", "tensorboard", "optuna", "cloudpickle"),
    *("grpc", "httpx", "orjson", "prometheus_client", "starlette", "uvicorn"),
    *(
        "scipy",
        "h5py",
        "rich",
        "numpy.random",
        "importlib.metadata",
        "email",
        "logging",
        "ml_dtypes",
        "cornu.applications",
        "cornu.distribution",
        "cornu.optimization",
        "cornu.serving",
        "cornu.tuner",
    ),
    *("cornu.saving._models", "cornu.saving._keras2", "cornu.saving._checkpoints"),
    *("cornu.training._nan", "cornu.training._finders", "cornu.engines.samples"),
    *("cornu.data._workers", "cornu.quantizers"),
)


@pytest.mark.parametrize("first", ["", "cornu.layers.Dense(2); cornu.Variable([1.0]); "])
def test_an_import_loads_no_engine(first: str) -> None:
    """Nor do making layers and variables, before a tensor is needed."""
    code = f"import sys, cornu; {first}print(*[name for name in {LATE} if name in sys.modules])"
    environment = {**os.environ, "CORNU_BACKEND": "jax"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


def test_the_code_of_public_ops_has_their_signatures() -> None:
    """The code that takes the place of the first call's has the parameters of the op's function."""
    for op in OPS.values():
        _specialize(op)
        made = inspect.signature(op.wrapper, follow_wrapped=False).parameters.values()
        given = inspect.signature(op.function).parameters.values()
        assert [(p.name, p.kind, p.default) for p in made] == [
            (p.name, p.kind, p.default) for p in given
        ], op
        assert inspect.signature(op.wrapper) == inspect.signature(op.function), op


def test_a_wrong_first_call_of_an_op() -> None:
    """A first call that does not fit the signature gives the error that any call gives."""
    for _ in range(2):
        with pytest.raises(TypeError, match=r"trapezoid\(\) .* 'z'"):
            cornu.ops.trapezoid([1.0, 2.0], z=1)  # type: ignore[call-arg]


def test_keras_s_api() -> None:
    """Every public name of Keras is here with its signature, but for what is listed, which is not."""
    lacks, differ = api.missing(), api.different()
    patterns = " ".join(api.NOT_YET.values()).split()
    assert set(lacks) == set(api.matched(lacks, patterns))
    assert set(differ) == set(api.matched(differ, api.OTHERWISE.split()))
    # Who brings names takes them out of `api.NOT_YET`, who mends a signature out of `api.OTHERWISE`.
    assert not [p for p in patterns if not api.matched(lacks, [p])]
    assert not [p for p in api.OTHERWISE.split() if not api.matched(differ, [p])]
    said = f"all of its {len(api.entries()):,} names"
    assert said in Path(api.__file__).parents[1].joinpath("README.md").read_text()


def _imported(path: Path, package: str) -> Iterator[str]:
    """The modules, and the names of modules, that a file imports by a relative path."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_private_modules_are_imported_in_their_package_alone() -> None:
    """What packages share stands in modules without an underscore, such as `losses.shared`."""
    library = Path(cornu.__file__).parent
    found = []
    for path in library.rglob("*.py"):
        package = ".".join(path.relative_to(library.parent).parent.parts)
        for name in _imported(path, package):
            owner, _, inner = name.partition("._")
            is_module = library.parent.joinpath(*name.split(".")).with_suffix(".py").exists()
            if inner and is_module and not f"{package}.".startswith(f"{owner}."):
                found.append(f"{path.relative_to(library)}: {name}")
    assert not found
