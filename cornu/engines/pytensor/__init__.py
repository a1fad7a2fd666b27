"""PyTensor: `engine` gives the primitives, `graph` builds them of nodes, `arrays` computes outside of steps."""

from .engine import PyTensorEngine as PyTensorEngine
