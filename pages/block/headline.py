"""Which sentence the page opens with."""

import numpy as np

from pages.block import words
from pages.block.reading import BlockReading
from pages.shared.units import exact
from quantcore.evaluate.specimens import TEXTBOOK_VALUE


def headline(reading: BlockReading) -> str:
    """Say what becomes of the weights, by what the page shows of them."""
    example, fmt, opened = reading.chosen.example, reading.chosen.fmt, reading.opened
    landing, values, place = reading.landing, reading.own.values, reading.specimen.place
    share = landing.rms_error / reading.size
    if reading.moved:
        own_share = reading.own.rms_error / reading.size
        return words.by_hand(reading.bits, share, fmt.name, own_share)
    if reading.is_float and not place:
        restored = float(landing.restored[0])
        return words.kept_float(fmt.name, opened.packed.size, float(values[0]), restored)
    if reading.shows_textbook_weight:
        return _textbook(reading)
    if example == words.EQUAL:
        return words.equal(values.size, share, np.unique(landing.restored).size)
    if example == words.OUTLIER and reading.holds_outlier:
        at, harm = int(np.abs(values).argmax()), reading.chosen.harm
        return words.outlier(landing.codes, at, landing.grid.size, harm)
    if place:
        n_weights, size = reading.specimen.weights.size, opened.packed.size
        return words.as_stored(fmt.name, n_weights, size, place.file, place.start_byte)
    if reading.chosen.held:
        return words.held(fmt.name, reading.chosen.stored_as, values.size)
    n_bytes = reading.specimen.bits_per_weight * values.size / 8
    stored_as = reading.chosen.stored_as
    former = reading.chosen.stored_bits * values.size / 8
    kept = words.kept(fmt.name, values.size, n_bytes, share, (stored_as, former))
    about = reading.chosen.about
    if about is None:
        return kept
    return kept + words.elsewhere("outlier" if example == words.OUTLIER else "33", about)


def _textbook(reading: BlockReading) -> str:
    landing, bold, part = reading.landing, reading.bold, reading.part
    restored = float(landing.restored[bold])
    code = int(landing.codes[bold]) + landing.first_code
    stands_for = restored / part.scale if reading.is_uneven else code
    value = float(landing.values[bold])
    return words.textbook(value, part, stands_for, restored, reading.is_uneven)


def how_to_read(reading: BlockReading) -> str:
    """Explain the number line."""
    place, moved = reading.specimen.place, reading.moved
    if place and not moved:
        return words.AS_STORED + (words.TURNED if place.big_endian else "") + _backwards(reading)
    textbook = reading.shows_textbook_weight
    bold = exact(TEXTBOOK_VALUE) if textbook else "the weight with the largest error"
    lead = words.IN_Q4_0 if textbook and reading.chosen.fmt.name == "Q4_0" and not moved else ""
    return lead + words.how_to_read_line(reading.landing.to_nearest, bold) + _backwards(reading)


def _backwards(reading: BlockReading) -> str:
    """Explain codes that run from right to left; nothing where they do not."""
    landing = reading.landing
    grid, values = landing.grid, landing.values
    if reading.part.scale >= 0 or grid[0] <= grid[-1]:
        return ""
    largest = int(np.abs(values).argmax())
    far_end = int(np.abs(grid).argmax())
    chosen = not reading.moved and landing.codes[largest] == far_end
    left, right = landing.first_code + grid.size - 1, landing.first_code
    told = float(values[largest]) if chosen else None
    return words.backwards(left, right, reading.chosen.fmt.name, told)
