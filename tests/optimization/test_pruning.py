"""Pruning: masks on the weights of any model, while it trains, on every engine."""

from __future__ import annotations

import copy
import importlib
import operator
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, optimization, optimizers
from cornu.optimization import ConstantSparsity, Mask, PolynomialDecay
from tests.engines_tested import ENGINES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
HALF = ConstantSparsity(0.5, 0, frequency=1)


def dense(*units: int, **options: Any) -> Any:
    stack = [layers.Dense(n, "relu", name=f"d{i}") for i, n in enumerate(units)]
    model = cornu.Sequential([cornu.Input((6,)), *stack, layers.Dense(2, name="last")])
    model.compile(**{"optimizer": optimizers.SGD(0.05), "loss": "mse", **options})
    return model


def fit(model: Any, epochs: int = 1, batch_size: int = 4) -> Any:
    model.fit(X, X[:, :2], epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0)
    return model


def masks(model: Any) -> dict[str, Mask]:
    return {
        weight.path: transform
        for layer in model._flatten_layers()
        for weight in layer._own_weights()
        for transform in weight.transforms
    }


def steps(model: Any) -> set[int]:
    return {int(mask.pruning_step.numpy()) for mask in masks(model).values()}


def zeros(model: Any) -> list[np.ndarray]:
    return [~mask.mask.numpy() for mask in masks(model).values()]


LAYERS: list[tuple[Any, tuple[int, ...], int]] = [
    (lambda: layers.Dense(3), (6,), 1),
    (lambda: layers.Conv2D(4, 3), (5, 5, 2), 1),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 2), 1),
    (lambda: layers.SeparableConv1D(4, 3), (6, 2), 2),
    (lambda: layers.LSTM(3), (4, 2), 2),
    (lambda: layers.Bidirectional(layers.GRU(3)), (4, 2), 4),
    (lambda: layers.MultiHeadAttention(2, 3), (4, 5), 4),
    (lambda: layers.TimeDistributed(layers.Dense(2)), (3, 4), 1),
    (lambda: layers.LayerNormalization(axis=(1, 2)), (3, 4), 0),
    (lambda: layers.PReLU(), (3, 4), 0),
]


@pytest.mark.parametrize(
    ("engine", "row"),
    [*((name, 0) for name in ENGINES), *(("numpy", i) for i in range(1, len(LAYERS)))],
)
def test_a_pruned_layer_is_one_with_zeros_baked_in(engine: str, row: int) -> None:
    """In calls and in training: what a mask hides does not move, and the rest does."""
    make, shape, count = LAYERS[row]
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype("float32")
    with cornu.backend.use(engine):
        made = make()
        inputs = cornu.Input(shape)
        outputs = (
            made(inputs, inputs) if isinstance(made, layers.MultiHeadAttention) else made(inputs)
        )
        model = cornu.Model(inputs, layers.Flatten()(outputs))
        if not count:
            with pytest.raises(ValueError, match="kernels without a mask"):
                optimization.prune_low_magnitude(model)
            return
        model.compile(optimizers.Adam(0.01), "mse")
        baked = copy.deepcopy(model)
        assert optimization.prune_low_magnitude(model, ConstantSparsity(0.5, 0)) is model
        assert len(masks(model)) == count
        assert optimization.sparsity_report(model).sparsity == pytest.approx(0.5, abs=0.1)
        by_path = {v.path: v for v in baked.weights}
        for weight in model.weights:
            if weight.path in by_path:
                by_path[weight.path].assign(ops.convert_to_numpy(weight.effective()))
        np.testing.assert_array_equal(model.predict(x, verbose=0), baked.predict(x, verbose=0))
        before, hidden = model.get_weights(), zeros(model)
        model.fit(x, np.ones((4, *model.output_shape[1:])), epochs=2, batch_size=2, verbose=0)
        assert steps(model) == {4}
        found = model.predict(x, verbose=0)
        moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
        assert sum(moved) >= 2 * count
        for weight, mask in zip(optimization.sparsity_report(model).rows, hidden, strict=True):
            assert weight.sparsity == pytest.approx(mask.mean())
        assert optimization.strip_pruning(model) is model and not masks(model)
        np.testing.assert_array_equal(found, model.predict(x, verbose=0))
        assert [w.path for w in model.weights] == [w.path for w in baked.weights]


