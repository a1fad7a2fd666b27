"""Training for integers where TensorFlow Model Optimization has it."""

from . import keras as keras
