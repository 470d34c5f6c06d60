"""The codebooks and any bytes, against gguf's tables and decoders."""

import numpy as np
import pytest

from quantcore import FORMATS
from quantcore.formats.codebook.codebooks import levels_of
from quantcore.formats.codebook.decode import EVEN

pytestmark = pytest.mark.peers
gguf = pytest.importorskip("gguf")
quants = gguf.quants
NAMES = ("IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
BOOKS = {"iq1": "IQ1_S", "iq2_xxs": "IQ2_XXS", "iq2_xs": "IQ2_XS", "iq2_s": "IQ2_S",
         "iq3_xxs": "IQ3_XXS", "iq3_s": "IQ3_S"}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_decode_as_gguf_decodes_them(name):
    fmt = FORMATS[name]
    packed = np.random.default_rng(12).integers(0, 256, (200, fmt.block_bytes), np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        expected = quants.dequantize(packed, gguf.GGMLQuantizationType[name])
    np.testing.assert_array_equal(fmt.dequantize(packed), expected)


@pytest.mark.parametrize("name", BOOKS)
def test_entries_are_those_of_gguf(name):
    kind = getattr(quants, BOOKS[name])
    kind.init_grid()
    grid = kind.grid.reshape(kind.grid.shape[-2:])
    np.testing.assert_array_equal(np.float32(kind.grid_map)[levels_of(name)], grid)


def test_the_eighth_sign_is_that_of_gguf():
    np.testing.assert_array_equal(EVEN, np.frombuffer(quants.IQ2_XXS.ksigns, np.uint8))
