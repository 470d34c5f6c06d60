"""Slow twins of the formats with a codebook, a block at a time, written from ggml's definition."""

from functools import cache

import numpy as np
from naive import F32, half
from naive_k_search import nearest_int

from quantcore.formats.codebooks import levels_of

SHELLS = {"iq3_xxs": 2, "iq3_s": 3, "iq2_xxs": 2, "iq2_xs": 2, "iq2_s": 1, "iq1": 3}
LARGEST = F32(3.4028235e38)
UP, DOWN = np.float32([-0.875, 0.125, 1.125]), np.float32([-1.125, -0.125, 0.875])


def in_order(values):
    """Add up from left to right."""
    total = F32(0)
    for value in values:
        total = F32(total + value)
    return total


@cache
def candidates(book, pattern):
    """Entries that may take the place of a pattern of levels, the nearest first."""
    levels = levels_of(book).astype(int)
    distance = ((levels - np.array(pattern)) ** 2).sum(axis=1)
    if not distance.min():
        return [int(distance.argmin())]
    shells = np.unique(distance)[: SHELLS[book]]
    return [int(i) for shell in shells for i in np.flatnonzero(distance == shell)]


def choose(book, pattern, values, weights, counts, scale):
    """Return the number of the entry with the least error; of equals the first."""
    near = candidates(book, tuple(pattern))
    if len(near) == 1:
        return near[0]
    best, found = LARGEST, near[0]
    for entry in near:
        misses = [
            F32(scale * values[level]) - x
            for level, x in zip(levels_of(book)[entry], weights, strict=True)
        ]
        error = in_order(F32(F32(w * m) * m) for w, m in zip(counts, misses, strict=True))
        if error < best:
            best, found = error, entry
    return found


def on_grid(book, pattern):
    return bool((levels_of(book) == np.array(pattern)).all(axis=1).any())


def fit(values, weights, counts):
    """Return the sums of importance * value * weight, and importance * value^2."""
    qx = in_order(F32(F32(w * x) * q) for q, x, w in zip(values, weights, counts, strict=True))
    return qx, in_order(F32(F32(w * q) * q) for q, w in zip(values, counts, strict=True))


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
        return in_order(F32(F32(w * m) * m) for w, m in zip(counts, misses, strict=True))

    best_inverse = F32(F32(most) / peak)
    best = error_of(best_inverse, [nearest_int(F32(best_inverse * x)) & 255 for x in values])
    for step in (-4, -3, -2, -1, 1, 2, 3, 4):
        inverse = F32(F32(F32(F32(0.1) * F32(step)) + F32(most)) / peak)
        error = error_of(inverse, codes_of(inverse))
        if error < best:
            best, best_inverse = error, inverse
    codes = codes_of(best_inverse)
    products = [F32(w * x) for w, x in zip(counts, values, strict=True)]
    lx = in_order(F32(p * F32(c)) for p, c in zip(products, codes, strict=True))
    ll = in_order(F32(F32(w * F32(c)) * F32(c)) for w, c in zip(counts, codes, strict=True))
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


