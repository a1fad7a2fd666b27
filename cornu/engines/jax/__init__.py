"""JAX: `engine` gives the primitives, `cpu` the forms that XLA compiles well on a CPU."""

from .engine import JaxEngine as JaxEngine
