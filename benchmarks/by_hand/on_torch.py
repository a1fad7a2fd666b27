"""Plain PyTorch: modules, `torch.optim.Adam` and a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..workloads import Workload


def mlp(features: int, hidden: Sequence[int], classes: int = 0, outputs: int = 0) -> nn.Module:
    widths = (features, *hidden, classes or outputs)
    layers: list[nn.Module] = []
    for inputs, units in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn(image: Sequence[int], filters: Sequence[int], classes: int) -> nn.Module:
    height, width, channels = image
    layers: list[nn.Module] = []
    for count in filters:
        layers += [nn.Conv2d(channels, count, 3), nn.ReLU(), nn.MaxPool2d(2)]
        height, width, channels = (height - 2) // 2, (width - 2) // 2, count
    head = nn.Linear(height * width * channels, classes)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), head)


class LSTM(nn.Module):
    """Embedded tokens, an LSTM over them, logits from its last state."""

    def __init__(self, vocabulary: int, length: int, units: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, units)
        self.lstm = nn.LSTM(units, units, batch_first=True)
        self.head = nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(self.embedding(x))
        return self.head(hidden[-1])


class Block(nn.Module):
    """Attention and a feed-forward network, norms first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norms[0](x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.feed(self.norms[1](x))


class GPT(nn.Module):
    """A decoder; the logits come from the embedding's own table."""

    def __init__(self, vocabulary: int, length: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.tokens(x) + self.positions)
        return functional.linear(self.norm(x), self.tokens.weight)


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and its normalization."""
    body = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(body, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """A basic block or a bottleneck, and its shortcut."""

    def __init__(self, inputs: int, filters: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * filters if bottleneck else filters
        if bottleneck:
            first, second = (
                convolution(inputs, filters, 1),
                convolution(filters, filters, 3, stride),
            )
            path = [first, nn.ReLU(), second, nn.ReLU(), convolution(filters, outputs, 1)]
        else:
            first, second = (
                convolution(inputs, filters, 3, stride),
                convolution(filters, filters, 3),
            )
            path = [first, nn.ReLU(), second]
        changed = inputs != outputs or stride > 1
        self.path = nn.Sequential(*path)
        self.shortcut = convolution(inputs, outputs, 1, stride) if changed else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.path(x) + self.shortcut(x))


def resnet(
    image: Sequence[int], blocks: Sequence[int], classes: int, bottleneck: bool = False
) -> nn.Module:
    channels, body = 64, []
    for stage, count in enumerate(blocks):
        for index in range(count):
            filters, stride = 64 * 2**stage, 2 if stage > 0 and index == 0 else 1
            body.append(Residual(channels, filters, stride, bottleneck))
            channels = 4 * filters if bottleneck else filters
    stem = [convolution(image[-1], 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*stem, *body, *head)


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": LSTM,
    "gpt": GPT,
    "resnet": resnet,
}


def built(workload: Workload, x: np.ndarray) -> tuple[nn.Module, torch.Tensor]:
    """The model and its inputs, images with channels first, where the arithmetic is done."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    if x.ndim == 4:
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    model = BUILDERS[workload.model](**workload.sizes)
    return model.to(device), torch.from_numpy(x)


def loss_of(workload: Workload, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if workload.loss == "mse":
        return functional.mse_loss(outputs, y)
    return functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), y.reshape(-1))


def training(workload: Workload, x: np.ndarray, y: np.ndarray) -> Callable[[int], None]:
    """A call that takes steps, and waits for the last."""
    model, inputs = built(workload, x)
    device = next(model.parameters()).device
    targets = torch.from_numpy(y if workload.loss == "mse" else y.astype("int64"))
    optimizer = torch.optim.Adam(model.parameters())
    lower = torch.autocast(device.type, torch.bfloat16, enabled=workload.precision == "bfloat16")
    batch = workload.batch

    def go(steps: int) -> None:
        for index in range(steps):
            start = index % workload.batches * batch
            here = inputs[start : start + batch].to(device, non_blocking=True)
            wanted = targets[start : start + batch].to(device, non_blocking=True)
            optimizer.zero_grad()
            with lower:
                loss = loss_of(workload, model(here), wanted)
            loss.backward()
            optimizer.step()
        loss.item()

    return go


def prediction(workload: Workload, x: np.ndarray) -> Callable[[int], None]:
    """A call that predicts the batch in slices of 32; as a plain call, whole and with a graph."""
    model, inputs = built(workload, x)
    device = next(model.parameters()).device
    model.eval()
    tensor = inputs.to(device)

    def call(steps: int) -> None:
        for _ in range(steps):
            outputs = model(tensor)
        outputs.sum().item()

    @torch.inference_mode()
    def predictions(steps: int) -> None:
        for _ in range(steps):
            parts = [model(part.to(device)) for part in inputs.split(32)]
            torch.cat(parts).cpu().numpy()

    return call if workload.kind == "call" else predictions
