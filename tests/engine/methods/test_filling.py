"""Filling a format code by code: what is packed is what was chosen, in every format."""

import numpy as np
import pytest

from quantcore.formats import FORMATS, OUTSIDE_GGUF, get_format
from quantcore.formats.codebook.blocks import CodebookFormat
from quantcore.methods.columns.filling import joined, start_filling, unit_of
from quantcore.methods.columns.grids import grid_of
from quantcore.methods.columns.work import Work
from tests.support.layers import random_layer

INTEGERS = ("INT4_G32", "INT3_G64_ASYM", "INT2_ROW", "INT8_ROW_ASYM", "INT4_TENSOR")
SCALELESS = ("F32", "F16", "BF16")
EVERY = (*(name for name in FORMATS if name not in SCALELESS), *OUTSIDE_GGUF, *INTEGERS)
WEIGHTS, ROWS = random_layer(6, 512, seed=3)
COUNTS = np.square(ROWS).mean(0)


def work_on(weights, places, feedback=None):
    n = len(places)
    return Work(
        places=np.asarray(places),
        target=weights[:, places].copy(),
        aimed=weights[:, places].copy(),
        feedback=np.eye(n, dtype=np.float32) if feedback is None else feedback,
        root=np.eye(n, dtype=np.float32) if feedback is None else feedback,
        pushes=None,
    )


@pytest.mark.parametrize("name", EVERY)
def test_packed_is_what_was_chosen(name):
    """Other codes than the format's own, by feedback that stirs all: no code may stay or move."""
    fmt = get_format(name)
    filling = start_filling(fmt, WEIGHTS, COUNTS)
    feedback = np.triu(np.random.default_rng(1).normal(0, 0.1, (512, 512)), 1) + np.eye(512)
    chosen = filling.round(work_on(WEIGHTS, np.arange(512), feedback.astype(np.float32)))
    restored = fmt.dequantize(filling.packed())
    np.testing.assert_allclose(restored, chosen, rtol=1e-6, atol=1e-7 * np.abs(chosen).max())
    own = fmt.dequantize(fmt.quantize(WEIGHTS, COUNTS))
    assert np.mean(restored != own) > 0.01
    np.testing.assert_array_equal(
        fmt.scale_factors(filling.packed()).scales != 0,
        fmt.scale_factors(fmt.quantize(WEIGHTS, COUNTS)).scales != 0,
    )


@pytest.mark.parametrize("name", EVERY)
def test_without_feedback_every_weight_is_as_near_as_can_be(name):
    """With scales as they are no other codes have a smaller error than those of plain rounding."""
    fmt = get_format(name)
    filling = start_filling(fmt, WEIGHTS, None if not fmt.needs_importance else COUNTS)
    chosen = filling.round(work_on(WEIGHTS, np.arange(512)))
    plain = fmt.round_trip(WEIGHTS, importance=COUNTS if fmt.needs_importance else None)
    errors, own = np.square(chosen - WEIGHTS), np.square(plain - WEIGHTS)
    if isinstance(fmt, CodebookFormat):  # eight are chosen together
        errors, own = (e.reshape(-1, 8).sum(1) for e in (errors, own))
        if "IQ3" not in name:  # where a run is four, its signs are chosen before
            assert np.mean(errors > own * (1 + 1e-5) + 1e-9) < 0.05  # a parity that cost less
        assert errors.sum() < own.sum()
    else:
        assert (errors <= own * (1 + 1e-5) + 1e-12).all()


@pytest.mark.parametrize("name", ["Q4_K", "INT4_G32_ASYM", "NF4", "IQ2_S"])
def test_units_side_by_side_are_the_whole(name):
    fmt = get_format(name)
    unit = unit_of(fmt, 512)
    parts = []
    for start in range(0, 512, unit):
        filling = start_filling(fmt, WEIGHTS[:, start : start + unit], COUNTS[:unit])
        filling.round(work_on(WEIGHTS[:, start : start + unit], np.arange(unit)))
        parts.append(filling.packed())
    each = np.concatenate([fmt.dequantize(part) for part in parts], axis=1)
    np.testing.assert_array_equal(fmt.dequantize(joined(parts)), each)


def test_order_of_work_is_no_order_of_weights():
    fmt = get_format("Q4_K")
    places = np.random.default_rng(0).permutation(512)
    mixed, straight = start_filling(fmt, WEIGHTS, None), start_filling(fmt, WEIGHTS, None)
    mixed.round(work_on(WEIGHTS, places))
    straight.round(work_on(WEIGHTS, np.arange(512)))
    np.testing.assert_array_equal(mixed.packed(), straight.packed())


def test_what_covers_the_tensor_is_chosen_at_once():
    units = {name: unit_of(get_format(name), 512) for name in ("NF4_DQ", "INT4_ROW", "NF4", "Q2_K")}
    assert units == {"NF4_DQ": 512, "INT4_ROW": 512, "NF4": 64, "Q2_K": 256}


@pytest.mark.parametrize("name", SCALELESS)
def test_formats_without_scales_have_no_codes_to_choose(name):
    with pytest.raises(ValueError, match="no scales"):
        grid_of(get_format(name))
