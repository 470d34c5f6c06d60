"""Sentences about recipes side by side: numbers in, text out."""

from collections.abc import Sequence

from pages.shared.recipes import called
from pages.shared.units import number, times
from quantcore.evaluate.method_drift import ENDS
from quantcore.evaluate.recipes import MethodDrift, paired
from quantcore.methods import METHODS

HELP = (
    "A recipe is a format and the method that chooses its codes, or one of llama-quantize’s mixes, "
    "with the importance matrix or without."
)
MIX_NOTE = (
    f"All layers have the format of a recipe and the embedding {ENDS}: what is called pure further "
    "up has its format in the embedding too. A mix is as llama-quantize makes it."
)
NOTHING_YET = "Which method, in which format, keeps closest to the original?"
SAME_TEXT = (
    "Methods would read the text that they are judged on, and look too good: choose another text."
)
MORE_HELP = (
    "Divergence, less that of the recipe at the top, in nats per token, with the 95 % interval of "
    "the difference on the same tokens. An interval that holds zero is a tie. It is not known of "
    "pairs whose tokens were not kept: Measure recipes keeps them."
)
SECONDS_HELP = (
    "Seconds of one core that choosing the codes took where it was measured, with reading the "
    "calibration text; several cores share them. On a server it has in it what others computed."
)
SKILLS_HELP = (
    "Right answers of 100, to the questions on recall, arithmetic, facts, agreement and chains."
)
BYTES_HELP = "Bytes of all matrices with all that a method stores; 1 MB is 10⁶ bytes."
FEW = 6  # names that a sentence can hold


def nothing_yet(text: str) -> str:
    """Say that none of the recipes has been measured, and how to."""
    return f"{HELP} Press Measure recipes to find out on {text}."


def how_to_read(text: str, tokens: int, calibration: str) -> str:
    """Say what the chart shows, and which texts it rests on."""
    return (
        f"Divergence of the whole model over {tokens:,} tokens of {text}, with 95 % intervals. "
        f"Methods saw {calibration} only. Down is closer to the original, left is smaller."
    )


def finding(rows: Sequence[MethodDrift]) -> str:
    """Say which recipe comes closest, by how much, and whether that may be chance.

    `rows` are ordered by divergence, the least first.
    """
    best, *others = rows
    name, kl = called(best.recipe), best.mean_kl_divergence
    if kl <= 0:
        return f"**{name}** changes nothing at all."
    if not others:
        return (
            f"**{name}** diverges **{number(kl)} nats per token**, with "
            f"{best.bits_per_weight:.2f} bits per weight."
        )
    second = others[0]
    many = f" of {len(rows)} recipes" if len(rows) > 2 else ""
    return (
        f"**{name}** comes closest{many}: **{number(kl)} nats per token**, "
        f"{_less(second.mean_kl_divergence / kl)} {called(second.recipe)}. {verdict(best, second)}"
    )


def beside(row: MethodDrift) -> str:
    """Name a mark of the chart, whose colour and shape say what the format is."""
    return called(row.recipe) if row.by == "rtn" else METHODS[row.by].title


def _less(ratio: float) -> str:
    return f"{times(ratio)} times less than" if ratio >= 1.05 else "hardly less than"


def verdict(one: MethodDrift, other: MethodDrift) -> str:
    """Say whether the first, which diverges less, may be as good as the other."""
    found = paired(one, other)
    if found is not None:
        ends = f"the difference is {number(abs(found.high))} to {number(abs(found.low))}"
        if found.is_tie:
            return "On the same tokens, the interval of the difference holds zero: a tie."
        return f"On the same tokens {ends}, which excludes a tie."
    if one.kl_high < other.kl_low:
        return "Their intervals are apart, which excludes a tie."
    return "Their intervals overlap, so it may be a tie."


def frontier(rows: Sequence[MethodDrift]) -> str:
    """Say which recipes no other beats in size and divergence at once; nothing of fewer than two.

    `rows` are ordered by divergence, the least first.
    """
    if len(rows) < 2:
        return ""
    best: list[MethodDrift] = []
    for row in rows:
        if not best or row.bits_per_weight < best[-1].bits_per_weight:
            best.append(row)
    names, rest = [called(row.recipe) for row in best], len(rows) - len(best)
    if len(names) == 1:
        return f"No other is smaller than {names[0]}."
    between = (
        f"Worth choosing between: {', '.join(names[:-1])} and {names[-1]}"
        if len(names) <= FEW
        else f"Worth choosing between are {len(names)} of them"
    )
    if not rest:
        return f"{between}, for fewer bits always cost more divergence."
    others = "the other one" if rest == 1 else f"each of the other {rest}"
    return f"{between}. For {others}, one of these is no larger and closer to the original."
