"""Exported pages in a browser, used as a person would: from disk and over http, wide and narrow."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import cornu
from cornu import cli, layers
from tests import browsing
from tests.browsing import MARKS, serving

pytestmark = MARKS
driven = functools.partial(browsing.driven, "drive.mjs")
SEVEN = [[0.3, 0.15], [0.7, 0.15], [0.6, 0.4], [0.5, 0.6], [0.42, 0.85]]
ZERO = [[0.5, 0.1], [0.3, 0.25], [0.25, 0.5], [0.3, 0.75], [0.5, 0.9], [0.7, 0.75], [0.75, 0.5],
        [0.7, 0.25], [0.5, 0.1]]  # fmt: skip
LABELS = [str(digit) for digit in range(10)]
#: By keyboard, from the middle: up without drawing, then down with it.
ONE = [*["ArrowUp"] * 8, *["Shift+ArrowDown"] * 17]


def trained(images: Any, targets: Any) -> Any:
    """A model that reads digits."""
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
    model.fit(images, targets, batch_size=64, epochs=12, verbose=0)
    return model


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that reads digits."""
    data = load_digits()
    images = (data.images[..., None] / 16).astype("float32")
    model = trained(images, data.target)
    file = tmp_path_factory.mktemp("page") / "digits.html"
    model.export(
        file, format="web", title="Digits <1>", examples=images[:12], labels=LABELS, verbose=False
    )
    return file


@pytest.fixture
def served(digits: Path) -> Iterator[str]:
    """The page's address over http."""
    with serving(digits.parent) as address:
        yield f"{address}/{digits.name}"


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


class Table(cornu.Model):
    """Rows of a long table, by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = layers.Embedding(200_000, 1)

    def call(self, x: Any) -> Any:
        found = self.table(x["row"])
        return {"at": cornu.ops.argmax(found, axis=1), "mean": cornu.ops.mean(found), "none": None}


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    """In a model that was not made from `Input`s."""
    model, row = Table(), np.array([[123_457, 199_999]], "int32")
    model({"row": row})
    model.export(tmp_path / "rows.html", examples={"row": row}, verbose=False)
    seen = driven((tmp_path / "rows.html").as_uri(), tmp_path, [{"click": "Example 1"}])
    found = json.loads(
        (tmp_path / "rows.html")
        .read_text()
        .split('type="application/json">')[1]
        .split("</script>")[0]
    )
    assert found["examples"][0]["values"] == [[123_457, 199_999]] and seen["errors"] == []
    for batch, value, words in ((4, 0.0, "one input at a time"), (None, np.nan, "finite numbers")):
        model = cornu.Sequential([cornu.Input(batch_shape=(batch, 3)), layers.Dense(2)])
        with pytest.raises(ValueError, match=words):
            model.export(tmp_path / "no.html", examples=np.full((4, 3), value), verbose=False)


def test_labels_name_every_class(tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(4, activation="softmax")])
    with pytest.raises(ValueError, match="Received: 2 labels for 4 classes"):
        model.export(tmp_path / "page.html", format="web", labels=["a", "b"], verbose=False)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ learning


def sevens(count: int) -> list[Any]:
    """As somebody draws them, one unlike the other."""
    generator = np.random.default_rng(0)
    strokes = np.array([SEVEN[0], SEVEN[1], SEVEN[3], SEVEN[4]])
    moved = [
        strokes * generator.uniform(0.8, 1.1, 2) + generator.normal(0, 0.03, strokes.shape)
        for _ in range(count)
    ]
    return [np.clip(points, 0.03, 0.97).round(3).tolist() for points in moved]


def test_a_page_learns_a_class_from_twenty_drawings(tmp_path: Path) -> None:
    """And forgets no other; the weights that it offers are taken back, with what Adam keeps for them."""
    data = load_digits()
    images = (data.images[..., None] / 16).astype("float32")
    known = data.target != 7
    model, page = trained(images[known], data.target[known]), tmp_path / "learning.html"
    options = {"examples": images[known][:60], "labels": LABELS, "verbose": False}
    model.export(page, format="web", title="Digits that learn", learn=True, **options)
    drawings, back = sevens(25), tmp_path / "back.safetensors"
    taught = [[{"click": "Clear"}, {"draw": x}, {"click": "It is 7"}] for x in drawings[:20]]
    asked = [[{"click": "Clear"}, {"draw": x}] for x in drawings[20:]]
    shown = [{"click": f"Example {i}"} for i in range(2, 10)]  # 1 to 6, 8 and 9
    steps = [*sum(taught + asked, []), *shown, {"download": str(back)}]
    seen = driven(page.as_uri(), tmp_path, steps)
    assert seen["errors"] == [] and not seen["overflow"]
    assert seen["requests"] == [page.as_uri()]
    assert seen["answers"][1] != "7"
    assert seen["answers"][60:70][1::2] == ["7"] * 5
    assert seen["answers"][70:78] == [*"1234", seen["answers"][74], *"689"]
    data = load_digits()
    images, before = (
        (data.images[..., None] / 16).astype("float32"),
        int(model.optimizer.iterations),
    )
    assert not model.load_weights(back).missing
    found = model.predict(images, verbose=0).argmax(1)
    assert (found[data.target == 7] == 7).mean() > 0.7
    assert (found == data.target).mean() > 0.8
    assert int(model.optimizer.iterations) >= before + 20


def test_a_page_forgets_what_it_learned(tmp_path: Path) -> None:
    """On a narrow screen, in the dark; numbers, no examples, and a loss that takes a share for each class."""
    model = cornu.Sequential(
        [cornu.Input((2,), name="size"), layers.Dense(3, activation="softmax")]
    )
    model.set_weights([np.eye(2, 3, dtype="float32"), np.zeros(3, "float32")])
    model.compile("sgd", "categorical_crossentropy")
    file, labels = tmp_path / "sizes.html", ["wide", "tall", "square"]
    model.export(file, format="web", learn=True, labels=labels, verbose=False)
    steps = [{"scheme": "dark"}, {"fill": ["size 1", "3"]}, {"fill": ["size 2", "2"]}]
    steps += [{"click": "It is square"}, {"fill": ["size 2", "3"]}, {"click": "Forget"}]
    seen = driven(file.as_uri(), tmp_path, steps, 360)
    assert seen["answers"][2:] == ["wide", "square", "square", "wide"]
    assert seen["errors"] == [] and not seen["overflow"]


@pytest.mark.parametrize(
    "model, options, message",
    [
        (
            lambda: layers.Dense(4, activation="softmax"),
            {"float16": True},
            "in 32 bits. Received: learn",
        ),
        (lambda: layers.Dense(4), {}, "A page learns classes.*gives \\[\\(1, 4\\)\\]"),
    ],
)
def test_what_no_page_learns(model: Any, options: Any, message: str, tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((3,)), model()])
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ValueError, match=message):
        model.export(tmp_path / "page.html", learn=True, verbose=False, **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_writes_pages_that_learn(tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(4, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    model.save(tmp_path / "m.keras")
    assert cli.main(["export", str(tmp_path / "m.keras"), str(tmp_path / "m.html"), "--learn"]) == 0
    assert "Download the weights" in (tmp_path / "m.html").read_text()
