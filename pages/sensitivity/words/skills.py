"""Sentences on which skill depends on which part of the model."""

from collections.abc import Mapping, Sequence

from pages.sensitivity.words.costs import every, tooltip
from pages.sensitivity.words.figures import short, the, unit_of
from pages.shared.units import number, plural
from quantcore.sensitivity.costs import Cost, Measure
from quantcore.sensitivity.effect import Effect

ABOUT = (
    "The questions of the page Drift: recall, arithmetic, facts, agreement and chains, easy and "
    "hard. What the right answer loses in log probability shows a change long before the answer "
    "itself turns wrong. 95 % bootstrap interval over the questions."
)


def finding(
    by_skill: Mapping[str, Mapping[str, Cost]], format_name: str, noun: str, shown: int
) -> tuple[str, str]:
    """Say which skill loses most to what, and which depend on something else."""
    sure = {
        skill: [name for name, cost in costs.items() if cost.low > 0]
        for skill, costs in by_skill.items()
    }
    worst = {
        skill: max(names, key=lambda name: by_skill[skill][name].value)
        for skill, names in sure.items()
        if names
    }
    how = _how_to_read(by_skill, noun, shown)
    if not worst:
        return f"In **{format_name}** nothing takes more from a skill than chance.", how
    most = max(worst, key=lambda skill: by_skill[skill][worst[skill]].value)
    said = (
        f"In **{format_name}**, **{most}** suffers most, from {the(worst[most])}: "
        f"**{number(by_skill[most][worst[most]].value)}** nats per answer"
    )
    others = {skill: name for skill, name in worst.items() if name != worst[most]}
    if not others:
        return f"{said}.", how
    skill = max(others, key=lambda s: by_skill[s][others[s]].value)
    count = plural(len(others), "other skill")
    verb = "depends" if len(others) == 1 else "depend"
    return (
        f"{said}. {count} {verb} more on other {noun}: {skill}, for example, on "
        f"{the(others[skill])}.",
        how,
    )


def _how_to_read(by_skill: Mapping[str, Mapping[str, Cost]], noun: str, shown: int) -> str:
    _, part = unit_of(cost.size for costs in by_skill.values() for cost in costs.values())
    total = len(next(iter(by_skill.values())))
    counted = f"{part} of a nat per answer" if part else "nats per answer"
    rows = f"The {shown} of {total} {noun} with the largest certain loss in any skill"
    if shown == total:
        rows = (
            f"{every(total).capitalize()} {noun}"
            if total > 1
            else "The only one that has been measured"
        )
    return (
        f"{rows}. The number, in {counted}: what right "
        "answers lose on average; in parentheses, and pale, where it may be chance. Warm colours "
        "mean lost, cool ones gained. Click a skill to map it."
    )


def ends(values: Sequence[float], factor: float) -> tuple[str, str]:
    """Word the ends of the colour scale, which are as far from zero as the largest value.

    `factor` is what numbers count in.

    >>> ends([-2e-3, 0.0, 7e-4], 1e-6)
    ('gained: 2,000', 'lost: 2,000')
    """
    most = short(max(map(abs, values)) / factor)
    return f"gained: {most}", f"lost: {most}"


def answers(effect: Effect, measure: Measure, cost: Cost) -> str:
    """Say what a piece costs a skill, and how many answers are right."""
    change = measure.skill_change(effect)
    return (
        f"{tooltip(effect.name, cost, measure)}<br>{measure.name}: {change.correct} of "
        f"{change.total} right, the original {change.original_correct}"
    )
