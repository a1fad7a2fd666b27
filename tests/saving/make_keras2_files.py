"""Make `keras2.zip`: models of Keras 2 in each of its formats, with data and what they predict.

Keras 2 lives on as `tf_keras`, which needs an environment of its own:

    python -m venv /tmp/keras2 && /tmp/keras2/bin/pip install tf_keras tensorflow-cpu
    /tmp/keras2/bin/python tests/saving/make_keras2_files.py

A row of `MODELS` gives a model and its inputs. Of those that are compiled the archive also has what they
predict after one more step on `data.npz`, so that the optimizer's state counts.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

la = keras.layers
Built = tuple[Any, list[np.ndarray[Any, Any]]]
MODELS: dict[str, Callable[[], Built]] = {}
TARGET = Path(__file__).parent / "keras2.zip"


def row(build: Callable[[], Built]) -> Callable[[], Built]:
    """Add a model to the table."""
    MODELS[build.__name__] = build
    return build


def data(*shape: int, high: int = 0) -> np.ndarray[Any, Any]:
    """Inputs that are always the same: normal ones, or integers below `high`."""
    draw = np.random.default_rng(len(shape))
    if high:
        return draw.integers(0, high, shape).astype("int32")
    return draw.normal(size=shape).astype("float32")


def functional(*arrays: np.ndarray[Any, Any], call: Callable[..., Any]) -> Built:
    """A model of what a function makes of inputs like arrays."""
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in arrays]
    return keras.Model(inputs, call(*inputs)), list(arrays)


# ---------------------------------------------------------------------- layers


@row
def dense() -> Built:
    def call(x: Any) -> Any:
        y = la.Dense(6, "hard_sigmoid", kernel_regularizer="l2", kernel_constraint="max_norm")(x)
        y = la.LeakyReLU(0.2)(la.BatchNormalization()(y))
        y = la.LayerNormalization()(la.Dropout(0.3)(y))
        y = la.PReLU()(la.Dense(5, keras.layers.LeakyReLU(0.1), use_bias=False)(y))
        z = la.ThresholdedReLU(0.3)(la.GaussianNoise(0.1)(y))
        w = la.ReLU(1.0, 0.1, 0.2)(la.ELU(0.5)(la.ActivityRegularization(0.1)(y)))
        joined = [la.Softmax()(z), la.UnitNormalization()(w), la.Activation("swish")(y)]
        norm = la.Concatenate()(joined)
        return la.EinsumDense("ab,bc->ac", 4, bias_axes="c", activation="gelu")(norm)

    return functional(data(8, 4), call=call)


@row
def images() -> Built:
    def call(x: Any) -> Any:
        y = la.Rescaling(1 / 3, offset=0.1)(x)
        y = la.Conv2D(4, 3, padding="same", activation="relu")(la.ZeroPadding2D(1)(y))
        y = la.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(la.BatchNormalization()(y))
        y = la.SeparableConv2D(5, 2, activation="elu")(y)
        y = la.GroupNormalization(1)(la.Conv2DTranspose(3, 2, strides=2)(y))
        y = la.UpSampling2D(2, interpolation="bilinear")(la.Cropping2D(1)(y))
        pooled = [la.MaxPooling2D(2)(y), la.AveragePooling2D(3, 2, padding="same")(y)]
        y = la.SpatialDropout2D(0.2)(la.Maximum()(pooled))
        z = la.Permute((2, 1, 3))(la.Resizing(4, 4)(y))
        ends = [la.GlobalAveragePooling2D()(y), la.GlobalMaxPooling2D(keepdims=False)(z)]
        return [*ends, la.Dense(2)(la.Flatten()(z))]

    return functional(data(4, 9, 9, 2), call=call)


@row
def sequences() -> Built:
    def call(words: Any, x: Any) -> Any:
        y = la.Embedding(7, 4, mask_zero=True)(words)
        y = la.Bidirectional(la.LSTM(3, return_sequences=True))(y)
        y = la.GRU(4, return_sequences=True, recurrent_activation="hard_sigmoid")(y)
        cells = [la.GRUCell(2, reset_after=False), la.LSTMCell(3), la.SimpleRNNCell(2)]
        y = la.RNN(cells, return_sequences=True)(y)
        y = la.TimeDistributed(la.Dense(4))(y)
        z, h, c = la.LSTM(3, return_sequences=True, return_state=True)(la.Masking(0.0)(x))
        z = la.LSTM(3, go_backwards=True)(z, initial_state=[h, c])
        v = la.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)
        v = la.SimpleRNN(3, unroll=True)(la.MaxPooling1D()(la.ZeroPadding1D(1)(v)))
        return [la.GlobalAveragePooling1D()(y), la.Multiply()([z, v])]

    return functional(data(4, 6, high=7), data(4, 6, 3), call=call)


@row
def attention() -> Built:
    def call(x: Any, y: Any) -> Any:
        z = la.MultiHeadAttention(2, 3, dropout=0.1)(x, y)
        z = la.MultiHeadAttention(2, 3, value_dim=2, output_shape=5)(query=z, value=y, key=y)
        z = la.Attention(use_scale=True, score_mode="concat")([la.Dense(4)(z), x])
        z = la.AdditiveAttention()([z, y])
        normal = la.Normalization()
        normal.adapt(data(9, 4) * 3 + 1)
        return la.Dot(2, normalize=True)([normal(z), la.Add()([z, x])])

    return functional(data(3, 5, 4), data(3, 6, 4), call=call)


# ---------------------------------------------------------------------- graphs


@row
def nested() -> Built:
    x = keras.Input((4,))
    inner = keras.Model(x, la.Dense(4)(x), name="inner")
    stack = keras.Sequential([la.Dense(3, input_shape=(4,)), la.BatchNormalization()], name="stack")

    def call(x: Any, y: Any) -> Any:
        shared = la.Dense(4, name="block1/shared")
        u, v = shared(x), shared(y)
        u = inner(inner(u))
        stack.layers[0].trainable = False
        return {"far": stack(v), "near": la.Concatenate()([u, inner(v), stack(x)])}

    return functional(data(8, 4), data(8, 4) + 1, call=call)


@row
def transfer() -> Built:
    x = keras.Input((6, 6, 2))
    base = keras.Model(x, la.GlobalMaxPooling2D()(la.Conv2D(3, 3)(x)), name="base")
    base.trainable = False
    return keras.Sequential([base, la.Dense(3, "tanh"), la.Dense(1)]), [data(4, 6, 6, 2)]


@row
def functions() -> Built:
    def call(x: Any, y: Any) -> Any:
        z = tf.concat([x, 2.0 * y - 1.0], axis=-1)[:, 1:, :5]
        z = tf.nn.relu(z) / (1.0 + tf.square(z)) + tf.reduce_mean(z, axis=1, keepdims=True)
        z = tf.transpose(la.Dense(3)(z), perm=[0, 2, 1]) ** 2.0
        w = tf.cast(tf.reshape(z, (-1, 15)) > 0.5, "float32") - tf.expand_dims(x[:, 0, 0], -1)
        w = tf.clip_by_value(w, -0.5, 0.5) * tf.sigmoid(tf.abs(w)) @ tf.ones((15, 2))
        return [tf.nn.softmax(w), tf.maximum(tf.exp(-z), tf.stack([z, z], axis=0)[0])]

    return functional(data(3, 6, 4), data(3, 6, 4), call=call)


# -------------------------------------------------------------------- training


def trained(optimizer: Any, loss: Any = "mse", **options: Any) -> Built:
    """A small model after some steps."""
    x = data(8, 4)
    stack = [la.Dense(3, "tanh", name="one"), la.BatchNormalization(), la.Dense(2, name="two")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(optimizer, loss, **options)
    model.fit(x, np.zeros((8, 2), "float32"), verbose=0, batch_size=4, epochs=2, shuffle=False)
    return model, [x]


def optimizers() -> dict[str, Callable[[], Any]]:
    new, old = keras.optimizers, keras.optimizers.legacy
    schedule = new.schedules.ExponentialDecay(0.1, 2, 0.5)
    return {
        "adam": lambda: new.Adam(0.01, amsgrad=True),
        "adamw": lambda: new.AdamW(0.01, weight_decay=0.1),
        "adamax": lambda: new.Adamax(0.01, clipnorm=0.5),
        "adagrad": lambda: new.Adagrad(0.1),
        "adadelta": lambda: new.Adadelta(1.0),
        "ftrl": lambda: new.Ftrl(0.05),
        "lion": lambda: new.Lion(0.01),
        "nadam": lambda: new.Nadam(0.01),
        "rmsprop": lambda: new.RMSprop(0.01, momentum=0.5, centered=True),
        "sgd": lambda: new.SGD(schedule, momentum=0.9, nesterov=True),
        "averaging": lambda: new.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
        "older_adam": lambda: old.Adam(0.01, amsgrad=True, decay=0.1),
        "older_sgd": lambda: old.SGD(0.1, momentum=0.9),
        "older_rmsprop": lambda: old.RMSprop(0.01, momentum=0.5, centered=True),
    }


for name, make in optimizers().items():
    MODELS[f"trained_{name}"] = lambda make=make: trained(make())  # type: ignore[misc]


@row
def trained_with_metrics() -> Built:
    metrics = ["mae", keras.metrics.RootMeanSquaredError(), keras.metrics.CosineSimilarity(axis=1)]
    options = {"weighted_metrics": ["mse"], "loss_weights": [0.5]}
    return trained("adam", keras.losses.Huber(0.5), metrics=metrics, **options)


@row
def trained_in_float16() -> Built:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return trained(keras.optimizers.Adam(0.01))
    finally:
        keras.mixed_precision.set_global_policy("float32")


# ---------------------------------------------------------------- users' classes


@keras.saving.register_keras_serializable("tests")
class Scale(la.Layer):
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


@keras.saving.register_keras_serializable("tests")
def double(x: Any) -> Any:
    return 2 * x


@row
def users_layers() -> Built:
    stack = [Scale(3.0), la.Dense(2, double)]  # a `Lambda` of Keras 2 holds code in any case
    return keras.Sequential([keras.Input((4,)), *stack]), [data(8, 4)]


# ------------------------------------------------------------------------ files


def flat(outputs: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(x, "float32") for x in tf.nest.flatten(outputs)]


def write(name: str, folder: Path) -> None:
    """Files of a model in each format, its JSON, and its data."""
    keras.utils.set_random_seed(3)
    model, inputs = MODELS[name]()
    for weight in model.weights:  # so that each of them matters
        if not model.optimizer and (weight.trainable or "moving" in weight.name):
            noise = np.random.default_rng(len(name)).uniform(0.1, 1.0, weight.shape)
            weight.assign(noise.astype(weight.dtype.as_numpy_dtype) * np.sign(weight + 0.1))
    model.save(folder / f"{name}.h5", save_format="h5")
    if "older" not in name:  # which the new format has no state of
        model.save(folder / f"{name}.keras", save_format="keras")
    model.save_weights(folder / f"{name}.weights_alone.h5")
    (folder / f"{name}.json").write_text(model.to_json())
    arrays = {f"x{i}": x for i, x in enumerate(inputs)}
    arrays |= {f"y{i}": y for i, y in enumerate(flat(model.predict(inputs, verbose=0)))}
    if model.optimizer:
        model.train_on_batch(inputs, np.zeros((8, 2), "float32"))
        arrays |= {f"z{i}": z for i, z in enumerate(flat(model.predict(inputs, verbose=0)))}
    np.savez(folder / f"{name}.npz", **arrays)


def main() -> None:
    """Write the archive."""
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            keras.backend.clear_session()
            write(name, Path(folder))
        with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_LZMA) as archive:
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)


if __name__ == "__main__":
    main()
