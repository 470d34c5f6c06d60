"""How well set-ups fit a machine: one, many in a table of types by contexts, and what would fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from quantcore.memory.estimate import Estimate, Setup, estimate
from quantcore.memory.fitting import best_type, beyond_gpus, largest_context, lay_out, settled
from quantcore.memory.giving_up import Sacrifice, what_to_give_up
from quantcore.memory.hardware import Machine
from quantcore.memory.placement import place_layers
from quantcore.memory.weights import StoredWeights
from quantcore.shape.model_shape import ModelShape

# "just": with less than a twentieth to spare; "in part": only with layers in system memory
Fit = Literal["fits", "just", "in part", "not"]
JUST = 0.05  # of the largest device's memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One set-up on one machine: how much it takes, and how well that fits."""

    weights_bytes: int
    total_bytes: int
    fits: Fit

    @property
    def whole(self) -> bool:
        """Whether it fits where it is fast: on the GPUs, if there are any."""
        return self.fits in ("fits", "just")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What would fit a machine, and what to give up where a set-up does not."""

    best_type: str | None  # the largest that fits with the set-up's context, None where none does
    largest_context: int  # tokens, with the set-up's type; 0 where none fits
    give_up: tuple[Sacrifice, ...]  # what hurts least first; empty where it fits


def how_it_fits(taken: Estimate, machine: Machine) -> Fit:
    """Say how well an estimate fits a machine.

    Raises
    ------
    ValueError
        If its runtime cannot use the machine.
    """
    if beyond_gpus(taken, machine) and not machine.unified:
        if place_layers(taken, machine, layers_on_gpu=0).fits:
            return "in part"  # which layers the GPUs take is longer to find, and changes nothing
    placed = lay_out(taken, machine)
    if not placed.fits:
        return "not"
    if not settled(placed, machine):
        return "in part"
    spare = placed.spare_bytes
    largest = max(load.capacity_bytes or 0 for load in placed.loads)
    return "just" if spare is not None and spare < JUST * largest else "fits"


def cell_of(taken: Estimate, machine: Machine) -> Cell:
    """Say of an estimate how much it takes, and how well that fits a machine."""
    return Cell(
        weights_bytes=taken.weights_bytes,
        total_bytes=taken.total_bytes,
        fits=how_it_fits(taken, machine),
    )


def fit_table(
    shape: ModelShape,
    setup: Setup,
    machine: Machine,
    types: Sequence[str],
    contexts: Sequence[int],
    estimate_of: Callable[[ModelShape, Setup], Estimate] = estimate,
) -> dict[tuple[str, int], Cell]:
    """Say of each type at each context, in tokens, how well it fits; no prefix is shared.

    Parameters
    ----------
    estimate_of
        What estimates are asked from, for those who keep them.
    """
    cells = {}
    for context in contexts:
        there = replace(setup, context=context, shared_prefix=0)
        for name in types:
            cells[name, context] = cell_of(
                estimate_of(shape, replace(there, type_name=name)), machine
            )
    return cells


def advise(
    shape: ModelShape, setup: Setup, machine: Machine, stored: StoredWeights | None = None
) -> Advice:
    """Look for what would fit a machine.

    `stored` are weights as they lie in a file, which count instead of the set-up's type.
    """
    return Advice(
        best_type=best_type(shape, setup, machine),
        largest_context=largest_context(shape, setup, machine, stored),
        give_up=what_to_give_up(shape, setup, machine, stored),
    )
