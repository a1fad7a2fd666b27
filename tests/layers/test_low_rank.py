"""LoRA and DoRA: on every kind of kernel, as Keras's where it has it, and on models that are trained already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.transforms import LowRank
from tests.engines_tested import ENGINES

RNG = np.random.default_rng(0)
WORDS = np.array([[1, 2], [3, 6]])

#: A layer, and the shape of what it is called on.
ROWS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...] | None]] = {
    "dense": (lambda la: la.Dense(5), (2, 4)),
    "dense of sequences": (lambda la: la.Dense(5, use_bias=False), (2, 3, 4)),
    "einsum": (lambda la: la.EinsumDense("abc,cde->abde", (3, 2, 5), bias_axes="e"), (2, 3, 4)),
    "einsum over two axes": (lambda la: la.EinsumDense("abcd,cde->abe", (None, 5)), (2, 3, 4, 2)),
    "einsum by the columns": (lambda la: la.EinsumDense("...x,yx->...y", 5), (2, 3, 4)),
    "convolution": (lambda la: la.Conv2D(6, 3, dilation_rate=2), (2, 6, 6, 4)),
    "in groups": (lambda la: la.Conv1D(6, 3, groups=2, strides=2, padding="same"), (2, 5, 4)),
    "embedding": (lambda la: la.Embedding(7, 4), None),
    "depthwise": (lambda la: la.DepthwiseConv2D(3), (2, 5, 5, 4)),
    "separable": (lambda la: la.SeparableConv1D(3, 3), (2, 5, 4)),
    "transposed": (lambda la: la.Conv2DTranspose(3, 3), (2, 5, 5, 4)),
    "recurrent": (lambda la: la.Bidirectional(la.GRU(3)), (2, 5, 4)),
}
#: Those for which no gradient of the kernel's size is made.
PRODUCTS = list(ROWS)[:8]


def adapted(name: str, dora: bool = False) -> tuple[Any, np.ndarray]:
    make, shape = ROWS[name]
    layer, x = make(layers), WORDS if shape is None else RNG.normal(size=shape).astype("float32")
    layer(x)
    layer.enable_lora(2, lora_alpha=3, dora=dora)
    for product in products(layer):
        product.b.assign(RNG.normal(size=product.b.shape))
        if dora:
            product.magnitude.assign(RNG.normal(size=product.magnitude.shape) + 2)
    return layer, x


def products(layer: Any) -> list[Any]:
    return [t for part in layer._flatten_layers() for _, t in part.transforms]


def plain(layer: Any) -> list[Any]:
    return [v for v in layer.weights if "lora" not in v.name]


@pytest.mark.parametrize(
    ("name", "engine", "dora"),
    [
        (name, engine, dora)
        for name in ROWS
        for engine in ENGINES
        for dora in (False, True)
        if engine == "numpy" or (name in PRODUCTS and not dora)
    ],
)
def test_equals_baked_weights(name: str, engine: str, dora: bool) -> None:
    with cornu.backend.use(engine):
        layer, x = adapted(name, dora)
        found = ops.convert_to_numpy(layer(x))
        baked = ROWS[name][0](layers)
        baked(x)
        baked.set_weights([ops.convert_to_numpy(v.effective()) for v in plain(layer)])
        close = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(found, ops.convert_to_numpy(baked(x)), **close)
        before = layer.get_weights()
        layer.merge_lora()
        np.testing.assert_allclose(found, ops.convert_to_numpy(layer(x)), **close)
        assert not any("lora" in v.name for v in layer.trainable_variables)
        layer.unmerge_lora()
        for a, b in zip(before, layer.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, **close)
        layer.strip_transforms()
        np.testing.assert_allclose(found, ops.convert_to_numpy(layer(x)), **close)
        assert len(layer.weights) == len(baked.weights) == len(plain(layer))


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_products_never_make_the_sum(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = adapted(name)
    monkeypatch.setattr(LowRank, "value", lambda self, stored: pytest.fail("materialized"))
    layer(x)


@pytest.mark.parametrize("name", ["dense", "einsum", "convolution", "in groups", "embedding"])
def test_as_in_keras(name: str, tmp_path: Path) -> None:
    """The same attributes, weights and config; files of either load in the other."""
    make, shape = ROWS[name]
    x = WORDS if shape is None else RNG.normal(size=shape).astype("float32")
    models = []
    for library in (cornu, keras):
        layer = make(library.layers)
        model = library.Sequential([layer])
        model(x)
        layer.enable_lora(2, lora_alpha=4)
        models.append(model)
    (ours,), (theirs,) = (model.layers for model in models)
    named = [[(v.name, v.shape, v.trainable) for v in one.weights] for one in (ours, theirs)]
    assert named[0] == named[1]
    for attribute in ("lora_enabled", "lora_rank", "lora_alpha"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert ours.get_config()["lora_alpha"] == theirs.get_config()["lora_alpha"] == 4
    weights = [RNG.normal(size=v.shape).astype("float32") for v in ours.weights]
    for model in models:
        model.set_weights(weights)
    expected = np.asarray(models[1](x))
    np.testing.assert_allclose(np.asarray(models[0](x)), expected, rtol=1e-4, atol=1e-5)
    for kind in ("weights.h5", "keras"):
        for model, save in zip(models, ("ours", "theirs"), strict=True):
            path = str(tmp_path / f"{save}.{kind}")
            model.save(path) if kind == "keras" else model.save_weights(path)
        for library, model, path in zip((cornu, keras), models, ("theirs", "ours"), strict=True):
            path = str(tmp_path / f"{path}.{kind}")
            if kind == "keras":
                model = library.saving.load_model(path)
                assert model.layers[0].lora_rank == 2
            else:
                model.set_weights([w + 1 for w in weights])
                model.load_weights(path)
            np.testing.assert_allclose(np.asarray(model(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_on_a_model_that_is_compiled_and_trained(engine: str) -> None:
    """What the optimizer keeps for weights that go on training stays; for frozen ones it keeps nothing."""
    x, y = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 1)).astype("float32")
    with cornu.backend.use(engine):
        model = cornu.Sequential(
            [cornu.Input((4,)), layers.Dense(3, name="first"), layers.Dense(1, name="last")]
        )
        model.compile("adam", "mse")
        model.fit(x, y, verbose=0)
        before = {v.path: v.numpy() for v in model.optimizer.variables}
        model.enable_lora(1, targets="first/*", dora=True)
        model.optimizer.follow(model)
        after = {v.path: v.numpy() for v in model.optimizer.variables}
        gone = {path for path in before if "first_kernel" in path}
        assert len(gone) == 2 and before.keys() - after.keys() == gone
        assert all(np.array_equal(after[path], before[path]) for path in before.keys() - gone)
        kernel = model.layers[0].kernel.numpy()
        loss = model.evaluate(x, y, verbose=0)
        model.fit(x, y, epochs=5, verbose=0)
        assert np.array_equal(model.layers[0].kernel.numpy(), kernel)
        assert model.evaluate(x, y, verbose=0) < loss
        found = model.predict(x, verbose=0)
        model.strip_transforms()
        np.testing.assert_allclose(model.predict(x, verbose=0), found, rtol=1e-4, atol=1e-5)
        model.fit(x, y, verbose=0)
        assert not np.array_equal(model.layers[0].kernel.numpy(), kernel)
        assert len(model.optimizer.variables) == len(before)


def test_what_is_refused() -> None:
    layer = layers.Dense(3, kernel_constraint="non_neg")
    with pytest.raises(ValueError, match="must be built"):
        layer.enable_lora(2)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="constraint"):
        layer.enable_lora(2)
    assert [v.name for v in layer.trainable_weights] == ["kernel", "bias"]
    layer = layers.Dense(3, lora_rank=2)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="enabled once"):
        layer.enable_lora(2)
    with pytest.raises(ValueError, match=r"matches none of 1\. The nearest are"):
        layer.enable_lora(2, targets="*/query/kernel")
    with pytest.raises(ValueError, match="positive integer"):
        layers.Dense(3, lora_rank=-1).build((None, 4))
    with pytest.raises(ValueError, match="two axes or more"):
        layer.add_transform(layer.bias, LowRank(2))


def test_the_scale_may_be_changed_after_compiling() -> None:
    model = cornu.Sequential([cornu.Input((4,)), layers.Dense(3, use_bias=False)])
    model.enable_lora(2, lora_alpha=2)
    product = model.layers[0].transforms[0][1]
    product.b.assign(np.ones((2, 3)))
    plain = np.ones((1, 4)) @ model.layers[0].kernel.numpy()
    added = model.predict(np.ones((1, 4)), verbose=0) - plain
    product.alpha = 6
    found = model.predict(np.ones((1, 4)), verbose=0)
    np.testing.assert_allclose(found, plain + 3 * added, rtol=1e-4)
    assert model.layers[0].lora_alpha == product.get_config()["alpha"] == 6
