"""Quantizing in tests where any format will do."""

import numpy as np


def quantized(fmt, weights):
    """Bytes without an importance matrix where that is possible, else with one that says nothing."""
    if getattr(fmt, "needs_importance", False):
        return fmt.quantize(weights, np.ones(np.shape(weights)[-1:], np.float32))
    return fmt.quantize(weights)


def round_trip(fmt, weights):
    return fmt.dequantize(quantized(fmt, weights))
