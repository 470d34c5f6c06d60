"""HQQ beside hqq's own package, and what its search does."""

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.hqq import HQQ
from tests.support.places import GOLDEN

with np.load(GOLDEN / "methods_scaling.npz") as _file:
    GIVEN = {name: _file[name] for name in _file.files if name.startswith("hqq/")}
RECORDED = [name.removesuffix("/codes") for name in GIVEN if name.endswith("/codes")]
WEIGHTS = np.random.default_rng(1).normal(size=(64, 256)).astype(np.float32) * np.float32(0.02)


@pytest.mark.parametrize("name", RECORDED)
def test_codes_and_zero_points_are_those_of_hqq(name):
    """In float32 on a CPU; only the order in which a mean is summed up is ours."""
    _, case, bits, group = name.split("/")
    chosen = HQQ().choose(GIVEN[f"hqq/{case}"], get_format(f"INT{bits}_G{group}_ASYM"))
    np.testing.assert_array_equal(chosen.packed.codes, GIVEN[f"{name}/codes"])
    for ours, theirs in (
        (chosen.packed.scales, GIVEN[f"{name}/scale"]),
        (chosen.packed.zero_points, GIVEN[f"{name}/zero"]),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2**-11 + 1e-5, atol=1e-6)


def test_the_cases_reach_what_is_odd_in_hqq():
    assert len(RECORDED) == 20
    assert (GIVEN["hqq/narrow/4/64/scale"] == 1).all()  # groups too narrow for a scale of their own


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_search_lowers_the_error_it_looks_at(bits):
    fmt = get_format(f"INT{bits}_G64_HQQ")
    plain = HQQ(n_rounds=0).choose(WEIGHTS, fmt).restored
    searched = HQQ().choose(WEIGHTS, fmt).restored
    assert np.abs(WEIGHTS - searched).mean() < 0.99 * np.abs(WEIGHTS - plain).mean()


def test_without_rounds_it_is_rounding():
    for name in ("INT3_G64_HQQ", "INT8_G128_HQQ"):
        fmt = get_format(name)
        np.testing.assert_array_equal(
            HQQ(n_rounds=0).choose(WEIGHTS, fmt).restored, fmt.round_trip(WEIGHTS)
        )


def test_bits_count_scale_and_zero_point():
    chosen = HQQ().choose(WEIGHTS, get_format("INT4_G64_ASYM"))
    assert chosen.format.name == "INT4_G64_HQQ"
    assert 8 * chosen.stored_bytes / WEIGHTS.size == 4 + 32 / 64
    assert "0.188 bits a weight more than INT4_G64_ASYM" in chosen.note


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("INT4_ROW_ASYM", "has no such groups; take a type such as INT4_G64 or"),
        ("Q4_K", "has no such groups; take a type"),
        ("INT4_G96_ASYM", "multiple of 96"),
    ],
)
def test_what_it_cannot_store_is_refused(name, problem):
    with pytest.raises(ValueError, match=problem):
        HQQ().choose(WEIGHTS, get_format(name))


def test_nan_is_refused():
    weights = WEIGHTS.copy()
    weights[3, 7] = np.nan
    with pytest.raises(ValueError, match=r"cannot store nan \(row 3, column 7\)"):
        HQQ().choose(weights, get_format("INT4_G64_ASYM"))
