"""The sentences of the outlier lab: numbers in, text out."""

from collections.abc import Mapping

import numpy as np

from pages.shared.units import number, opening, percent, plural, the, times
from quantcore.evaluate.outlier_errors import UnderOutliers, Way
from quantcore.methods import METHODS

Errors = Mapping[Way, float]

ABOUT = (
    "**Outlier lab.** Large models have outlier channels: a few columns whose weights, or whose "
    "inputs, are far larger than the others’. Give the model on the bench some, and see what each "
    "format and method makes of them."
)
PRESET = (
    "Where the channels are, and how large. “Like Llama-3-8B” was fitted so that a model of the "
    "lab loses as much in each type as Llama-3-8B does."
)
CHANNELS = "How many columns of this layer stand out, of those in each head or vector."
SIZE = "What their weights are multiplied by, or their inputs: the other is divided by as much."
SPREAD = (
    "How much all other columns differ: the standard deviation of the natural logarithm of their "
    "factors."
)
HOW_TO_READ_ERRORS = (
    "Error of the layer’s output, relative, on a log scale. Hollow: without outlier channels. "
    "Filled: with them. At the bottom weights are INT8_ROW, and inputs are rounded to 8 bits too."
)
HOW_TO_READ_COLUMNS = "One point per column, on a log scale. Hollow: before. Filled: after."
SHIPPED = (
    "The lab ships a model with such channels, fable-7m-outliers. Once it is on the bench, all "
    "pages show what becomes of it."
)
TAKE = (
    "With these channels the whole model can go on the bench: every page then shows it, and "
    "quantizes it. Its name says where they are, how many, how large, and the spread of the others."
)
PUT = "Put {name} on the bench"
HOW_TO_READ_CURVE = (
    "Each mark is {name} stored another way; the dotted line and hollow marks are published "
    "figures of {other}. Left is smaller, down is closer to the original."
)


def already(model: str, base: str) -> str:
    """Say why a model is given no channels."""
    return f"{model} has outlier channels already; on {base} you can choose others."


def same_function(moved: tuple[float, int] | None) -> str:
    """Say what outlier channels do to what the unrounded model computes: by how much, of what."""
    factors = "The factors are powers of two, which cancel out between neighbouring matrices"
    if moved is None:
        return f"{factors}: unrounded, the model computes the same."
    largest, n_tokens = moved
    if not largest:
        return (
            f"{factors}: unrounded, all logits of {plural(n_tokens, 'token')} are equal to the "
            "last bit."
        )
    return f"{factors}: unrounded, no logit moves by more than {number(largest)}."


def title(way: Way) -> str:
    """Name a way in the chart."""
    by = METHODS[way.by].title
    if way.rounds_inputs:
        return f"8-bit inputs, {'rounded' if way.by == 'rtn' else by}"
    return way.type if way.by == "rtn" else f"{way.type}, {by}"


def errors(tensor: str, without: Errors, having: Errors) -> str:
    """Say what outliers do to plain rounding in four bits, and what a method makes of it."""
    four = [way for way in having if way.type.startswith("INT4")]
    story = _story(four or [way for way in having if way.rounds_inputs], without, having)
    return f"{opening(the(tensor))}: {story}"


def eight_bits(having: Errors, without: Errors) -> str:
    """Say the same of rounded inputs."""
    ways = [way for way in having if way.rounds_inputs]
    return opening(_story(ways, without, having)) if ways else ""


def _story(ways: list[Way], without: Errors, having: Errors) -> str:
    plain = next(way for way in ways if way.by == "rtn")
    where = "8-bit weights and inputs" if plain.rounds_inputs else plain.type
    before, after = without[plain], having[plain]
    same = f"with outlier channels as without, rounding to {where} puts the output off by "
    moved = f"outlier channels move the error of rounding to {where} from {percent(before)} to "
    alike = abs(after / max(before, 1e-30) - 1) < 0.05
    said = f"{same if alike else moved}**{percent(after)}**"
    best = min(ways, key=having.__getitem__)
    if best is plain:
        return f"{said}, and no method does better."
    return f"{said}; with **{METHODS[best.by].title}** it is {percent(having[best])}."


def by_row(having: Errors) -> str:
    """Say what a scale for each row is worth, beside one for the tensor."""
    tensor, row = (having.get(Way(f"INT8_{which}")) for which in ("TENSOR", "ROW"))
    if tensor is None or row is None:
        return ""
    ratio = tensor / max(row, 1e-30)
    worth = (
        f"makes the error {times(ratio)} times smaller"
        if ratio > 1.05
        else "leaves the error as it is"
        if ratio > 0.95
        else f"makes the error {times(1 / ratio)} times as large"
    )
    return f"In 8 bits, a scale for each row instead of one for the whole tensor {worth}."


def columns(tensor: str, what: str, before: UnderOutliers, after: UnderOutliers) -> str:
    """Say how far the largest weight or input stands out; `what` is either."""
    old, new = (getattr(each, f"{what}_reach") for each in (before, after))
    if abs(new / max(old, 1e-30) - 1) < 0.05:
        return (
            f"The largest {what} of {the(tensor)} is **{times(new)} times** that of the median "
            "column, with these outlier channels as without."
        )
    return (
        f"The largest {what} of {the(tensor)} is **{times(new)} times** that of the median column; "
        f"it was {times(old)} times before."
    )


def curve(name: str, other: str, ours: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    """Say how far our divergences are from the published ones, over types that both have."""
    ratios = {each: ours[each] / theirs[each] for each in ours if each in theirs}
    apart = {each: max(ratio, 1 / ratio) for each, ratio in ratios.items()}
    widest = max(apart, key=apart.__getitem__)
    typical = float(np.median(list(apart.values())))
    return (
        f"Over {plural(len(apart), 'type')}, the divergence of **{name}** is typically within a "
        f"factor of **{typical:.2f}** of {other}’s, and of {apart[widest]:.1f} in {widest}."
    )
