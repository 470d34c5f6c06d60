"""The table of skills: right answers by skill and level, one row per type."""

from collections.abc import Mapping, Sequence

import streamlit as st

from pages.drift import words
from pages.shared import look, tables
from pages.shared.palette import Look, harm_colour
from pages.shared.tables import Column
from quantcore.evaluate.skill_loss import levels
from quantcore.evaluate.skills import SkillScore

HOW_TO_READ = (
    "Right answers in 100, one row per type. A stronger colour means that more were lost compared "
    "with the original. Each skill has an easy and a hard level; hard facts are those that were "
    "rare in training."
)
TERMS = {
    "recall": "Who hid what, and where: a detail from earlier in the story.",
    "arithmetic": "Sums and differences of one digit in words, of two digits in figures.",
    "facts": "The invented world: capitals, customs, owners. Easy ones were told often in "
    "training, hard ones rarely.",
    "agreement": "Number, gender and tense over a distance.",
    "chain": "Two steps: an object moves twice; where is it now?",
}


def show(scores: Mapping[str, Sequence[SkillScore]], chosen: str) -> None:
    """Show which skill breaks first; the original's scores come first."""
    st.space("medium")
    look.finding(words.first_to_break(scores), HOW_TO_READ)
    tables.show(
        rows(scores),
        columns(next(iter(scores.values())), look.current()),
        "skills",
        caption="Right answers in 100, by skill and level, one row per type",
        chosen=chosen,
        formats=True,
    )


def rows(scores: Mapping[str, Sequence[SkillScore]]) -> list[dict]:
    """Make one row a type: share of right answers by ``skill_level``; the original is first."""
    original = next(iter(scores))
    return [
        {"type": "original" if name == original else name, "mark": name != original}
        | {f"{score.skill}_{score.level}": score.share for score in answers}
        for name, answers in scores.items()
    ]


def columns(original: Sequence[SkillScore], style: Look) -> list[Column]:
    """Make one column a skill and level, coloured by what was lost against the original."""
    return [Column(key="type", title="type", text=True)] + [
        _column(skill, level, original, style) for skill, level in levels(original)
    ]


def _column(skill: str, level: str, original: Sequence[SkillScore], style: Look) -> Column:
    key = f"{skill}_{level}"
    before = next(s.share for s in original if (s.skill, s.level) == (skill, level))
    return Column(
        key=key,
        title=f"{skill}, {level}",
        help=TERMS.get(skill, ""),
        show=lambda share: f"{100 * share:.0f}",
        fill=lambda row: harm_colour(max(before - row[key], 0.0), style),
    )
