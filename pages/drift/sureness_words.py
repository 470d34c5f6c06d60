"""Sentences about divergence by how sure the original was. Measurements in, text out."""

from collections.abc import Sequence

from pages.shared.units import number, times
from quantcore.evaluate.sureness import SureBin


def label(each: SureBin) -> str:
    """Name a bin by the probability of the original's first choice.

    >>> from dataclasses import replace
    >>> one = SureBin(low=0.25, high=0.5, tokens=1, mean_kl_divergence=0.0,
    ...     mean_kl_divergence_error=0.0, share_of_divergence=0.0, changed=0.0)
    >>> label(one), label(replace(one, low=0.0)), label(replace(one, high=1.0))
    ('25 to 50 %', 'under 50 %', '25 % or more')
    """
    if each.low == 0:
        return f"under {100 * each.high:.0f} %"
    if each.high == 1:
        return f"{100 * each.low:.0f} % or more"
    return f"{100 * each.low:.0f} to {100 * each.high:.0f} %"


def finding(name: str, bins: Sequence[SureBin], floor: Sequence[SureBin]) -> str:
    """Compare where the original wavered with where it was sure, and both with the floor."""
    known = [each for each in bins if each.tokens]
    first, last = known[0], known[-1]
    if not any(each.mean_kl_divergence for each in known):
        return f"**{name}** moves no prediction, however sure the original was."
    says = (
        f"Where the original gave its first choice {label(first)}, **{name}** diverges by "
        f"**{number(first.mean_kl_divergence)}** nats"
    )
    if last is not first:
        says += f"; where it gave {label(last)}, {_compared(last, first)}"
    if not floor:
        return says + "."
    mean, least = (
        sum(each.tokens * each.mean_kl_divergence for each in rows)
        / sum(each.tokens for each in rows)
        for rows in (known, floor)
    )
    if mean < least:
        return says + ". That is below the noise floor."
    ratio = mean / least if least else 0.0
    return says + (f". Over all, the noise floor is {times(ratio)} times lower." if ratio else ".")


def _compared(last: SureBin, first: SureBin) -> str:
    here, there = last.mean_kl_divergence, first.mean_kl_divergence
    if here <= 0:
        return "not at all"
    if here >= there:
        return f"by {number(here)}: no less"
    return f"by {number(here)}, {times(there / here)} times less"


def how_to_read(floor: Sequence[SureBin]) -> str:
    """Say what stands where."""
    says = (
        "Left, the original wavered between many tokens; right, it was sure of one. Below each "
        "bin: how many of the tokens are in it."
    )
    if not floor:
        return says
    return says + (
        " Dashed: the noise floor. Each number that passes from layer to layer of the original is "
        "moved at random by as much as rounding to BF16 does; what is smaller is lost in that."
    )
