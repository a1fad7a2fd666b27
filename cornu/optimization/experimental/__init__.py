"""What TensorFlow Model Optimization has on trial."""

from . import combine as combine
