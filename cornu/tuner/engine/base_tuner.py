"""The search over any kind of model."""

from .._base import BaseTuner as BaseTuner
