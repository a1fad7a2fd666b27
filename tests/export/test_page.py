"""Exported pages in a browser, used as a person would: from disk and over http, wide and narrow."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import cornu
from cornu import layers
from tests import browsing
from tests.browsing import MARKS

pytestmark = MARKS
driven = functools.partial(browsing.driven, "drive.mjs")
SEVEN = [[0.3, 0.15], [0.7, 0.15], [0.6, 0.4], [0.5, 0.6], [0.42, 0.85]]
ZERO = [[0.5, 0.1], [0.3, 0.25], [0.25, 0.5], [0.3, 0.75], [0.5, 0.9], [0.7, 0.75], [0.75, 0.5],
        [0.7, 0.25], [0.5, 0.1]]  # fmt: skip
#: By keyboard, from the middle: up without drawing, then down with it.
ONE = [*["ArrowUp"] * 8, *["Shift+ArrowDown"] * 17]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that reads digits."""
    data = load_digits()
    images = (data.images[..., None] / 16).astype("float32")
    cornu.utils.set_random_seed(1)
    model = cornu.Sequential(
        [
            cornu.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, data.target, batch_size=64, epochs=12, verbose=0)
    file = tmp_path_factory.mktemp("page") / "digits.html"
    labels = [str(digit) for digit in range(10)]
    model.export(
        file, format="web", title="Digits <1>", examples=images[:12], labels=labels, verbose=False
    )
    return file


@pytest.fixture
def served(digits: Path) -> Iterator[str]:
    """The page's address over http."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing."""

    handler = functools.partial(Quiet, directory=str(digits.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{digits.name}"
        server.shutdown()


@pytest.mark.parametrize("width", [1200, 360])
def test_a_drawn_digit_is_recognized_from_disk(digits: Path, tmp_path: Path, width: int) -> None:
    steps = [{"click": "Clear"}, {"draw": SEVEN}, {"click": "Clear"}, {"draw": ZERO}]
    steps += [{"click": "Clear"}, {"keys": ["Shift+Tab", *ONE]}, {"click": "Example 4"}]
    seen = driven(digits.as_uri(), tmp_path, steps, width)
    assert [seen["answers"][i] for i in (1, 3, 5, 6)] == ["7", "0", "1", "3"]
    assert seen["errors"] == [] and not seen["overflow"]
    assert seen["requests"] == [digits.as_uri()]  # nothing is fetched
    assert "Answer in" in seen["facts"] and "kB" in seen["facts"]


def test_over_http(served: str, tmp_path: Path) -> None:
    seen = driven(served, tmp_path, [{"click": "Clear"}, {"draw": SEVEN}])
    assert seen["answers"][1] == "7"
    assert seen["errors"] == [] and seen["requests"] == [served]


def test_an_image_is_read_from_a_file(digits: Path, tmp_path: Path) -> None:
    """Dark ink on light paper, as a scanner gives it."""
    from matplotlib import image

    paper = 1 - np.kron(load_digits().images[3] / 16, np.ones((16, 16)))
    file = tmp_path / "three.png"
    image.imsave(file, np.pad(paper, 40, constant_values=1), cmap="gray", vmin=0, vmax=1)
    assert driven(digits.as_uri(), tmp_path, [{"choose": str(file)}])["answers"] == ["3"]


def test_numbers_are_typed(tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((3,), name="wine"), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0], [10.0], [100.0]], "float32")])
    file = tmp_path / "numbers.html"
    model.export(file, format="web", verbose=False)
    steps = [{"fill": ["wine 1", "2"]}, {"fill": ["wine 3", "-1.5"]}, {"fill": ["wine 2", "30"]}]
    seen = driven(file.as_uri(), tmp_path, steps)
    assert seen["answers"] == ["2", "-148", "152"]
    assert seen["errors"] == []


def test_a_series_is_chosen_or_typed(tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((None, 1), name="series"), layers.GlobalMaxPooling1D()])
    file = tmp_path / "series.html"
    examples = np.array([[1.0, 5.0, 2.0], [7.0, 3.0, 1.0]])[..., None]
    model.export(file, format="web", examples=examples, verbose=False)
    steps = [{"click": "Example 2"}, {"fill": ["series", "4, 8\n9.5 1"]}]
    seen = driven(file.as_uri(), tmp_path, steps)
    assert seen["answers"] == ["7", "9.5"]
    assert seen["errors"] == []


def test_labels_name_every_class(tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(4, activation="softmax")])
    with pytest.raises(ValueError, match="Received: 2 labels for 4 classes"):
        model.export(tmp_path / "page.html", format="web", labels=["a", "b"], verbose=False)
    assert list(tmp_path.iterdir()) == []
