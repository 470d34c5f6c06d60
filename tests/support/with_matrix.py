"""Quantizing in tests where any format will do."""

import numpy as np


def quantized(fmt, weights):
    """Quantize without an importance matrix where that is possible, else with one of ones."""
    ones = np.ones(np.shape(weights)[-1:], np.float32)
    return fmt.quantize(weights, ones if fmt.needs_importance else None)


def round_trip(fmt, weights):
    """Quantize as `quantized` does, then dequantize."""
    return fmt.dequantize(quantized(fmt, weights))