OPTIMIZERS = [
    *(
        getattr(optimizers, name)(0.01)
        for name in ("SGD", "RMSprop", "Adagrad", "Adadelta", "Lion")
    ),
    optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5),
    optimizers.AdamW(0.01, weight_decay=0.1),
    optimizers.Nadam(0.01, clipnorm=1.0),
    optimizers.LossScaleOptimizer(optimizers.SGD(0.01)),
    optimizers.SGD(0.01, gradient_accumulation_steps=2),
    optimizers.Muon(0.01),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda x: type(x).__name__)
def test_no_optimizer_moves_what_is_hidden(optimizer: Any) -> None:
    with cornu.backend.use("numpy"):
        model = dense(8, optimizer=optimizer)
        optimization.prune_low_magnitude(model, ConstantSparsity(0.6, 0, end_step=0))
        hidden = zeros(model)
        fit(model, 2)
        updates = 4 if optimizer.gradient_accumulation_steps else 8
        assert steps(model) == {updates}
        optimizer.finalize_variable_values(model.trainable_variables)
        kernels = [layer.kernel for layer in model.layers]
        for kernel, mask in zip(kernels, hidden, strict=True):
            assert not ops.convert_to_numpy(kernel.effective())[mask].any()
            assert ops.convert_to_numpy(kernel.effective())[~mask].all()


def test_a_schedule_goes_on_from_fit_to_fit_and_on_other_engines() -> None:
    """The same masks after the same updates, wherever they were made."""
    found = []
    for names in (["numpy"] * 4, ["torch"] * 4, ["jax", "tensorflow", "numpy", "torch"]):
        cornu.utils.set_random_seed(3)
        model = dense(12)
        fit(model)  # its optimizer is there, and stays
        slots = [v.path for v in model.optimizer.variables]
        schedule = PolynomialDecay(0.0, 0.75, 2, 14, frequency=3)
        optimization.prune_low_magnitude(model, schedule)
        shares = []
        for name in names:
            with cornu.backend.use(name):
                fit(model)
            shares.append(optimization.sparsity_report(model).sparsity)
        assert shares == sorted(shares) and steps(model) == {16}
        assert shares[-1] == pytest.approx(0.75, abs=0.01)
        assert [v.path for v in model.optimizer.variables] == slots
        found.append(zeros(model))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_updates_are_counted_once(engine: str) -> None:
    """Of a layer that is called twice, within a loop, computed again, in several steps a call."""
    with cornu.backend.use(engine):
        shared = layers.Dense(6, "tanh", name="shared")
        inputs = cornu.Input((6,))
        model = cornu.Model(inputs, layers.Dense(2)(shared(shared(inputs))))
        model.compile("sgd", "mse", steps_per_execution=2)
        optimization.prune_low_magnitude(model, HALF)
        fit(model)
        assert steps(model) == {4}
        model.train_on_batch(X, X[:, :2])
        assert steps(model) == {5}
        model.evaluate(X, X[:, :2], verbose=0)
        assert steps(model) == {5}
    for _ in range(2):
        fit(model)  # on the engine of before, then again
    assert steps(model) == {13}


