"""Codes of a few bits side by side in words of 32, as checkpoints for GPUs hold them.

A row is one stream of bits: code i has bits ``i * b`` to ``(i + 1) * b - 1``, low bits first, and
bit j of the stream is bit ``j % 32`` of word ``j // 32``. Where b does not divide 32 some codes lie
across two words: of 3 bits the eleventh has two in the first word and one in the second.
"""

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 32


def words_for(n_codes: int, bits: int) -> int:
    """Words that a row takes; bits left over are 0.

    >>> words_for(32, 3), words_for(9, 4)
    (3, 2)
    """
    return -(-n_codes * bits // WORD_BITS)


def pack_words(codes: NDArray[np.uint8], bits: int) -> NDArray[np.int32]:
    """Pack codes (n_rows, n) below ``2**bits`` into words (n_rows, `words_for(n, bits)`).

    >>> hex(pack_words(np.uint8([[1, 2, 3, 4, 5, 6, 7]]), 4)[0, 0])
    '0x7654321'
    """
    n_rows, n_codes = codes.shape
    words = np.zeros((n_rows, -(-n_codes // WORD_BITS), bits), np.uint32)
    for i in range(min(WORD_BITS, n_codes)):  # 32 codes fill as many words as a code has bits
        word, shift = divmod(i * bits, WORD_BITS)
        every = codes[:, i::WORD_BITS].astype(np.uint32)
        runs = slice(every.shape[1])
        words[:, runs, word] |= every << np.uint32(shift)
        if shift + bits > WORD_BITS:
            words[:, runs, word + 1] |= every >> np.uint32(WORD_BITS - shift)
    return words.reshape(n_rows, -1)[:, : words_for(n_codes, bits)].view(np.int32)


def unpack_words(words: NDArray[np.int32], bits: int, n_codes: int) -> NDArray[np.uint8]:
    """Undo `pack_words`: words (n_rows, n_words) -> codes (n_rows, n_codes).

    >>> unpack_words(np.int32([[0x7654321]]), 4, 7)
    array([[1, 2, 3, 4, 5, 6, 7]], dtype=uint8)
    """
    runs = -(-n_codes // WORD_BITS)
    padded = np.zeros((len(words), runs * bits), np.uint32)
    padded[:, : words.shape[1]] = words.view(np.uint32)
    streams = padded.reshape(len(words), runs, bits)
    codes, mask = np.empty((len(words), runs, WORD_BITS), np.uint8), np.uint32(2**bits - 1)
    for i in range(WORD_BITS):
        word, shift = divmod(i * bits, WORD_BITS)
        here = streams[:, :, word] >> np.uint32(shift)
        if shift + bits > WORD_BITS:
            here = here | streams[:, :, word + 1] << np.uint32(WORD_BITS - shift)
        codes[:, :, i] = here & mask
    return codes.reshape(len(words), -1)[:, :n_codes]
