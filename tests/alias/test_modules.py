"""`keras` means Cornu where it is asked for, and Keras everywhere else."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import cornu
from cornu.alias import _modules as modules

#: What an expression says in a process in which `keras` means Cornu.
FOUND = {
    "keras.__version__": keras.__version__,
    "keras.version()": keras.version(),
    "keras.layers.Dense is cornu.layers.Dense": True,
    "keras.src.layers.core.dense.Dense is cornu.layers.Dense": True,
    "issubclass(cornu.Model, importlib.import_module('keras.src.trainers.trainer').Trainer)": True,
    "importlib.import_module('keras.api.layers').Dense is cornu.layers.Dense": True,
    "importlib.import_module('keras._tf_keras.keras.layers').Dense is cornu.layers.Dense": True,
    "importlib.import_module('keras.src.ops.numpy').Add().get_config()['name']": "add",
    "keras.src.saving.serialization_lib.in_safe_mode()": True,
    "keras.src.saving.serialization_lib.serialize_keras_object('a')": "a",
    "keras.src.losses.losses.LossFunctionWrapper is cornu.losses.LossFunctionWrapper": True,
    "keras.src.backend.compute_output_spec(keras.ops.exp, keras.KerasTensor((2,))).shape": [2],
    "keras.src.backend.standardize_shape([None, 2])": [None, 2],
    "keras.src.backend.nn.relu is cornu.ops.relu": True,
    "keras.src.backend.common.variables.Variable is cornu.Variable": True,
    "keras.src.distribution.distribution_lib.list_devices is cornu.distribution.list_devices": True,
    "issubclass(keras.layers.Conv2D, keras.src.layers.convolutional.base_conv.BaseConv)": True,
    "issubclass(keras.layers.MaxPooling2D, keras.src.layers.pooling.base_pooling.BasePooling)": True,
    "issubclass(keras.layers.Add, keras.src.layers.merging.base_merge.Merge)": True,
    "keras.src.utils.backend_utils.in_tf_graph()": False,
    "pickle.loads(pickle.dumps(keras.layers.Dense)) is keras.layers.Dense": True,
    "importlib.metadata.version('keras')": keras.__version__,
    "hasattr(keras.layers, 'Nothing')": False,
    "importlib.util.find_spec('keras.src.nothing')": None,
    "'Dense' in dir(keras.layers) and 'Dense' in keras.layers.__all__": True,
    "subprocess.check_output([sys.executable, '-c', 'import keras; print(keras.ops)'], text=True)[:19]": (
        "<module 'keras.ops'"
    ),
}


@functools.cache
def process_says() -> dict[str, object]:
    """What each expression is, in one process."""
    names = "importlib, importlib.metadata, importlib.util, json, pickle, subprocess, sys"
    code = f"import cornu.as_keras, cornu, keras, {names}\n"
    code += f"print(json.dumps({{x: eval(x) for x in {list(FOUND)}}}))"
    return dict(json.loads(output("-c", code)))


def output(*arguments: str) -> str:
    environment = {**os.environ, "CORNU_BACKEND": "numpy", "PYTHONPATH": os.getcwd()}
    run = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("expression", FOUND)
def test_what_programs_find(expression: str) -> None:
    assert process_says()[expression] == FOUND[expression]


def test_modules_are_those_of_keras() -> None:
    """Packages, and the modules in each, as they are in the installed Keras."""
    root = Path(keras.__file__).parent
    found = {}
    for package in [root / "src", *(root / "src").rglob("*/")]:
        if (package / "__init__.py").exists():
            names = {x.stem for x in package.glob("*.py") if not x.stem.endswith("_test")}
            names |= {x.parent.name for x in package.glob("*/__init__.py")}
            found[package.relative_to(root).parts] = names - {"__init__"}
    assert modules._known() == found


def test_without_it_keras_is_keras() -> None:
    assert keras.layers.Dense is not cornu.layers.Dense
    with pytest.raises(ImportError, match="Import `cornu.as_keras` before what imports `keras`."):
        modules.install()


@pytest.mark.parametrize("given", [["-m", "said", "7"], ["said.py", "7"]])
def test_programs_run_as_they_are(given: list[str], tmp_path: Path) -> None:
    """As scripts and as modules, with their arguments, beside their own modules."""
    (tmp_path / "said.py").write_text(
        "import sys, keras, beside\n"
        "from importlib.metadata import distribution\n"
        "from cornu import alias\n"
        "assert str(distribution('keras').locate_file('')) == alias.PATH\n"
        "if __name__ == '__main__': print(sys.argv[1:], keras.Layer, beside.__name__)"
    )
    (tmp_path / "beside.py").write_text("")
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); from cornu.cli import main; sys.exit(main({given}))"
    assert output("-c", code) == "['7'] <class 'cornu.layers._layer.Layer'> beside\n"


def test_a_program_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    code = "from cornu.cli import main; print(main(['nothing.py']), main(['-m']), main(['-c', 'x = 1']))"
    assert output("-c", code) == "2 2 0\n"


def test_where_tensorflow_traces() -> None:
    """What asks whether it is within a graph is told so there alone."""
    code = (
        "import cornu.as_keras, cornu, tensorflow as tf; from keras.src.utils.backend_utils import in_tf_graph\n"
        "seen = []\n"
        "with cornu.backend.use('tensorflow'): tf.function(lambda: seen.append(in_tf_graph()))()\n"
        "print(seen, in_tf_graph())"
    )
    assert output("-c", code) == "[True] False\n"
