"""Safetensors files: what other libraries read and wrote, and what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import cornu
from cornu import layers


class Everything(layers.Layer):
    """A weight of each dtype, one of them without axes and one without elements."""

    DTYPES = (
        "bool int8 uint8 int32 uint32 float16 bfloat16 float8_e4m3fn float8_e5m2 float32".split()
    )

    def build(self, shape: Any) -> None:
        for position, dtype in enumerate(self.DTYPES):
            self.add_weight(
                name=dtype,
                shape=[(), (0, 2), (3,)][min(position, 2)],
                dtype=dtype,
                initializer="ones",
                trainable=dtype == "float32",
            )

    def call(self, x: Any) -> Any:
        return x


def make(seed: int = 0) -> Any:
    stack = [Everything(), layers.Dense(3), layers.Dropout(0.5, seed=seed), layers.Dense(2)]
    return cornu.Sequential([cornu.Input((4,)), *stack], name="m")


def values(model: Any) -> list[Any]:
    return [np.asarray(variable.numpy()) for variable in model.variables]


@pytest.mark.parametrize("shards", [None, 60 / 2**30])
def test_round_trip(shards: float | None, tmp_path: Path) -> None:
    """Also of the state of draws, and not of the optimizer's."""
    model, other = make(), make(seed=7)
    for each in (model, other):
        each.compile("adam", "mse")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that nothing depends on
            each.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    model.save_weights(tmp_path / "a.safetensors", max_shard_size=shards)
    name = "a.safetensors" if shards is None else "a.safetensors.index.json"
    report = other.load_weights(tmp_path / name)
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
    for one, two in zip(values(model), values(other), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    assert int(other.optimizer.iterations) == 1
    names = {"layers/everything/bool", "layers/dense_1/kernel"}
    names |= {"layers/dropout/seed_generator/seed_and_counter"}
    if shards is None:
        found: dict[str, Any] = safetensors.torch.load_file(tmp_path / "a.safetensors")
    else:
        index = json.loads((tmp_path / name).read_text())
        assert index["metadata"] == {"total_size": sum(v.nbytes for v in values(model))}
        found = index["weight_map"]
        files = sorted(path.name for path in tmp_path.iterdir())
        assert sorted({name, *found.values()}) == files
        assert files[0] == f"a-00001-of-{len(files) - 1:05d}.safetensors"
    assert names <= set(found)
    assert len(found) == len(report.loaded)


def test_files_of_other_libraries(tmp_path: Path) -> None:
    """By names that become paths of variables; nothing is transposed."""
    net = torch.nn.ModuleDict({"emb": torch.nn.Embedding(5, 4), "norm": torch.nn.LayerNorm(4)})
    net["norm"].bias.data.uniform_()
    safetensors.torch.save_file(
        {k: v.bfloat16() for k, v in net.state_dict().items()}, tmp_path / "a.safetensors"
    )
    stack = [layers.Embedding(5, 4, name="emb"), layers.LayerNormalization(name="norm")]
    model = cornu.Sequential([cornu.Input((3,), dtype="int32"), *stack], name="m")
    names = {
        "emb.weight": "m/emb/embeddings",
        r"norm\.weight": "m/norm/gamma",
        r"(\w+)\.bias": r"m/\1/beta",
    }
    report = model.load_weights(tmp_path / "a.safetensors", names=names)
    assert len(report.loaded) == 3
    for ours, theirs in zip(model.weights, net.state_dict().values(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.bfloat16().float().numpy())
    model.save_weights(tmp_path / "b.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "b.safetensors")
    np.testing.assert_array_equal(arrays["layers/embedding/embeddings"], model.get_weights()[0])


def content(header: Any, size: int = 24, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + b"\0" * size


def tensor(start: Any = 0, stop: Any = 24, shape: Any = (6,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


ATTACKS: dict[str, bytes] = {
    "empty": b"",
    "cut in the length": b"\0\0\0",
    "cut in the header": content({"a": tensor()})[:30],
    "cut in a tensor": content({"a": tensor()}, 20),
    "more than is told": content({"a": tensor()}, 28),
    "a header of 1 GB": content(b"{}", length=2**30),
    "a header without end": content(b"{}", length=2**64 - 1),
    "no JSON": content(b"hello"),
    "no text": content(b"\xff\xfe{}"),
    "a list": content([]),
    "a text": content("weights"),
    "nothing": content(None),
    "nested without end": content(b"[" * 10**5),
    "no tensor": content({"a": 3}),
    "no places": content({"a": {"dtype": "F32", "shape": [6]}}),
    "places of another size": content({"a": tensor(shape=[7])}),
    "a place before": content({"a": tensor(-24, 0)}),
    "places backwards": content({"a": tensor(24, 0)}),
    "places of texts": content({"a": tensor("0", "24")}),
    "places that aren't whole": content({"a": tensor(0, 24.0)}),
    "too many places": content({"a": {**tensor(), "data_offsets": [0, 1, 24]}}),
    "overlap": content({"a": tensor(), "b": tensor(12, 36)}, 36),
    "the same bytes": content({"a": tensor(), "b": tensor()}),
    "a hole": content({"a": tensor(12, 36)}, 36),
    "two of a name": content(b'{"a":%b,"a":%b}' % ((json.dumps(tensor()).encode(),) * 2), 48),
    "negative sizes": content({"a": tensor(shape=[-2, -3])}),
    "a size that overflows": content({"a": tensor(shape=[2**62, 4, 0, 6], stop=0)}, 1),
    "a size of many digits": content({"a": tensor(shape=[10**400, 0])}, 0),
    "axes without end": content({"a": tensor(0, 4, [1] * 10**5)}, 4),
    "true as a size": content({"a": tensor(0, 4, [True])}, 4),
    "no dtype": content({"a": tensor(dtype=["F32"])}),
    "a dtype that nobody has": content({"a": tensor(dtype="F4")}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(ATTACKS[name])
    with pytest.raises(
        ValueError, match="safetensors file must be complete. Received: '.*a.safe"
    ) as e:
        make().load_weights(tmp_path / "a.safetensors", names={"a": "m/dense/bias"})
    assert len(str(e.value)) < 900


INDEXES: dict[str, tuple[Any, str]] = {
    "outside": ({"weight_map": {"a": "../a.safetensors"}}, "lie next to their list"),
    "absolute": ({"weight_map": {"a": "/etc/passwd"}}, "lie next to their list"),
    "the folder above": ({"weight_map": {"a": ".."}}, "lie next to their list"),
    "a number": ({"weight_map": {"a": 3}}, "must be JSON with `weight_map`"),
    "a zero in a name": ({"weight_map": {"a": "a\0b.safetensors"}}, "next to|must exist|null"),
    "no map": ({"weight_map": ["a"]}, "must be JSON with `weight_map`"),
    "itself": ({"weight_map": {"a": "x.safetensors.index.json"}}, "must be complete"),
    "lost": ({"weight_map": {"a": "gone.safetensors"}}, "must exist"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_lists_refused(name: str, tmp_path: Path) -> None:
    index, words = INDEXES[name]
    (tmp_path / "x.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=words):
        make().load_weights(tmp_path / "x.safetensors.index.json")
