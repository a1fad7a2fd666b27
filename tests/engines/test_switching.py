"""One model on several engines: the same curves, and a move in the middle of training."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import backend, engines, layers, ops, random
from cornu.core import naming, scopes
from cornu.engines import get
from cornu.engines.torch import engine as torch_engine
from tests.engines_tested import ENGINES
from tests.training import models_for_fit as m

QUIET = {"shuffle": False, "verbose": 0}
TRAINING = [name for name in ENGINES if get(name).trains]
OTHERS = [name for name in TRAINING if name != "jax"]
#: Engines on which a native tape or tracer runs: those that most users' own steps are written for.
CUSTOM = [name for name in TRAINING if name in ("jax", "torch", "tensorflow", "numpy")]


def convolutional() -> Any:
    return cornu.Sequential(
        [
            cornu.Input((12, 12, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def recurrent() -> Any:
    return cornu.Sequential(
        [
            cornu.Input((9,), dtype="int32"),
            layers.Embedding(11, 8),
            layers.LSTM(12),
            layers.Dense(3, activation="softmax"),
        ]
    )


def transformer() -> Any:
    tokens = cornu.Input((9,), dtype="int32")
    x = layers.Embedding(11, 8)(tokens)
    for _ in range(2):
        normal = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 4)(normal, normal, use_causal_mask=True)
        hidden = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(8)(hidden)
    x = layers.GlobalAveragePooling1D()(x)
    return cornu.Model(tokens, layers.Dense(3, activation="softmax")(x))


IMAGES, TOKENS, LABELS = m.draw(80, 12, 12, 1), m.labels(80, 9, classes=11), m.labels(80)
MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "convolutional": (convolutional, IMAGES),
    "recurrent": (recurrent, TOKENS),
    "transformer": (transformer, TOKENS),
}


def made(name: str) -> tuple[Any, Any]:
    """A model whose weights the seed fixes, compiled, and its inputs."""
    build, x = MODELS[name]
    cornu.utils.set_random_seed(3)
    model = build()
    model.compile(
        cornu.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model, x


class Losses(cornu.callbacks.Callback):
    """The loss after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.values.append(float(logs["loss"]))


def curve(model: Any, x: Any, epochs: int, **more: Any) -> list[float]:
    seen = Losses()
    model.fit(x, LABELS, batch_size=8, epochs=epochs, callbacks=[seen], **QUIET, **more)
    return seen.values


