"""Convert a network from ONNX, and measure how far the conversion is from the original."""

from harness.conversion.converting import converter, missing, to_tflite
from harness.conversion.original import ConversionDrift, drift

__all__ = ["ConversionDrift", "converter", "drift", "missing", "to_tflite"]
