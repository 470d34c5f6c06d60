"""Slow twins of the searches behind the K-quants: the scale of one sub-block, one step at a time.

Written from ggml's definition, in numpy's float32 scalars, so that each step rounds as C's float.
"""

import numpy as np

from tests.twins.naive import F32, largest

TINY = F32(1e-15)


def nearest_int(value):
    """Round by ggml's trick: what lies in the low 23 bits after adding 1.5 * 2**23."""
    bits = int(np.float32(F32(value) + F32(12582912)).view(np.uint32))
    return (bits & 0x7FFFFF) - 0x400000


def clamp(code, least, most):
    return max(least, min(most, code))


def total(terms):
    """Add from left to right, as C does."""
    result = F32(0)
    for term in terms:
        result = F32(result + term)
    return result


def scale_and_minimum(x, w, most, first, n_steps, miss):
    """Q2_K, Q4_K, Q5_K: scale, minimum and codes. `miss` turns a difference into an error."""
    offset, top = min(F32(0), *x), max(x)
    if top == offset:
        return F32(0), F32(-offset), [0] * len(x)

    def codes_for(inv_scale):
        return [clamp(nearest_int(inv_scale * F32(v - offset)), 0, most) for v in x]

    def error_of(scale, offset, codes):
        return total(
            u * miss(F32(F32(scale * F32(code)) + offset) - v)
            for u, v, code in zip(w, x, codes, strict=True)
        )

    inv_scale = F32(F32(most) / F32(top - offset))
    scale, codes = F32(F32(1) / inv_scale), codes_for(inv_scale)
    least_error = error_of(scale, offset, codes)
    for step in range(n_steps + 1):
        grid_steps = F32(F32(F32(first) + F32(F32(0.1) * F32(step))) + F32(most))
        candidate = codes_for(F32(grid_steps / F32(top - offset)))
        fit = weighted_fit(x, w, candidate)
        if fit is None:
            continue
        error = error_of(*fit, candidate)
        if error < least_error:
            least_error, codes = error, candidate
            scale, offset = fit
    return scale, F32(-offset), codes


def weighted_fit(x, w, codes):
    """Scale and offset that restore x best from these codes; None where the codes are all equal."""
    weighted = [F32(u * F32(code)) for u, code in zip(w, codes, strict=True)]
    sum_w, sum_l = total(w), total(weighted)
    sum_x = total(F32(u * v) for u, v in zip(w, x, strict=True))
    sum_ll = total(F32(wl * F32(code)) for wl, code in zip(weighted, codes, strict=True))
    sum_xl = total(F32(wl * v) for wl, v in zip(weighted, x, strict=True))
    determinant = F32(F32(sum_w * sum_ll) - F32(sum_l * sum_l))
    if not determinant > 0:
        return None
    scale = F32(F32(F32(sum_w * sum_xl) - F32(sum_x * sum_l)) / determinant)
    offset = F32(F32(F32(sum_ll * sum_x) - F32(sum_l * sum_xl)) / determinant)
    return (F32(sum_xl / sum_ll), F32(0)) if offset > 0 else (scale, offset)


def products(x, codes):
    """Return the sums of w * x * code and w * code * code, where w is the square of x."""
    cubes = [F32(F32(F32(v * v) * v) * F32(code)) for v, code in zip(x, codes, strict=True)]
    squares = [F32(F32(F32(v * v) * F32(c)) * F32(c)) for v, c in zip(x, codes, strict=True)]
    return total(cubes), total(squares)


def best_scale(x, n):
    """Q6_K: scale and codes from -n, the best of 19 scales."""
    peak = largest(x)
    if abs(peak) < TINY:
        return F32(0), [-n] * len(x)

    def codes_for(n_steps):
        inv_scale = F32(-n_steps / peak)
        return [clamp(nearest_int(inv_scale * v), -n, n - 1) for v in x]

    codes = codes_for(F32(n))
    xl, ll = products(x, codes)
    scale = F32(xl / ll) if ll != 0 else F32(0)
    best = F32(scale * xl)
    for step in [*range(-9, 0), *range(1, 10)]:
        candidate = codes_for(F32(F32(n) + F32(F32(0.1) * F32(step))))
        xl, ll = products(x, candidate)
        if ll > 0 and F32(xl * xl) > F32(best * ll):
            codes, scale = candidate, F32(xl / ll)
            best = F32(scale * xl)
    return scale, codes


def improved_codes(x, n):
    """Q3_K: scale and codes from -n, moved one by one while that helps, in at most five rounds."""
    peak = largest(x)
    if abs(peak) < TINY:
        return F32(0), [-n] * len(x)
    inv_scale = F32(F32(-n) / peak)
    codes = [clamp(nearest_int(inv_scale * v), -n, n - 1) for v in x]
    xl, ll = products(x, codes)
    for _ in range(5):
        before = list(codes)
        for i, v in enumerate(x):
            xl, ll, codes[i] = moved(v, codes[i], xl, ll, n)
        if codes == before:
            break
    return (F32(xl / ll) if ll > 0 else F32(0)), codes


def moved(v, code, xl, ll, n):
    """Return sums and code after one weight had its turn."""
    w = F32(v * v)
    other_xl = F32(xl - F32(F32(w * v) * F32(code)))
    other_ll = F32(ll - F32(F32(w * F32(code)) * F32(code)))
    if not other_xl > 0:
        return xl, ll, code
    new = clamp(nearest_int(F32(F32(v * other_ll) / other_xl)), -n, n - 1)
    new_xl = F32(other_xl + F32(F32(w * v) * F32(new)))
    new_ll = F32(other_ll + F32(F32(w * F32(new)) * F32(new)))
    better = F32(F32(new_xl * new_xl) * ll) > F32(F32(xl * xl) * new_ll)
    return (new_xl, new_ll, new) if new != code and new_ll > 0 and better else (xl, ll, code)
