"""Preparation of sequences."""

from ..utils import pad_sequences as pad_sequences
