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
from typing import Any

import keras
import pytest

import cornu
from cornu.core.op import OPS, _specialize

#: What an import must not load: the engines' libraries, and what takes long and is needed later.
LATE = (
    *("jax", "torch", "tensorflow", "pytensor", "onnx", "onnxruntime"),
    *(
        "scipy",
        "h5py",
        "rich",
        "numpy.random",
        "importlib.metadata",
        "email",
        "logging",
        "ml_dtypes",
    ),
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


#: Keras's namespaces that are not complete yet.
LATER = {
    *("applications", "datasets", "distillation", "distribution", "export", "quantizers"),
    *("visualization", "wrappers"),
}
#: Keras's names that are not here, in the other namespaces.
MISSING = {
    "": {"Quantizer"},
    "callbacks": {"OrbaxCheckpoint", "TensorBoard"},
    "dtype_policies": {
        *("AWQDTypePolicy", "GPTQDTypePolicy", "Int4DTypePolicy", "QuantizedDTypePolicy"),
        "QuantizedFloat8DTypePolicy",
    },
    "layers": {
        *("AugMix", "AutoContrast", "CategoryEncoding", "CenterCrop", "CutMix", "Discretization"),
        *("ContrastLimitedAdaptiveHistogramEqualization", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
        *("Equalization", "FlaxLayer", "HashedCrossing", "Hashing", "IntegerLookup", "JaxLayer"),
        *("MaxNumBoundingBoxes", "MelSpectrogram", "MixUp", "Pipeline", "RandAugment"),
        *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast"),
        *("RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGrayscale"),
        *("RandomGaussianBlur", "RandomHue", "RandomInvert", "RandomPerspective", "RandomRotation"),
        *("RandomPosterization", "RandomSaturation", "RandomSharpness", "RandomShear"),
        *("RandomTranslation", "RandomZoom", "ReversibleEmbedding", "STFTSpectrogram"),
        *("Solarization", "StringLookup", "TFSMLayer", "TextVectorization", "TorchModuleWrapper"),
    },
    "optimizers": {"ScheduleFreeAdamW"},
    "preprocessing": {
        *("image", "image_dataset_from_directory", "text_dataset_from_directory"),
        "timeseries_dataset_from_array",
    },
    "utils": {
        *("FeatureSpace", "array_to_img", "audio_dataset_from_directory", "bounding_boxes"),
        *("get_file", "image_dataset_from_directory", "img_to_array", "load_img", "model_to_dot"),
        *("plot_model", "save_img", "text_dataset_from_directory", "timeseries_dataset_from_array"),
    },
}


def public(module: Any) -> set[str]:
    return {name for name in dir(module) if not name.startswith("_")} - {"src", "legacy"}


def namespaces(module: Any, path: str = "") -> dict[str, Any]:
    """A package of Keras and those below it, by their paths."""
    found = {path: module}
    for name in public(module):
        part = getattr(module, name)
        if inspect.ismodule(part) and part.__name__.startswith(f"{module.__name__}."):
            found |= namespaces(part, f"{path}.{name}".lstrip("."))
    return found


def test_names() -> None:
    """Every name of Keras is here, in the namespace where Keras has it, but for `MISSING`."""
    missing: dict[str, set[str]] = {}
    for path, theirs in namespaces(keras).items():
        ours: Any = cornu
        for part in filter(None, path.split(".")):
            ours = getattr(ours, part, None)
        names = public(theirs) - set(dir(ours)) - (set() if path else LATER)
        if ours is not None and path.partition(".")[0] not in LATER and names:
            missing[path] = names
    assert missing == MISSING


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