def test_masks_are_saved_copied_and_resumed(tmp_path: Path) -> None:
    """Beside the weights: a training that goes on finds the step and the masks of before."""
    path = tmp_path / "m.weights.h5"
    schedule = PolynomialDecay(0.1, 0.9, 0, 8)
    model = fit(optimization.prune_low_magnitude(dense(8), schedule))
    model.save_weights(path)
    other = optimization.prune_low_magnitude(dense(8), schedule)
    other.load_weights(path)
    model.save(tmp_path / "m.keras")
    loaded = cornu.saving.load_model(tmp_path / "m.keras")
    copies = [other, copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded]
    want = model.predict(X, verbose=0)
    for again in copies:
        np.testing.assert_allclose(again.predict(X, verbose=0), want, rtol=1e-5, atol=1e-6)
        assert steps(again) == {4}
        for a, b in zip(zeros(model), zeros(again), strict=True):
            np.testing.assert_array_equal(a, b)
    fit(model), fit(copies[1])
    np.testing.assert_array_equal(zeros(model)[0], zeros(copies[1])[0])
    optimization.strip_pruning(model).save_weights(path)
    plain = dense(8)
    plain.load_weights(path)
    np.testing.assert_allclose(plain.predict(X), model.predict(X), rtol=1e-6)


def test_a_mask_is_described_by_its_config() -> None:
    mask = Mask(PolynomialDecay(0.1, 0.5, 0, 10), (None, 1), "MAX", None, "all")
    config = cornu.saving.serialize_keras_object(mask)
    again = cornu.saving.deserialize_keras_object(config)
    assert cornu.saving.serialize_keras_object(again) == config
    assert (again.block_size, again.group) == ((None, 1), "all")


