"""The sentences of the page Methods on codes of two bits per weight: numbers in, text out."""

from collections.abc import Mapping

from pages.shared.units import opening, percent, plural, the
from quantcore.evaluate.two_bits import (
    ALONE,
    BOUND,
    LATTICE,
    MEASURED_TILES,
    TRELLIS,
    VECTORS,
    Walk,
)
from quantcore.methods.trellis import TILE

NAMES = {ALONE: "four values", LATTICE: "E8P", TRELLIS: "the trellis"}
HOW_TO_READ_WALK = (
    "One line per weight. Each step shifts two new bits (coloured) into a state of 16 bits, and "
    "the state names one of 65,536 values: the dot, which stands for the weight, the ring. The "
    "other 14 bits are old, so only four values are within reach at each step: the ticks. The "
    "first states take their old bits from the end of the run."
)


def points(tensor: str, errors: Mapping[str, float]) -> str:
    """Say how far E8P's nearest points are, beside the best four values."""
    return (
        f"At two bits per weight, **E8P** is off by **{percent(errors[LATTICE])}** on the turned "
        f"weights of {the(tensor)}; the best four values for each weight alone are off by "
        f"{percent(errors[ALONE])}."
    )


def how_to_read_points(n_places: int) -> str:
    """Explain the two planes of points."""
    return (
        "Two of the eight weights that share a code in E8P, after the rotation, in units of their "
        f"root mean square σ; {VECTORS} such pairs of this matrix. Rings are the weights, and each "
        f"line goes to the point that it is stored as. Left: E8P’s 65,536 points have {n_places} "
        "places in this plane; which of them a pair can take depends on the other six weights, and "
        "points far out in all eight at once are left out. Right: four values for each weight."
    )


def walk(tensor: str, found: Walk) -> str:
    """Say how far a trellis is from these weights, beside the other codes."""
    return (
        f"A trellis stores {TILE} turned weights of {the(tensor)} in **{2 * TILE} bits** and is "
        f"off by **{percent(found.errors[TRELLIS])}**; E8P is off by "
        f"{percent(found.errors[LATTICE])}, four values for each weight by "
        f"{percent(found.errors[ALONE])}."
    )


def detours(found: Walk) -> str:
    """Say how often the path takes a worse value now for better ones later."""
    return (
        f"At {found.detours} of {plural(TILE, 'step')} the path does not take the nearest of its "
        "four values: it is chosen as a whole, so that later values fit better."
    )


def leaves(errors: Mapping[str, float]) -> str:
    """Order the three codes, and say what is left to be gained."""
    ranked = sorted(errors, key=errors.__getitem__)
    best, last = ranked[0], ranked[-1]
    return (
        f"**{opening(NAMES[best])}** leaves {percent(errors[best] / errors[last])} of the error of "
        f"{NAMES[last]} at the same two bits; no code can go below "
        f"**{percent(BOUND)}** on normal weights."
    )


def how_to_read_errors(tile: int) -> str:
    """Explain the marks."""
    return (
        f"Filled: the error over the whole matrix, of the trellis over {MEASURED_TILES} runs of "
        f"{TILE} weights. Hollow: over run {tile} alone. The dashed line is the least error of any "
        "code of two bits, were the weights exactly normal."
    )
