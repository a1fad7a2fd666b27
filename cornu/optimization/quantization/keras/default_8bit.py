"""The names of `tfmot.quantization.keras.default_8bit`."""

from ..._quantizing import Default8BitQuantizeScheme as Default8BitQuantizeScheme
