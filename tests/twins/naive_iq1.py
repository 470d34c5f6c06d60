"""Slow twins of IQ1_S and IQ1_M, a block at a time, written from ggml's definition."""

from functools import cache

import numpy as np

from quantcore.formats.codebook.codebooks import levels_of
from tests.twins.naive import F32, half
from tests.twins.naive_codebook import LARGEST, choose, code_of, on_grid, weigh
from tests.twins.naive_k_search import total

UP, DOWN = np.float32([-0.875, 0.125, 1.125]), np.float32([-1.125, -0.125, 0.875])


def cuts(weights, counts, halves, sums):
    """Best cuts, shifts and scale; `sums` gives both sums for cuts and shifts."""
    order = sorted(range(len(weights)), key=lambda i: weights[i])
    best, best_cuts = -LARGEST, None
    for first in range(len(weights) + 1):
        for second in range(first, len(weights) + 1):
            for shifts in range(2**halves):
                qx, qq = sums(order, first, second, shifts)
                if qq > 0 and F32(qx * qx) > F32(best * qq):
                    scale = F32(qx / qq)
                    best, best_cuts = F32(scale * qx), (first, second, shifts, scale)
    if not best_cuts:
        return None
    first, second, shifts, scale = best_cuts
    levels = [0] * len(weights)
    for place, i in enumerate(order):
        levels[i] = (place >= first) + (place >= second)
    if scale < 0:
        levels, shifts, scale = [2 - level for level in levels], 2**halves - 1 - shifts, -scale
    return levels, shifts, scale


def up_to(order, values, chosen):
    """Add up in order, of what is chosen, before each rank and after the last."""
    sums = [F32(0)]
    for i in order:
        sums.append(F32(sums[-1] + values[i]) if i in chosen else sums[-1])
    return sums


def one_shift(weights, counts):
    products = [F32(w * x) for w, x in zip(counts, weights, strict=True)]
    everything = range(len(weights))

    @cache
    def prefix():
        order = sorted(everything, key=lambda i: weights[i])
        return up_to(order, products, everything), up_to(order, counts, everything)

    def sums(_, first, second, down):
        below, middle, above = DOWN if down else UP
        out = []
        for prefixes, power in zip(prefix(), (1, 2), strict=True):
            parts = prefixes[first], prefixes[second] - prefixes[first]
            parts = (*parts, prefixes[-1] - prefixes[second])
            added = None
            for part, value in zip(parts, (below, middle, above), strict=True):
                product = F32(part * value) if power == 1 else F32(F32(part * value) * value)
                added = product if added is None else F32(added + product)
            out.append(added)
        return out

    return sums


def two_shifts(weights, counts):
    products = [F32(w * x) for w, x in zip(counts, weights, strict=True)]
    order = sorted(range(16), key=lambda i: weights[i])
    halves = [
        (up_to(order, products, range(h, h + 8)), up_to(order, counts, range(h, h + 8)))
        for h in (0, 8)
    ]

    def sums(_, first, second, shifts):
        qx, qq = [], []
        for (px, pw), down in zip(halves, (shifts >> 1, shifts & 1), strict=True):
            below, middle, above = DOWN if down else UP
            qx.append(F32(F32(px[-1] * above) - F32(px[first] + px[second])))
            added = F32(F32(pw[-1] * above) * above)
            added = F32(added + F32(pw[first] * F32(below * below - middle * middle)))
            qq.append(F32(added + F32(pw[second] * F32(middle * middle - above * above))))
        return F32(qx[0] + qx[1]), F32(qq[0] + qq[1])

    return sums


def three_levels(weights, counts, halves, tiny):
    """Entries, values, shifts and scale of a sub-block of IQ1; None where it counts as zero."""
    if max(abs(x) for x in weights) < F32(tiny):
        return None
    maker = one_shift if halves == 1 else two_shifts
    best_cuts = cuts(weights, counts, halves, maker(weights, counts))
    if not best_cuts:
        return None
    levels, shifts, scale = best_cuts
    entries, values = [], []
    for g, at in enumerate(range(0, len(weights), 8)):
        run = slice(at, at + 8)
        down = shifts >> 1 - g & 1 if halves == 2 else shifts
        shifted = DOWN if down else UP
        entry = choose("iq1", levels[run], shifted, weights[run], counts[run], scale)
        entries.append(entry)
        values += [shifted[level] for level in levels_of("iq1")[entry]]
    if not all(on_grid("iq1", levels[at : at + 8]) for at in range(0, len(weights), 8)):
        qx = total(F32(F32(w * q) * x) for w, q, x in zip(counts, values, weights, strict=True))
        qq = total(F32(F32(w * q) * q) for w, q in zip(counts, values, strict=True))
        scale = F32(qx / qq) if qx > 0 and qq > 0 else scale
    return entries, values, shifts, scale


def encode_iq1_s(block, importance):
    counts = weigh(block, importance, 2, 0)
    runs = [slice(at, at + 32) for at in range(0, 256, 32)]
    parts = [three_levels(block[r], counts[r], 1, 1e-12) for r in runs]
    largest = max(part[3] if part else F32(0) for part in parts)
    step = F32(largest / F32(15))
    low, words = b"", []
    for part in parts:
        entries, _, down, scale = part or ([0] * 4, None, 0, F32(0))
        low += bytes(entry & 255 for entry in entries)
        bits = sum(entry >> 8 << 3 * g for g, entry in enumerate(entries))
        code = code_of(scale, F32(F32(1) / step), 7) | down << 3 if largest else 0
        words.append(bits | code << 12)
    return half(F32(step * F32(1.125)))[0] + low + np.array(words, "<u2").tobytes()


def encode_iq1_m(block, importance=None):
    counts = weigh(block, importance, 2, 0)
    runs = [slice(at, at + 16) for at in range(0, 256, 16)]
    parts = [three_levels(block[r], counts[r], 2, 1e-7) for r in runs]
    parts = [part or ([0, 0], [UP[0]] * 16, 0, F32(0)) for part in parts]
    low = bytes(entry & 255 for part in parts for entry in part[0])
    high = [part[0][0] >> 8 | part[0][1] >> 8 << 4 for part in parts]
    largest = max(part[3] for part in parts)
    if not largest:
        return low + bytes(high) + bytes(8)
    step = F32(largest / F32(15))
    codes = [code_of(part[3], F32(F32(1) / step), 7) for part in parts]
    high = [h | (p[2] >> 1) << 3 | (p[2] & 1) << 7 for h, p in zip(high, parts, strict=True)]
    values = [F32(q * F32(2 * c + 1)) for p, c in zip(parts, codes, strict=True) for q in p[1]]
    qx = total(F32(F32(w * q) * x) for w, q, x in zip(counts, values, block, strict=True))
    qq = total(F32(F32(w * q) * q) for w, q in zip(counts, values, strict=True))
    step = F32(qx / qq) if qq > 0 else step
    stored = int.from_bytes(half(F32(step * F32(1.1125)))[0], "little")
    words = [sum(code << 3 * i for i, code in enumerate(codes[j : j + 4])) for j in (0, 4, 8, 12)]
    words = [w | (stored >> 4 * j & 15) << 12 for j, w in enumerate(words)]
    return low + bytes(high) + np.array(words, "<u2").tobytes()


ENCODE = {"IQ1_M": encode_iq1_m, "IQ1_S": encode_iq1_s}
