"""Quantizing in tests where any format will do."""

import numpy as np


def quantized(fmt, weights):
    """Quantize without an importance matrix where that is possible, else with one of ones."""
    if getattr(fmt, "needs_importance", False):
        return fmt.quantize(weights, np.ones(np.shape(weights)[-1:], np.float32))
    return fmt.quantize(weights)


def round_trip(fmt, weights):
    """Quantize so, then dequantize."""
    return fmt.dequantize(quantized(fmt, weights))
