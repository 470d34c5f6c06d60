"""Formats with a codebook: twins, neighbours, and what needs a matrix."""

import numpy as np
import pytest

from quantcore import FORMATS
from quantcore.formats.codebook.codebooks import codebook, levels_of
from tests.twins import naive_iq, naive_iq1
from tests.twins.naive_codebook import SHELLS, candidates

ENCODE = naive_iq.ENCODE | naive_iq1.ENCODE
NAMES = list(ENCODE)
IMPORTANCE = np.random.default_rng(21).uniform(0.1, 2, 256).astype(np.float32)
BOOKS = ("iq1", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s")


def blocks_of_all_kinds():
    """Blocks that lead the searches everywhere: (n, 256) float32."""
    rng = np.random.default_rng(22)
    heavy = rng.standard_t(4, (2, 256)) * 0.02
    sparse = np.where(rng.random(256) < 0.8, 0, rng.normal(size=256))
    gaps = rng.normal(size=256)
    gaps[32:64] = gaps[160:224] = 0  # whole sub-blocks
    few = rng.integers(-3, 4, 256) * 0.125
    tiny = np.where(np.arange(256) < 128, rng.normal(size=256) * 1e-7, rng.normal(size=256))
    kinds = [*heavy, sparse, gaps, few, tiny, abs(heavy[0]), -np.ones(256), np.zeros(256)]
    return np.stack(kinds).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_naive_twin(name):
    fmt, blocks = FORMATS[name], blocks_of_all_kinds()
    matrices = [IMPORTANCE] if fmt.needs_importance else [None, IMPORTANCE]
    with np.errstate(all="ignore"):
        for matrix in matrices:
            packed = fmt.quantize(blocks, matrix)
            for i, block in enumerate(blocks):
                expected = ENCODE[name](list(block), matrix)
                assert packed[i].tobytes() == expected, f"block {i}"


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_that_is_not_full_changes_nothing(name):
    fmt, blocks = FORMATS[name], blocks_of_all_kinds()
    whole = fmt.quantize(blocks, IMPORTANCE)
    for n_blocks in (1, 3, 8):
        np.testing.assert_array_equal(
            fmt.quantize(blocks[-n_blocks:], IMPORTANCE), whole[-n_blocks:]
        )


@pytest.mark.parametrize("name", BOOKS)
def test_neighbours_are_those_of_a_search_by_hand(name):
    levels, shells = levels_of(name), SHELLS[name]
    book, n_levels = codebook(name, shells), int(levels.max()) + 1
    for number in range(0, len(book.places), 97):
        pattern = tuple(number // n_levels**i % n_levels for i in range(levels.shape[1]))
        near = candidates(name, pattern)
        place = book.places[number]
        if place >= 0:
            assert near == [place]
        else:
            start = -1 - place
            stop = start + 1 + book.neighbours[start]
            assert book.neighbours[start + 1 : stop].tolist() == near


@pytest.mark.parametrize("name", ["IQ2_XXS", "IQ2_XS", "IQ1_S"])
def test_no_matrix_no_bytes(name):
    with pytest.raises(ValueError, match=f"{name} needs an importance matrix: the mean squared"):
        FORMATS[name].quantize(blocks_of_all_kinds())


@pytest.mark.parametrize("name", NAMES)
def test_columns_without_importance_are_stored_too(name):
    """Nothing counts: any code will do, but there must be one."""
    weights = blocks_of_all_kinds()
    packed = FORMATS[name].quantize(weights, np.zeros(256, np.float32))
    assert np.isfinite(FORMATS[name].dequantize(packed)).all()