@pytest.mark.parametrize("name", MODELS)
def test_every_engine_learns_the_same(name: str) -> None:
    weights, curves = {}, {}
    for engine in TRAINING:
        with backend.use(engine):
            model, x = made(name)
            weights[engine] = model.get_weights()
            curves[engine] = curve(model, x, epochs=5)
    assert len(curves["jax"]) == 50 and curves["jax"][-1] < curves["jax"][0]
    for engine in OTHERS:
        for one, two in zip(weights[engine], weights["jax"], strict=True):
            np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(curves[engine], curves["jax"], 1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_on_other_engines(name: str) -> None:
    """Two epochs on each engine in turn, with Adam's slots, are as many on JAX alone."""
    epochs = 2 * len(TRAINING)
    model, x = made(name)
    expected = curve(model, x, epochs)
    model, x = made(name)
    found = []
    for engine in TRAINING:
        with backend.use(engine):
            found += curve(model, x, epochs=2)
    np.testing.assert_allclose(found, expected, 1e-3)
    assert int(model.optimizer.iterations.numpy()) == 10 * epochs


def with_dropout() -> Any:
    model = cornu.Sequential(
        [
            cornu.Input((6,)),
            layers.Dense(16, activation="tanh"),
            layers.Dropout(0.3, seed=4),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_masks_of_dropout_come_along() -> None:
    x, found = m.draw(80, 6), {}
    for engine in TRAINING:
        cornu.utils.set_random_seed(3)
        model = with_dropout()
        found[engine] = curve(model, x, epochs=1)
        with backend.use(engine):
            found[engine] += curve(model, x, epochs=1)
    for engine in OTHERS:
        np.testing.assert_allclose(found[engine], found["jax"], 1e-3)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "jax"])
def test_a_model_that_was_moved_stays(engine: str) -> None:
    model, x = made("convolutional")
    before = curve(model, x, epochs=1)
    expected = model.predict(x, verbose=0)
    assert model.to(engine) is model
    assert get(engine).is_tensor(model(x))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, 1e-4, 1e-5)
    found = [*before, *(curve(model, x, epochs=1) if get(engine).trains else [])]
    model.to("jax")
    found += curve(model, x, epochs=1)
    twin, _ = made("convolutional")
    np.testing.assert_allclose(found, curve(twin, x, epochs=len(found) // 10), 1e-3)


def test_an_engine_that_is_not_there_moves_nothing() -> None:
    model, x = made("convolutional")
    with pytest.raises(ValueError, match="An engine must be installed or built in"):
        model.to("abacus")
    assert get("jax").is_tensor(model(x))


def test_set_backend_moves_what_exists() -> None:
    model, x = made("recurrent")
    expected = model.predict(x, verbose=0)
    for engine in ENGINES:
        cornu.config.set_backend(engine)
        try:
            assert cornu.config.backend() == engine
            assert get(engine).is_tensor(model(x))
            np.testing.assert_allclose(model.predict(x, verbose=0), expected, 1e-4, 1e-5)
        finally:
            cornu.config.set_backend("jax")


def test_two_engines_in_two_threads() -> None:
    found: dict[str, Any] = {}
    models = {engine: made("convolutional") for engine in TRAINING[:3]}

    def work(engine: str) -> None:
        with backend.use(engine):
            model, x = models[engine]
            found[engine] = curve(model, x, epochs=2)
            found[engine + " engine"] = cornu.config.backend()

    threads = [threading.Thread(target=work, args=(engine,)) for engine in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in models:
        assert found[engine + " engine"] == engine
        np.testing.assert_allclose(found[engine], found[TRAINING[0]], 1e-3)


#: A block, what holds within it, and what holds where there is none.
BLOCKS: list[tuple[Callable[[], Any], Callable[[], Any], Any]] = [
    (lambda: backend.use("numpy"), cornu.config.backend, "jax"),
    (lambda: scopes.autocast("float16"), scopes.here.autocast.get, None),
    (scopes.StatelessScope, scopes.in_stateless_scope, False),
    (scopes.SymbolicScope, scopes.in_symbolic_scope, False),
    (lambda: cornu.name_scope("inner"), naming.current_path, ""),
    (
        lambda: cornu.utils.custom_object_scope({"f": len}),
        lambda: cornu.utils.get_registered_object("f"),
        None,
    ),
    (lambda: torch_engine._placed("meta"), lambda: str(get("torch")._device), "cpu"),
]


@pytest.mark.parametrize("block, found, outside", BLOCKS)
def test_what_holds_in_a_block_holds_for_its_task_and_thread_alone(
    block: Callable[[], Any], found: Callable[[], Any], outside: Any
) -> None:
    async def inside() -> Any:
        with block():
            before = found()
            await asyncio.sleep(0)  # the others run while the block is open
            inherited = await asyncio.to_thread(found)
            return before, inherited, found()

    async def beside() -> Any:
        return [found(), await asyncio.sleep(0, found())]

    async def run() -> Any:
        return await asyncio.gather(inside(), beside(), inside(), beside())

    first, one, second, two = asyncio.run(run())
    assert first == second and len(set(first)) == 1 and first[0] != outside
    assert one == two == [outside, outside]
    with block(), ThreadPoolExecutor() as pool:
        assert pool.submit(found).result() == outside


# ------------------------------------------------------------------ a user's own steps


class GAN(cornu.Model):
    """A generator and a discriminator, each with an optimizer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = cornu.Sequential([layers.Dense(8, activation="tanh"), layers.Dense(6)])
        self.discriminator = cornu.Sequential(
            [layers.Dense(8, activation="leaky_relu"), layers.Dense(1)]
        )
        self.seeds = random.SeedGenerator(7)
        self.generator.build((None, 4))
        self.discriminator.build((None, 6))
        self.built = True

    def compile(self, generator: Any, discriminator: Any) -> None:  # type: ignore[override]
        super().compile(optimizer=generator)
        self.second_optimizer = discriminator
        discriminator.build(self.discriminator.trainable_variables)
        generator.build(self.generator.trainable_variables)

    def call(self, noise: Any) -> Any:
        return self.generator(noise)

    def train_step(self, data: Any) -> dict[str, Any]:
        real = data[0] if isinstance(data, tuple) else data
        cross_entropy = cornu.losses.BinaryCrossentropy(from_logits=True)
        count = ops.shape(real)[0]

        def judged() -> Any:
            made_up = self.generator(random.normal((count, 4), seed=self.seeds))
            scores = self.discriminator(ops.concatenate([real, made_up]))
            truth = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))])
            return cross_entropy(truth, scores)

        def fooled() -> Any:
            made_up = self.generator(random.normal((count, 4), seed=self.seeds))
            return cross_entropy(ops.ones((count, 1)), self.discriminator(made_up))

        weights = self.discriminator.trainable_variables
        first, gradients = cornu.value_and_grad(judged, weights)()
        self.second_optimizer.apply(gradients, weights)
        weights = self.generator.trainable_variables
        second, gradients = cornu.value_and_grad(fooled, weights)()
        self.optimizer.apply(gradients, weights)
        return {"loss": second, "discriminator": first}


class VAE(cornu.Model):
    """A variational autoencoder: noise is drawn within the step."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = layers.Dense(4), layers.Dense(6)
        self.seeds = random.SeedGenerator(7)
        self.encoder.build((None, 6))
        self.decoder.build((None, 2))
        self.built = True

    def call(self, x: Any) -> Any:
        mean, log_variance = ops.split(self.encoder(x), 2, axis=-1)
        noise = random.normal(ops.shape(mean), seed=self.seeds)
        self.divergence = ops.mean(ops.square(mean) + ops.exp(log_variance) - log_variance - 1) / 2
        return self.decoder(mean + ops.exp(log_variance / 2) * noise)

    def train_step(self, data: Any) -> dict[str, Any]:
        x = data[0] if isinstance(data, tuple) else data

        def loss() -> Any:
            distance = ops.mean(ops.square(self(x, training=True) - x))
            return distance + self.divergence

        value, gradients = cornu.value_and_grad(loss, self.trainable_variables)()
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": value}


@pytest.mark.parametrize("kind", [GAN, VAE])
def test_one_step_of_a_users_own_runs_on_every_engine(kind: Any) -> None:
    curves = {}
    for engine in CUSTOM:
        with backend.use(engine):
            cornu.utils.set_random_seed(5)
            model = kind()
            adam = cornu.optimizers.Adam
            if kind is GAN:
                model.compile(adam(0.01), adam(0.02))
            else:
                model.compile(adam(0.01))
            seen = Losses()
            model.fit(m.draw(80, 6), batch_size=8, epochs=2, callbacks=[seen], **QUIET)
            curves[engine] = seen.values
    assert len(set(np.round(curves["jax"], 6))) == 20
    for engine in CUSTOM:
        np.testing.assert_allclose(curves[engine], curves["jax"], 1e-3)


# ------------------------------------------------------------------ tensors of others


@pytest.mark.parametrize("engine", ENGINES)
def test_tensors_of_every_engine_are_accepted(engine: str) -> None:
    x, model = m.draw(8, 6), m.sequential(cornu)
    expected = model.predict(x, verbose=0)
    for other in ENGINES:
        with backend.use(other):
            theirs = ops.convert_to_tensor(x)
        with backend.use(engine):
            found = ops.convert_to_numpy(ops.square(theirs))
            np.testing.assert_allclose(found, x * x, 1e-6)
            np.testing.assert_allclose(ops.convert_to_numpy(model(theirs)), expected, 1e-4, 1e-5)
            np.testing.assert_allclose(model.predict(theirs, verbose=0), expected, 1e-4, 1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_of_another_engine_may_lie_anywhere(engine: str) -> None:
    """TensorFlow's kernels would end the process."""
    library, sender, numbers = get(engine), get("numpy"), np.arange(20, dtype="float32")
    for at in range(4):
        x = library.received(numbers[at : at + 16], sender)
        doubled = library.convert_to_numpy(library.add(x, x))
        np.testing.assert_array_equal(doubled, 2 * numbers[at : at + 16])


def test_reading_a_variable_moves_nothing() -> None:
    with backend.use("numpy"):
        variable = cornu.Variable(np.ones(3, "float32"))
        variable.assign_add(np.ones(3, "float32"))
    assert variable.numpy().tolist() == [2, 2, 2]
    assert variable._held.engine is get("numpy")


@pytest.mark.parametrize("engine", ENGINES)
def test_devices(engine: str) -> None:
    with backend.use(engine), cornu.device("cpu:0"):
        assert ops.convert_to_numpy(ops.ones((2,)) + 1).tolist() == [2, 2]
    with (
        backend.use(engine),
        pytest.raises(ValueError, match="A device must exist. Received: name='abacus'"),
        cornu.device("abacus"),
    ):
        pass


@pytest.mark.parametrize(
    ("variables", "file", "name", "source"),
    [
        ({}, None, "jax", "default"),
        ({}, '{"backend": "numpy"}', "numpy", "keras.json"),
        ({}, '{"backend": "not_installed"}', "jax", "default"),
        ({}, '{"backend', "jax", "default"),
        ({"KERAS_BACKEND": "torch"}, '{"backend": "numpy"}', "torch", "KERAS_BACKEND"),
        ({"KERAS_BACKEND": "torch", "CORNU_BACKEND": "numpy"}, None, "numpy", "CORNU_BACKEND"),
    ],
)
def test_what_names_the_first_engine(variables, file, name, source, tmp_path, monkeypatch) -> None:
    for variable in ("CORNU_BACKEND", "KERAS_BACKEND"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    if file:
        (tmp_path / "keras.json").write_text(file)
    found, where = engines._configured()
    assert found == name and where.endswith(source)
