"""The sentences of the section on divergence of the page Mix: numbers in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.definitions import says
from pages.shared.tables import Column
from pages.shared.units import decimal, number, opening, percent
from quantcore.sensitivity.mixes import MixPoint

WITH_IMATRIX = ", with imatrix"
NOT_MEASURED = (
    "The cost of each tensor has not been measured for this model yet, so no recipe can be chosen "
    "from it."
)
COLUMNS = [
    Column(key="mix", title="recipe", text=True),
    Column(key="bytes", title="size", show=decimal),
    Column(key="bits_per_weight", title="bits", show="{:.3f}".format, wide=True),
    Column(key="kl_nats", title="divergence", show=number, help="Nats per token."),
    Column(key="kl_low", title="95 % from", show=number, wide=True),
    Column(key="kl_high", title="to", show=number, wide=True),
    Column(
        key="predicted_kl", title="predicted", show=number, wide=True,
        help="The sum of what each tensor costs alone, on the calibration text.",
    ),
    Column(
        key="perplexity_ratio", title="perplexity", show=lambda v: f"{100 * (v - 1):+.2f} %",
        help="Change from the original’s.",
    ),
    Column(
        key="same_top_token", title="same token", show=percent, wide=True,
        help="How often both models choose the same next token.",
    ),
]  # fmt: skip


def terms(text: str) -> str:
    """Say what divergence is, and on which text recipes are judged."""
    return (
        f"{says('divergence')} Recipes are judged here on {text}; what they are chosen "
        "by was measured on the text that the page Sensitivity names. Choose and judge on two "
        "texts: no choice should have seen what it is judged on. Bars are 95 % intervals from "
        "resampled blocks of tokens."
    )


def how_to_read(points: bool, predicted: bool) -> str:
    """Say what the marks are."""
    says = "Left is smaller, down is closer to the original; the star is this recipe."
    if points:
        says += " Click a mark to load that recipe."
    if predicted:
        says += " Dotted: the best predicted by adding up single-tensor effects, for each size."
    return says


def nothing(name: str) -> str:
    """Say that nothing was measured of a model."""
    return f"What recipes of **{name}** cost has not been measured yet."


def verdict(
    name: str,
    n_bytes: int,
    mine: MixPoint | None,
    predicted: float | None,
    points: Sequence[MixPoint],
) -> str:
    """Say what the recipe costs, compared with one of about its size that is chosen in another way.

    llama-quantize's own is beside that by measured divergence, all others beside llama-quantize's.

    >>> verdict("the recipe", 4_000_000, None, 0.002, [])
    'The recipe is predicted to cost **0.0020** nats per token at 4.0 MB.'
    """
    first = opening(name)
    if mine is not None:
        cost = mine.mean_kl_divergence
        says = f"{first} costs **{number(cost)}** nats per token at {decimal(n_bytes)}"
    elif predicted is not None:
        cost = predicted
        says = (
            f"{first} is predicted to cost **{number(cost)}** nats per token at {decimal(n_bytes)}"
        )
    else:
        return f"{first} takes {decimal(n_bytes)}; what it costs has not been measured yet."
    way = "measured" if mine is not None and mine.way == "rules" else "rules"
    rival = _rival(n_bytes, [point for point in points if point.way == way])
    if rival is None:
        return f"{says}."
    if way == "measured":
        less = 1 - rival.mean_kl_divergence / cost
        return (
            f"{says}; a recipe of that size chosen by measured divergence costs "
            f"**{number(rival.mean_kl_divergence)}**, {percent(abs(less))} "
            f"{'less' if less > 0 else 'more'}."
        )
    change = cost / rival.mean_kl_divergence - 1
    than = f"llama-quantize’s {_name(rival)} with {decimal(rival.bytes)}"
    if mine is not None and mine.kl_low <= rival.mean_kl_divergence <= mine.kl_high:
        return f"{says}, as {than} does, as far as this text can tell."
    return f"{says}, **{percent(abs(change))} {'less' if change < 0 else 'more'}** than {than}."


def _rival(n_bytes: int, others: Sequence[MixPoint]) -> MixPoint | None:
    """Find the mix of about the same size: within 3 %."""
    near = [point for point in others if abs(point.bytes / n_bytes - 1) < 0.03]
    return min(near, key=lambda point: abs(point.bytes - n_bytes), default=None)


def point(mix: MixPoint, called: Mapping[str, str]) -> str:
    """Call one measured mix: "Q4_K_M’s size, by Fisher", "Q4_K_M", "4.50 bits, at random"."""
    name, way = _name(mix), mix.way
    if way in ("rules", "hand"):
        return name
    size = name if mix.size_of is None else f"{name}’s size"
    return f"{size}, {called[way]}" if way in ("random", "swapped") else f"{size}, by {called[way]}"


def _name(mix: MixPoint) -> str:
    return mix.name + WITH_IMATRIX * mix.with_imatrix
