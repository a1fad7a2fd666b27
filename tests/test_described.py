"""Constructors' arguments: kept as attributes, converted, told by configs; whatever users' subclasses do."""

from __future__ import annotations

from typing import Any

import pytest

import cornu
from cornu import callbacks, initializers, layers, losses


class Positional(layers.Dense):
    def __init__(self, units: int, **kwargs: Any) -> None:
        self.before = units
        super().__init__(2 * units, "relu", **kwargs)


class ReadOnly(layers.Dense):
    @property
    def use_bias(self) -> bool:
        return False

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "note": 1}


class Later(layers.Layer):
    def __init__(self, units: int, rate: float = 0.5) -> None:
        super().__init__()
        self.units = units


@pytest.mark.parametrize(
    "made, expected",
    [
        (lambda: layers.Conv2D(4, 2, lora_rank=2), {"lora_rank": 2, "lora_alpha": 2}),
        (lambda: layers.Conv2D(4, 2), {"kernel_size": (2, 2), "lora_rank": None}),
        (lambda: layers.LSTM(3, dropout=0.1), {"units": 3, "dropout": 0.1, "cell": None}),
        (lambda: losses.Huber(2.0, dtype="float16"), {"delta": 2.0, "dtype": "float16"}),
        (lambda: initializers.HeNormal(3), {"seed": 3, "scale": None}),
        (lambda: Positional(3), {"units": 6, "activation": "relu", "before": None}),
        (lambda: ReadOnly(3), {"units": 3, "use_bias": False, "note": 1}),
        (lambda: Later(3), {"units": 3, "rate": 0.5}),
    ],
)
def test_configs_tell_what_was_given(made: Any, expected: dict[str, Any]) -> None:
    config = made().get_config()
    assert {name: config.get(name) for name in expected} == expected


def test_low_rank_arguments_of_a_convolution_survive_a_config() -> None:
    layer = layers.Conv2D.from_config(layers.Conv2D(4, 2, lora_rank=2).get_config())
    layer.build((None, 8, 8, 3))
    assert layer.lora_enabled and layer.lora_kernel_a.shape[-1] == 2


def test_a_layer_without_weights_is_built_unless_a_subclass_builds() -> None:
    class Scaled(layers.Dropout):
        def build(self, input_shape: Any) -> None:
            self.factor = self.add_weight(shape=(input_shape[-1],))

    assert layers.Dropout(0.5).built
    scaled = Scaled(0.5)
    assert not scaled.built
    scaled(cornu.ops.ones((2, 3)))
    assert scaled.factor.shape == (3,)


def test_callbacks_keep_their_arguments_and_a_users_its_own() -> None:
    class Patient(callbacks.EarlyStopping):
        def __init__(self, patience: int) -> None:
            super().__init__(patience=2 * patience, mode="min")

    assert (callbacks.CSVLogger("log.csv", ";").sep, Patient(3).patience) == (";", 6)
    assert callbacks.LambdaCallback().on_epoch_begin(0) is None  # type: ignore[func-returns-value]


def test_the_layers_of_both_directions_stand_in_the_order_of_their_weights() -> None:
    ahead, back = layers.LSTM(2), layers.LSTM(3, go_backwards=True, name="back")
    both = layers.Bidirectional(ahead, backward_layer=back)
    assert [layer.name for layer in both._layers] == ["forward_lstm", "back"]
    again = layers.Bidirectional.from_config(both.get_config())
    assert [layer.units for layer in again._layers] == [2, 3]
