"""What users read when something is wrong: the whole texts, kept in `errors.txt`.

After a change of a text, `python -m tests.test_errors` writes the file anew; read the difference.
An error names the rule, what was received, where (the layer's path), and what to do.
"""

from __future__ import annotations

import conftest  # before an engine is imported  # isort: skip

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops

FILE = Path(__file__).with_name("errors.txt")
CASES: dict[str, Callable[[Path], Any]] = {}


def case(name: str) -> Callable[[Callable[..., Any]], None]:
    """Declare a case: a function that fails, which may take an empty folder."""

    def declare(function: Callable[..., Any]) -> None:
        takes = function.__code__.co_argcount
        CASES[name] = function if takes else lambda folder: function()

    return declare


X = np.zeros((8, 6), "float32")
Y = np.zeros((8,), "int32")


def network(**options: Any) -> Any:
    """A small compiled classifier, named net."""
    model = cornu.Sequential(
        [cornu.Input((6,)), layers.Dense(4, name="hidden"), layers.Dense(3, name="classes")],
        name="net",
    )
    model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **options})
    return model


def two_inputs() -> Any:
    left, right = cornu.Input((2,), name="left"), cornu.Input((3,), name="right")
    return cornu.Model(
        [left, right], layers.Dense(1)(layers.Concatenate()([left, right])), name="two"
    )


class Unbuilt(cornu.Model):
    """A model that nothing was passed through."""

    def __init__(self) -> None:
        super().__init__(name="unbuilt")
        self.dense = layers.Dense(3, name="dense")

    def call(self, x: Any) -> Any:
        return self.dense(x)


# ------------------------------------------------------------------------------ data


@case("wrong shape, deep in a model")
def _() -> None:
    network().fit(np.zeros((8, 5), "float32"), Y, verbose=0)


@case("wrong shape, a layer that is built")
def _() -> None:
    layer = layers.Dense(3, name="dense")
    layer(np.zeros((2, 4), "float32"))
    layer(np.zeros((2, 5), "float32"))


@case("wrong rank")
def _() -> None:
    layers.Conv2D(3, 3, name="convolution")(np.zeros((2, 8, 8), "float32"))


