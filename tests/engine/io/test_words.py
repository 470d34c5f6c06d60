"""Codes in words of 32 bits: by hand, and as one long number."""

import numpy as np
import pytest

from quantcore.io.words import pack_words, words_for
from tests.twins.naive_checkpoint import stream


def test_eight_nibbles_by_hand():
    (words,) = pack_words(np.uint8([[0, 1, 2, 3, 4, 5, 6, 7, 15]]), 4)
    assert words.tolist() == [0x76543210, 0xF]


def test_three_bits_lie_across_words():
    """Ten codes, then two bits of the eleventh; its third bit opens the next word, and so on."""
    codes = np.zeros((1, 32), np.uint8)
    codes[0, [0, 10, 21]] = 7
    (words,) = pack_words(codes, 3)
    expected = np.uint32([0b111 | 0b11 << 30, 0b1 | 0b1 << 31, 0b11])
    assert words.view(np.uint32).tolist() == expected.tolist()


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("n_codes", [1, 31, 32, 33, 72])
def test_codes_come_back_and_what_is_over_is_zero(bits, n_codes):
    rng = np.random.default_rng(bits * 100 + n_codes)
    codes = rng.integers(0, 2**bits, (3, n_codes), np.uint8)
    words = pack_words(codes, bits)
    assert words.dtype == np.int32 and words.shape == (3, words_for(n_codes, bits))
    for row, packed in zip(codes, words, strict=True):
        most = 32 * len(packed) // bits
        assert stream(packed, most, bits) == [*row.tolist(), *[0] * (most - n_codes)]
        assert stream(packed, 32 * len(packed), 1)[n_codes * bits :] == [0] * (
            32 * len(packed) - n_codes * bits
        )
