"""TensorFlow's graphs: `engine` writes primitives as nodes of a `graph`, for TensorFlow and for TensorFlow.js."""

from .saved_model import GraphDefEngine as GraphDefEngine
from .tfjs import TensorFlowJsEngine as TensorFlowJsEngine
from .tfjs import TensorFlowJsGraph as TensorFlowJsGraph
