"""The page of a model's graph: what it holds, and what it does in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.visualization._graph import graph_of
from tests import browsing
from tests.visualization import models


def names(graph: dict[str, Any]) -> list[str]:
    return [f"{node['kind']} {node['path']}".strip() for node in graph["nodes"]]


def test_a_graph_has_calls_and_what_flows_between_them() -> None:
    graph = graph_of(models.two_towers())
    nodes = graph["nodes"]
    by_name = {node["name"]: node for node in nodes}
    edges = {(nodes[a]["name"], nodes[b]["name"]) for a, b in graph["edges"]}
    assert {("picture", "conv2d"), ("summed", "concatenate"), ("concatenate", "head")} <= {
        (re.sub(r"_\d+$", "", a), re.sub(r"_\d+$", "", b)) for a, b in edges
    }
    assert by_name["summed"]["parent"] == by_name["seeing"]["id"]
    assert by_name["seeing"]["group"] and by_name["seeing"]["model"]
    assert by_name["attention"]["group"] and not by_name["attention"]["model"]
    assert by_name["head"]["shape"] == "(None, 5)"
    assert ["Parameters", "245"] in by_name["head"]["told"]
    assert by_name["head"]["weights"][0] == ["head/kernel", "(48, 5) float32"]
    # Within the block, what it does to heads by itself: scores, and what they choose.
    inside = [node["kind"] for node in nodes if node["parent"] == by_name["attention"]["id"]]
    assert inside.count("EinsumDense") == 4 and inside.count("einsum") == 2
    assert graph["facts"] == ["Functional", f"{models.two_towers().count_params():,} parameters"]


def test_shared_layers_and_what_gives_back_its_input() -> None:
    dense, x = layers.Dense(4, name="shared"), cornu.Input((4,), name="x")
    y = layers.Identity(name="same")(dense(dense(x)))
    graph = graph_of(cornu.Model(x, layers.Add(name="sum")([x, y])))
    assert names(graph) == [
        "InputLayer x",
        "Dense shared",
        "Dense shared",
        "Identity same",
        "Add sum",
    ]
    assert sorted(map(tuple, graph["edges"])) == [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)]
    assert [dict(node["told"]).get("Call") for node in graph["nodes"][1:3]] == ["1 of 2", "2 of 2"]


def test_a_subclass_of_ops_alone() -> None:
    class Net(cornu.Model):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(input_shape[-1], 3))

        def call(self, x: Any) -> Any:
            return cornu.ops.tanh(cornu.ops.matmul(x, self.w))

    model = Net()
    model(np.ones((2, 5), "float32"))
    graph = graph_of(model, flops=True)
    assert names(graph) == ["InputLayer input", "matmul"]
    assert graph["nodes"][1]["cost"] == "15 multiply-adds"
    assert graph["facts"][-1] == "15 multiply-adds"


def test_the_page_is_one_file(tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(2)], name="a<b>c")
    picture = model.visualize(tmp_path / "new" / "graph.html")
    page = (tmp_path / "new" / "graph.html").read_text()
    assert page == picture.html and "a<b>c" not in page
    assert re.findall(r"<(?:link|script|img)[^>]*(?:src|href)=\"(?!data:)", page) == []
    assert "MIT License" in page and "Copyright (c) 2012-2014 Chris Pettitt" in page
    inline = picture._repr_html_()
    assert inline.startswith("<iframe srcdoc=") and inline.count('"') == 6
    held = json.loads(re.search(r'type="application/json">(.*?)</script>', page)[1])
    assert [node["kind"] for node in held["nodes"]] == ["InputLayer", "Dense"]


def test_a_model_that_was_never_built() -> None:
    with pytest.raises(ValueError, match="never built"):
        cornu.Sequential([layers.Dense(2)]).visualize()


# ----------------------------------------------------------------- in a browser


def looked_at(make: Callable[[], Any], folder: Path, steps: list[Any], width: int = 1200) -> Any:
    """What is seen at first and after each step."""
    file = folder / "graph.html"
    make().visualize(file, flops=True)
    seen = browsing.driven("graph.mjs", file.as_uri(), folder, steps, width)
    assert seen["errors"] == [] and not seen["overflow"]
    assert seen["requests"] == [file.as_uri()]  # nothing is fetched
    assert not any(state["overlaps"] for state in seen["states"])
    return seen["states"]


def in_browser(test: Any) -> Any:
    for mark in browsing.MARKS:
        test = mark(test)
    return test


@in_browser
@pytest.mark.parametrize("width", [1200, 400])
def test_a_small_model_is_seen_whole(tmp_path: Path, width: int) -> None:
    steps = [{"click": "Conv2D first"}, {"key": "Escape"}, {"search": "nowhere"}]
    first, chosen, left, lost = looked_at(models.small_cnn, tmp_path, steps, width)
    assert len(first["nodes"]) == 7 and first["edges"] == 6
    assert width < 1000 or first["whole"]
    assert "97,344" in chosen["details"]
    assert "first/kernel" in chosen["details"] and left["details"] == ""
    assert (lost["found"], lost["hits"]) == ("nothing", 0)


@in_browser
def test_models_open_and_close(tmp_path: Path) -> None:
    steps: list[Any] = [
        {"click": "Collapse reading"},
        {"click": "Collapse all"},
        {"double": "Sequential seeing"},
        {"search": "einsumdense reading"},
        {"key": "Enter"},
        {"click": "Expand all"},
    ]
    first, one, none, again, found, further, every = looked_at(models.two_towers, tmp_path, steps)
    assert first["groups"] == ["Sequential seeing", "Functional reading"]
    assert "MultiHeadAttention attention" in first["nodes"]  # a block, closed at first
    assert one["groups"] == ["Sequential seeing"] and "Functional reading" in one["nodes"]
    assert none["groups"] == [] and none["whole"] and len(none["nodes"]) == 8
    assert again["groups"] == ["Sequential seeing"] and "Dense summed" in again["nodes"]
    assert (
        found["found"] == "1 of 4"
        and found["sees"]
        and "MultiHeadAttention attention" in found["groups"]
    )
    assert further["found"] == "2 of 4" and further["sees"]
    assert len(every["groups"]) == 3 and every["whole"]


@in_browser
def test_a_notebook_shows_it_and_scrolls_past(tmp_path: Path) -> None:
    file = tmp_path / "notebook.html"
    file.write_text(f"<!DOCTYPE html>{models.small_cnn().visualize()._repr_html_()}")
    steps = [{"wheel": [0, 60]}, {"click": "Conv2D first"}, {"pinch": -100}]
    seen = browsing.driven("graph.mjs", file.as_uri(), tmp_path, steps)
    first, scrolled, chosen, closer = seen["states"]
    assert seen["errors"] == [] and len(first["nodes"]) == 7
    assert scrolled["y"] == first["y"] and closer["scale"] > first["scale"]
    assert "first/kernel" in chosen["details"]


@in_browser
def test_a_deep_model_pans_and_zooms(tmp_path: Path) -> None:
    steps = [
        *({"pinch": -200}, {"wheel": [30, 70]}, {"drag": [40, -60]}, {"key": "-"}),
        *({"search": "last"}, {"click": "Fit"}),
    ]
    first, closer, moved, dragged, wider, last, whole = looked_at(models.deep, tmp_path, steps)
    assert len(first["nodes"]) == 200 and 0.7 < first["scale"] < 0.8
    assert closer["scale"] == pytest.approx(first["scale"] * np.e, rel=1e-3)
    assert (moved["x"], moved["y"]) == pytest.approx((closer["x"] - 30, closer["y"] - 70), abs=0.1)
    assert (dragged["x"], dragged["y"]) == pytest.approx((moved["x"] + 40, moved["y"] - 60), abs=1)
    assert wider["scale"] == pytest.approx(dragged["scale"] / 1.3, rel=1e-3)
    assert last["found"] == "1 of 1" and last["sees"]
    assert whole["whole"] and whole["scale"] < 0.2
