"""Words as the packages themselves pack them (python -m tests.peers.make_export)."""

import numpy as np
import pytest

from quantcore import get_format
from quantcore.checkpoint.export import LAYOUTS
from quantcore.formats.integers.integer import IntegerPacked
from tests.support.places import GOLDEN

WORDS = {
    "gptq": ("qweight", "qzeros"),
    "awq": ("qweight", "qzeros"),
    "compressed-tensors": ("weight_packed", "weight_shape", "weight_zero_point"),
}
CASES = [
    *(("gptq", bits, kind) for bits in (2, 3, 4, 8) for kind in ("sym", "asym")),
    ("awq", 4, "asym"),
    *(("compressed-tensors", bits, kind) for bits in (4, 8) for kind in ("sym", "asym")),
]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "export.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(("layout", "bits", "kind"), CASES)
def test_words_are_those_of_the_packages(golden, layout, bits, kind):
    case = f"{layout}/{bits}/{kind}"
    codes, scales = golden[f"{case}/codes"], golden[f"{case}/scales"]
    symmetric = kind == "sym"
    signed = (codes.astype(np.int16) - 2 ** (bits - 1)).astype(np.int8)
    packed = IntegerPacked(
        codes=signed if symmetric else codes,
        scales=scales,
        zero_points=None if symmetric else golden[f"{case}/zeros"],
    )
    fmt = get_format(f"INT{bits}_G32{'' if symmetric else '_ASYM'}")
    made = {part.suffix: part.make(packed) for part in LAYOUTS[layout].parts(fmt, codes.shape)}
    compared = [key for key in WORDS[layout] if f"{case}/{key}" in golden]
    assert len(compared) == (3 if layout == "compressed-tensors" and not symmetric else 2)
    for key in compared:
        np.testing.assert_array_equal(made[key], golden[f"{case}/{key}"], err_msg=key)
