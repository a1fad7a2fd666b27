"""PyTorch: `engine` gives the primitives, `graph` records steps, `lists` works on many tensors at once."""

from .engine import TorchEngine as TorchEngine
