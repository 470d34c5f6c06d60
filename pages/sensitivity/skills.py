"""The section on which skill depends on which part: what the right answers lose, piece by piece."""

import streamlit as st

from pages.sensitivity.charts import dots as charts
from pages.sensitivity.setup import GROUPS
from pages.sensitivity.view import View, choosing
from pages.sensitivity.words import skills as words
from pages.sensitivity.words.costs import cells
from pages.sensitivity.words.figures import unit_of
from pages.shared import look, prose
from pages.shared.palette import Look
from quantcore.sensitivity.costs import certain_losses, certain_values, costs, measures

MOST_ROWS = 12


def section(view: View, style: Look) -> None:
    """Draw pieces by skills, where the sweep asked questions."""
    skills = {name: each for name, each in measures(view.results).items() if each.skill}
    group = GROUPS[view.noun]
    by_skill = {
        name: costs(view.results, view.format_name, measure, group)
        for name, measure in skills.items()
    }
    if not any(by_skill.values()):
        return
    st.space("medium")
    names = certain_losses(by_skill, MOST_ROWS)
    look.finding(
        *words.finding(by_skill, view.format_name, view.noun, len(names)), help=words.ABOUT
    )
    factor, _ = unit_of(cost.size for losses in by_skill.values() for cost in losses.values())
    every = {(skill, n): cost for skill, losses in by_skill.items() for n, cost in losses.items()}
    colours = certain_values(every)
    effects = view.results.pieces(view.format_name, group)
    values, texts, tips = {}, {}, {}
    for skill, measure in skills.items():
        shown = {name: by_skill[skill][name] for name in names}
        values[skill] = {name: colours[skill, name] for name in names}
        texts[skill] = cells(shown, measure, "alone", None, factor)
        tips[skill] = {
            name: words.answers(effects[name], measure, cost) for name, cost in shown.items()
        }
    look.show(
        charts.group_map(
            values,
            texts,
            tips,
            view.measure.name,
            style,
            one_scale=True,
            signed=True,
            narrow=look.narrow(),
        ),
        alt=f"What right answers of each skill lose in {view.format_name}.",
        **choosing("sensitivity_skills", "cost"),
    )
    drawn = [value for column in values.values() for value in column.values()]
    if any(drawn):
        gained, lost = words.ends(drawn, factor)
        st.html(prose.signed_ramp(gained, lost, "pale: may be chance", style))
