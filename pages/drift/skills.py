"""What the skills of a model become in each type: rows for a table, and which breaks first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pages.shared.palette import Look, harm_colour
from pages.shared.tables import Column
from quantcore.evaluate.skills import SkillScore

BROKEN = 0.1  # a loss of ten answers in a hundred: three standard errors of a hundred answers


@dataclass(frozen=True)
class Break:
    """The first type, from the gentlest to the harshest, in which a skill loses too much."""

    skill: str
    level: str
    type: str
    before: float  # share of right answers of the original
    after: float

    @property
    def words(self) -> str:
        """Call it as a sentence does: "hard facts"."""
        return f"{self.level} {self.skill}"


def rows(skills: Mapping[str, Sequence[SkillScore]], order: Sequence[str]) -> list[dict]:
    """Make one row a type: share of right answers by ``skill_level``; the original is first."""
    return [
        {"type": "original" if name == order[0] else name, "mark": name != order[0]}
        | {_key(s): s.correct / s.total for s in skills[name]}
        for name in order
        if name in skills
    ]


def keys(table: Sequence[Mapping]) -> list[tuple[str, str]]:
    """Skills and levels that a table has, easy before hard."""
    found = [tuple(key.rsplit("_", 1)) for key in table[0] if "_" in key]
    return sorted(found, key=lambda pair: (_first(found, pair[0]), pair[1] != "easy"))


def breaks(table: Sequence[Mapping]) -> list[Break]:
    """Where each skill breaks, the one that breaks first at the front; the original comes first.

    >>> [b.words for b in breaks([{"type": "F16", "facts_hard": 0.9, "facts_easy": 1.0},
    ...                           {"type": "Q2_K", "facts_hard": 0.4, "facts_easy": 0.95}])]
    ['hard facts']
    """
    original, *others = table
    found = []
    for at, row in enumerate(others):
        for skill, level in keys(table):
            key = f"{skill}_{level}"
            known = any((b.skill, b.level) == (skill, level) for _, b in found)
            if not known and original[key] - row[key] >= BROKEN:
                found.append((at, Break(skill, level, row["type"], original[key], row[key])))
    return [b for _, b in sorted(found, key=lambda pair: (pair[0], pair[1].after - pair[1].before))]


def _key(score: SkillScore) -> str:
    return f"{score.skill}_{score.level}"


def _first(found: Sequence[tuple[str, str]], skill: str) -> int:
    return next(i for i, pair in enumerate(found) if pair[0] == skill)


HOW_TO_READ = (
    "Right answers in 100, a row a type. Stronger colour: more lost against the original. Each "
    "skill has an easy and a hard level; seldom-told facts are the hard ones."
)
TERMS = {
    "recall": "Who hid what, and where: a detail from earlier in the story.",
    "arithmetic": "Sums and differences of one digit in words, of two digits in figures.",
    "facts": "The invented world: capitals, customs, owners. Easy ones were told often in "
    "training, hard ones seldom.",
    "agreement": "Number, gender and tense over a distance.",
    "chain": "Two steps: an object moves twice; where is it now?",
}


def columns(table: Sequence[Mapping], look: Look) -> list[Column]:
    """Make one column a skill and level, coloured by what was lost against the first row."""
    original = table[0]

    def fill(key: str):
        return lambda row: harm_colour(max(original[key] - row[key], 0.0), look)

    return [Column(key="type", title="type", text=True)] + [
        Column(
            key=f"{skill}_{level}",
            title=f"{skill}, {level}",
            help=TERMS.get(skill, ""),
            show=lambda share: f"{100 * share:.0f}",
            fill=fill(f"{skill}_{level}"),
        )
        for skill, level in keys(table)
    ]