@case("wrong shape, within a subclassed model")
def _() -> None:
    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.norm = layers.Conv1D(3, 3, name="convolution")

        def call(self, x: Any) -> Any:
            return self.norm(x)

    class Net(cornu.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.block = Block()

        def call(self, x: Any) -> Any:
            return self.block(x)

    Net()(np.zeros((2, 6), "float32"))


@case("strings as data")
def _() -> None:
    network().fit(np.array([["a"] * 6] * 8), Y, verbose=0)


@case("strings to predict")
def _() -> None:
    network().predict(np.array([["a"] * 6]), verbose=0)


@case("a number to predict")
def _() -> None:
    network().predict(np.array(3.0), verbose=0)


@case("strings given to a layer")
def _() -> None:
    layers.Dense(3, name="dense")(np.array(["a", "b"]))


@case("a list given to a layer")
def _() -> None:
    layers.Dense(3, name="dense")([[1.0, 2.0]])


@case("an image smaller than the kernel")
def _() -> None:
    layers.Conv2D(3, 5, name="convolution")(cornu.Input((4, 4, 1)))


@case("lengths that differ")
def _() -> None:
    network().fit(X, Y[:5], verbose=0)


@case("sequences of several lengths")
def _() -> None:
    network().fit([[1.0, 2.0], [3.0]], Y[:2], verbose=0)


@case("no samples")
def _() -> None:
    network().fit(X[:0], Y[:0], verbose=0)


@case("no data")
def _() -> None:
    network().fit(verbose=0)


@case("a generator and y")
def _() -> None:
    network().fit((batch for batch in [(X, Y)]), Y, verbose=0)


@case("a generator that gives nothing")
def _() -> None:
    network().fit((batch for batch in []), verbose=0)


@case("a generator that gives lists")
def _() -> None:
    network().fit((batch for batch in [[X, Y]]), verbose=0)


@case("a generator and validation_split")
def _() -> None:
    network().fit((batch for batch in [(X, Y)]), validation_split=0.1, verbose=0)


@case("a validation_split that leaves nothing")
def _() -> None:
    network().fit(X, Y, validation_split=1.0, verbose=0)


@case("class weights and sample weights")
def _() -> None:
    network().fit(X, Y, class_weight={0: 1.0}, sample_weight=np.ones(8), verbose=0)


@case("a batch size of zero")
def _() -> None:
    network().fit(X, Y, batch_size=-1, verbose=0)


@case("too few inputs")
def _() -> None:
    two_inputs()([np.zeros((4, 2))])


@case("too many inputs")
def _() -> None:
    two_inputs().predict([np.zeros((4, 2))] * 3, verbose=0)


@case("an input missing by name")
def _() -> None:
    two_inputs()({"left": np.zeros((4, 2))})


@case("an input of the wrong shape")
def _() -> None:
    two_inputs()([np.zeros((4, 2)), np.zeros((4, 2))])


@case("targets of another shape than the outputs")
def _() -> None:
    network(loss="mse").fit(X, np.zeros((8, 2)), verbose=0)


@case("targets for another number of outputs")
def _() -> None:
    network().fit(X, [Y, Y], verbose=0)


@case("targets missing")
def _() -> None:
    network().fit(X, verbose=0)


@case("sample weights of another shape")
def _() -> None:
    network().train_on_batch(X, Y, sample_weight=np.ones((8, 2)))


@case("a loss that is NaN")
def _() -> None:
    network(loss="mse").fit(np.full((8, 6), np.nan), np.zeros((8, 3)), verbose=0)


# --------------------------------------------------------------------------- compile


@case("an unknown loss")
def _() -> None:
    network(loss="crossentropi")


@case("an unknown optimizer")
def _() -> None:
    network(optimizer="addam")


@case("an unknown metric")
def _() -> None:
    network(metrics=["accurracy"])


@case("metrics that are no list")
def _() -> None:
    network(metrics="accuracy")


@case("loss weights that don't fit")
def _() -> None:
    network(loss_weights=[1.0, 2.0])


@case("a loss for an output that isn't there")
def _() -> None:
    network(loss={"nope": "mse"}).fit(X, Y, verbose=0)


@case("steps per execution of zero")
def _() -> None:
    network(steps_per_execution=0)


@case("no compile")
def _() -> None:
    cornu.Sequential([layers.Dense(3)], name="net").fit(X, Y)


@case("no loss")
def _() -> None:
    network(loss=None).fit(X, Y, verbose=0)


@case("a bad callback")
def _() -> None:
    network().fit(X, Y, callbacks=["early_stopping"], verbose=0)


@case("a class as a callback")
def _() -> None:
    network().fit(X, Y, callbacks=[cornu.callbacks.History], verbose=0)


@case("fewer than no epochs done")
def _() -> None:
    network().fit(X, Y, initial_epoch=-1, verbose=0)


@case("validation after no epochs")
def _() -> None:
    network().fit(X, Y, validation_data=(X, Y), validation_freq=0, verbose=0)


@case("predictions that aren't by sample")
def _() -> None:
    inputs = cornu.Input((6,))
    cornu.Model(inputs, ops.sum(inputs)).predict(X, batch_size=1, verbose=0)


@case("a profile of no steps")
def _() -> None:
    network().profile(X, Y, steps=0)


@case("a batch of lists")
def _() -> None:
    network().predict_on_batch([[1.0, 2.0], [3.0, 4.0]])


@case("a batch without samples")
def _() -> None:
    network().train_on_batch(X[:0], Y[:0])


@case("training without an end")
def _() -> None:
    network().fit(X, Y, epochs=None, verbose=0)


@case("a time that is no time")
def _() -> None:
    network().fit(X, Y, max_time="1h", verbose=0)


@case("validation between steps, of nothing")
def _() -> None:
    network().fit(X, Y, val_check_interval=3, verbose=0)


@case("learning rates that fall")
def _() -> None:
    network().find_learning_rate(X, Y, lowest=1.0, highest=0.1)


@case("batch sizes of a generator")
def _() -> None:
    network().find_batch_size(iter([(X, Y)]))


@case("clipping in two ways")
def _() -> None:
    cornu.optimizers.SGD(clipnorm=1.0, clipvalue=1.0)


@case("a learning rate that is a word")
def _() -> None:
    cornu.optimizers.Adam("fast")


@case("a learning rate over a schedule")
def _() -> None:
    schedule = cornu.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    cornu.optimizers.SGD(schedule).learning_rate = 0.1


@case("variables that an optimizer does not know")
def _() -> None:
    known, new = network(), network()
    known.optimizer.build(known.trainable_variables)
    known.optimizer.apply(
        [ops.zeros(v.shape) for v in new.trainable_variables], new.trainable_variables
    )


@case("a step without gradients")
def _() -> None:
    variable = cornu.Variable(np.zeros(2), name="w")
    cornu.optimizers.SGD().apply([None], [variable])


# ---------------------------------------------------------------------------- layers


@case("an unknown activation")
def _() -> None:
    layers.Dense(3, activation="rellu")


@case("an unknown initializer")
def _() -> None:
    layers.Dense(3, kernel_initializer="glorot")


@case("an unknown dtype policy")
def _() -> None:
    layers.Dense(3, dtype="mixed_float8")


@case("an unknown argument")
def _() -> None:
    layers.Dense(3, unit=4)


@case("an unknown argument of call")
def _() -> None:
    layers.Dense(3, name="dense")(X, scale=2)


@case("bad units")
def _() -> None:
    layers.Dense(-1)


@case("bad filters")
def _() -> None:
    layers.Conv2D(0, 3)


@case("bad padding")
def _() -> None:
    layers.Conv2D(4, 3, padding="some")


@case("bad kernel size")
def _() -> None:
    layers.Conv2D(4, (3, 3, 3))


@case("bad dropout rate")
def _() -> None:
    layers.Dropout(1.5)


@case("bad dropout of a recurrence")
def _() -> None:
    layers.GRU(3, recurrent_dropout=float("nan"))


@case("bad dropout of attention")
def _() -> None:
    layers.MultiHeadAttention(2, 3, dropout=-1)


@case("a reshape that can't be")
def _() -> None:
    layers.Reshape((4, 2), name="reshape")(X)


@case("a metric of several numbers is watched")
def _() -> None:
    watched = cornu.callbacks.EarlyStopping("f1_score", mode="max")
    watched.on_train_begin()
    watched.on_epoch_end(0, {"f1_score": np.array([0.5, 1.0])})


@case("a size that is none")
def _() -> None:
    layers.UpSampling1D(0)


@case("a cropping that is no number")
def _() -> None:
    layers.Cropping2D(1.5)


@case("a noise of another shape")
def _() -> None:
    layers.Dropout(0.5, noise_shape=(8, 5), name="dropout")(X, training=True)


@case("a mask of a softmax of another shape")
def _() -> None:
    layers.Softmax(name="softmax")(X, mask=np.ones((6, 8), bool))


@case("shapes that can't be added")
def _() -> None:
    layers.Add(name="add")([np.zeros((2, 3)), np.zeros((2, 4))])


@case("shapes that can't be concatenated")
def _() -> None:
    layers.Concatenate(name="joined")([np.zeros((2, 3, 1)), np.zeros((2, 4, 1))])


@case("a weight after building")
def _() -> None:
    layer = layers.Dense(3, name="dense")
    layer.build((None, 4))
    layer.more = layer.add_weight(shape=(3,), name="more")


@case("a layer after building")
def _() -> None:
    layer = layers.Dense(3, name="dense")
    layer.build((None, 4))
    layer.more = layers.Dense(2, name="more")


@case("no call")
def _() -> None:
    class Empty(layers.Layer):
        pass

    Empty(name="empty")(X)


@case("an error of a user's layer")
def _() -> None:
    class Broken(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.matmul(x, ops.ones((3, 3)))

    cornu.Sequential([cornu.Input((4,)), Broken(name="broken")], name="net")


@case("weights that are too few")
def _() -> None:
    network().set_weights([np.zeros((6, 4))])


@case("weights of another shape")
def _() -> None:
    network().layers[0].set_weights([np.zeros((6, 5)), np.zeros(5)])


@case("a value of another shape for a variable")
def _() -> None:
    cornu.Variable(np.zeros(3), name="w").assign(np.zeros(4))


# ---------------------------------------------------------------------------- models


@case("two layers of one name")
def _() -> None:
    x = cornu.Input((4,))
    y = layers.Dense(4, name="same")(layers.Dense(4, name="same")(x))
    cornu.Model(x, y)


@case("two layers of one name in a stack")
def _() -> None:
    cornu.Sequential([layers.Dense(4, name="same"), layers.Dense(4, name="same")], name="net")


@case("a graph that is not connected")
def _() -> None:
    x, other = cornu.Input((4,), name="x"), cornu.Input((4,), name="other")
    cornu.Model(x, layers.Dense(2)(other))


@case("outputs that are no symbols")
def _() -> None:
    cornu.Model(cornu.Input((4,)), np.zeros(3))


@case("a stack of something else")
def _() -> None:
    cornu.Sequential([layers.Dense(3), 5], name="net")


@case("an empty stack")
def _() -> None:
    cornu.Sequential(name="net")(X)


@case("a layer that isn't there")
def _() -> None:
    network().get_layer("hiden")


@case("counting before building")
def _() -> None:
    Unbuilt().count_params()


@case("the output shape before building")
def _() -> None:
    cornu.Sequential([layers.Dense(3)], name="net").output_shape  # noqa: B018


@case("a model without call")
def _() -> None:
    cornu.Model(name="net")(X)


# ---------------------------------------------------------------------------- saving


@case("saving before building")
def _(folder: Path) -> None:
    Unbuilt().save_weights(folder / "w.weights.h5")


@case("loading weights before building")
def _(folder: Path) -> None:
    network().save_weights(folder / "w.weights.h5")
    Unbuilt().load_weights(folder / "w.weights.h5")


@case("a missing file")
def _(folder: Path) -> None:
    cornu.models.load_model(folder / "nope.keras")


@case("missing weights")
def _(folder: Path) -> None:
    network().load_weights(folder / "nope.weights.h5")


@case("a truncated file")
def _(folder: Path) -> None:
    path = folder / "model.keras"
    network().save(path)
    path.write_bytes(path.read_bytes()[:1000])
    cornu.models.load_model(path)


@case("truncated weights")
def _(folder: Path) -> None:
    path = folder / "model.weights.h5"
    network().save_weights(path)
    path.write_bytes(path.read_bytes()[:1000])
    network().load_weights(path)


@case("weights of another architecture")
def _(folder: Path) -> None:
    network().save_weights(folder / "w.weights.h5")
    cornu.Sequential([cornu.Input((6,)), layers.Dense(5, name="hidden")], name="net").load_weights(
        folder / "w.weights.h5"
    )


@case("an unknown kind of file")
def _(folder: Path) -> None:
    network().save(folder / "model.model")


@case("an unknown class in a file")
def _() -> None:
    cornu.saving.deserialize_keras_object(
        {"module": "mine", "class_name": "Mine", "config": {}, "registered_name": "mine>Mine"}
    )


def checkpointed(folder: Path, **state: Any) -> Any:
    """The checkpoints of a network, of which one is written."""
    model, kept = network(), cornu.saving.Checkpoints(folder)
    model.optimizer.build(model.trainable_variables)
    kept.write(model, state, 1, None)
    kept.close()
    return kept


@case("a torn checkpoint")
def _(folder: Path) -> None:
    kept = checkpointed(folder)
    (folder / "step-00000001" / "state.safetensors").write_text("torn")
    kept.last()


@case("a checkpoint of another optimizer")
def _(folder: Path) -> None:
    checkpointed(folder).last().restore(network(optimizer=cornu.optimizers.Adam(name="adam")))


@case("a state that no file holds")
def _(folder: Path) -> None:
    checkpointed(folder, callbacks={"Mine": {"seen": {1, 2}}})


# ---------------------------------------------------------------------------- the rest


@case("a bad seed")
def _() -> None:
    cornu.utils.set_random_seed("lucky")


@case("a bad seed of a layer")
def _() -> None:
    layers.Dropout(0.5, seed=-1)


@case("an unknown engine")
def _() -> None:
    with cornu.backend.use("jaxx"):
        pass


@case("an unknown dtype")
def _() -> None:
    ops.cast(X, "float31")


@case("the multiply-adds of a model that was never built")
def _() -> None:
    cornu.Sequential([layers.Dense(3)], name="net").summary(flops=True)


@case("curves of a history without epochs")
def _() -> None:
    cornu.callbacks.History().plot()


@case("a matrix product that can't be")
def _() -> None:
    ops.matmul(np.zeros((2, 3)), np.zeros((4, 5)))


@case("a symbolic tensor used as a number")
def _() -> None:
    float(cornu.Input((4,), name="x"))


@case("a symbolic tensor in NumPy")
def _() -> None:
    np.asarray(cornu.Input((4,), name="x"))


@case("a pattern of learning rates that matches no variable")
def _() -> None:
    network(optimizer=cornu.optimizers.SGD(learning_rates={"hiden/*": 1e-5})).fit(X, Y, verbose=0)


@case("no such logger")
def _() -> None:
    network().fit(X, Y, verbose=0, loggers="tensorboard")


@case("a symbolic tensor in a condition")
def _() -> None:
    if cornu.Input((4,), name="x") > 0:
        pass


def text_of(name: str) -> str:
    """What a user would read: the kind of error, its text, its notes."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            CASES[name](Path(folder))
        except Exception as error:
            notes = [
                note for note in getattr(error, "__notes__", []) if "JAX has removed" not in note
            ]
            lines = [f"{type(error).__name__}: {error}", *notes]
        else:
            lines = [f"{one.category.__name__}: {one.message}" for one in found]
        return "\n".join(lines).replace(folder, "FOLDER").strip()


def stored() -> dict[str, str]:
    """The texts in the file, by the names of the cases."""
    sections = FILE.read_text().split("\n## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in sections}


@pytest.mark.parametrize("name", CASES)
def test_text(name: str) -> None:
    text = text_of(name)
    assert text == stored()[name]
    assert "Received" in text


def test_no_text_is_left_over() -> None:
    assert list(stored()) == list(CASES)


def main() -> None:
    """Write the file anew."""
    parts = [
        "# What users read when something is wrong. Written by `python -m tests.test_errors`.\n"
    ]
    for name in CASES:
        conftest.start_again()
        parts.append(f"## {name}\n{text_of(name)}\n")
    FILE.write_text("\n".join(parts))
    print(f"{len(CASES)} texts are in {FILE}.", file=sys.stderr)


if __name__ == "__main__":
    main()
