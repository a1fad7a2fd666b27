"""TensorFlow: `engine` gives the primitives, `steps` compiles steps."""

from .engine import TensorFlowEngine as TensorFlowEngine
