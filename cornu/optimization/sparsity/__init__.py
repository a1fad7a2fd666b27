"""Pruning where TensorFlow Model Optimization has it."""

from . import keras as keras
