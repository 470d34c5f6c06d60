"""What the charts and sentences of the page read: where the weights of the sub-block land."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pages.block import words
from pages.block.choice import ChosenBlock
from pages.block.dials import Dials
from quantcore.evaluate.by_hand import EvenGrid, grid_of
from quantcore.evaluate.landing import Landing, as_stored, on_grid, rms
from quantcore.evaluate.specimens import TEXTBOOK_VALUE, Specimen
from quantcore.format import OpenedBlock, Part


@dataclass(frozen=True)
class BlockReading:
    """The chosen sub-block, as its format stores it or as the dials do."""

    chosen: ChosenBlock
    dials: Dials | None  # None where the grid has no step to turn

    @property
    def specimen(self) -> Specimen:
        """The block."""
        return self.chosen.specimen

    @property
    def opened(self) -> OpenedBlock:
        """The block taken apart."""
        return self.specimen.opened

    @property
    def part(self) -> Part:
        """The sub-block."""
        return self.opened.parts[self.chosen.part]

    @property
    def is_float(self) -> bool:
        """Whether a weight is a float of its own: its grid is only the neighbourhood."""
        return self.chosen.fmt.family == "float"

    @property
    def is_uneven(self) -> bool:
        """Whether the values of the grid are not equally far apart."""
        return self.chosen.fmt.family == "uneven"

    @property
    def moved(self) -> bool:
        """Whether a dial is away from what the format does."""
        return self.dials is not None and self.dials.moved

    @property
    def bits(self) -> int:
        """Bits of a code, by the dials where there are any."""
        return self.dials.bits if self.dials else self.chosen.fmt.code_bits

    @cached_property
    def own(self) -> Landing:
        """Where the format's own rule puts the weights."""
        even = not self.is_uneven
        return as_stored(self.specimen.weights, self.opened, self.chosen.part, even=even)

    @cached_property
    def landing(self) -> Landing:
        """Where the weights land: by the dials if one is moved."""
        if self.dials is None or not self.dials.moved:
            return self.own
        grid = self.ruled_grid.turned(self.dials.scale_percent, self.dials.zero_shift)
        return on_grid(grid, self.own.values, self.own.first_weight)

    @property
    def ruled_grid(self) -> EvenGrid:
        """The grid that the format's rule picks, with as many bits as the dials say."""
        return grid_of(self.part, self.opened.first_code).with_bits(self.bits)

    @property
    def size(self) -> float:
        """Size of a typical weight; 1 where all are 0."""
        return rms(self.own.values) or 1.0

    @property
    def bold(self) -> int:
        """The weight that sentences speak of, counted from the first one of the sub-block."""
        if self.shows_textbook_weight:
            return int(np.argmax(self.own.values == TEXTBOOK_VALUE))
        return self.landing.worst

    @property
    def shows_textbook_weight(self) -> bool:
        """Whether the sub-block holds the weight that the textbook follows."""
        return self.chosen.example == words.TEXTBOOK and TEXTBOOK_VALUE in self.own.values

    @property
    def bold_in_block(self) -> int:
        """The weight that sentences speak of, counted from the first one of the block."""
        return self.own.first_weight + self.bold

    @property
    def holds_outlier(self) -> bool:
        """Whether the largest weight of the block lies in the sub-block."""
        return np.abs(self.specimen.weights).max() in np.abs(self.own.values)
