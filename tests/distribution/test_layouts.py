"""Meshes, layouts and distributions: Keras's names, which fit what, and where variables lie."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras
import numpy as np
import pytest

import cornu
from cornu import distribution, layers, optimizers
from cornu.distribution import DataParallel, DeviceMesh, LayoutMap, ModelParallel, TensorLayout


@pytest.fixture(autouse=True)
def none_before_and_after() -> Iterator[None]:
    distribution.set_distribution(None)
    yield
    distribution.set_distribution(None)


def mesh(*shape: int, of: Any = distribution) -> Any:
    names = ("batch", "model")[: len(shape)]
    return of.DeviceMesh(shape, names, [f"cpu:{i % 2}" for i in range(int(np.prod(shape)))])


def maps(of: Any) -> Any:
    found = of.LayoutMap(mesh(1, 2, of=of))
    found["a/.*kernel"] = (None, "model")
    found["bias"] = of.TensorLayout(("model",))
    return found


def facts(of: Any) -> dict[str, Any]:
    """What a script can ask of the names, in Keras's or in our own."""
    layout_map, grid = maps(of), mesh(1, 2, of=of)
    data = of.DataParallel()
    model = of.ModelParallel(layout_map=layout_map, device_mesh=None)
    with data.scope():
        within = of.distribution() is data
    return {
        "devices": (of.list_devices(), of.list_devices("CPU"), of.get_device_count()),
        "mesh": (grid.shape, list(grid.axis_names), grid.devices.tolist(), repr(grid)),
        "layout": repr(of.TensorLayout((None, "model"), grid)),
        "found": [
            None if layout_map[key] is None else layout_map[key].axes
            for key in ("a/b/kernel", "a/kernel", "bias", "x/bias", "b/a/kernel")
        ],
        "map": (len(layout_map), list(layout_map), layout_map.device_mesh.shape),
        "data": (repr(data), data.batch_dim_name, data.auto_shard_dataset, data.num_processes),
        "model": (repr(model), model.batch_dim_name, model.num_model_replicas, model.data_shard_id),
        "batch": [d.get_data_layout((8, 3)).axes for d in (data, model)],
        "outputs": (data.get_tensor_layout("bias"), model.get_tensor_layout("bias").axes),
        "scope": (within, of.distribution()),
    }


