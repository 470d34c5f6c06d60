"""Sentences on measuring a sweep: what it will take, and how it ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pages.sensitivity.costs import called
from pages.shared.units import plural
from quantcore.sensitivity.effect import Effect

if TYPE_CHECKING:
    from pages.sensitivity.setup import Plan

MEASURE = "Measure another format, another text, or another model."
HOW_TO_MEASURE = (
    "A piece is one tensor, layer or role in one format: quantized, run on the text, and compared "
    "with the original. What was found is kept on this machine; a sweep that was stopped goes on "
    "from there. The model is the one on the bench, above."
)
ABOUT_MEASURING = (
    "Runs on this machine, one after the other with the runs of other visitors. You can go on "
    "using the lab meanwhile, or cancel: what was found stays."
)


def stage(effect: Effect) -> str:
    """Say what was measured last."""
    noun = "All tensors" if effect.group == "all" else called(effect.name).capitalize()
    kept = " kept, all else" if effect.how == "kept" else ""
    return f"{noun}{kept} in {effect.format}"


def guide_stage(stage: str) -> str:
    """Say what the guides are being computed of."""
    return f"Guides: {called(stage) if '.' in stage else stage}"


def estimate(plan: "Plan") -> str:
    """Say what a sweep will take before it begins."""
    rest = plan.pieces - plan.known
    known = f", {plan.known:,} of them known already" if plan.known else ""
    said = f"{plural(plan.pieces, 'piece')}{known}"
    if not rest:
        return f"{said}: nothing is left to measure."
    work = f"{said}, each about half a pass over {plan.tokens:,} tokens in chunks of {plan.context}"
    if plan.elsewhere:
        return f"{work}: about {duration(plan.seconds)} of one core, shared among the workers."
    cores = plural(plan.threads, "core")
    return f"{work}: about **{duration(plan.seconds / plan.threads)}** on {cores} of this machine."


def duration(seconds: float) -> str:
    """Write a time roughly.

    >>> duration(3), duration(80), duration(400), duration(9000), duration(400000)
    ('5 s', '80 s', '7 min', '2.5 h', '111 h')
    """
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36000 else f"{seconds / 3600:,.0f} h"


def cancelled(n_effects: int) -> str:
    """Say what a cancelled sweep leaves."""
    if not n_effects:
        return "Cancelled before anything was measured."
    return (
        f"Cancelled. {plural(n_effects, 'piece')} are kept: measure the same again, and the sweep "
        "goes on from there."
    )


def failed_pieces(problems: Sequence[str]) -> str:
    """Say that some pieces failed."""
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{problems[0][:200]}{more}. The others are measured; measure again to try these."
