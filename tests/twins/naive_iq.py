"""Slow twins of IQ2 and IQ3, a block at a time, written from ggml's definition."""

from typing import NamedTuple

import numpy as np

from quantcore.formats.codebook.codebooks import levels_of
from tests.twins.naive import F32, half
from tests.twins.naive_codebook import choose, code_of, on_grid, weigh
from tests.twins.naive_k_search import nearest_int, total


class Kind(NamedTuple):
    """What the searches of these formats differ in."""

    book: str
    size: int  # of a sub-block
    tries: int
    step: float
    tiny: float
    even: bool  # number of minus signs
    again: str  # runs that are chosen again: "missed", "all if one" is missed, "all"
    times: float = 2
    alone: float = 0


IQ3_XXS = Kind("iq3_xxs", 32, 31, 0.2, 1e-8, True, "missed")
IQ3_S = Kind("iq3_s", 32, 19, 0.2, 0, False, "all if one")
IQ2_S = Kind("iq2_s", 16, 19, 0.1, 1e-8, False, "missed", alone=0.25)
IQ2_XS = Kind("iq2_xs", 16, 19, 0.1, 1e-15, True, "missed", times=1)
IQ2_XXS = Kind("iq2_xxs", 32, 13, 0.1, 1e-15, True, "all", times=1)


def fit(values, weights, counts):
    """Return the sums of importance * value * weight, and importance * value^2."""
    qx = total(F32(F32(w * x) * q) for q, x, w in zip(values, weights, counts, strict=True))
    return qx, total(F32(F32(w * q) * q) for q, w in zip(values, counts, strict=True))


def signs_and_magnitudes(weights, counts, even):
    signs, sizes = [], [abs(x) if x < 0 else x for x in weights]
    for g in range(0, len(weights), 8):
        byte = sum(1 << i for i in range(8) if weights[g + i] < 0)
        if even and byte.bit_count() % 2:
            squares = [F32(F32(counts[i] * weights[i]) * weights[i]) for i in range(g, g + 8)]
            least = squares.index(min(squares))
            sizes[g + least] = -sizes[g + least]
            byte ^= 1 << least
        signs.append(byte)
    return signs, sizes


def positive_scale(values, counts, most):
    """Scale of codes from 0 to `most` by the coordinate descent of make_qp_quants."""
    peak = max(F32(0), *values)
    if peak < F32(1e-15):
        return F32(0)

    def codes_of(inverse):
        return [min(most, nearest_int(F32(inverse * x))) for x in values]

    def error_of(inverse, codes):
        scale = F32(F32(1) / inverse)
        misses = [F32(x - F32(scale * F32(c))) for x, c in zip(values, codes, strict=True)]
        return total(F32(F32(w * m) * m) for w, m in zip(counts, misses, strict=True))

    best_inverse = F32(F32(most) / peak)
    best = error_of(best_inverse, [nearest_int(F32(best_inverse * x)) & 255 for x in values])
    for step in (-4, -3, -2, -1, 1, 2, 3, 4):
        inverse = F32(F32(F32(F32(0.1) * F32(step)) + F32(most)) / peak)
        error = error_of(inverse, codes_of(inverse))
        if error < best:
            best, best_inverse = error, inverse
    codes = codes_of(best_inverse)
    products = [F32(w * x) for w, x in zip(counts, values, strict=True)]
    lx = total(F32(p * F32(c)) for p, c in zip(products, codes, strict=True))
    ll = total(F32(F32(w * F32(c)) * F32(c)) for w, c in zip(counts, codes, strict=True))
    codes = [code & 255 for code in codes]
    for _ in range(5):
        changed = False
        for i, (x, w, p) in enumerate(zip(values, counts, products, strict=True)):
            other_lx = F32(lx - F32(p * F32(codes[i])))
            other_ll = F32(ll - F32(F32(w * F32(codes[i])) * F32(codes[i])))
            if not (other_lx > 0 and other_ll > 0):
                continue
            code = min(most, nearest_int(F32(F32(x * other_ll) / other_lx)))
            new_lx = F32(other_lx + F32(p * F32(code)))
            new_ll = F32(other_ll + F32(F32(w * F32(code)) * F32(code)))
            if code != codes[i] and F32(F32(new_lx**2) * ll) > F32(F32(lx**2) * new_ll):
                codes[i], lx, ll, changed = code & 255, new_lx, new_ll, True
        if not changed:
            break
    return F32(lx / ll) if ll > 0 else F32(0)


