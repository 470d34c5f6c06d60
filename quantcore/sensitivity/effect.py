"""What one change of a model costs, in figures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.intervals import interval
from quantcore.formats import get_format
from quantcore.model.source import Model
from quantcore.sensitivity.pieces import Group, How, Piece
from quantcore.sensitivity.reading import Reading


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a model says at each target; arrays (n_targets,), as `Reading` orders them."""

    nll: NDArray[np.float64]  # -log p of the true token, nats
    kl: NDArray[np.float64]  # divergence from the original, nats
    top_token: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillChange:
    """What one change does to the answers on one skill; intervals with 95 % confidence.

    An answer counts as correct where each of its tokens is the most probable one.
    """

    skill: str
    level: str
    total: int  # questions
    original_correct: int
    correct: int
    log_probability_change: float  # of the right answer, mean over the questions, nats
    change_low: float
    change_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One piece and its cost; intervals hold the figure with 95 % confidence."""

    group: Group
    name: str  # of the tensor, the layer's number, the role, or "all"
    how: How  # "alone": only these are quantized; "kept": all but these
    format: str
    bytes: int  # of these tensors in the format
    mean_kl_divergence: float  # from the original, nats a token
    kl_low: float
    kl_high: float
    perplexity: float
    perplexity_ratio: float  # to the original's perplexity
    ratio_low: float
    ratio_high: float
    same_top_token: float  # share of places where both would say the same
    skills: tuple[SkillChange, ...] = ()  # where questions were asked


def effect_of(
    model: Model, piece: Piece, reading: Reading, changed: TokenScores, original: TokenScores
) -> Effect:
    """Sum up what was measured of one piece."""
    fmt = get_format(piece.format)
    return Effect(
        group=piece.group,
        name=piece.name,
        how=piece.how,
        format=piece.format,
        bytes=sum(fmt.stored_bytes(model.tensors[name].shape) for name in piece.tensors),
        **figures(reading, changed, original),
        skills=tuple(_skill_changes(reading, changed, original)),
    )


def figures(reading: Reading, changed: TokenScores, original: TokenScores) -> dict[str, float]:
    """Divergence and perplexity on the chunks, by the names of `Effect`'s fields."""
    nll, kl, same = (
        reading.of_chunks(values)
        for values in (changed.nll, changed.kl, changed.top_token == original.top_token)
    )
    log_ratio = nll - reading.of_chunks(original.nll)
    kl_low, kl_high = interval(kl)
    ratio_low, ratio_high = np.exp(interval(log_ratio))
    return {
        "mean_kl_divergence": float(kl.mean()),
        "kl_low": kl_low,
        "kl_high": kl_high,
        "perplexity": float(np.exp(nll.mean())),
        "perplexity_ratio": float(np.exp(log_ratio.mean())),
        "ratio_low": float(ratio_low),
        "ratio_high": float(ratio_high),
        "same_top_token": float(same.mean()),
    }


def _skill_changes(
    reading: Reading, changed: TokenScores, original: TokenScores
) -> Iterator[SkillChange]:
    if not reading.answers:
        return
    ends = np.cumsum([0, *(each.n_tokens for each in reading.answers)])[:-1]
    right, was_right = (
        np.logical_and.reduceat(reading.of_answers(scores.top_token == reading.targets), ends)
        for scores in (changed, original)
    )
    change = np.add.reduceat(reading.of_answers(original.nll - changed.nll), ends)
    for skill, level in reading.skills:
        mine = np.array([(each.skill, each.level) == (skill, level) for each in reading.answers])
        low, high = interval(change[mine][:, None])
        yield SkillChange(
            skill=skill,
            level=level,
            total=int(mine.sum()),
            original_correct=int(was_right[mine].sum()),
            correct=int(right[mine].sum()),
            log_probability_change=float(change[mine].mean()),
            change_low=low,
            change_high=high,
        )
