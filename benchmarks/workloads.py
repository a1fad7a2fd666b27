"""What is measured: a table of models, sizes and batches."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Sizes = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A model at work.

    Args:
        name: What the command line and the tables call it.
        kind: `"train"` takes steps in `fit`, `"predict"` and `"call"` predict one batch at a time (`call`
            without `predict`, operation by operation), `"growth"` counts memory over calls of `fit`.
        model: The builder's name in `models`, and in each module of `by_hand`.
        sizes: The builder's arguments; the shapes of the data follow from them.
        batch: Samples in a step.
        batches: Steps in an epoch. All of its data lies in memory.
        first: Multiply-adds for a sample of the layer that the data enters: its gradient is one matrix
            product, because nothing asks for that of the data.
        others: Multiply-adds for a sample of the other layers: their gradients are two products each.
        gpu: Whether it takes a GPU.
        precision: The dtype of the arithmetic.
        source: What gives the data to `fit`, by its name in `sources`; the subject `arrays` gives arrays instead.
    """

    name: str
    model: str
    sizes: Sizes = field(hash=False)
    batch: int
    batches: int = 1
    kind: str = "train"
    first: int = 0
    others: int = 0
    gpu: bool = False
    precision: str = "float32"
    source: str = "arrays"

    @property
    def operations(self) -> int:
        """Floating-point operations of a step's matrix products and convolutions."""
        if self.kind == "train":
            return 2 * self.batch * (2 * self.first + 3 * self.others)
        return 2 * self.batch * (self.first + self.others)

    @property
    def loss(self) -> str:
        """`"mse"` for numbers, `"crossentropy"` of logits for classes."""
        return "mse" if "outputs" in self.sizes else "crossentropy"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of an epoch: numbers that have nothing to teach."""
        generator, sizes = np.random.default_rng(0), self.sizes
        count = self.batch * self.batches
        if "vocabulary" in sizes:
            shape = (count, sizes["length"] + 1)
            tokens = generator.integers(0, sizes["vocabulary"], shape, "int32")
            x, y = tokens[:, :-1].copy(), tokens[:, 1:].copy()
        else:
            shape = (count, *sizes.get("image", (sizes.get("features"),)))
            x = generator.standard_normal(shape, "float32")
            y = generator.standard_normal((count, sizes.get("outputs", 1)), "float32")
        if "classes" in sizes:
            y = generator.integers(0, sizes["classes"], (count,), "int32")
        return x, y


def transformer_products(vocabulary: int, length: int, width: int, layers: int, **_: int) -> int:
    """Multiply-adds for a sequence: projections and feed-forward, attention to all, the logits."""
    return length * (layers * (12 * width**2 + 2 * length * width) + width * vocabulary)


DIGITS: Sizes = {"features": 784, "hidden": (256, 128), "classes": 10}
TABLE: Sizes = {"features": 13, "hidden": (32,), "outputs": 1}
IMAGES: Sizes = {"image": (28, 28, 1), "filters": (32, 64), "classes": 10}
TEXTS: Sizes = {"vocabulary": 10_000, "length": 100, "units": 64, "classes": 2}
CHARACTERS: Sizes = {"vocabulary": 256, "length": 128, "width": 128, "heads": 4, "layers": 4}
GPT2: Sizes = {"vocabulary": 50_257, "length": 1024, "width": 768, "heads": 12, "layers": 12}
RESNET18: Sizes = {"image": (64, 64, 3), "blocks": (2, 2, 2, 2), "classes": 100}
RESNET50: Sizes = {
    "image": (224, 224, 3),
    "blocks": (3, 4, 6, 3),
    "classes": 1000,
    "bottleneck": True,
}

_DIGITS_FIRST, _DIGITS_OTHERS = 784 * 256, 256 * 128 + 128 * 10
_IMAGES_FIRST = 26**2 * 32 * 9
_IMAGES_OTHERS = 11**2 * 64 * 9 * 32 + 5**2 * 64 * 10
_TEXTS_OTHERS = 100 * 4 * 64 * (64 + 64) + 64 * 2

TRAINING = (
    Workload("mlp", "mlp", DIGITS, 128, 469, first=_DIGITS_FIRST, others=_DIGITS_OTHERS),
    Workload("cnn", "cnn", IMAGES, 128, 50, first=_IMAGES_FIRST, others=_IMAGES_OTHERS),
    Workload("lstm", "lstm", TEXTS, 32, 200, others=_TEXTS_OTHERS),
    Workload("gpt", "gpt", CHARACTERS, 16, 50, others=transformer_products(**CHARACTERS)),
    Workload("resnet18", "resnet", RESNET18, 32, 20, first=32**2 * 64 * 147, others=138_463_232),
    Workload("tabular", "mlp", TABLE, 32, 10_000, first=13 * 32, others=32),
)
_PREDICTION: Sizes = {"first": _DIGITS_FIRST, "others": _DIGITS_OTHERS}
INFERENCE = (
    Workload("call", "mlp", {**DIGITS, "hidden": (128,)}, 32, kind="call", others=784 * 128 + 1280),
    Workload("predict-1", "mlp", DIGITS, 1, kind="predict", **_PREDICTION),
    Workload("predict-10000", "mlp", DIGITS, 10_000, kind="predict", **_PREDICTION),
    Workload("predict-1-gpt", "gpt", CHARACTERS, 1, kind="predict", others=TRAINING[3].others),
    Workload(
        *("predict-10000-cnn", "cnn", IMAGES, 10_000),
        kind="predict",
        first=_IMAGES_FIRST,
        others=_IMAGES_OTHERS,
    ),
)
MEMORY = (Workload("growth", "mlp", DIGITS, 128, 10, kind="growth"),)
SOURCES = tuple(
    replace(TRAINING[0], name=f"mlp-{source}", source=source)
    for source in ("PyDataset", "generator", "DataLoader", "tf.data")
)
GPU = (
    Workload(
        *("gpt2", "gpt", GPT2, 16, 20),
        others=transformer_products(**GPT2),
        gpu=True,
        precision="bfloat16",
    ),
    Workload(
        *("resnet50", "resnet", RESNET50, 128, 10),
        first=112**2 * 64 * 147,
        others=3_971_170_304,
        gpu=True,
        precision="bfloat16",
    ),
    Workload("lstm-gpu", "lstm", TEXTS, 256, 100, others=_TEXTS_OTHERS, gpu=True),
)

GROUPS = {
    "training": TRAINING,
    "inference": INFERENCE,
    "memory": MEMORY,
    "sources": SOURCES,
    "gpu": GPU,
}
WORKLOADS = {workload.name: workload for group in GROUPS.values() for workload in group}
