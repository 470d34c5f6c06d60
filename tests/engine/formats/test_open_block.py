"""A block taken apart is the block that decoding sees."""

import numpy as np
import pytest

from quantcore import FORMATS, get_format
from quantcore.formats import OUTSIDE_GGUF
from tests.support.with_matrix import quantized

INTEGERS = [
    get_format(name)
    for name in (
        *("INT8_TENSOR", "INT5_ROW", "INT4_G64"),
        *("INT3_G32_ASYM", "INT2_ROW_ASYM", "INT7_TENSOR_ASYM", "INT3_G64_HQQ"),
    )
]
BLOCKS, SCALED = list(FORMATS.values()), list(OUTSIDE_GGUF.values())
EVERY = [*BLOCKS, *SCALED, *INTEGERS]


def _each(formats):
    return pytest.mark.parametrize("fmt", formats, ids=lambda fmt: fmt.name)


BLOCK, FORMAT = _each(BLOCKS), _each(EVERY)
WITH_SCALES = _each([fmt for fmt in EVERY if fmt.family != "float"])
EVEN = _each([fmt for fmt in EVERY if fmt.family not in ("float", "uneven")])
UNEVEN = _each([fmt for fmt in EVERY if fmt.family == "uneven"])
# Where a code is not a whole number of bits: five digits a byte, and 16 by four; patterns, signs,
# and shifts.
CODE_BITS = {"TQ1_0": 1.625, "IQ3_S": 9 / 4 + 1, "IQ3_XXS": 8 / 4 + 7 / 8, "IQ2_S": 10 / 8 + 1,
             "IQ2_XS": 9 / 8 + 7 / 8, "IQ2_XXS": 8 / 8 + 7 / 8, "IQ1_M": 11 / 8 + 1 / 8,
             "IQ1_S": 11 / 8 + 1 / 32}  # fmt: skip
WEIGHTS = (np.random.default_rng(8).standard_t(4, (3, 512)) * 0.02 + 0.01).astype(np.float32)


def opened(fmt, row=1):
    """All blocks of a row, each with the weights that decoding restores."""
    packed = quantized(fmt, WEIGHTS)
    restored = fmt.dequantize(packed)[row].reshape(-1, fmt.block_length(WEIGHTS.shape[1]))
    return [(fmt.open_block(packed, row, i), weights) for i, weights in enumerate(restored)]


@FORMAT
def test_restored_weights_lie_on_the_grid(fmt):
    for block, restored in opened(fmt):
        np.testing.assert_array_equal(block.restored, restored)
        for part in block.parts:
            assert part.grid.dtype == np.float32
            on_grid = part.grid[block.codes[part.weights]]
            np.testing.assert_array_equal(on_grid, restored[part.weights])


@FORMAT
def test_parts_cover_the_block_in_order(fmt):
    for block, restored in opened(fmt):
        covered = [i for part in block.parts for i in range(*part.weights.indices(len(restored)))]
        assert covered == list(range(len(restored)))


@FORMAT
def test_fields_cover_the_bytes_once(fmt):
    for block, _ in opened(fmt):
        places = sorted(i for f in block.fields for i in range(*f.where.indices(len(block.packed))))
        assert places == list(range(len(block.packed)))
        assert all(field.says and field.name for field in block.fields)


@EVEN
def test_scale_and_minimum_explain_the_grid(fmt):
    for block, restored in opened(fmt):
        for part in block.parts:
            codes = block.first_code + block.codes[part.weights]
            explained = part.scale * codes - part.minimum
            allowed = 1e-6 * (abs(part.scale) * abs(codes).max() + abs(part.minimum))
            np.testing.assert_allclose(explained, restored[part.weights], rtol=0, atol=allowed)


@WITH_SCALES
def test_scale_factors_are_those_of_the_parts(fmt):
    factors = fmt.scale_factors(quantized(fmt, WEIGHTS))
    row = 0 if len(factors.scales) == 1 else 1
    parts = [part for block, _ in opened(fmt) for part in block.parts]
    assert [part.scale for part in parts] == factors.scales[row].tolist()
    if factors.minimums is None:
        assert all(part.minimum == 0 for part in parts)
    else:
        assert [part.minimum for part in parts] == factors.minimums[row].tolist()
    if factors.scale_codes is not None:
        assert [part.scale_code for part in parts] == factors.scale_codes[row].tolist()


@FORMAT
def test_overhead_is_what_is_not_code(fmt):
    factors = fmt.scale_factors(quantized(fmt, WEIGHTS))
    bits = 8 * fmt.stored_bytes((3, 512)) / WEIGHTS.size
    rounded_up = 8 / WEIGHTS.size if fmt.family == "int" else 0
    code_bits = CODE_BITS.get(fmt.name, fmt.code_bits)
    assert factors.overhead_bits == pytest.approx(bits - code_bits, abs=2 * rounded_up)
    if factors.weights_per_scale:
        assert factors.weights_per_scale * factors.scales.size == WEIGHTS.size


@UNEVEN
def test_the_widest_step_is_that_of_the_grid(fmt):
    widest = fmt.scale_factors(quantized(fmt, WEIGHTS)).widest_step
    for part in opened(fmt)[0][0].parts:
        steps = np.diff(np.sort(part.grid)).max() / abs(part.scale)
        assert steps == pytest.approx(widest, rel=1e-5)


@_each(SCALED)
def test_each_weight_of_small_floats_knows_its_byte(fmt):
    """The bytes that a weight names, and no others, change with its code."""
    weights = np.tile(WEIGHTS[1], (2, 1))
    weights[0, 5] = 0.9 * np.abs(weights[0, :16]).max()
    weights[1, 5] = -weights[0, 5]
    packed = fmt.quantize(weights)
    one, other = (fmt.open_block(packed, row, 0) for row in (0, 1))
    assert np.flatnonzero(one.codes != other.codes).tolist() == [5]
    assert tuple(np.flatnonzero(one.packed != other.packed)) == one.code_bytes[5]


@BLOCK
def test_each_weight_knows_its_bytes(fmt):
    """Flip the bits of one byte of codes: just the weights that name it change their code."""
    packed = quantized(fmt, WEIGHTS)
    before = fmt.open_block(packed, 1, 0)
    naming = np.zeros((fmt.block_bytes, fmt.block_size), bool)
    for i, places in enumerate(before.code_bytes):
        naming[list(places), i] = True
    for field in before.fields:
        for place in range(*field.where.indices(fmt.block_bytes)):
            other = packed.copy()
            other[1, place] ^= 0xFF
            after = fmt.open_block(other, 1, 0)
            stored_before, stored_after = (b.codes + b.first_code for b in (before, after))
            changed = stored_before != stored_after
            if fmt.name in CODE_BITS and field.kind == "codes":  # some digits may stay the same
                assert not (changed & ~naming[place]).any()
            elif field.kind == "codes":
                np.testing.assert_array_equal(changed, naming[place])
            else:
                np.testing.assert_array_equal(stored_before, stored_after)
                assert not naming[place].any()


@pytest.mark.parametrize("value", [0.0, 1.0, -1.5, 3e38, -1e-45])
def test_a_float_stands_among_its_neighbours(value):
    block = FORMATS["F32"].open_block(FORMATS["F32"].quantize(np.float32([[value]])), 0, 0)
    grid = block.parts[0].grid.astype(np.float64)
    assert (np.diff(grid) > 0).all()
    assert block.restored == np.float32(value)
    above = grid[block.codes[0] + 1]
    assert above == np.nextafter(np.float32(value), np.float32(np.inf))