class Own(cornu.Model):
    """A model that is built by its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = layers.Dense(4), layers.Dense(2)
        self.scale = self.add_weight((1, 2), "glorot_uniform", name="scale")

    def call(self, x: Any) -> Any:
        return self.last(self.first(x)) * self.scale


def test_what_is_not_built_is_pruned_when_it_is() -> None:
    """Layers where a model is written down, subclassed models, models within models."""
    body = cornu.Sequential([optimization.prune_low_magnitude(layers.Dense(4), HALF)])
    for model in (body, optimization.prune_low_magnitude(Own(), HALF)):
        again = pickle.loads(pickle.dumps(copy.deepcopy(model)))
        for one in (model, again):
            one(X)
            assert all(row.sparsity == 0.5 for row in optimization.sparsity_report(one).rows)
    assert len(masks(model)) == 3
    outer = cornu.Sequential([cornu.Input((6,)), dense(4), layers.Dense(2)])
    model = optimization.prune_low_magnitude(outer, pruning_policy="d0")
    assert [path.split("/")[-2:] for path in masks(model)] == [["d0", "kernel"]]


def test_which_weights_a_policy_takes() -> None:
    class Small(optimization.PruningPolicy):
        def allow_pruning(self, layer: Any) -> bool:
            return layer.count_params() < 30

    class Given(layers.Dense, optimization.PrunableLayer):
        def get_prunable_weights(self) -> list[Any]:
            return [self.bias]

    for policy, wanted in (
        (None, "d0 d1 last"),
        ("d*", "d0 d1"),
        (["*/d1/kernel", "last"], "d1 last"),
        (lambda layer: layer.name == "d1", "d1"),
        (Small(), "last"),
    ):
        model = optimization.prune_low_magnitude(dense(5, 5), pruning_policy=policy)
        assert [path.split("/")[-2] for path in masks(model)] == wanted.split()
    layer = Given(8)
    layer.build((None, 2))
    layer.bias.assign(np.arange(8))
    optimization.prune_low_magnitude([layer])
    assert ops.convert_to_numpy(layer.bias.effective()).tolist() == [0, 0, 0, 0, 4, 5, 6, 7]
    policy = optimization.PruneForLatencyOnXNNPack()
    with pytest.raises(ValueError, match="lacks the first"):
        optimization.prune_low_magnitude(dense(4), pruning_policy=policy)


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_patterns_and_one_threshold(engine: str) -> None:
    with cornu.backend.use(engine):
        conv = layers.Conv2D(4, 3)
        conv.build((None, 8, 8, 8))
        optimization.prune_low_magnitude(conv, sparsity_m_by_n=(2, 4))
        kept = conv.kernel.transforms[0].mask.numpy()
        assert (kept.reshape(3, 3, 2, 4, 4).sum(3) == 2).all()
        optimization.strip_pruning(conv)
        optimization.prune_low_magnitude(conv, HALF, block_size=(None, 1))
        whole = conv.kernel.transforms[0].mask.numpy().reshape(-1, 4)
        assert (whole == whole[0]).all() and whole[0].sum() == 2
        einsum = layers.EinsumDense("ab,bcd->acd", (2, 3))
        einsum.build((None, 8))
        optimization.prune_low_magnitude(einsum, sparsity_m_by_n=[1, 2])
        kept = einsum.kernel.transforms[0].mask.numpy()
        assert (kept.reshape(4, 2, 2, 3).sum(1) == 1).all()
        model = dense(8)
        model.layers[0].kernel.assign(10 * model.layers[0].kernel.numpy())
        optimization.prune_low_magnitude(model, ConstantSparsity(0.25, 0), scope="global")
        report = optimization.sparsity_report(model)
        assert report.sparsity == 0.25 and report.rows[0].sparsity < report.rows[1].sparsity
        everything = np.concatenate([np.ravel(np.abs(x.kernel.numpy())) for x in model.layers])
        least = np.sort(everything)[16]
        for layer in model.layers:
            want = np.abs(layer.kernel.numpy()) >= least
            np.testing.assert_array_equal(layer.kernel.transforms[0].mask.numpy(), want)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"block_size": (2, 0)}, r"`block_size` .*Received: block_size=\(2, 0\)"),
    ({"block_size": 2}, "Received: block_size=2"),
    ({"block_pooling_type": "MIN"}, "Received: block_pooling_type='MIN'"),
    ({"sparsity_m_by_n": (4, 4)}, r"Received: sparsity_m_by_n=\(4, 4\)"),
    ({"sparsity_m_by_n": (2, 4), "block_size": (2, 2)}, r"block_size=\(2, 2\)"),
    ({"scope": "layer"}, "Received: scope='layer'"),
    ({"pruning_schedule": 0.5}, "Received: pruning_schedule=0.5"),
    ({"pruning_policy": "nowhere/*"}, "pruning_policy='nowhere/\\*', where are none"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimization.prune_low_magnitude(dense(4), **arguments)


def test_a_pattern_without_a_kernel_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="'nowhere/kernel' stands for no kernel"):
        model = optimization.prune_low_magnitude(dense(4), pruning_policy=["d0", "nowhere/kernel"])
    assert len(masks(model)) == 1
    with pytest.raises(ValueError, match="list of layers. Received: to_prune=None"):
        optimization.prune_low_magnitude(None)


def test_the_names_and_callbacks_of_tfmot(tmp_path: Path) -> None:
    """What programs for it write runs; the callbacks are not needed."""
    for path, names in (
        ("sparsity.keras", "prune_low_magnitude UpdatePruningStep PruningSummaries prune_scope"),
        ("clustering.keras", "cluster_weights CentroidInitialization cluster_scope"),
        ("quantization.keras", "quantize_model quantizers.LastValueQuantizer quantize_scope"),
        ("experimental.combine", "Default8BitPrunePreserveQuantizeScheme"),
    ):
        module = importlib.import_module(f"cornu.optimization.{path}")
        assert all(operator.attrgetter(name)(module) for name in names.split())
    model = optimization.prune_low_magnitude(dense(4), HALF)
    told = [optimization.UpdatePruningStep(), optimization.PruningSummaries(tmp_path)]
    with optimization.prune_scope():
        model.fit(X, X[:, :2], callbacks=told, verbose=0)
    assert b"kernel/sparsity" in next((tmp_path / "train").iterdir()).read_bytes()


def test_a_weight_has_one_mask() -> None:
    model = optimization.prune_low_magnitude(dense(4))
    with pytest.raises(ValueError, match="weights with a mask"):
        optimization.prune_low_magnitude(model)