def sub_block(kind, weights, counts):
    """Entries and scale of a sub-block of magnitudes; None where it counts as zero."""
    book, again = kind.book, kind.again
    n_levels, run = (8, 4) if book.startswith("iq3") else (3, 8)
    values, peak = np.float32(2 * np.arange(n_levels) + 1), max(weights)
    if peak < F32(kind.tiny) or peak == 0:
        return None
    runs = [slice(i, i + run) for i in range(0, len(weights), run)]
    top, scale = F32(2 * n_levels - 1), F32(peak / F32(2 * n_levels - 1))
    if book == "iq2_xxs":
        scale = positive_scale(weights, counts, n_levels + 1)
        peak = F32(scale * F32(n_levels))
        if peak <= 0:
            return None
    roots = [np.sqrt(w) for w in counts]

    def patterns(inverse):
        levels = [nearest_int(F32(F32(0.5) * F32(F32(inverse * x) - F32(1)))) for x in weights]
        levels = [max(0, min(n_levels - 1, level)) for level in levels]
        return [tuple(levels[r]) for r in runs]

    def entry(pattern, r, at):
        return choose(book, pattern, values, weights[r], roots[r], at)

    def sums(entries):
        return fit(values[levels_of(book)[entries].reshape(-1)], weights, counts)

    best, entries, missed = F32(0), [0] * len(runs), [again == "all if one"] * len(runs)
    for n in range(-(kind.tries // 2), kind.tries // 2 + 1):
        inverse = F32(F32(top + F32(F32(n) * F32(kind.step))) / peak)
        asked = patterns(inverse)
        tried = [entry(p, r, F32(F32(1) / inverse)) for p, r in zip(asked, runs, strict=True)]
        qx, qq = sums(tried)
        if qq > 0 and F32(qx * qx) > F32(best * qq):
            scale = F32(qx / qq)
            best, entries = F32(scale * qx), tried
            missed = [not on_grid(book, p) for p in asked]
    if scale > 0 and (any(missed) or again == "all"):
        for i, (p, r) in enumerate(zip(patterns(F32(F32(1) / scale)), runs, strict=True)):
            if missed[i] or again != "missed":
                entries[i] = entry(p, r, scale)
        qx, qq = sums(entries)
        scale = F32(qx / qq) if qq > 0 else scale
    return entries, scale


def super_block(block, importance, kind):
    """List by sub-block its entries, bytes of signs, scale; None where it counts as zero."""
    counts = weigh(block, importance, kind.times, kind.alone)
    parts = []
    for at in range(0, 256, kind.size):
        here = slice(at, at + kind.size)
        signs, sizes = signs_and_magnitudes(block[here], counts[here], kind.even)
        best = sub_block(kind, sizes, counts[here])
        if best and best[1] < 0:
            best = best[0], -best[1]
            signs = [~byte & 255 for byte in signs]
        parts.append((best[0], signs, best[1]) if best else None)
    return parts


def scale_codes(parts, times=1.0):
    """Bytes of the scale of scales, and the code of each sub-scale; None if all are zero."""
    scales = [part[2] if part else F32(0) for part in parts]
    if not max(scales):
        return None
    step = F32(max(scales) / F32(31))
    stored = half(F32(step * F32(times)))[0]
    return stored, [code_of(scale, F32(F32(1) / step), 15) for scale in scales]


def word(signs, code):
    return (sum((s & 127) << 7 * g for g, s in enumerate(signs)) | code << 28).to_bytes(4, "little")


def nibbles(codes):
    return bytes(a | b << 4 for a, b in zip(codes[::2], codes[1::2], strict=True))


def encode_iq3_xxs(block, importance=None):
    parts = super_block(block, importance, IQ3_XXS)
    if not (scales := scale_codes(parts, 1.0125)):
        return bytes(98)
    parts = [part or ([0] * 8, [0] * 4) for part in parts]
    words = [word(part[1], code) for part, code in zip(parts, scales[1], strict=True)]
    return scales[0] + b"".join(bytes(part[0]) for part in parts) + b"".join(words)


def encode_iq3_s(block, importance=None):
    parts = super_block(block, importance, IQ3_S)
    scales = scale_codes(parts, 1.033) or (bytes(2), [0] * 8)
    there = [part for part in parts if part]  # ggml lets no room for a sub-block of zeros
    low = b"".join(bytes(e & 255 for e in part[0]) for part in there).ljust(64, b"\0")
    high = [sum(e >> 8 << i for i, e in enumerate(part[0])) if part else 0 for part in parts]
    signs = b"".join(bytes(part[1]) for part in there).ljust(32, b"\0")
    return scales[0] + low + bytes(high) + signs + nibbles(scales[1])


def encode_iq2_xxs(block, importance):
    parts = super_block(block, importance, IQ2_XXS)
    if not (scales := scale_codes(parts)):
        return bytes(66)
    parts = [part or ([0] * 4, [0] * 4) for part in parts]
    return scales[0] + b"".join(
        bytes(p[0]) + word(p[1], c) for p, c in zip(parts, scales[1], strict=True)
    )


def encode_iq2_xs(block, importance):
    parts = super_block(block, importance, IQ2_XS)
    if not (scales := scale_codes(parts)):
        return bytes(74)
    pairs = [
        pair for p in parts for pair in zip(*(p[:2] if p else ([0] * 2, [0] * 2)), strict=True)
    ]
    words = [entry | (signs & 127) << 9 for entry, signs in pairs]
    return scales[0] + np.array(words, "<u2").tobytes() + nibbles(scales[1])


def encode_iq2_s(block, importance=None):
    parts = super_block(block, importance, IQ2_S)
    scales = scale_codes(parts, 0.9875) or (bytes(2), [0] * 16)
    entries = [entry for part in parts for entry in (part[0] if part else [0, 0])]
    signs = [byte for part in parts for byte in (part[1] if part else [0, 0])]
    four = [entries[i : i + 4] for i in range(0, 32, 4)]
    high = [sum(e >> 8 << 2 * i for i, e in enumerate(group)) for group in four]
    low = bytes(entry & 255 for entry in entries)
    return scales[0] + low + bytes(signs) + bytes(high) + nibbles(scales[1])


ENCODE = {
    "IQ3_S": encode_iq3_s,
    "IQ3_XXS": encode_iq3_xxs,
    "IQ2_S": encode_iq2_s,
    "IQ2_XS": encode_iq2_xs,
    "IQ2_XXS": encode_iq2_xxs,
}
