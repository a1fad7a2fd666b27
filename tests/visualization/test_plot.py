"""Models as pictures: graphs for graphviz, and SVGs drawn without it."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import utils
from cornu.visualization._diagram import Shown, diagram
from cornu.visualization._layout import GAP, layout
from cornu.visualization._svg import _Scene
from tests.visualization import models


def branched(library: Any) -> Any:
    """A model within one, a layer that is called twice, an op."""
    layers = library.layers
    within = library.Sequential([library.Input((3,)), layers.Dense(5, name="inside")], name="inner")
    x, shared = library.Input((4,), name="x"), layers.Dense(5, activation="tanh", name="shared")
    y = within(layers.Dense(3, activation="relu", name="first")(x))
    return library.Model(x, layers.Add(name="sum")([shared(y), shared(y * 2)]), name="branched")


def texts(dot: Any) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """What boxes tell, by the name of their layer, and the pairs of names that are joined."""
    graphs = [dot, *dot.get_subgraphs()]
    nodes = [n for graph in graphs for n in graph.get_nodes() if n.get_label()]
    told = {n.get_name(): " ".join(re.sub("<[^>]*>", " ", n.get_label()).split()) for n in nodes}
    name = {key: text.split()[0] for key, text in told.items()}
    edges = {(name[e.get_source()], name[e.get_destination()]) for e in dot.get_edges()}
    return {name[key]: text for key, text in told.items()}, edges


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"expand_nested": True},
        {"show_dtype": True, "show_layer_activations": True, "rankdir": "LR"},
        {"subgraph": True},
    ],
)
def test_graphs_are_those_of_keras(shown: dict[str, Any]) -> None:
    (ours, edges), (theirs, wanted) = (
        texts(library.utils.model_to_dot(branched(library), **shown)) for library in (cornu, keras)
    )
    assert edges == wanted
    assert set(ours) == set(theirs)
    for name, text in theirs.items():
        assert set(re.findall(r"[\w()]+", text)) == set(re.findall(r"[\w()]+", ours[name]))


def test_what_boxes_tell() -> None:
    shown = Shown(shapes=True, names=True, trainable=True)
    found = {box.title: box.lines for box in diagram(branched(cornu), shown).boxes}
    assert found["x (InputLayer)"] == ["Output shape: (None, 4)"]
    wanted = ["Input shape: (None, 4)", "Output shape: (None, 3)", "Trainable: True"]
    assert found["first (Dense)"] == wanted
    assert len(diagram(models.small_cnn(), Shown()).boxes) == 6  # of a stack, layers alone


@pytest.mark.parametrize("seed", range(4))
def test_layouts(seed: int) -> None:
    """Boxes don't overlap, and nothing but what leads back runs upwards."""
    drawn = np.random.default_rng(seed)
    sizes = {i: (float(w), float(h)) for i, (w, h) in enumerate(drawn.integers(20, 90, (14, 2)))}
    edges = [(int(a), int(b)) for a, b in drawn.integers(0, 14, (24, 2)) if a != b]
    found = layout(sizes, edges)
    for (a, (x1, y1)), (b, (x2, y2)) in combinations(found.centres.items(), 2):
        apart = abs(x1 - x2) - (sizes[a][0] + sizes[b][0]) / 2
        assert apart >= GAP - 1e-6 or abs(y1 - y2) > (sizes[a][1] + sizes[b][1]) / 2
    for a, b in edges:
        way = found.routes[a, b]
        assert (way[0], way[-1]) == (found.centres[a], found.centres[b])
        assert (way[0][1] < way[-1][1]) == (a < b)


@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
def test_svgs(rankdir: str, tmp_path: Path) -> None:
    """Each box is there, apart from the others or around them, and each line is."""
    model, file = models.two_towers(), tmp_path / "model.svg"
    utils.plot_model(model, file, rankdir=rankdir, expand_nested=True, show_layer_names=True)
    page = ET.fromstring(file.read_text())
    boxes = [g for g in page if g.get("class", "").startswith("box")]
    found = diagram(model, Shown(names=True), expand_nested=True)
    titles = {
        g[1].text: {k: float(g[0].get(k)) for k in ("x", "y", "width", "height")} for g in boxes
    }
    assert list(titles) == [box.title for box in found.boxes]
    assert len([path for path in page if path.get("class") == "edge"]) == len(found.edges)
    spans = [
        (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        for box in titles.values()
    ]
    for one, two in combinations(spans, 2):
        apart = one[2] < two[0] or two[2] < one[0] or one[3] < two[1] or two[3] < one[1]
        within = one[:2] < two[:2] and one[2:] > two[2:]
        assert apart or within
    inputs, last = titles["picture (InputLayer)"], titles["head (Dense)"]
    axis, forward = ("x", "y")[rankdir in ("TB", "BT")], rankdir in ("TB", "LR")
    assert (inputs[axis] < last[axis]) == forward
    assert max(map(max, spans)) <= max(map(float, page.get("viewBox").split()))


def test_a_nested_model_is_as_wide_as_its_title() -> None:
    inner = cornu.Sequential([cornu.Input((2,)), cornu.layers.ReLU()], name="a" * 60)
    x = cornu.Input((2,))
    model = cornu.Model(x, inner(x))
    for direction in ("TB", "LR"):
        scene = _Scene(diagram(model, Shown(names=True), expand_nested=True), direction)
        assert scene.extent[0] > 450


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, file = models.small_cnn(), tmp_path / "model.png"
    with pytest.raises(ValueError, match="never built"):
        utils.plot_model(cornu.Sequential([cornu.layers.Dense(2)]), tmp_path / "model.svg")
    with pytest.raises(ValueError, match=r"`rankdir` must be one of \['TB', .* rankdir='up'"):
        utils.plot_model(model, file, rankdir="up")
    with pytest.raises(ValueError, match=r"no such arguments. Received: \['layer_range'\]"):
        utils.model_to_dot(model, layer_range=["a", "b"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError, match="no program `dot`. Install graphviz"):
        utils.plot_model(model, file)
    monkeypatch.setitem(sys.modules, "pydot", None)
    for draw in (lambda: utils.plot_model(model, file), lambda: utils.model_to_dot(model)):
        with pytest.raises(ImportError, match=r"pip install 'cornu\[graphviz\]'"):
            draw()
    assert list(tmp_path.iterdir()) == []
