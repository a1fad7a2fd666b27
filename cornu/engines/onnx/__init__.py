"""ONNX: `engine` writes primitives as `nodes` of a `graph`, `math` and `whole` more of them."""

from .engine import OnnxEngine as OnnxEngine
from .training import OnnxTrainingEngine as OnnxTrainingEngine
