"""Which sentence the page opens with."""

import numpy as np

from pages.block import words
from pages.block.reading import BlockReading


def headline(reading: BlockReading) -> str:
    """Say what becomes of the weights, by what the page shows of them."""
    example, fmt, opened = reading.chosen.example, reading.chosen.fmt, reading.opened
    landing, values, place = reading.landing, reading.own.values, reading.specimen.place
    share = landing.rms_error / reading.size
    if reading.moved:
        own_share = reading.own.rms_error / reading.size
        return words.by_hand(reading.bits, share, fmt.name, own_share)
    if example == words.TEXTBOOK:
        return _textbook(reading)
    if example == words.EQUAL:
        return words.equal(values.size, share)
    if example == words.OUTLIER and reading.holds_outlier:
        return words.outlier(landing.codes, int(np.abs(values).argmax()), landing.grid.size)
    if place:
        n_weights, size = reading.specimen.weights.size, opened.packed.size
        return words.as_stored(fmt.name, n_weights, size, place.file, place.start_byte)
    if reading.is_float:
        restored = float(landing.restored[0])
        return words.kept_float(fmt.name, opened.packed.size, float(values[0]), restored)
    n_bytes = reading.specimen.bits_per_weight * values.size / 8
    return words.kept(fmt.name, values.size, n_bytes, share)


def _textbook(reading: BlockReading) -> str:
    landing, bold, scale = reading.landing, reading.bold, reading.part.scale
    restored = landing.restored[bold]
    code = int(landing.codes[bold]) + landing.first_code
    stands_for = restored / scale if reading.is_uneven else code
    return words.textbook(landing.values[bold], scale, stands_for, restored)


def how_to_read(reading: BlockReading) -> str:
    """Explain the number line."""
    place, moved = reading.specimen.place, reading.moved
    if place and not moved:
        return words.AS_STORED + (words.TURNED if place.big_endian else "")
    textbook = reading.chosen.example == words.TEXTBOOK and reading.chosen.fmt.name == "Q4_0"
    return words.HOW_TO_READ_TEXTBOOK if textbook and not moved else words.HOW_TO_READ_LINE
