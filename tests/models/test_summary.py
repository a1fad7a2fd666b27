"""`summary` against Keras, cell by cell, and what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import cornu


def chain(k: ModuleType) -> Any:
    la = k.layers
    stack = [la.Conv2D(4, 3), la.BatchNormalization(), la.Flatten(), la.Dense(10, name="last")]
    return k.Sequential([k.Input((8, 8, 1)), *stack], name="chain")


def trained(k: ModuleType) -> Any:
    model = chain(k)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def graph(k: ModuleType) -> Any:
    la = k.layers
    a, b = k.Input((16,), name="left"), k.Input((16,), name="right")
    shared = la.Dense(8, name="shared")
    joined = la.Concatenate()([shared(a), shared(b)])
    inner = k.Sequential([la.Dense(4), la.Dense(2)], name="inner")
    inner.trainable = False
    out = inner(joined)
    return k.Model([a, b], [out, k.ops.relu(out)], name="graph")


def recurrent(k: ModuleType) -> Any:
    x = k.Input((5,))
    return k.Model(x, k.layers.LSTM(3, return_state=True)(k.layers.Embedding(10, 4)(x)), name="r")


def deep(k: ModuleType) -> Any:
    la = k.layers
    x = k.Input((5,), name="x")
    stack = k.Sequential([la.Dense(3), k.Sequential([la.Dense(2)], name="low")], name="high")
    return k.Model(x, k.Model(x, stack(x), name="mid")(x), name="deep")


def unbuilt(k: ModuleType) -> Any:
    return k.Sequential([k.layers.Dense(3), k.layers.Dense(2)], name="unbuilt")


def subclassed(k: ModuleType) -> Any:
    class Net(k.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.first = k.layers.Dense(3)
            self.rest = k.Sequential([k.layers.Dense(2)])
            self.unused = k.layers.LSTM(3)

        def call(self, x: Any) -> Any:
            return self.rest(self.first(x))

    model = Net()
    model(np.ones((2, 4), "float32"))
    return model


def half(k: ModuleType) -> Any:
    return k.Sequential([k.Input((6,)), k.layers.Dense(3, dtype="bfloat16")], name="half")


def empty(k: ModuleType) -> Any:
    return k.Sequential(name="empty")


ROWS: list[tuple[Callable[[ModuleType], Any], dict[str, Any]]] = [
    (chain, {}),
    (chain, {"show_trainable": True}),
    (trained, {}),
    (graph, {}),
    (graph, {"expand_nested": True, "show_trainable": True}),
    (graph, {"layer_range": ["sh.*", "inner"]}),
    (recurrent, {}),
    (deep, {"expand_nested": True}),
    (unbuilt, {}),
    (subclassed, {"expand_nested": True}),
    (half, {}),
    (empty, {}),
]


def text_of(model: Any, **options: Any) -> str:
    found: list[str] = []
    model.summary(print_fn=lambda text, **_: found.append(text), **options)
    assert len(found) == 1
    return found[0]


def contents(text: str) -> tuple[list[list[str]], list[str]]:
    """The cells of each row of the table, and the lines around it."""
    lines = text.splitlines()
    cells = [
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in lines
        if line[:1] in "┃│"
    ]
    outside = [line.strip() for line in lines if line and line[0] not in "┏┃┡│├└"]
    return cells, [line for line in outside if not line.startswith("Not built yet")]


@pytest.mark.filterwarnings("ignore:`build..` was called:UserWarning")
@pytest.mark.parametrize(("make", "options"), ROWS)
def test_cells_are_those_of_keras(
    make: Callable[[ModuleType], Any], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    theirs, mine = (text_of(make(k), line_length=180, **options) for k in (keras, cornu))
    assert contents(mine) == contents(theirs)


def test_looks() -> None:
    assert text_of(graph(cornu)) == (
        'Model: "graph"\n'
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓\n"
        "┃ Layer (type)              ┃ Output Shape ┃ Param # ┃ Connected to               ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩\n"
        "│ left (InputLayer)         │ (None, 16)   │       0 │ -                          │\n"
        "├───────────────────────────┼──────────────┼─────────┼────────────────────────────┤\n"
        "│ right (InputLayer)        │ (None, 16)   │       0 │ -                          │\n"
        "├───────────────────────────┼──────────────┼─────────┼────────────────────────────┤\n"
        "│ shared (Dense)            │ (None, 8)    │     136 │ left[0][0], right[0][0]    │\n"
        "├───────────────────────────┼──────────────┼─────────┼────────────────────────────┤\n"
        "│ concatenate (Concatenate) │ (None, 16)   │       0 │ shared[0][0], shared[1][0] │\n"
        "├───────────────────────────┼──────────────┼─────────┼────────────────────────────┤\n"
        "│ inner (Sequential)        │ (None, 2)    │      78 │ concatenate[0][0]          │\n"
        "├───────────────────────────┼──────────────┼─────────┼────────────────────────────┤\n"
        "│ relu (Relu)               │ (None, 2)    │       0 │ inner[0][0]                │\n"
        "└───────────────────────────┴──────────────┴─────────┴────────────────────────────┘\n"
        " Total params: 214 (856.00 B)\n"
        " Trainable params: 136 (544.00 B)\n"
        " Non-trainable params: 78 (312.00 B)\n"
    )


def test_unbuilt_models_say_so() -> None:
    text = text_of(unbuilt(cornu))
    assert "│ dense (Dense)   │ ?            │ 0 (unbuilt) │" in text
    assert text.endswith(
        " Not built yet: call it on data, or `build(input_shape)`, to see what is missing.\n"
    )


def test_costs_are_columns_and_lines() -> None:
    text = text_of(deep(cornu), flops=True, memory=True, batch_size=10, expand_nested=True)
    cells, lines = contents(text)
    assert cells[0][3:6] == ["Mult-Adds", "Weights", "Activations"]
    assert [row[3:6] for row in cells[-2:]] == [["60", "32.00 B", "0.00 B"]] * 2
    assert lines[-4:] == [
        "Multiply-adds: 210 (matmul 210; a batch of 10)",
        "Element-wise operations: 50 (a batch of 10)",
        "Activations in inference: 200.00 B (at most at once; a batch of 10)",
        "Activations in training: 120.00 B (kept for the way back; a batch of 10)",
    ]


def test_costs_that_depend_on_a_size_that_is_not_known() -> None:
    text = text_of(recurrent(cornu), flops=True, input_shape=(2, 7))
    assert "Multiply-adds: 1,176 (matmul 1,176; inputs of (2, 7))" in text
    x = cornu.Input((None, 4))
    text = text_of(cornu.Model(x, cornu.layers.LSTM(3)(x)), flops=True, memory=True)
    assert "Multiply-adds: unknown, as a size is: give `input_shape`" in text


@pytest.mark.parametrize("width", [40, 60, 79, 120])
def test_no_line_is_longer_than_asked_for(width: int) -> None:
    long = cornu.Sequential([cornu.Input((4,)), cornu.layers.Dense(2, name="long_" * 12)])
    for model in (long, chain(cornu), graph(cornu)):
        lines = text_of(model, line_length=width).splitlines()
        table = [line for line in lines if line[:1] in "┏┃┡│├└"]
        assert {len(line) for line in table} == {width}
        assert max(map(len, lines)) <= max(width, 40)
    joined = "".join(
        line.split("│")[1].strip()
        for line in text_of(long, line_length=width).splitlines()
        if line[0] == "│"
    )
    assert "long_" * 12 in joined


def test_prints_to_the_terminal_as_wide_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    chain(cornu).summary()
    printed = capsys.readouterr().out
    assert printed.startswith('Model: "chain"\n')
    assert max(map(len, printed.splitlines())) <= 50
    assert "\x1b" not in printed


def test_positions() -> None:
    text = text_of(chain(cornu), line_length=100, positions=[0.2, 0.9, 1.0])
    edges = [i for i, mark in enumerate(text.splitlines()[1]) if mark == "┳"]
    assert edges[0] < 25 and edges[1] > 80


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": [0.5, 1.0]}, r"right edges of the 3 columns.*positions=\[0.5, 1.0\]"),
        ({"positions": [0.5, 0.4, 1.0]}, "rising to 1"),
        ({"layer_range": ["conv2d"]}, "two names"),
        ({"layer_range": ["conv2d", "lost"]}, "'lost', which no layer of 'chain' fits"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        chain(cornu).summary(**options)
