"""Whether weights are on a grid already, as after training for quantization, and what follows.

Plain rounding does not know of the grid: where the largest weight of a block is not at the end of
its codes, it lays another one over it. `quantcore.methods.own_grid` stores such weights as they
are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.by_method import relative_error
from quantcore.format import Weights
from quantcore.formats import get_format
from quantcore.methods.grid.found_grid import FoundGrid, find_grid
from quantcore.methods.grid.grid_steps import Stored, rounded_to
from quantcore.methods.own_grid import type_for

AT_MOST = 1 << 19  # weights that are looked at
FLOATS = ("F32", "F16", "BF16")  # types of tensors that may be on a grid without saying so
USUAL = {2: "Q2_K", 3: "Q3_K", 4: "Q4_K", 5: "Q5_K", 6: "Q6_K", 8: "Q8_0"}  # of files, by bits
SAMPLED_TENSORS, SAMPLED_ROWS = 4, 32

Rows = Callable[[slice], Weights]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridReport:
    """The grid of a matrix, and what rounding that knows nothing of it makes of the weights."""

    n_rows: int  # that were looked at,
    of_rows: int  # of so many
    block_length: int
    whole_row: bool  # a row shares a step; or, with `whole_tensor`, all rows do
    whole_tensor: bool
    n_blocks: int  # all of them within rounding of `stored`
    stored: Stored
    lowest: int
    counts: NDArray[np.int64]  # weights of each code, from the lowest to the highest
    evidence_bits: float  # see `FoundGrid`
    exact_share: float  # weights that come back to the last bit as stored
    type: str | None  # the smallest that holds them all to the last bit
    plain_errors: dict[str, float]  # relative, of rounding to nearest, by type

    @property
    def highest(self) -> int:
        """Largest code there is."""
        return self.lowest + self.n_points - 1

    @property
    def n_points(self) -> int:
        """Points of the grid from the lowest code to the highest."""
        return len(self.counts)

    @property
    def bits(self) -> int:
        """Bits that tell so many points apart."""
        return (self.n_points - 1).bit_length()


def grid_report(weights: Weights) -> GridReport | None:
    """Look for the grid of weights (n_rows, n_cols), float32; None where they are on none.

    Of a large matrix, rows evenly spread over it are looked at, `AT_MOST` weights in all.
    """
    n_rows, n_cols = weights.shape
    some = np.ascontiguousarray(weights[:: -(-n_rows // max(1, AT_MOST // n_cols))])
    grid = find_grid(some) if np.isfinite(some).all() else None
    if grid is None:
        return None
    type_name = type_for(grid)
    return GridReport(
        n_rows=len(some),
        of_rows=n_rows,
        block_length=grid.block_length,
        whole_row=grid.block_length == n_cols,
        whole_tensor=grid.whole_tensor,
        n_blocks=1 if grid.whole_tensor else grid.steps.size,
        stored=grid.stored,
        lowest=grid.lowest,
        counts=np.bincount((grid.codes - grid.lowest).ravel(), minlength=grid.n_points),
        evidence_bits=grid.evidence_bits,
        exact_share=float((rounded_to(grid.restored, grid.stored) == some).mean()),
        type=type_name,
        plain_errors=_plain_errors(some, grid, type_name),
    )


def _plain_errors(weights: Weights, grid: FoundGrid, type_name: str | None) -> dict[str, float]:
    """Round to nearest in the type that holds the grid, and in the usual one of as many bits."""
    bits = (grid.n_points - 1).bit_length()
    errors = {}
    for name in dict.fromkeys(filter(None, (type_name, USUAL.get(bits)))):
        fmt = get_format(name)
        try:
            fmt.check(weights.shape)
        except ValueError:
            continue  # rows do not divide into its blocks
        errors[name] = relative_error(weights, fmt.round_trip(weights), None)
    return errors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridSample:
    """What was found in some matrices of a file."""

    looked_at: tuple[str, ...]
    found: dict[str, GridReport]  # by name


def sample_grids(matrices: Mapping[str, Rows]) -> GridSample:
    """Look for grids in a few rows of a few matrices, spread evenly over a file.

    Parameters
    ----------
    matrices
        What reads rows of a matrix, by its name.
    """
    names = list(matrices)
    places = np.linspace(0, len(names) - 1, min(SAMPLED_TENSORS, len(names)))
    chosen = [names[int(place)] for place in places]
    reports = {name: grid_report(matrices[name](slice(0, SAMPLED_ROWS))) for name in chosen}
    return GridSample(
        looked_at=tuple(chosen),
        found={name: each for name, each in reports.items() if each is not None},
    )