def sub_block(book, weights, counts, tries, step, tiny, again):
    """Entries and scale of a sub-block of magnitudes; None where it counts as zero."""
    n_levels, run = (8, 4) if book.startswith("iq3") else (3, 8)
    values, peak = np.float32(2 * np.arange(n_levels) + 1), max(weights)
    if peak < tiny or peak == 0:
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

    def sums(found):
        return fit(values[levels_of(book)[found].reshape(-1)], weights, counts)

    best, found, missed = F32(0), [0] * len(runs), [again == "all if one"] * len(runs)
    for n in range(-(tries // 2), tries // 2 + 1):
        inverse = F32(F32(top + F32(F32(n) * F32(step))) / peak)
        asked = patterns(inverse)
        tried = [entry(p, r, F32(F32(1) / inverse)) for p, r in zip(asked, runs, strict=True)]
        qx, qq = sums(tried)
        if qq > 0 and F32(qx * qx) > F32(best * qq):
            scale = F32(qx / qq)
            best, found = F32(scale * qx), tried
            missed = [not on_grid(book, p) for p in asked]
    if scale > 0 and (any(missed) or again == "all"):
        for i, (p, r) in enumerate(zip(patterns(F32(F32(1) / scale)), runs, strict=True)):
            if missed[i] or again != "missed":
                found[i] = entry(p, r, scale)
        qx, qq = sums(found)
        scale = F32(qx / qq) if qq > 0 else scale
    return found, scale


def weigh(block, importance, times, alone):
    mean = F32(F32(F32(times) * in_order(F32(x * x) for x in block)) / F32(256))
    if importance is None:
        return [F32(F32(F32(alone) * mean) + F32(x * x)) for x in block]
    return [
        F32(q * np.sqrt(F32(mean + F32(x * x)))) for q, x in zip(importance, block, strict=True)
    ]


def code_of(scale, inverse, most):
    code = nearest_int(F32(F32(0.5) * F32(F32(inverse * scale) - F32(1))))
    return max(0, min(most, code))


def super_block(block, importance, book, size, tries, step, tiny, even, times, alone, again):
    """List by sub-block its entries, bytes of signs, scale; None where it counts as zero."""
    counts = weigh(block, importance, times, alone)
    parts = []
    for at in range(0, 256, size):
        here = slice(at, at + size)
        signs, sizes = signs_and_magnitudes(block[here], counts[here], even)
        found = sub_block(book, sizes, counts[here], tries, step, F32(tiny), again)
        if found and found[1] < 0:
            found = found[0], -found[1]
            signs = [~byte & 255 for byte in signs]
        parts.append((found[0], signs, found[1]) if found else None)
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
    parts = super_block(block, importance, "iq3_xxs", 32, 31, 0.2, 1e-8, True, 2, 0, "missed")
    if not (found := scale_codes(parts, 1.0125)):
        return bytes(98)
    parts = [part or ([0] * 8, [0] * 4) for part in parts]
    words = [word(part[1], code) for part, code in zip(parts, found[1], strict=True)]
    return found[0] + b"".join(bytes(part[0]) for part in parts) + b"".join(words)


def encode_iq3_s(block, importance=None):
    parts = super_block(block, importance, "iq3_s", 32, 19, 0.2, 0, False, 2, 0, "all if one")
    found = scale_codes(parts, 1.033) or (bytes(2), [0] * 8)
    there = [part for part in parts if part]  # ggml lets no room for a sub-block of zeros
    low = b"".join(bytes(e & 255 for e in part[0]) for part in there).ljust(64, b"\0")
    high = [sum(e >> 8 << i for i, e in enumerate(part[0])) if part else 0 for part in parts]
    signs = b"".join(bytes(part[1]) for part in there).ljust(32, b"\0")
    return found[0] + low + bytes(high) + signs + nibbles(found[1])


def encode_iq2_xxs(block, importance):
    parts = super_block(block, importance, "iq2_xxs", 32, 13, 0.1, 1e-15, True, 1, 0, "all")
    if not (found := scale_codes(parts)):
        return bytes(66)
    parts = [part or ([0] * 4, [0] * 4) for part in parts]
    return found[0] + b"".join(
        bytes(p[0]) + word(p[1], c) for p, c in zip(parts, found[1], strict=True)
    )


def encode_iq2_xs(block, importance):
    parts = super_block(block, importance, "iq2_xs", 16, 19, 0.1, 1e-15, True, 1, 0, "missed")
    if not (found := scale_codes(parts)):
        return bytes(74)
    pairs = [
        pair for p in parts for pair in zip(*(p[:2] if p else ([0] * 2, [0] * 2)), strict=True)
    ]
    words = [entry | (signs & 127) << 9 for entry, signs in pairs]
    return found[0] + np.array(words, "<u2").tobytes() + nibbles(found[1])


def encode_iq2_s(block, importance=None):
    parts = super_block(block, importance, "iq2_s", 16, 19, 0.1, 1e-8, False, 2, 0.25, "missed")
    found = scale_codes(parts, 0.9875) or (bytes(2), [0] * 16)
    entries = [entry for part in parts for entry in (part[0] if part else [0, 0])]
    signs = [byte for part in parts for byte in (part[1] if part else [0, 0])]
    four = [entries[i : i + 4] for i in range(0, 32, 4)]
    high = [sum(e >> 8 << 2 * i for i, e in enumerate(group)) for group in four]
    low = bytes(entry & 255 for entry in entries)
    return found[0] + low + bytes(signs) + bytes(high) + nibbles(found[1])


def cuts(weights, counts, halves, sums):
    """Best cuts, shifts and scale; `sums` gives both sums for cuts and shifts."""
    order = sorted(range(len(weights)), key=lambda i: weights[i])
    best, found = -LARGEST, None
    for first in range(len(weights) + 1):
        for second in range(first, len(weights) + 1):
            for shifts in range(2**halves):
                qx, qq = sums(order, first, second, shifts)
                if qq > 0 and F32(qx * qx) > F32(best * qq):
                    scale = F32(qx / qq)
                    best, found = F32(scale * qx), (first, second, shifts, scale)
    if not found:
        return None
    first, second, shifts, scale = found
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
            total = None
            for part, value in zip(parts, (below, middle, above), strict=True):
                product = F32(part * value) if power == 1 else F32(F32(part * value) * value)
                total = product if total is None else F32(total + product)
            out.append(total)
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
            total = F32(F32(pw[-1] * above) * above)
            total = F32(total + F32(pw[first] * F32(below * below - middle * middle)))
            qq.append(F32(total + F32(pw[second] * F32(middle * middle - above * above))))
        return F32(qx[0] + qx[1]), F32(qq[0] + qq[1])

    return sums


def three_levels(weights, counts, halves, tiny):
    """Entries, values, shifts and scale of a sub-block of IQ1; None where it counts as zero."""
    if max(abs(x) for x in weights) < F32(tiny):
        return None
    maker = one_shift if halves == 1 else two_shifts
    found = cuts(weights, counts, halves, maker(weights, counts))
    if not found:
        return None
    levels, shifts, scale = found
    entries, values = [], []
    for g, at in enumerate(range(0, len(weights), 8)):
        run = slice(at, at + 8)
        down = shifts >> 1 - g & 1 if halves == 2 else shifts
        shifted = DOWN if down else UP
        entry = choose("iq1", levels[run], shifted, weights[run], counts[run], scale)
        entries.append(entry)
        values += [shifted[level] for level in levels_of("iq1")[entry]]
    if not all(on_grid("iq1", levels[at : at + 8]) for at in range(0, len(weights), 8)):
        qx = in_order(F32(F32(w * q) * x) for w, q, x in zip(counts, values, weights, strict=True))
        qq = in_order(F32(F32(w * q) * q) for w, q in zip(counts, values, strict=True))
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
    qx = in_order(F32(F32(w * q) * x) for w, q, x in zip(counts, values, block, strict=True))
    qq = in_order(F32(F32(w * q) * q) for w, q in zip(counts, values, strict=True))
    step = F32(qx / qq) if qq > 0 else step
    stored = int.from_bytes(half(F32(step * F32(1.1125)))[0], "little")
    words = [sum(code << 3 * i for i, code in enumerate(codes[j : j + 4])) for j in (0, 4, 8, 12)]
    words = [w | (stored >> 4 * j & 15) << 12 for j, w in enumerate(words)]
    return low + bytes(high) + np.array(words, "<u2").tobytes()


ENCODE = {
    "IQ3_S": encode_iq3_s,
    "IQ3_XXS": encode_iq3_xxs,
    "IQ2_S": encode_iq2_s,
    "IQ2_XS": encode_iq2_xs,
    "IQ2_XXS": encode_iq2_xxs,
    "IQ1_M": encode_iq1_m,
    "IQ1_S": encode_iq1_s,
}
