"""Networks of PyTorch, small, as its exporters write them: what ONNX files from elsewhere are like."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(4, 3, 32, 32)).astype("float32")
SERIES = RANDOM.normal(size=(4, 9, 6)).astype("float32")
TOKENS = RANDOM.integers(0, 40, (4, 7))
MASK = np.ones((4, 7), "int64")
MASK[1, 5:] = 0


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        shortcut = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = nn.Sequential(*shortcut if stride > 1 else ())

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet(nn.Module):
    """A stem, two blocks, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = Residual(8, 8, 1), Residual(8, 16, 2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


class Inverted(nn.Module):
    """A depthwise convolution between two pointwise ones (Sandler et al., 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = inputs * 2
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNet(nn.Module):
    """Inverted blocks, and channels that are scaled by what is in them (Howard et al., 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(), Inverted(8, 8, 1))
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.last = Inverted(8, 12, 2)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(12, 5))

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        scale = self.excite(torch.relu(self.squeeze(nn.functional.adaptive_avg_pool2d(x, 1))))
        return self.classifier(self.last(x * nn.functional.hardsigmoid(scale)).mean([2, 3]))


class Block(nn.Module):
    """Attention and two products (Devlin et al., 2019)."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.dense, self.norm1 = nn.Linear(size, size), nn.LayerNorm(size)
        self.intermediate, self.output = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.norm2 = nn.LayerNorm(size)

    def forward(self, x: Any, mask: Any) -> Any:
        batch, time, size = x.shape

        def split(y: Any) -> Any:
            return y.view(batch, time, self.heads, size // self.heads).permute(0, 2, 1, 3)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        weights = (q @ k.transpose(-1, -2) / (size // self.heads) ** 0.5 + mask).softmax(-1)
        y = (weights @ v).permute(0, 2, 1, 3).reshape(batch, time, size)
        x = self.norm1(x + self.dense(y))
        return self.norm2(x + self.output(nn.functional.gelu(self.intermediate(x))))


class Bert(nn.Module):
    """Three embeddings, two blocks, a class from the first token."""

    def __init__(self, size: int = 16) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(40, size), nn.Embedding(64, size)
        self.kinds, self.norm = nn.Embedding(2, size), nn.LayerNorm(size)
        self.register_buffer("ids", torch.arange(64)[None])
        self.layers = nn.ModuleList([Block(size, 2), Block(size, 2)])
        self.pooler, self.classifier = nn.Linear(size, size), nn.Linear(size, 3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2)

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        places = self.places(self.ids[:, : input_ids.shape[1]])
        x = self.words(input_ids) + places + self.kinds(torch.zeros_like(input_ids))
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -1e4
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


class Lstm(nn.Module):
    """Two LSTMs in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.lstm(x)[0][:, -1])


class Gru(nn.Module):
    """A GRU's last state."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.fc = nn.GRU(6, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.gru(x.transpose(0, 1))[1][-1])


_OPEN = {0: "batch", 1: "time"}
#: Each network, with inputs and their open axes.
NETWORKS: dict[str, tuple[Any, dict[str, Any], dict[int, str]]] = {
    "resnet": (ResNet, {"image": IMAGES}, {0: "batch"}),
    "mobilenet": (MobileNet, {"image": IMAGES}, {0: "batch"}),
    "bert": (Bert, {"input_ids": TOKENS, "attention_mask": MASK}, _OPEN),
    "lstm": (Lstm, {"series": SERIES}, _OPEN),
    "gru": (Gru, {"series": SERIES}, _OPEN),
}


def exported(name: str, folder: Path, dynamo: bool = False, **options: Any) -> str:
    """The path of a network's file, by PyTorch's older exporter, or by its new one."""
    torch.manual_seed(0)
    kind, inputs, axes = NETWORKS[name]
    network = kind().eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):  # as if it had been trained
            part.running_mean.normal_(std=0.2)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
    if dynamo:
        free = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
        options["dynamic_shapes"] = (free,) * len(inputs)
    else:
        options["dynamic_axes"] = dict.fromkeys(inputs, axes)
    path = str(folder / f"{name}.onnx")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of what becomes of the exporter itself
        arguments = tuple(map(torch.tensor, inputs.values()))
        torch.onnx.export(
            network, arguments, path, dynamo=dynamo, input_names=list(inputs), **options
        )
    return path
