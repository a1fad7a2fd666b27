"""ONNX files as models: of public ops and layers, with weights that train.

Each node becomes the layer that has its weights, or an op. Convolutions keep ONNX's order of axes
(`data_format="channels_first"`), so that the model takes what the file takes. A float array of the file
with more than one number is a weight that trains, but for the averages of a batch normalization.
"""

from __future__ import annotations

import os
from typing import Any

from . import _layers, _loops, _math, _shapes  # which say how nodes are read
from ._file import read_file
from ._reader import Reader


def load_onnx(path: str) -> Any:
    """The model of an ONNX file.

    Args:
        path: Its path. Weights outside of it lie in its folder.

    Returns:
        A Functional. It takes a tensor, or a dictionary where the file has several inputs; it gives
        a tensor, or a dictionary.

    Raises:
        BrokenFileError: If it is no ONNX file, or not complete.
        NotImplementedError: If it has an operation that is not known.
        ModuleNotFoundError: If the package `onnx` is not installed.
    """
    name = os.path.splitext(os.path.basename(path))[0].replace("/", "_")
    return Reader(read_file(path), path, os.path.getsize(path)).model(name)
