"""Slow twins of the formats outside GGUF, one group at a time, from their definitions."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np

F32 = np.float32
SAFE = F32(1e-38)


def magnitudes(exponent_bits, mantissa_bits, n_codes):
    """Value of the first codes of a float with subnormals, exactly."""
    bias, ones = 2 ** (exponent_bits - 1) - 1, 2**mantissa_bits
    values = []
    for code in range(n_codes):
        exponent, mantissa = divmod(code, ones)
        digits = Fraction(mantissa, ones) + (exponent > 0)
        values.append(digits * Fraction(2) ** (max(exponent, 1) - bias))
    return values


E4M3, E5M2, E2M1 = magnitudes(4, 3, 127), magnitudes(5, 2, 124), magnitudes(2, 1, 8)
SIGN = {id(E4M3): 128, id(E5M2): 128, id(E2M1): 8}
NF4 = [
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
]


def nearest_float(value, table):
    """Nearest code, of two the even one; beyond the table its last."""
    steps = [abs(known - Fraction(abs(float(value)))) for known in table]
    least = min(steps)
    best = [code for code, step in enumerate(steps) if step == least]
    code = next(code for code in best if code % 2 == 0) if len(best) > 1 else best[0]
    return code | (SIGN[id(table)] if np.signbit(value) else 0)


def float_value(code, table):
    sign = SIGN[id(table)]
    return F32(float(table[code % sign])) * F32(-1 if code & sign else 1)


def divided(weight, scale):
    return F32(weight / scale) if scale else F32(np.copysign(0, weight))


def peak(weights):
    return max(abs(weight) for weight in weights)


def fp8(weights, table):
    """Codes of weights that share a scale, the scale, and what comes back."""
    scale = F32(peak(weights) / F32(float(table[-1])))
    codes = [nearest_float(divided(weight, scale), table) for weight in weights]
    return codes, scale, [float_value(code, table) * scale for code in codes]


def fp4(weights, scale):
    codes = [nearest_float(divided(weight, scale), E2M1) for weight in weights]
    return codes, [float_value(code, E2M1) * scale for code in codes]


def mxfp4(weights):
    """Codes, the byte of the scale, and what comes back."""
    exponent = math.frexp(peak(weights))[1] - 3 if peak(weights) else -127
    exponent = max(exponent, -127)
    codes, restored = fp4(weights, F32(2.0**exponent))
    return codes, exponent + 127, restored


def nvfp4(groups):
    """For each group its codes, the code of its scale, and what comes back; the tensor's scale."""
    tensor_scale = F32(max(peak(group) for group in groups) / F32(6 * 448))
    stored_groups = []
    for group in groups:
        wanted = F32(peak(group) / F32(F32(6) * tensor_scale)) if peak(group) else F32(1)
        stored = nearest_float(wanted, E4M3)
        scale = F32(float_value(stored, E4M3) * tensor_scale)
        stored_groups.append((*fp4(group, scale), stored))
    return stored_groups, tensor_scale


def nearest_of(value, table):
    """Place in an ascending table; halfway between two, the lower."""
    bounds = [F32(F32(low + high) / F32(2)) for low, high in pairwise(table)]
    return sum(value > bound for bound in bounds)


def nf4_codes(weights):
    table, inverse = [F32(value) for value in NF4], F32(1) / max(peak(weights), SAFE)
    return [nearest_of(F32(weight * inverse), table) for weight in weights]


def dynamic_map():
    """Seven decades for each sign, 1, 2, 4 to 64 values in each, evenly spaced; 0 and 1."""
    positive = []
    for decade in range(7):
        n = 2**decade
        step = F32((F32(1) - F32(0.1)) / F32(n))
        low, step = float(F32(0.1)), float(step)
        edges = [low + step * i if 2 * i < n + 1 else 1 - step * (n - i) for i in range(n + 1)]
        edges = [F32(edge) for edge in edges]
        positive += [
            F32(F32(10.0 ** (decade - 6)) * F32(F32(low + high) / F32(2)))
            for low, high in pairwise(edges)
        ]
    return sorted([*positive, *(-value for value in positive), F32(0), F32(1)])


def double_quantized(absmax):
    """Codes of a list of absmax, their super-scales, the offset, and what comes back."""
    table = dynamic_map()
    offset = F32(math.fsum(float(a) for a in absmax) / len(absmax))
    codes, super_scales, restored = [], [], []
    for start in range(0, len(absmax), 256):
        block = [F32(a - offset) for a in absmax[start : start + 256]]
        super_scales.append(peak(block))
        inverse = F32(1) / max(super_scales[-1], SAFE)
        codes_here = [nearest_of(F32(value * inverse), table) for value in block]
        codes += codes_here
        restored += [F32(F32(table[code] * super_scales[-1]) + offset) for code in codes_here]
    return codes, super_scales, offset, restored
