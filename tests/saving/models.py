"""Models of every make, by Keras or by Cornu: a row takes the package, gives model and data."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

Built = tuple[Any, Any]

MODELS: dict[str, Callable[[ModuleType], Built]] = {}
_made: dict[tuple[str, str], Any] = {}
#: What makes each registered class and function, for a package.
REGISTERED: list[Callable[[ModuleType], Any]] = []


def row(build: Callable[[ModuleType], Built]) -> Callable[[ModuleType], Built]:
    """Add a model to the table."""
    MODELS[build.__name__] = build
    return build


def registered(make: Callable[[ModuleType], Any]) -> Callable[[ModuleType], Any]:
    """A class, or function, made for a package once and registered there."""

    def of(k: ModuleType) -> Any:
        key = (k.__name__, make.__name__)
        if key not in _made:
            _made[key] = k.saving.register_keras_serializable("tests")(make(k))
        return _made[key]

    REGISTERED.append(of)
    return of


def data(*shape: int, kind: str = "float32", high: int = 5) -> np.ndarray[Any, Any]:
    """Inputs that are always the same."""
    draw = np.random.default_rng(0)
    if kind == "int32":
        return draw.integers(0, high, shape).astype("int32")
    return draw.normal(size=shape).astype(kind)


def outputs(model: Any, x: Any) -> list[np.ndarray[Any, Any]]:
    """What a model gives, as a list of arrays."""
    out = model(x, training=False)
    if isinstance(out, dict):
        out = [out[key] for key in sorted(out)]
    return [np.asarray(o, "float32") for o in (out if isinstance(out, (list, tuple)) else [out])]


# ------------------------------------------------------------------ plain ones


@row
def sequential(k: ModuleType) -> Built:
    la = k.layers
    stack = [la.Dense(4, activation="relu"), la.Dropout(0.5, seed=1), la.BatchNormalization()]
    return k.Sequential([k.Input((4,)), *stack, la.Dense(2)]), data(8, 4)


@row
def sequential_built_by_call(k: ModuleType) -> Built:
    model = k.Sequential([k.layers.Dense(3), k.layers.Dense(2, name="last")])
    model(data(8, 4))
    return model, data(8, 4)


@row
def two_inputs_two_outputs(k: ModuleType) -> Built:
    la = k.layers
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = la.Dense(3, name="shared")
    x = la.Add()([shared(a), shared(b)])
    inner = k.Sequential([la.Dense(3), la.Dense(3)], name="inner")
    first = inner(x)
    second = la.Dense(1, name="second")(la.Concatenate()([x, first]))
    return k.Model([a, b], [first, second]), [data(8, 4), data(8, 4) + 1]


@row
def dictionary_of_inputs(k: ModuleType) -> Built:
    inputs = {"a": k.Input((4,), name="a"), "b": k.Input((4,), name="b")}
    out = k.layers.Dense(2)(k.layers.Subtract()([inputs["a"], inputs["b"]]))
    return k.Model(inputs, {"out": out}), {"a": data(8, 4), "b": data(8, 4) + 1}


@row
def nested(k: ModuleType) -> Built:
    la = k.layers
    x = k.Input((2,))
    first = k.Model(x, la.Dense(2)(x), name="first")
    x = k.Input((2,))
    second = k.Model(x, la.Dense(3)(x), name="second")
    out = k.Input((2,))
    y = first(out)
    model = k.Model(out, [second(y), first(y)])
    return k.Sequential([k.Input((2,)), k.layers.Dense(2), model]), data(8, 2)


@row
def stateful(k: ModuleType) -> Built:
    x = np.zeros((2, 3, 4), "float32")  # states stay 0, however often it runs
    return k.Sequential([k.Input(batch_shape=x.shape), k.layers.LSTM(2, stateful=True)]), x


@row
def ops_in_the_graph(k: ModuleType) -> Built:
    x = k.Input((4,))
    y = k.ops.relu(k.layers.Dense(4)(x)) + x * 2.0
    y = k.ops.concatenate([y, k.ops.sum(x, axis=-1, keepdims=True)], axis=-1)
    return k.Model(x, k.layers.Dense(2)(y[:, 1:])), data(8, 4)


@row
def operators_in_the_graph(k: ModuleType) -> Built:
    x = k.Input((4,))
    y = k.ops.divide(1.0 / (x * x + 1.0), 2.0) + x / 3.0 - x // 2.0 + 1.5 % (x + 9.0) - (x % 2.0)
    y = k.ops.where((x > 0) & (x <= 1) | ~(y < 2), -(y**2.0), abs(y) - 2.0**x)
    return k.Model(x, [y @ k.ops.transpose(y), x != y]), data(8, 4)


@row
def frozen(k: ModuleType) -> Built:
    la = k.layers
    model = k.Sequential([k.Input((4,)), la.Dense(3, trainable=False), la.BatchNormalization()])
    model.layers[1].trainable = False
    return model, data(8, 4)


@row
def mixed_dtypes(k: ModuleType) -> Built:
    la = k.layers
    stack = [la.Dense(3, dtype="mixed_float16"), la.Dense(3, dtype="bfloat16"), la.Dense(2)]
    return k.Sequential([k.Input((4,)), *stack]), data(8, 4)


# ----------------------------------------------------------------- layers


@row
def images(k: ModuleType) -> Built:
    la = k.layers
    stack = [
        la.Rescaling(1 / 3, offset=0.1),
        la.Conv2D(4, 3, padding="same", activation="relu"),
        la.DepthwiseConv2D(3, strides=2),
        la.SeparableConv2D(5, 2),
        la.Conv2DTranspose(3, 2),
        la.LayerNormalization(),
        la.GroupNormalization(1),
        la.SpectralNormalization(la.Conv2D(3, 1)),
        la.MaxPooling2D(2),
        la.GlobalAveragePooling2D(),
        la.UnitNormalization(),
        la.RMSNormalization(),
        la.PReLU(),
    ]
    return k.Sequential([k.Input((9, 9, 2)), *stack]), data(4, 9, 9, 2)


@row
def recurrent(k: ModuleType) -> Built:
    la = k.layers
    x = k.Input((5,), dtype="int32")
    y = la.Embedding(5, 4)(x)
    y = la.Bidirectional(la.LSTM(3, return_sequences=True))(y)
    cells = [la.GRUCell(2), la.LSTMCell(3), la.SimpleRNNCell(2, dropout=0.1, seed=3)]
    y = la.RNN(cells, return_sequences=True)(y)
    return k.Model(x, la.TimeDistributed(la.Dense(4))(y)), data(4, 5, kind="int32")


@row
def attention(k: ModuleType) -> Built:
    la = k.layers
    x = k.Input((5, 4))
    y = la.MultiHeadAttention(2, 3, dropout=0.1, seed=1)(x, x)
    y = la.GroupQueryAttention(3, 4, 2)(y, y)
    y = la.AdditiveAttention()([y, x])
    y = la.Attention(use_scale=True, score_mode="concat")([y, x])
    return k.Model(x, la.EinsumDense("abc,cd->abd", (None, 2), bias_axes="d")(y)), data(4, 5, 4)


@row
def adapted(k: ModuleType) -> Built:
    x = data(8, 4)
    layer = k.layers.Normalization()
    layer.adapt(x * 3 + 1)
    return k.Sequential([k.Input((4,)), layer, k.layers.Dense(2)]), x


@row
def low_rank(k: ModuleType) -> Built:
    layer = k.layers.Dense(3)
    model = k.Sequential([k.Input((4,)), layer])
    layer.enable_lora(2)
    return model, data(8, 4)


# ---------------------------------------------------------------- users' own


@registered
def Scale(k: ModuleType) -> Any:
    class Scale(k.layers.Layer):
        def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape: Any) -> None:
            self.steps = self.add_weight(shape=(), trainable=False, name="steps")
            self.scale = self.add_weight(shape=(input_shape[-1],), name="scale")

        def call(self, x: Any) -> Any:
            return x * self.scale * self.factor + self.steps

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    return Scale


@registered
def double(k: ModuleType) -> Any:
    def double(x: Any) -> Any:
        return 2 * x

    return double


@registered
def OwnState(k: ModuleType) -> Any:
    class OwnState(k.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.offset = self.add_weight(shape=(input_shape[-1],), name="offset")
            self.count = 7

        def call(self, x: Any) -> Any:
            return x + self.offset

        def save_own_variables(self, store: Any) -> None:
            store["offset"] = self.offset
            store["count"] = self.count

        def load_own_variables(self, store: Any) -> None:
            self.offset.assign(store["offset"])
            self.count = int(store["count"])

        def save_assets(self, folder: str) -> None:
            with open(f"{folder}/words.txt", "w") as file:
                file.write("hello")

        def load_assets(self, folder: str) -> None:
            with open(f"{folder}/words.txt") as file:
                self.words = file.read()

    return OwnState


@registered
def ByConfig(k: ModuleType) -> Any:
    class ByConfig(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = 0

        def build(self, input_shape: Any) -> None:
            self.width = input_shape[-1]
            self.inner = k.layers.Dense(self.width)
            self.inner.build(input_shape)
            self.built = True

        def get_build_config(self) -> dict[str, Any]:
            return {"width": self.width}

        def build_from_config(self, config: dict[str, Any]) -> None:
            self.build((None, config["width"]))

        def call(self, x: Any) -> Any:
            return self.inner(x)

    return ByConfig


@registered
def Parts(k: ModuleType) -> Any:
    """Sublayers wherever an attribute can hold them."""
    la = k.layers

    class Parts(k.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.second = la.Dense(2, name="b")
            self.both = self.second
            self.numbers = [1, 2, {}]
            self.blocks = [
                [1],
                la.Dense(2),
                la.Dense(2, name="named"),
                [la.Dense(2)],
                (la.Dense(2),),
            ]
            self.table = {"b": la.Dense(2), "a": la.Dense(2), "deep": {"x": la.Dense(2)}}
            self.pair = (la.Dense(2), la.ReLU())
            self._hidden = la.Dense(2)
            self.Upper = la.Dense(2)
            self.loose = [k.Variable(np.ones(2, "float32"))]
            self.mean = k.metrics.Mean()
            self.generator = k.random.SeedGenerator(1)

        @property
        def alias(self) -> Any:
            return self.Upper

        @property
        def broken(self) -> Any:
            raise RuntimeError("never there")

        def _in_order(self) -> list[Any]:
            blocks, table = self.blocks, self.table
            inner = [blocks[3][0], blocks[4][0], table["a"], table["b"], table["deep"]["x"]]
            return [self.second, *blocks[1:3], *inner, *self.pair, self._hidden, self.Upper]

        def build(self, input_shape: Any) -> None:
            for layer in self._in_order():
                layer.build((None, 2))
            self.built = True

        def call(self, x: Any) -> Any:
            for layer in self._in_order():
                x = layer(x)
            return x * self.loose[0]

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return Parts


@registered
def Subclassed(k: ModuleType) -> Any:
    la = k.layers

    class Subclassed(k.Model):
        def __init__(self, width: int = 2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width
            self.zeroth = la.Dense(width)
            self.parts = Parts(k)()
            self.inner = k.Sequential([la.Dense(width)])
            self.many = [la.Dense(width), la.Dense(width)]
            self.norm = la.BatchNormalization()

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.inner(self.parts(self.zeroth(x)))
            for layer in self.many:
                x = layer(x)
            return self.norm(x, training=training)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    return Subclassed


@row
def custom_layers(k: ModuleType) -> Built:
    stack = [Scale(k)(3.0), k.layers.Lambda(double(k)), OwnState(k)(), ByConfig(k)()]
    return k.Sequential([k.Input((4,)), *stack]), data(8, 4)


@row
def parts(k: ModuleType) -> Built:
    return k.Sequential([k.Input((2,)), Parts(k)()]), data(8, 2)


@row
def subclassed(k: ModuleType) -> Built:
    model = Subclassed(k)(2)
    model(data(8, 2))
    return model, data(8, 2)


@row
def subclassed_in_a_graph(k: ModuleType) -> Built:
    x = k.Input((2,))
    return k.Model(x, k.layers.Dense(1)(Subclassed(k)(2)(x))), data(8, 2)


# ------------------------------------------------------------------- training


def trained(k: ModuleType, model: Any, x: Any, optimizer: Any, **options: Any) -> Any:
    """The model after a few steps, so that optimizer and statistics have a state."""
    model.compile(optimizer, **{"loss": "mse", **options})
    y = [np.zeros(np.shape(out), "float32") for out in outputs(model, x)]
    model.fit(x, y[0] if len(y) == 1 else y, verbose=0, batch_size=4)
    return model


def _net(k: ModuleType) -> Any:
    la = k.layers
    return k.Sequential([k.Input((4,)), la.Dense(3), la.BatchNormalization(), la.Dense(2)])


@row
def trained_adam(k: ModuleType) -> Built:
    x = data(8, 4)
    options = {"metrics": ["mae", k.metrics.RootMeanSquaredError()], "loss": k.losses.Huber(0.5)}
    return trained(k, _net(k), x, "adam", **options), x


@row
def trained_sgd(k: ModuleType) -> Built:
    x = data(8, 4)
    schedule = k.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = k.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
    return trained(k, _net(k), x, optimizer), x


@row
def trained_two_outputs(k: ModuleType) -> Built:
    model, x = two_inputs_two_outputs(k)
    options = {"metrics": [["mae"], ["mse"]], "loss_weights": [0.5, 1.0], "loss": ["mse", "mae"]}
    return trained(k, model, x, k.optimizers.RMSprop(0.01, momentum=0.1), **options), x


@row
def trained_scaled(k: ModuleType) -> Built:
    x = data(8, 4)
    optimizer = k.optimizers.LossScaleOptimizer(k.optimizers.Adam())
    return trained(k, _net(k), x, optimizer), x


@row
def trained_subclassed(k: ModuleType) -> Built:
    model, x = subclassed(k)
    return trained(k, model, x, "adamw"), x
