"""Which skill hangs on which part: what the right answers lose, piece by piece."""

from collections.abc import Mapping

import streamlit as st

from pages.sensitivity import costs as figures
from pages.sensitivity import words
from pages.sensitivity.charts import dots as charts
from pages.sensitivity.costs import Cost, Measure, called
from pages.sensitivity.view import View, choosing
from pages.shared import look
from pages.shared.palette import Look
from pages.shared.units import number, plural

MOST_ROWS = 12
ABOUT = (
    "Questions as on the page Drift: recall, arithmetic, facts, agreement and chains, easy and "
    "hard. What the right answer loses in log probability shows a change long before the answer "
    "itself turns wrong. 95 % bootstrap interval over the questions."
)


def section(view: View, style: Look) -> None:
    """Draw pieces by skills, where the sweep asked questions."""
    every = figures.measures(view.results)
    skills = {name: measure for name, measure in every.items() if measure.is_skill}
    group = figures.GROUPS[view.noun]
    found = {
        name: figures.costs(view.results, view.format_name, measure, group)
        for name, measure in skills.items()
    }
    if not any(found.values()):
        return
    st.space("medium")
    names = _worst(found)
    look.finding(*finding(found, view.format_name, view.noun, len(names)), help=ABOUT)
    factor, _ = figures.unit_of(cost.size for costs in found.values() for cost in costs.values())
    pairs = {(s, n): cost for s, costs in found.items() for n, cost in costs.items()}
    weight = figures.weights_of(pairs, "alone", None, sure=True)
    shown = {skill: {n: costs[n] for n in names} for skill, costs in found.items()}

    look.show(
        charts.group_map(
            {s: {n: weight[s, n] for n in names} for s in shown},
            {s: words.cells(costs, skills[s], "alone", None, factor) for s, costs in shown.items()},
            {s: {n: _tooltip(view, n, skills[s], cost) for n, cost in costs.items()}
             for s, costs in shown.items()},
            view.measure.name,
            style,
            one_scale=True,
            narrow=look.narrow(),
        ),
        alt=f"What right answers of each skill lose in {view.format_name}.",
        **choosing("sensitivity_skills", "cost"),
    )  # fmt: skip


def _worst(found: Mapping[str, Mapping[str, Cost]]) -> list[str]:
    """List the pieces that cost any skill most, in the model's order."""
    names = list(next(iter(found.values())))
    most = {n: max(costs[n].span[0] for costs in found.values()) for n in names}
    kept = set(sorted(names, key=most.get, reverse=True)[:MOST_ROWS])
    return [name for name in names if name in kept]


def _tooltip(view: View, name: str, measure: Measure, cost: Cost) -> str:
    effect = view.results.effect(name, view.format_name, figures.GROUPS[view.noun])
    answers = next(s for s in effect.skills if f"{s.level} {s.skill}" == measure.name)
    return (
        f"{words.tooltip(name, cost, measure)}<br>{measure.name}: {answers.correct} of "
        f"{answers.total} right, the original {answers.original_correct}"
    )


def finding(
    found: Mapping[str, Mapping[str, Cost]], format_name: str, noun: str, shown: int
) -> tuple[str, str]:
    """Say which skill loses most to what, and which hang on something else."""
    sure = {
        skill: [name for name, cost in costs.items() if cost.low > 0]
        for skill, costs in found.items()
    }
    worst = {s: max(names, key=lambda n: found[s][n].value) for s, names in sure.items() if names}
    _, part = figures.unit_of(c.size for costs in found.values() for c in costs.values())
    total = len(next(iter(found.values())))
    rows = f"The {shown} of {total} {noun} that surely cost any skill most" * (shown < total)
    how = (
        f"{rows or f'All {total} {noun}'}. The number, in {part} of a nat an answer: what right "
        "answers lose on average; in parentheses, and pale, where it may be chance. Click a skill "
        "to map it."
    )
    if not worst:
        return f"In **{format_name}** none of the {noun} takes more from a skill than chance.", how
    most = max(worst, key=lambda skill: found[skill][worst[skill]].value)
    said = (
        f"In **{format_name}**, **{most}** loses most, to {called(worst[most])}: "
        f"**{number(found[most][worst[most]].value)}** nats an answer"
    )
    others = {skill: name for skill, name in worst.items() if name != worst[most]}
    if not others:
        return f"{said}.", how
    skill = max(others, key=lambda s: found[s][others[s]].value)
    count = plural(len(others), "skill")
    verb = "hangs" if len(others) == 1 else "hang"
    return f"{said}; {count} {verb} more on another, as {skill} on {called(others[skill])}.", how
