"""Adapters alone, in a file of their own and in the layout of Hugging Face's PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cornu
from cornu import layers

RNG = np.random.default_rng(0)
WORDS = np.array([[1, 2, 3, 6], [0, 1, 1, 2]])

#: What PEFT 0.21 writes for an embedding of 7 words, a convolution over 3 steps and a linear layer of rank 3,
#: and reads again: names and shapes.
TENSORS = {
    "embed.lora_embedding_A": (2, 7),
    "embed.lora_embedding_B": (4, 2),
    "embed.lora_magnitude_vector": (4,),
    "block.steps.lora_A.weight": (2, 4, 3),
    "block.steps.lora_B.weight": (6, 2, 1),
    "block.steps.lora_magnitude_vector": (1, 6, 1),
    "classes.lora_A.weight": (3, 6),
    "classes.lora_B.weight": (5, 3),
    "classes.lora_magnitude_vector": (5,),
}


class Block(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.steps = layers.Conv1D(6, 3, name="steps")

    def call(self, x: Any) -> Any:
        return self.steps(x)


class Net(cornu.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block = layers.Embedding(7, 4, name="words"), Block()
        self.classes = layers.Dense(5, name="classes")

    def call(self, x: Any) -> Any:
        return self.classes(self.block(self.embed(x)))


def net(*adapted: tuple[str, int], dora: bool = False) -> Net:
    model = Net()
    model(WORDS)
    for target, rank in adapted:
        model.enable_lora(rank, lora_alpha=5 if rank == 3 else 4, targets=target, dora=dora)
    for _, product in (pair for part in model._flatten_layers() for pair in part.transforms):
        product.b.assign(RNG.normal(size=product.b.shape))
    return model


def plain(model: Net) -> list[np.ndarray]:
    return [v.numpy() for v in model.weights if "lora" not in v.name]


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("name", ["adapter.h5", "adapter"])
def test_round_trip(name: str, dora: bool, tmp_path: Path) -> None:
    model = net(("embeddings", 2), ("kernel", 2), dora=dora)
    model.save_adapter(tmp_path / name)
    again = net(("classes/kernel", 1))  # which makes place
    again.set_weights([*plain(model), *(v.numpy() for v in again.weights[5:])])
    again.load_adapter(tmp_path / name)
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    np.testing.assert_array_equal(np.asarray(model(WORDS)), np.asarray(again(WORDS)))


def test_as_peft_has_it(tmp_path: Path) -> None:
    model = net(("embeddings", 2), ("steps/kernel", 2), ("classes/kernel", 3), dora=True)
    model.save_adapter(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert {k: v.shape for k, v in tensors.items()} == {
        f"base_model.model.{name}": shape for name, shape in TENSORS.items()
    }
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 4.0, "use_dora": True, "bias": "none"}
    said |= {"rank_pattern": {"classes": 3}, "alpha_pattern": {"classes": 5.0}}
    said |= {"target_modules": ["block.steps", "classes", "embed"], "fan_in_fan_out": False}
    assert {key: config[key] for key in said} == said
    # The linear layer by PyTorch's formulas, in (columns, rows).
    weight = model.classes.kernel.numpy().T
    prefix = "base_model.model.classes.lora_"
    update = tensors[f"{prefix}B.weight"] @ tensors[f"{prefix}A.weight"] * (5 / 3)
    whole = weight + update
    lengths = tensors[f"{prefix}magnitude_vector"] / np.linalg.norm(whole, axis=1)
    np.testing.assert_allclose(
        np.asarray(model.classes.kernel.effective()).T, whole * lengths[:, None], rtol=1e-4
    )


def test_an_adapter_from_elsewhere(tmp_path: Path) -> None:
    """Other names, rank-stabilized scaling, and a kernel of three axes of which two are columns."""
    a, b = RNG.normal(size=(4, 6)).astype("float32"), RNG.normal(size=(6, 4)).astype("float32")
    name = "base_model.model.h.0.attn.q_proj.lora_"
    save_file({f"{name}A.weight": a, f"{name}B.weight": b}, tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "lora_alpha": 8, "r": 4, "use_rslora": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    x = cornu.Input((5, 6))
    model = cornu.Model(x, attention(x, x))
    names = {r"h\.0\.attn\.q_proj": "layers/multi_head_attention/query_dense"}
    model.load_adapter(tmp_path, names=names)
    kernel = attention.query_dense.kernel
    added = np.asarray(kernel.effective()) - kernel.numpy()
    np.testing.assert_allclose(added.reshape(6, 6), (b @ a).T * 4, rtol=1e-4, atol=1e-5)


def test_what_is_refused(tmp_path: Path) -> None:
    model, bare = net(("classes/kernel", 3)), net()
    with pytest.raises(ValueError, match="with none"):
        bare.save_adapter(tmp_path / "a.h5")
    model.save_adapter(tmp_path / "a.h5")
    model.save_adapter(tmp_path)
    model.merge_lora()
    with pytest.raises(ValueError, match="classes/kernel'. merged"):
        model.save_adapter(tmp_path / "b.h5")
    with pytest.raises(ValueError, match="has the size of its weight"):
        model.load_adapter(tmp_path / "a.h5", names={"classes/(.*)": "embed/embeddings"})
    with pytest.raises(ValueError, match="are of the model's weights"):
        cornu.Sequential([cornu.Input((2,)), layers.Dense(2)]).load_adapter(tmp_path / "a.h5")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    for changed, message in (
        ({**config, "bias": "all"}, "LoRA or DoRA"),
        ({**config, "lora_alpha": "much"}, "must be JSON"),
        ({**config, "lora_alpha": float("nan")}, "is a finite number"),
        ({**config, "alpha_pattern": [1]}, "must be JSON"),
        ({**config, "init_lora_weights": "pissa_niter_4"}, "pissa"),
        ({**config, "layer_replication": [[0, 1]]}, "layer_replication"),
        ({**config, "use_dora": True}, "DoRA has a magnitude beside each product"),
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=message):
            bare.load_adapter(tmp_path)
    assert len(bare.weights) == 5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lora_A.weight": (6,)}, "have a rank"),
        ({"lora_A.weight": (0, 6), "lora_B.weight": (5, 0)}, "have a rank"),
        ({"lora_B.weight": (5, 4)}, "have a rank"),
        ({"lora_magnitude_vector": (7,)}, "has the size of its weight"),
        ({"kernel.lora_A.weight": (3, 6), "kernel.lora_B.weight": (5, 3)}, "one of each"),
    ],
)
def test_broken_tensors(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    net(("classes/kernel", 3)).save_adapter(tmp_path)
    shapes = {"lora_A.weight": (3, 6), "lora_B.weight": (5, 3), **changed}
    tensors = {f"base_model.model.classes.{x}": np.ones(of, "float32") for x, of in shapes.items()}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    bare = net()
    with pytest.raises(ValueError, match=message):
        bare.load_adapter(tmp_path)
    assert len(bare.weights) == 5


def test_in_place_of_a_merged_product(tmp_path: Path) -> None:
    model = net(("*", 2))
    expected = np.asarray(model(WORDS))
    model.save_adapter(tmp_path / "a.h5")
    model.merge_lora()
    model.load_adapter(tmp_path / "a.h5")
    np.testing.assert_allclose(model(WORDS), expected, rtol=1e-4, atol=1e-4)
