"""Ops on tensors as such: conversion, slicing and scattering, control flow over functions."""

from __future__ import annotations

from ._core import associative_scan as associative_scan
from ._core import cast as cast
from ._core import cond as cond
from ._core import convert_to_numpy as convert_to_numpy
from ._core import convert_to_tensor as convert_to_tensor
from ._core import custom_gradient as custom_gradient
from ._core import dtype as dtype
from ._core import fori_loop as fori_loop
from ._core import is_tensor as is_tensor
from ._core import map as map
from ._core import saturate_cast as saturate_cast
from ._core import scan as scan
from ._core import scatter as scatter
from ._core import scatter_update as scatter_update
from ._core import shape as shape
from ._core import slice as slice
from ._core import slice_update as slice_update
from ._core import stop_gradient as stop_gradient
from ._core import switch as switch
from ._core import unstack as unstack
from ._core import vectorized_map as vectorized_map
from ._core import while_loop as while_loop
from ._einops import rearrange as rearrange
