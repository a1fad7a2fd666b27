"""What a call of a model takes, against counts by hand, published figures and JAX's own analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.models.costs import costs


def alone(layer: Any, *shape: int | None) -> Any:
    return cornu.Sequential([cornu.Input(shape), layer])


def attending() -> Any:
    x = cornu.Input((5, 16))
    return cornu.Model(x, layers.MultiHeadAttention(2, 4)(x, x))


def shared() -> Any:
    dense, x = layers.Dense(8, name="shared"), cornu.Input((8,))
    return cornu.Model(x, ops.matmul(dense(dense(x)), np.ones((8, 3), "float32")))


class Block(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = layers.Dense(12, "relu"), layers.Dense(6)

    def call(self, x: Any) -> Any:
        return x + self.narrow(self.wide(x))


class Net(cornu.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(), Block()

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


def subclassed() -> Any:
    model = Net()
    model.build((None, 6))
    return model


def of_words() -> Any:
    """A subclass that was built by a call: its inputs are known as shapes alone, and have a mask."""

    class Words(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.read = layers.Embedding(10, 4, mask_zero=True), layers.GRU(3)

        def call(self, inputs: Any) -> Any:
            return {"read": self.read(self.embed(inputs["words"])) + inputs["more"]}

    model = Words()
    model({"words": np.ones((2, 7), "int32"), "more": np.ones((2, 3), "float32")})
    return model


def looping() -> Any:
    """A `scan` by hand, and a loop of unknown length, of which one turn counts."""

    def call(x: Any) -> Any:
        _, y = ops.scan(lambda carry, row: (ops.matmul(row, np.ones((4, 4), "float32")),) * 2,
                        x[0], x)  # fmt: skip
        return ops.while_loop(
            lambda y: ops.sum(y) < 100, lambda y: ops.matmul(y, np.ones((4, 4), "float32")), (y,)
        )[0]

    return cornu.Sequential([cornu.Input(batch_shape=(7, 2, 4)), layers.Lambda(call)])


def resnet18() -> Any:
    def convolved(x: Any, filters: int, window: int, strides: int) -> Any:
        x = layers.Conv2D(filters, window, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = image = cornu.Input((224, 224, 3))
    x = layers.ReLU()(convolved(x, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage in range(4):
        for strides in (1 if stage == 0 else 2, 1):
            filters = 64 * 2**stage
            y = layers.ReLU()(convolved(x, filters, 3, strides))
            y = convolved(y, filters, 3, 1)
            way = convolved(x, filters, 1, strides) if strides == 2 else x
            x = layers.ReLU()(layers.add([way, y]))
    return cornu.Model(image, layers.Dense(1000)(layers.GlobalAveragePooling2D()(x)))


def mobilenet() -> Any:
    """MobileNet (Howard et al., 2017, table 1)."""
    stack: list[Any] = [cornu.Input((224, 224, 3)), layers.Conv2D(32, 3, 2, padding="same")]
    for filters, strides in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                             *[(512, 1)] * 5, (1024, 2), (1024, 1)]:  # fmt: skip
        stack += [layers.DepthwiseConv2D(3, strides, padding="same"), layers.Conv2D(filters, 1)]
    return cornu.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(1000)])


@dataclass
class Row:
    """A model, the size of the batch, and how many multiply-adds a call takes."""

    name: str
    make: Callable[[], Any]
    batch: int
    count: int
    input_shape: Any = None

    def __str__(self) -> str:
        return self.name


ROWS = [
    Row("Dense", lambda: alone(layers.Dense(4), 8), 10, 10 * 8 * 4),
    Row("Dense over time", lambda: alone(layers.Dense(4), 5, 8), 2, 2 * 5 * 8 * 4),
    Row("EinsumDense", lambda: alone(layers.EinsumDense("...x,xy->...y", 4), 5, 8), 2, 320),
    Row("Conv1D", lambda: alone(layers.Conv1D(6, 3, 2), 11, 4), 2, 2 * 5 * 3 * 4 * 6),
    Row("Conv2D", lambda: alone(layers.Conv2D(6, 3), 10, 10, 4), 2, 2 * 64 * 9 * 4 * 6),
    Row("in groups", lambda: alone(layers.Conv2D(6, 3, groups=2), 10, 10, 4), 1, 64 * 9 * 2 * 6),
    Row("dilated", lambda: alone(layers.Conv2D(6, 3, dilation_rate=2), 10, 10, 4), 1, 7776),
    Row("Conv3D", lambda: alone(layers.Conv3D(2, 2), 3, 3, 3, 4), 1, 8 * 8 * 4 * 2),
    Row("transposed", lambda: alone(layers.Conv2DTranspose(6, 3, 2), 5, 5, 4), 1, 25 * 9 * 4 * 6),
    Row("depthwise", lambda: alone(layers.DepthwiseConv2D(3), 10, 10, 4), 1, 64 * 9 * 4),
    Row("separable", lambda: alone(layers.SeparableConv2D(6, 3), 10, 10, 4), 1, 64 * 4 * (9 + 6)),
    Row("LSTM", lambda: alone(layers.LSTM(8), 7, 16), 2, 2 * 7 * 4 * 8 * (16 + 8)),
    Row("LSTM of any length", lambda: alone(layers.LSTM(8), None, 16), 0, 10_752, (2, 7, 16)),
    Row("GRU", lambda: alone(layers.GRU(8), 7, 16), 2, 2 * 7 * 3 * 8 * (16 + 8)),
    Row("two ways", lambda: alone(layers.Bidirectional(layers.SimpleRNN(8)), 7, 16), 1, 2_688),
    Row("RNN", lambda: alone(layers.RNN(layers.LSTMCell(8)), 7, 16), 1, 7 * 4 * 8 * (16 + 8)),
    Row("TimeDistributed", lambda: alone(layers.TimeDistributed(layers.Dense(3)), 5, 4), 2, 120),
    Row("attention", attending, 3, 3 * (4 * 5 * 16 * 8 + 2 * 5 * 5 * 8)),
    Row("Embedding", lambda: alone(layers.Embedding(10, 4), 7), 2, 0),
    Row("BatchNormalization", lambda: alone(layers.BatchNormalization(), 4), 2, 0),
    Row("shared, and an op", shared, 2, 2 * (2 * 8 * 8 + 8 * 3)),
    Row("subclassed", subclassed, 5, 5 * 2 * 2 * 6 * 12),
    Row("dictionaries, masks", of_words, 5, 5 * 7 * 3 * 3 * (4 + 3)),
    Row("loops", looping, 7, 7 * 2 * 4 * 4 * 2),
    Row("ResNet-18", resnet18, 1, 1_814_073_344),
    Row("MobileNet", mobilenet, 1, 568_740_352),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_multiply_adds(row: Row) -> None:
    found = costs(row.make(), row.batch, row.input_shape)
    assert found.multiply_adds() == sum(found.by_primitive().values()) == row.count


def test_einsum_of_three_operands() -> None:
    def call(x: Any) -> Any:
        return ops.einsum("bij,jk,kl->bil", x, np.ones((4, 5)), np.ones((5, 6)))

    assert costs(alone(layers.Lambda(call), 3, 4), 2).multiply_adds() == 2 * 3 * 5 * (4 + 6)


def test_figures_are_those_of_what_runs_within() -> None:
    model = subclassed()
    found = costs(model, 5)
    assert found.multiply_adds([model.first]) == 5 * 2 * 6 * 12
    assert found.multiply_adds([model.first, model.first.wide]) == 5 * 6 * 12
    assert found.multiply_adds([model.second, model.first.wide]) == 0
    # The bias and the comparison and choice of relu; the second bias and the sum.
    assert found.elementwise([model.first]) == 5 * (3 * 12 + 2 * 6)


def test_counting_leaves_no_trace() -> None:
    model = shared()
    nodes = [len(operation._inbound_nodes) for operation in model.operations]
    state = [variable.numpy() for variable in model.variables]
    costs(model)
    assert [len(operation._inbound_nodes) for operation in model.operations] == nodes
    np.testing.assert_equal([variable.numpy() for variable in model.variables], state)


def frozen() -> Any:
    model = cornu.Sequential([cornu.Input((8,)), *(layers.Dense(n, "relu") for n in (4, 2))])
    model.layers[0].trainable = False
    return model


#: Bytes of a batch of ten: what training keeps, and what is alive at once in inference.
MEMORY: list[tuple[Callable[[], Any], int, int]] = [
    # Kept: the first result, which the second kernel's gradient reads. Alive: both results.
    (lambda: cornu.Sequential([cornu.Input((8,)), layers.Dense(4), layers.Dense(2)]), 160, 240),
    # Kept besides: where relu let through, a byte each.
    (lambda: alone(layers.Dense(4, "relu"), 8), 40, 200),
    (lambda: alone(layers.Dense(4, "tanh"), 8), 160, 160),
    # What is frozen needs no gradient, so the first result is kept for the second kernel alone.
    (frozen, 160 + 20, 240),
    # The gates of each step, and its state, in every turn of the loop.
    (lambda: alone(layers.Flatten(), 2, 3), 0, 0),
]


@pytest.mark.parametrize(("make", "kept", "peak"), MEMORY)
def test_memory(make: Callable[[], Any], kept: int, peak: int) -> None:
    found = costs(make(), batch_size=10)
    assert (found.kept(), found.peak()) == (kept, peak)


def test_recomputed_layers_keep_their_input_alone() -> None:
    class Again(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def call(self, x: Any) -> Any:
            return self.rematerialized_call(self.block)(x)

    told = Block()
    told.rematerialize()
    first = layers.Dense(6)
    plain, again, asked = (
        costs(cornu.Sequential([cornu.Input((6,)), first, block]), 10).kept()
        for block in (Block(), Again(), told)
    )
    assert (plain, again, asked) == (10 * (4 * 6 + 4 * 12 + 12), 10 * 4 * 6, 10 * 4 * 6)


def test_native_functions_are_unknown() -> None:
    class Native(layers.Layer):
        def call(self, x: Any) -> Any:
            import jax.numpy as jnp

            return jnp.tanh(x)

    with cornu.backend.use("jax"):
        found = costs(cornu.Sequential([cornu.Input((4,)), layers.Dense(3), Native()]), 2)
    assert found.multiply_adds() is None and found.by_primitive() == {"matmul": 24}


def test_a_size_that_is_not_known() -> None:
    found = costs(alone(layers.LSTM(8), None, 16))
    assert (found.multiply_adds(), found.kept(), found.peak()) == (None, None, None)


def test_a_model_that_was_never_built() -> None:
    with pytest.raises(ValueError, match="Received: the model 'lost', never built"):
        costs(cornu.Sequential([layers.Dense(3)], name="lost"))


@pytest.mark.parametrize(
    ("make", "shape"),
    [(attending, (2, 5, 16)), (lambda: alone(layers.Conv2D(8, 3), 9, 9, 4), (2, 9, 9, 4))],
)
def test_jax_counts_as_many(make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    """XLA counts two operations for a multiply-add, and those of single elements."""
    import jax

    with cornu.backend.use("jax"):
        model, x = make(), np.ones(shape, "float32")
        weights = [weight.value for weight in model.weights]
        lowered = jax.jit(lambda w, x: model.stateless_call(w, [], x)[0]).lower(weights, x)
        counted = lowered.compile().cost_analysis()["flops"]
    found = costs(model, 2)
    assert counted / (2 * found.multiply_adds() + found.elementwise()) == pytest.approx(1, rel=0.15)
