"""What F32, F16 and BF16 share: a block is one weight, and nothing is scaled."""

from collections.abc import Callable

import numpy as np

from quantcore._jit import inlined
from quantcore.format import Field, OpenedBlock, Packed, Part, ScaleFactors, Weights, opened

CHUNK = 4096  # weights that are checked, then stored, while they are in the fastest cache
NEIGHBOURS = 8  # on either side of the weight, in the grid of an opened block


@inlined
def first_non_finite(bits):
    """Return the index of the first NaN or infinity, given the bits of floats as int32, or -1."""
    peak = np.int32(0)
    for i in range(bits.size):
        peak = max(peak, np.int32(bits[i] & np.int32(0x7FFFFFFF)))
    if peak >= np.int32(0x7F800000):
        for i in range(bits.size):
            if np.int32(bits[i] & np.int32(0x7FFFFFFF)) >= np.int32(0x7F800000):
                return i
    return -1


def open_float(
    packed: Packed, exponent_bits: int, values: Callable[[np.ndarray], Weights]
) -> OpenedBlock:
    """Take one float apart; `values` turns bit patterns into numbers.

    A float's grid has up to 2**32 points, so only its neighbourhood is given. Codes count the
    format's numbers from zero on, negative ones downwards.
    """
    n_bits = 8 * len(packed)
    pattern = int.from_bytes(packed.tobytes(), "little")
    sign_bit = 1 << n_bits - 1
    infinity = (1 << exponent_bits) - 1 << n_bits - 1 - exponent_bits
    code = -(pattern - sign_bit) if pattern & sign_bit else pattern
    near = np.arange(max(code - NEIGHBOURS, -infinity), min(code + NEIGHBOURS, infinity) + 1)
    grid = values(np.where(near < 0, sign_bit - near, near))
    sign, exponent = pattern >> n_bits - 1, (pattern & ~sign_bit) >> n_bits - 1 - exponent_bits
    says = f"sign {sign}, exponent {exponent:0{exponent_bits}b}"
    return opened(
        packed,
        fields=(Field(name="float", kind="codes", where=slice(0, len(packed)), says=says),),
        parts=(Part(weights=slice(0, 1), scale=1.0, minimum=0.0, grid=grid),),
        codes=np.array([code - near[0]], np.int32),
        first_code=int(near[0]),
        code_bytes=(tuple(range(len(packed))),),
    )


def no_scale_factors(packed: Packed) -> ScaleFactors:
    """Floats carry no scale factors: an array without columns."""
    return ScaleFactors(
        scales=np.empty((len(packed), 0), np.float32),
        weights_per_scale=0,
        overhead_bits=0.0,
    )
