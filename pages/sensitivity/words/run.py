"""Sentences on measuring a sweep: what it will take, and how it ended."""

from collections.abc import Sequence

from pages.sensitivity.words.figures import the
from pages.shared.units import duration, opening, plural
from quantcore.sensitivity.effect import Effect
from quantcore.sensitivity.estimate import SweepEstimate

MEASURE = "Measure another format, another text, or another model."
HOW_TO_MEASURE = (
    "A piece is one tensor, layer or role in one format: it is quantized, the model reads the "
    "text, and its predictions are compared with the original’s. What was found is kept on this "
    "machine; a sweep that was stopped continues from there. The model is the one on the bench, "
    "above."
)
NOTHING_TO_MEASURE = "Nothing is left to measure: add a format, or choose another text."
ABOUT_MEASURING = (
    "Runs on this machine, after the runs of other visitors that were started before. You can go "
    "on using the lab meanwhile, or cancel: what was found is kept."
)


def stage(effect: Effect) -> str:
    """Say what was measured last."""
    noun = "All tensors" if effect.group == "all" else opening(the(effect.name))
    kept = " kept, everything else" if effect.how == "kept" else ""
    return f"{noun}{kept} in {effect.format}"


def guide_stage(stage: str) -> str:
    """Say what the guides are being computed of."""
    return f"Guides: {the(stage) if '.' in stage else stage}"


def estimate(work: SweepEstimate, on_cluster: bool) -> str:
    """Say what a sweep has to do before it begins; on a cluster, also how long that is."""
    known = f", {work.n_known:,} of them known already" if work.n_known else ""
    said = f"{plural(work.n_pieces, 'piece')}{known}"
    if work.n_known < work.n_pieces:
        said += f", each about half a pass over {work.tokens:,} tokens in chunks of {work.context}"
    elif work.n_guides:
        said += f", and {plural(work.n_guides, 'guide')} left to compute"
    else:
        return f"{said}: nothing is left to measure."
    if on_cluster:
        return (
            f"{said}: about {duration(work.core_seconds)} of one core by estimate, shared among "
            "the workers."
        )
    return f"{said}."


def cancelled(n_effects: int) -> str:
    """Say what a cancelled sweep leaves."""
    if not n_effects:
        return "Cancelled before anything was measured."
    return (
        f"Cancelled. {plural(n_effects, 'result')} {'was' if n_effects == 1 else 'were'} kept; "
        "measure the same again to continue from there."
    )


def failed_pieces(problems: Sequence[str]) -> str:
    """Say that some pieces failed."""
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{problems[0][:200]}{more}. The others have been measured; measure again to try these."
