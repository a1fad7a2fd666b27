"""What an export says on the terminal."""

from __future__ import annotations

import json
import keyword
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path


def report(path: Path, files: Iterable[Path], rows: Iterable[tuple[str, str]]) -> None:
    """Print what was written, and what is known of it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Exported {path}", title_justify="left", show_header=False, box=None)
    for file in files:
        table.add_row(file.name, f"{file.stat().st_size:,} bytes")
    for name, told in rows:
        table.add_row(name, told)
    Console(soft_wrap=True).print(table)


_LOAD = 'import { load } from "cornu-runtime"; const outputs = await (await load("PATH"OPTIONS)).predict(INPUTS)'
#: What runs what was written, a line a language, by the format. `PATH` stands for what was written, `STEM` for
#: that without its suffix, `FOLDER` and `NAME` for where it is and what it is called there, `INPUTS` for a
#: dictionary of arrays by the inputs' names, `OPTIONS` for what `load` takes beside the path.
LINES = {
    "litert": {
        "Python": "from ai_edge_litert.interpreter import Interpreter; "
        'outputs = Interpreter("PATH").get_signature_runner()(**INPUTS)',
    },
    "onnx": {
        "Python": 'import onnxruntime; outputs = onnxruntime.InferenceSession("PATH").run(None, INPUTS)',
        "JavaScript": _LOAD,
        "shell": "python -m cornu serve PATH",
    },
    "onnx_training": {
        "Python": 'import onnxruntime, safetensors.numpy; state = safetensors.numpy.load_file("STEM.safetensors"); '
        'found = onnxruntime.InferenceSession("PATH").run(None, INPUTS | state)',
        "back": 'model.load_weights("STEM.safetensors")',
    },
    "tf_saved_model": {
        "Python": "import tensorflow as tf; "
        'outputs = tf.saved_model.load("PATH").signatures["serving_default"](**INPUTS)',
        "shell": "saved_model_cli show --dir PATH --all",
    },
    "tfjs": {
        "JavaScript": _LOAD.replace("PATH", "PATH/model.json"),
        "by itself": 'const outputs = (await tf.loadGraphModel("PATH/model.json")).predict(INPUTS)',
        "shell": "python -m http.server --directory FOLDER",
    },
    "tfjs_layers": {
        "JavaScript": _LOAD.replace("PATH", "PATH/model.json"),
        "to train": 'const model = await tf.loadLayersModel("PATH/model.json")',
        "shell": "python -m http.server --directory FOLDER",
    },
    "triton": {
        "Python": 'import cornu; outputs = cornu.serving.Client("http://localhost:8000").predict("NAME", INPUTS)',
        "shell": "tritonserver --model-repository FOLDER",
    },
    "web": {"shell": "python -m webbrowser PATH"},
}


def show_lines(format: str, path: Path, names: Sequence[str], preprocessing: Path | None) -> None:
    """Print the lines that run what was written, a line a language.

    Args:
        format: Its format.
        path: Where it is.
        names: The names of its inputs; the arrays are called so too, where Python takes them.
        preprocessing: Where the layers are that the package computes for JavaScript, if any.
    """
    from rich.console import Console

    plain = [name.isidentifier() and not keyword.iskeyword(name) for name in names]
    arrays = [name if plain[i] else f"x{i}" for i, name in enumerate(names)]
    inputs = ", ".join(f"{json.dumps(x)}: {y}" for x, y in zip(names, arrays, strict=True))
    said = {
        "PATH": path,
        "STEM": path.parent / path.stem,
        "FOLDER": path.parent,
        "NAME": path.absolute().name,
    }
    # What has a path stands within quotes in code, and without in a shell's line.
    code = {word: json.dumps(str(x), ensure_ascii=False)[1:-1] for word, x in said.items()}
    code["INPUTS"] = f"{{{inputs}}}"
    beside = json.dumps(str(preprocessing), ensure_ascii=False)
    code["OPTIONS"] = "" if preprocessing is None else f", {{preprocessing: {beside}}}"
    shell = {word: shlex.quote(str(x)) for word, x in said.items()}
    lines = LINES.get(format, {})
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for language, line in lines.items():
        parts = re.split("(PATH|STEM|FOLDER|NAME|INPUTS|OPTIONS)", line)
        known = shell if language == "shell" else code
        line = "".join(known.get(part, part) for part in parts)
        console.print(f"{language:{max(map(len, lines))}}  {line}")
