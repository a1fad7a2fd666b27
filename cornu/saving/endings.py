"""How the names of files end, by what is in them."""

from ._weights import FORMATS

#: Whole models in Keras's old format.
OLD: tuple[str, ...] = (".h5", ".hdf5")
#: Whole models that are read, and written by `export`.
ONNX = ".onnx"
#: Weights alone, in one file.
WEIGHTS: tuple[str, ...] = tuple(format.ending for format in FORMATS)
#: Whole models.
MODELS: tuple[str, ...] = (".keras", *OLD)


def is_model(path: str) -> bool:
    """Whether a path is that of a whole model: `.weights.h5` ends like an old one."""
    return path.endswith(MODELS) and not path.endswith(WEIGHTS)


def is_weights(path: str) -> bool:
    """Whether a path is that of weights alone, in one file."""
    return path.endswith(WEIGHTS)
