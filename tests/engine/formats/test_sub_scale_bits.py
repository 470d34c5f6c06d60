"""The table of sub-scale bits, against what the formats themselves decode."""

import numpy as np
import pytest

from quantcore.formats import FORMATS, get_format
from quantcore.formats.k.sub_scale_bits import sub_scale_bits

K_QUANTS = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")


def _number(packed, bits):
    return sum((int(packed[byte]) >> bit & 1) << power for power, (byte, bit) in enumerate(bits))


@pytest.mark.parametrize("name", K_QUANTS)
def test_the_bits_spell_the_stored_scales(name):
    weights = np.random.default_rng(8).standard_t(3, (4, 512)).astype(np.float32)
    fmt, layout = get_format(name), sub_scale_bits(name)
    packed = fmt.quantize(weights)
    for row, block in np.ndindex(4, 2):
        opened = fmt.open_block(packed, row, block)
        assert len(opened.parts) == len(layout.scales)
        for at, part in enumerate(opened.parts):
            number = _number(opened.packed, layout.scales[at]) - layout.offset
            if name == "Q6_K":  # a signed byte
                number -= 256 * (number > 127)
            assert number == part.scale_code
            if layout.minimums:
                assert _number(opened.packed, layout.minimums[at]) == part.minimum_code


@pytest.mark.parametrize("name", K_QUANTS)
def test_every_bit_belongs_to_one_sub_scale(name):
    layout = sub_scale_bits(name)
    places = [place for bits in (*layout.scales, *(layout.minimums or ())) for place in bits]
    bytes_held = range(layout.where.start, layout.where.stop)
    assert sorted(places) == [(byte, bit) for byte in bytes_held for bit in range(8)]


def test_other_formats_have_no_sub_scales():
    others = [name for name in FORMATS if name not in K_QUANTS]
    assert [sub_scale_bits(name) for name in others] == [None] * len(others)