def test_the_names_are_keras_s() -> None:
    assert facts(distribution) == facts(keras.distribution)


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "no axis": (lambda: DeviceMesh((), ("a",)), "has an axis at least. Received: shape=()"),
    "names": (lambda: DeviceMesh((2, 1), ("a",)), "has a name of its own. Received: shape=(2, 1)"),
    "one name twice": (lambda: DeviceMesh((2, 1), ("a", "a")), "a name of its own"),
    "devices": (lambda: DeviceMesh((3,), ("a",)), "shape=(3,), 3 devices, for 2 devices: ['cpu:0"),
    "kind": (lambda: distribution.list_devices("gpu"), "Received: 'gpu'. JAX finds ['cpu']"),
    "axis": (lambda: TensorLayout(("x",), mesh(2)), "Received: axes=('x',) for the axes ['batch']"),
    "axis twice": (lambda: TensorLayout(("a", "a")), "each once"),
    "mesh twice": (
        lambda: setattr(TensorLayout(("batch",), mesh(2)), "device_mesh", mesh(2)),
        "set once",
    ),
    "key twice": (
        lambda: maps(distribution).update(bias=()),
        "A key of a layout map is set once. Received: 'bias'",
    ),
    "no layout": (
        lambda: maps(distribution).update(x=3),
        "Received: 3 for 'x'. Pass `(None, 'model')`",
    ),
    "data": (lambda: DataParallel(device_mesh=3), "Received: device_mesh=3"),  # type: ignore[arg-type]
    "no map": (ModelParallel, "Received: layout_map=None"),
    "batch axis": (
        lambda: ModelParallel(layout_map=maps(distribution), batch_dim_name="x"),
        "Received: batch_dim_name='x'",
    ),
    "argument": (
        lambda: ModelParallel(layout_map=maps(distribution), x=1),
        "no such arguments. Received: ['x']",
    ),
    "no distribution": (lambda: distribution.set_distribution(3), "Received: value=3"),  # type: ignore[arg-type]
    "no mesh": (
        lambda: distribution.distribute_tensor(np.ones(2), TensorLayout((None,))),
        "Set its `device_mesh`",
    ),
    "no such device": (
        lambda: distribution.distribute_tensor(
            np.ones(2), TensorLayout((None,), DeviceMesh((1,), "a", ["cpu:9"]))
        ),
        "Received: ['cpu:9']",
    ),
    "rank": (
        lambda: cornu.Variable(np.ones(2), layout=TensorLayout((None, "model"), mesh(1, 2))).value,
        "Received: axes=(None, 'model') on the mesh {'batch': 1, 'model': 2} for 'variable' of shape (2,)",
    ),
    "division": (
        lambda: cornu.Variable(np.ones(3), layout=TensorLayout(("model",), mesh(1, 2))).value,
        "for 'variable' of shape (3,). Divide another axis, or None.",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_an_error(fault: str) -> None:
    call, words = FAULTS[fault]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_a_path_has_one_key() -> None:
    layout_map = maps(distribution)
    layout_map[".*/kernel"] = ("batch", None)
    with pytest.raises(ValueError, match=re.escape("for which ['a/.*kernel', '.*/kernel'] do")):
        layout_map["a/kernel"]
    layout_map["a/kernel"] = (None, None)
    assert layout_map["a/kernel"].axes == (None, None)


def test_more_axes_than_data_has_warn() -> None:
    with pytest.warns(UserWarning, match="Data is divided along one axis of a mesh, the first"):
        DataParallel(mesh(1, 2))


@pytest.mark.parametrize("engine", ["numpy", "tensorflow", "pytensor"])
def test_engines_of_one_device_refuse(engine: str) -> None:
    found = DataParallel(devices=["cpu:0", "cpu:1"])
    with cornu.backend.use(engine):
        for call in (distribution.list_devices, lambda: distribution.set_distribution(found)):
            with pytest.raises(
                NotImplementedError, match=f"runs on jax and torch. .* the {engine} engine"
            ):
                call()


def spec(variable: Any) -> Any:
    return variable.value.sharding.spec if len(variable.value.sharding.device_set) > 1 else None


def halves() -> ModelParallel:
    layout_map = LayoutMap(mesh(1, 2))
    layout_map[".*kernel"] = (None, "model")
    return ModelParallel(layout_map=layout_map)


def test_variables_move_when_the_distribution_changes() -> None:
    """Those that were made, and read, before it, too; what is kept for one lies as that does."""
    layer = layers.Dense(4)
    layer.build((None, 3))
    optimizer = optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    slots = {v.path.rpartition("_")[0].rpartition("/")[2]: v for v in optimizer.variables[2:]}
    x, before = np.ones((2, 3), "float32"), layer.kernel.numpy()
    expected = np.asarray(layer(x))
    assert spec(layer.kernel) is None
    for _ in range(2):
        with halves().scope():
            assert spec(layer.kernel) == spec(slots["dense_kernel"]) == jax.P(None, "model")
            assert spec(layer.bias) == spec(optimizer.iterations) == jax.P() or spec(
                layer.bias
            ) == jax.P(None)
            np.testing.assert_array_equal(layer.kernel.numpy(), before)
            np.testing.assert_allclose(layer(x), expected, 1e-6)
            layer.kernel.assign(before)
            assert spec(layer.kernel) == jax.P(None, "model")
            assert layer.kernel.value.addressable_shards[0].data.shape == (3, 2)
        with DataParallel().scope():
            assert spec(layer.kernel) == jax.P(None, None)
        assert spec(layer.kernel) is None
        np.testing.assert_array_equal(layer.kernel.numpy(), before)


def test_a_variable_s_own_layout_is_above_the_distribution_s() -> None:
    own = cornu.Variable(
        np.ones((2, 4)), layout=TensorLayout(("model", None), mesh(1, 2)), name="kernel"
    )
    assert spec(own) == jax.P("model", None)
    with halves().scope():
        assert spec(own) == jax.P("model", None)


def test_copies_of_variables_lie_where_the_distribution_says() -> None:
    with halves().scope():
        one = cornu.Variable(np.ones((2, 4), "float32"), name="kernel")
        one.value  # noqa: B018
        for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert spec(other) == jax.P(None, "model")
    other = pickle.loads(pickle.dumps(one))  # which waits on the host
    assert spec(other) is None and other.numpy().sum() == 8


def test_an_engine_of_one_device_has_the_whole_value() -> None:
    with halves().scope():
        one = cornu.Variable(np.arange(8.0).reshape(2, 4), name="kernel")
        one.value  # noqa: B018
        with cornu.backend.use("numpy"):
            np.testing.assert_array_equal(one.value, np.arange(8.0).reshape(2, 4))
        assert spec(one) == jax.P(None, "model")


def test_a_tensor_is_laid_out() -> None:
    layout = TensorLayout((("batch", "model"), None), mesh(1, 2))
    found = distribution.distribute_tensor(np.ones((4, 2), "float32"), layout)
    inside = jax.jit(lambda x: distribution.distribute_tensor(x * 2, layout))(np.ones((4, 2)))
    for x in (found, inside):
        assert [shard.data.shape for shard in x.addressable_shards] == [(2, 2), (2, 2)]
    symbolic = cornu.KerasTensor((4, 2))
    assert distribution.distribute_tensor(symbolic, layout) is symbolic


def net() -> Any:
    inputs = cornu.Input((6, 8))
    x = layers.GroupQueryAttention(2, 4, 2, name="attention")(inputs, inputs)
    x = layers.Dense(16, name="up")(x)
    x = layers.Dense(8, name="down")(x)
    x = layers.Dense(5, name="head")(layers.Flatten()(x))
    return cornu.Model([inputs], [x], name="net")


def test_a_layout_is_found_from_the_model() -> None:
    found = distribution.tensor_parallel(net(), mesh(1, 2))
    assert {path: layout.axes for path, layout in found.items()} == {
        **{f"attention/{x}/kernel": (None, "model", None) for x in ("query", "key", "value")},
        **{f"attention/{x}/bias": ("model", None) for x in ("query", "key", "value")},
        "attention/attention_output/kernel": ("model", None, None),
        "up/kernel": (None, "model"),
        "up/bias": ("model",),
        "down/kernel": ("model", None),
    }


def test_weights_are_divided_along_both_axes() -> None:
    model = net()
    both = distribution.fsdp(
        layout_map=distribution.tensor_parallel(model, mesh(2, 2)), smallest=64
    )
    axes = {v.path: both.get_variable_layout(v).axes for v in model.variables}
    assert axes["up/kernel"] == ("batch", "model") and axes["up/bias"] == ("model",)
    assert axes["head/kernel"] == ("batch", None) and axes["head/bias"] == (None,)


def test_what_a_device_has_is_said_before_the_first_step() -> None:
    """No weight is drawn for it."""
    model = net()
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    lines: list[str] = []
    layout_map = distribution.tensor_parallel(model, mesh(1, 2))
    own = layout_map.summary(model, lines.append)
    assert lines[1].split() == [
        "attention/query/kernel",
        "(8,",
        "4,",
        "2)",
        "-,",
        "model,",
        "-",
        "128",
    ]
    with ModelParallel(layout_map=layout_map).scope():
        variables = [*model.variables, *model.optimizer.variables]
        held = [v.value.addressable_shards[0].data.nbytes for v in variables]
    assert own == sum(held)


def fit(layout_map: Any, batch_size: int = 4) -> None:
    model = net()
    model.compile("sgd", "mse")
    with ModelParallel(layout_map=layout_map).scope():
        model.fit(np.ones((4, 6, 8)), np.ones((4, 5)), batch_size, verbose=0)


def test_a_key_for_nothing_warns() -> None:
    layout_map = LayoutMap(mesh(1, 2))
    layout_map["kernel"] = (None, "model")
    with pytest.warns(UserWarning, match=re.escape("Received: ['kernel'], which stand for none")):
        fit(layout_map)


def test_a_batch_size_that_is_no_multiple_warns() -> None:
    with pytest.warns(UserWarning, match="A batch is divided in 2 .* Received: batches of 3"):
        fit(LayoutMap(mesh(2, 1)), 3)


def test_a_layout_that_does_not_fit_is_an_error_at_fit() -> None:
    layout_map = LayoutMap(mesh(1, 2))
    layout_map["head/kernel"] = (None, "model")
    with pytest.raises(ValueError, match=re.escape("for 'head/kernel' of shape (48, 5)")):
        fit(layout_map)
