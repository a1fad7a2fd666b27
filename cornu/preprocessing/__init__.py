"""Preparation of data, under the names that it had before `utils`."""

from . import sequence as sequence
