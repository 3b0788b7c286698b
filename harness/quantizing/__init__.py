"""Quantize a float model with ai-edge-quantizer: one recipe, or the least that stays in float."""

from harness.quantizing.mixed import Step, least_in_float
from harness.quantizing.recipes import PRECISIONS, Quantizing, missing

__all__ = ["PRECISIONS", "Quantizing", "Step", "least_in_float", "missing"]
