"""NF4: sixteen values at the quantiles of a normal distribution, and the largest magnitude of 64.

    restored = absmax * value of code

As in bitsandbytes, whose blocks are these where rows are a multiple of 64: a weight times
1 / absmax goes to the nearest value, of two equally near to the lower, and the first of two codes
lies in the high half of the byte. NF4 stores absmax as float32 (4.5 bits a weight). NF4_DQ, double
quantization, stores it in a byte (4.13 bits):

    absmax = super-scale * value of byte + offset

The offset is the mean of all absmax, 256 of them share a float32 super-scale, and the byte's values
are a table that is finest near 0. bitsandbytes sums up the mean in float32, in an order that
depends on the machine; here it is summed up exactly, so its last bit can differ. Bytes are those of
bitsandbytes' PyTorch code; its library for CPUs looks them up in a coarser table, and one in about
700 is the neighbour there.
"""

from functools import partial
from typing import Any

import numpy as np

from quantcore._jit import kernel
from quantcore.format import Weights
from quantcore.formats.outside_gguf.dynamic_map import BOUNDS as MAP_BOUNDS
from quantcore.formats.outside_gguf.dynamic_map import DYNAMIC_MAP
from quantcore.formats.outside_gguf.fp8 import read_plain, say_plain
from quantcore.formats.outside_gguf.scaled import ScaledFormat, StoredScales
from quantcore.formats.outside_gguf.scaled_group import decode_pairs, pairs_of

BLOCK_SIZE, SUPER_BLOCK = 64, 256
SMALLEST = np.float32(1e-38)  # below it, 1 / absmax could be infinite

# Dettmers et al., QLoRA, 2023, appendix E; bitsandbytes/functional.py, get_4bit_type.
VALUES = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
    np.float32,
)
BOUNDS = (VALUES[:-1] + VALUES[1:]) / 2


@kernel
def _encode(groups, inverses, codes):
    scaled = np.empty(BLOCK_SIZE, np.float32)
    rounded = np.empty(BLOCK_SIZE, np.uint32)
    for g in range(groups.shape[0]):
        for i in range(BLOCK_SIZE):
            scaled[i] = groups[g, i] * inverses[g]
            rounded[i] = 0
        for bound in BOUNDS:
            for i in range(BLOCK_SIZE):
                rounded[i] += scaled[i] > bound
        for i in range(BLOCK_SIZE // 2):
            codes[g, i] = rounded[2 * i] << np.uint32(4) | rounded[2 * i + 1]


def _inverse(absmax: Weights) -> Weights:
    largest: Weights = np.maximum(absmax, SMALLEST)
    return np.float32(1) / largest


def _choose(absmax: Weights) -> tuple[StoredScales, Weights]:
    return StoredScales(scales=absmax), _inverse(absmax)


def _choose_twice(absmax: Weights) -> tuple[StoredScales, Weights]:
    """Weights are divided by the absmax itself, and restored with what is stored of it."""
    offset = np.float32(absmax.mean(dtype=np.float64))
    above = (absmax - offset).reshape(-1)
    padded = np.zeros(-(-above.size // SUPER_BLOCK) * SUPER_BLOCK, np.float32)
    padded[: above.size] = above
    blocks = padded.reshape(-1, SUPER_BLOCK)
    super_scales = np.abs(blocks).max(axis=1)
    codes = np.searchsorted(MAP_BOUNDS, blocks * _inverse(super_scales)[:, None]).astype(np.uint8)
    stored = StoredScales(
        scales=codes.reshape(-1)[: above.size].reshape(absmax.shape),
        super_scales=super_scales,
        offset=offset,
    )
    return stored, _inverse(absmax)


def _read_twice(stored: StoredScales) -> Weights:
    assert stored.super_scales is not None and stored.offset is not None  # by `_choose_twice`
    values = DYNAMIC_MAP[stored.scales]
    super_scales = stored.super_scales.repeat(SUPER_BLOCK)[: values.size]
    return values * super_scales.reshape(values.shape) + stored.offset


def _says_twice(stored: StoredScales, place: tuple[int, int]) -> str:
    assert stored.super_scales is not None and stored.offset is not None
    value = DYNAMIC_MAP[stored.scales[place]]
    at = np.ravel_multi_index(place, stored.scales.shape)
    super_scale, scale = stored.super_scales[at // SUPER_BLOCK], _read_twice(stored)[place]
    return f"{value:.4g} × {super_scale:.4g} of 256 scales + {stored.offset:.4g} = {scale:.4g}"


_SHARED: dict[str, Any] = {
    "code_bits": 4,
    "span": "group",
    "group_size": BLOCK_SIZE,
    "values": VALUES,
    "encode": _encode,
    "decode": partial(decode_pairs, pairs_of(VALUES, high_first=True)),
    "high_first": True,
    "source": "bitsandbytes/functional.py, quantize_4bit; Dettmers et al., QLoRA, 2023",
}
NF4 = ScaledFormat(name="NF4", choose=_choose, read=read_plain, says=say_plain, **_SHARED)
NF4_DQ = ScaledFormat(
    name="NF4_DQ",
    choose=_choose_twice,
    read=_read_twice,
    says=_says_twice,
    scale_bytes=1,
    shared_bytes=lambda n_scales: 4 * -(-n_scales // SUPER_BLOCK) + 4,
    **_SHARED,
)
