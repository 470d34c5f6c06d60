"""GPTQ beside what its authors' code made of the same layer (`tests.peers.make_methods`)."""

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.gptq import Gptq
from tests.support.layers import inputs_of
from tests.support.places import GOLDEN

CASES = {
    "row 4": ("INT4_ROW_ASYM", Gptq(order="natural")),
    "row 3 act": ("INT3_ROW_ASYM", Gptq(order="act")),
    "group 4": ("INT4_G32_ASYM", Gptq(order="natural")),
    "group 2": ("INT2_G64_ASYM", Gptq(order="natural")),
    "group 4 act": ("INT4_G32_ASYM", Gptq(order="act")),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "gptq.npz") as arrays:
        return dict(arrays)


def test_every_recorded_case_is_compared(golden):
    assert {name for name in golden if "/" in name} == {f"restored/{case}" for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_codes_are_those_of_the_authors_code(case, golden):
    name, method = CASES[case]
    fmt = get_format(name)
    weights = golden["weights"].astype(np.float32) / 512
    inputs = inputs_of(golden["rows"].astype(np.float32) / 16)
    found = method.choose(weights, fmt, inputs).restored
    np.testing.assert_allclose(found, golden[f"restored/{case}"], rtol=1e-5, atol=1e-7)
    assert np.abs(found - fmt.round_trip(weights)).mean() > 0.1 * np.abs(found - weights).mean()
