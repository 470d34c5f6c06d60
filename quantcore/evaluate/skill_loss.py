"""What quantization costs in skills: which one breaks first, in which type, and which hold out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantcore.evaluate.skills import SkillScore

BROKEN = 0.1  # a loss of ten answers in a hundred: three standard errors of a hundred answers
MASTERED = 0.5  # share of right answers below which the original has little to lose

Scores = Mapping[str, Sequence[SkillScore]]  # by type: the original first, then gentle to harsh


@dataclass(frozen=True, slots=True)
class Break:
    """The first type, from the gentlest to the harshest, in which a skill loses too much."""

    skill: str
    level: str
    type: str
    before: float  # share of right answers of the original
    after: float


def levels(scores: Sequence[SkillScore]) -> list[tuple[str, str]]:
    """Name each skill with its levels, easy before hard, skills in their order.

    >>> levels([SkillScore("facts", "hard", 1, 2), SkillScore("facts", "easy", 2, 2)])
    [('facts', 'easy'), ('facts', 'hard')]
    """
    skills = list(dict.fromkeys(score.skill for score in scores))
    pairs = [(score.skill, score.level) for score in scores]
    return sorted(pairs, key=lambda pair: (skills.index(pair[0]), pair[1] != "easy"))


def breaks(scores: Scores) -> list[Break]:
    """Find where each skill loses `BROKEN` or more; the one that breaks first is at the front.

    Of skills that break in the same type, the one that loses most comes first. Skills that hold out
    in every type are left out: see `unbroken`.

    >>> breaks({"F32": [SkillScore("facts", "hard", 90, 100)],
    ...         "Q2_K": [SkillScore("facts", "hard", 40, 100)]})
    [Break(skill='facts', level='hard', type='Q2_K', before=0.9, after=0.4)]
    """
    (_, original), *others = scores.items()
    before = _shares(original)
    broken: dict[tuple[str, str], Break] = {}
    for type, answers in others:
        after = _shares(answers)
        new = [
            Break(*pair, type, before[pair], after[pair])
            for pair in levels(original)
            if pair not in broken and before[pair] - after[pair] >= BROKEN
        ]
        for each in sorted(new, key=lambda each: each.after - each.before):
            broken[each.skill, each.level] = each
    return list(broken.values())


def worst_losses(scores: Scores) -> list[Break]:
    """Find what each type that breaks a skill takes most from, from the gentlest to the harshest.

    >>> worst_losses({"F32": [SkillScore("facts", "hard", 90, 100)],
    ...               "Q2_K": [SkillScore("facts", "hard", 40, 100)]})
    [Break(skill='facts', level='hard', type='Q2_K', before=0.9, after=0.4)]
    """
    (_, original), *others = scores.items()
    before, losses = _shares(original), []
    for type, answers in others:
        after = _shares(answers)
        most = max(before, key=lambda pair: before[pair] - after[pair])
        if before[most] - after[most] >= BROKEN:
            losses.append(Break(*most, type, before[most], after[most]))
    return losses


def nothing_left(scores: Scores) -> list[str]:
    """Name the types in which no skill has more than `BROKEN` of its answers right."""
    (_, original), *others = scores.items()
    if max(_shares(original).values()) <= BROKEN:
        return []
    return [type for type, answers in others if max(_shares(answers).values()) <= BROKEN]


def unbroken(scores: Scores) -> list[tuple[str, str]]:
    """Name the skills and levels that the original masters and no type breaks."""
    original = next(iter(scores.values()))
    share, lost = _shares(original), {(each.skill, each.level) for each in breaks(scores)}
    return [pair for pair in levels(original) if pair not in lost and share[pair] >= MASTERED]


def _shares(scores: Sequence[SkillScore]) -> dict[tuple[str, str], float]:
    return {(score.skill, score.level): score.share for score in scores}
