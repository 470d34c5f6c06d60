"""INT2 to INT8: the convention, by hand and against a slow twin."""

import numpy as np
import pytest

from quantcore import get_format
from tests.support.edge_cases import edge_rows
from tests.twins import naive

SPANS = ("TENSOR", "ROW", "G32")
NAMES = [
    f"INT{bits}_{span}{asym}" for bits in range(2, 9) for span in SPANS for asym in ("", "_ASYM")
]
WEIGHTS = (np.random.default_rng(9).standard_t(4, (4, 96)) * 0.02).astype(np.float32)


def groups_of(array, fmt):
    """Weights or codes that share a scale, one row each."""
    lengths = {"tensor": array.size, "row": array.shape[1], "group": fmt.group_size}
    return array.reshape(-1, lengths[fmt.span])


@pytest.mark.parametrize("name", NAMES)
def test_naive_twin(name):
    fmt = get_format(name)
    packed, restored = fmt.quantize(WEIGHTS), fmt.round_trip(WEIGHTS)
    scales = packed.scales.reshape(-1)
    zeros = np.zeros(scales.size) if packed.zero_points is None else packed.zero_points.reshape(-1)
    for i, group in enumerate(groups_of(WEIGHTS, fmt)):
        codes, scale, zero = naive.integers(list(group), fmt.code_bits, fmt.symmetric)
        assert (scales[i], zeros[i]) == (scale, zero)
        assert groups_of(packed.codes, fmt)[i].tolist() == codes
        wanted = [scale * np.float32(code - zero) for code in codes]
        np.testing.assert_array_equal(groups_of(restored, fmt)[i], wanted)


@pytest.mark.parametrize("name", ["INT8_ROW", "INT3_ROW", "INT8_ROW_ASYM", "INT2_ROW_ASYM"])
def test_edges(name, subtests):
    fmt = get_format(name)
    for row, weights in edge_rows().items():
        with subtests.test(row=row):
            with np.errstate(over="ignore"):
                codes, scale, zero = naive.integers(list(weights), fmt.code_bits, fmt.symmetric)
            packed = fmt.quantize(weights[None])
            assert packed.codes[0].tolist() == codes
            assert packed.scales == scale
            assert packed.zero_points is None or packed.zero_points == zero
            assert np.isfinite(fmt.dequantize(packed)).all()


def test_symmetric_by_hand():
    """The scale is 7/8 over 7; -2.5 and 0.5 steps round to even; -8 is never used."""
    fmt = get_format("INT4_ROW")
    packed = fmt.quantize(np.float32([[-0.875, 0.3125, 0.0625, 0.8]]))
    assert packed.scales == 0.125
    assert packed.codes.tolist() == [[-7, 2, 0, 6]]
    assert packed.zero_points is None


def test_asymmetric_by_hand():
    """Range -1 to 0.5 in 3 steps of 0.5; code 2 stands for 0."""
    packed = get_format("INT2_ROW_ASYM").quantize(np.float32([[-1, 0.5, 0, -0.2]]))
    assert (packed.scales, packed.zero_points) == (0.5, 2)
    assert packed.codes.tolist() == [[0, 3, 2, 2]]


def test_an_asymmetric_range_includes_zero():
    packed = get_format("INT4_ROW_ASYM").quantize(np.float32([[3, 3.75, 3.5]]))
    assert (packed.scales, packed.zero_points) == (0.25, 0)
    assert packed.codes.tolist() == [[12, 15, 14]]


@pytest.mark.parametrize(
    ("name", "n_bytes"),
    [
        ("INT8_TENSOR", 384 + 2),
        ("INT4_ROW", 192 + 4 * 2),
        ("INT4_G32", 192 + 12 * 2),
        ("INT4_G32_ASYM", 192 + 12 * 2 + 12 // 2),
        ("INT3_ROW_ASYM", 144 + 4 * 2 + 2),  # 12 bits of zero points take 2 bytes
    ],
)
def test_stored_bytes(name, n_bytes):
    assert get_format(name).stored_bytes(WEIGHTS.shape) == n_bytes


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("asym", ["", "_ASYM"])
def test_each_bit_helps(span, asym):
    error = [
        np.square(get_format(f"INT{bits}_{span}{asym}").round_trip(WEIGHTS) - WEIGHTS).sum()
        for bits in range(2, 9)
    ]
    assert error == sorted(error, reverse=True)


def test_smaller_groups_help():
    names = ["INT4_TENSOR", "INT4_ROW", "INT4_G48", "INT4_G16", "INT4_G8"]
    error = [np.square(get_format(name).round_trip(WEIGHTS) - WEIGHTS).sum() for name in names]
    assert error == sorted(error, reverse=True)


@pytest.mark.parametrize("name", NAMES)
def test_weights_inside_the_range_are_off_by_half_a_step(name):
    fmt = get_format(name)
    packed = fmt.quantize(WEIGHTS)
    steps = np.repeat(packed.scales.astype(np.float32).ravel(), WEIGHTS.size // packed.scales.size)
    error = abs(fmt.dequantize(packed) - WEIGHTS).ravel()
    rounded_scale = 2**fmt.code_bits / 2048  # a scale is right to 11 bits, so its end may be short
    assert (error <= steps * (0.5 + rounded_scale)).all()


@pytest.mark.parametrize("name", ["INT4_TENSOR", "INT4_ROW", "INT4_G32"])
def test_what_shares_a_scale(name):
    """An outlier coarsens the weights that share its scale, and no other."""
    fmt = get_format(name)
    spoilt = WEIGHTS.copy()
    spoilt[1, 40] = 100
    changed = fmt.round_trip(WEIGHTS) != fmt.round_trip(spoilt)
    reach = {"tensor": np.s_[:, :], "row": np.s_[1, :], "group": np.s_[1, 32:64]}[fmt.span]
    outside = np.ones(WEIGHTS.shape, bool)
    outside[reach] = False
    assert changed[reach].mean() > 0.25  # the rest was 0 before
    assert not changed[outside].any()


def test_zeros_stay_zeros():
    for name in NAMES:
        assert not get_format(name).round_trip(np.zeros((2, 96), np.float32)).any()
