"""The engine that writes files of LiteRT, the format `.tflite`."""

from .engine import LiteRTEngine as LiteRTEngine
