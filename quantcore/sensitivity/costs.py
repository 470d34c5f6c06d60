"""What a sweep found, one figure a piece: costs with their intervals, in a measure of choice.

Divergence cannot be below zero; perplexity and answers can get better by luck, so a cost keeps its
sign, and says how large it is and whether it may be chance.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from quantcore.model.source import Model
from quantcore.sensitivity.effect import Effect, SkillChange
from quantcore.sensitivity.pieces import HOWS, Group, How
from quantcore.sensitivity.results import Sensitivity

DIVERGENCE, PERPLEXITY, TOP_TOKEN = "divergence", "perplexity", "top token"
ROLES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure and the ends of its 95 % interval; all three are the same where there is none."""

    value: float
    low: float
    high: float

    @property
    def size(self) -> float:
        """How large it is, whichever sign it has."""
        return abs(self.value)

    @property
    def span(self) -> tuple[float, float]:
        """Ends of the interval of the size.

        >>> Cost(-1.0, -3.0, 2.0).span, Cost(-2.0, -3.0, -1.0).span
        ((0.0, 3.0), (1.0, 3.0))
        """
        ends = sorted((abs(self.low), abs(self.high)))
        return (0.0 if self.low <= 0 <= self.high else ends[0]), ends[1]

    @property
    def by_chance(self) -> bool:
        """Whether it may be nothing: the interval holds zero."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the figures of an effect, as a cost: more is worse.

    Divergence and a skill are in nats (a token, an answer), perplexity and first choices a share.
    """

    name: str
    of: Callable[[Effect], Cost]
    signed: bool = False  # whether it can get better as well as worse
    skill: tuple[str, str] | None = None  # and its level, where it is what right answers lose

    def skill_change(self, effect: Effect) -> SkillChange:
        """Look up what an effect says of the skill; `ValueError` if this is no measure of one."""
        for change in effect.skills:
            if (change.skill, change.level) == self.skill:
                return change
        raise ValueError(f"{self.name} is not a skill that was asked for")


_OF_TEXT = (
    Measure(
        DIVERGENCE, lambda effect: Cost(effect.mean_kl_divergence, effect.kl_low, effect.kl_high)
    ),
    Measure(
        PERPLEXITY,
        lambda effect: Cost(
            effect.perplexity_ratio - 1, effect.ratio_low - 1, effect.ratio_high - 1
        ),
        signed=True,
    ),
    Measure(TOP_TOKEN, lambda effect: Cost(*[1 - effect.same_top_token] * 3)),
)
BY_DIVERGENCE = _OF_TEXT[0]


def _of_skill(skill: str, level: str) -> Measure:
    """Measure by one skill: what the right answers lose in log probability."""

    def of(effect: Effect) -> Cost:
        change = measure.skill_change(effect)
        return Cost(-change.log_probability_change, -change.change_high, -change.change_low)

    measure = Measure(f"{level} {skill}", of, signed=True, skill=(skill, level))
    return measure


def measures(results: Sensitivity) -> dict[str, Measure]:
    """List the measures that results can be shown in, by name; skills where they were asked."""
    skills = results.effects[0].skills if results.effects else ()
    every = [*_OF_TEXT, *(_of_skill(each.skill, each.level) for each in skills)]
    return {measure.name: measure for measure in every}


def costs(
    results: Sensitivity,
    format_name: str,
    measure: Measure = BY_DIVERGENCE,
    group: Group = "tensor",
    how: How = "alone",
) -> dict[str, Cost]:
    """Look up what every piece of a group costs in a format, by its name, in the model's order."""
    effects = results.pieces(format_name, group, how)
    return {name: measure.of(effects[name]) for name in sorted(effects, key=_order)}


@cache
def _order(name: str) -> tuple[int, int, int, str]:
    """Order tensors as the file has them: the embedding, layers by their roles, the output."""
    parts = name.split(".")
    if parts[0] == "blk":
        return 1, int(parts[1]), _order_of_role(parts[2]), parts[2]
    if name.isdigit():
        return 1, int(name), 0, ""
    role = parts[0]
    end = 0 if role == "token_embd" else 2 if role == "output" else 1
    return end, 0, _order_of_role(role), ""


def _order_of_role(role: str) -> int:
    return ROLES.index(role) if role in ROLES else len(ROLES)


def joint_cost(
    results: Sensitivity, format_name: str, measure: Measure = BY_DIVERGENCE
) -> Cost | None:
    """Look up what all tensors together cost in a format; None where that was not measured."""
    effect = results.effect("all", format_name, "all")
    return None if effect is None else measure.of(effect)


def impacts(of_pieces: Mapping[Name, Cost], how: How, joint: Cost | None) -> dict[Name, float]:
    """Say how much each piece matters: its cost alone, or what is saved when it is kept.

    Never below zero; what is least becomes a small share of the most, so that a log scale ends.
    """
    if how == "alone":
        plain = {n: cost.size for n, cost in of_pieces.items()}
    else:
        most = cost_of_none_kept(of_pieces, joint)
        plain = {name: max(most - cost.value, 0.0) for name, cost in of_pieces.items()}
    least = max(plain.values(), default=0.0) * (1e-6 if how == "alone" else 1e-3)
    return {name: max(value, least) for name, value in plain.items()}


def certain_values(of_pieces: Mapping[Name, Cost]) -> dict[Name, float]:
    """Keep what is no chance, with its sign: gains are below zero, what may be chance is zero.

    >>> certain_values({"a": Cost(2.0, 1.0, 3.0), "b": Cost(-2.0, -3.0, -1.0),
    ...                 "c": Cost(9.0, -1.0, 19.0)})
    {'a': 2.0, 'b': -2.0, 'c': 0.0}
    """
    return {name: 0.0 if cost.by_chance else cost.value for name, cost in of_pieces.items()}


def cost_of_none_kept(of_pieces: Mapping[Name, Cost], joint: Cost | None) -> float:
    """Find what a kept piece is held against: the joint effect, else the most that is left."""
    return max(cost.value for cost in of_pieces.values()) if joint is None else joint.value


def formats_by_size(results: Sensitivity) -> list[str]:
    """List the formats of results, fewest bytes first."""

    def size(name: str) -> float:
        kinds = [results.pieces(name, group, how) for group in ("tensor", "all") for how in HOWS]
        n_bytes = [effect.bytes for pieces in kinds for effect in pieces.values()]
        return sum(n_bytes) / len(n_bytes) if n_bytes else 0.0

    return sorted(results.formats, key=size)


def bits_per_weight(results: Sensitivity, model: Model, name: str, format_name: str) -> float:
    """Bits a weight that a measured tensor takes in a format, scales included."""
    effect = results.effect(name, format_name)
    if effect is None:
        raise ValueError(f"{name} was not measured in {format_name}")
    return 8 * effect.bytes / model.tensors[name].n_weights


def certain_losses(of_pieces: Mapping[str, Mapping[str, Cost]], n: int) -> list[str]:
    """List the n pieces that surely cost any skill most, in the order that they come in.

    Parameters
    ----------
    of_pieces
        Costs by skill and piece, of the same pieces for each skill.
    """
    names = list(next(iter(of_pieces.values())))
    most = {name: max(costs[name].low for costs in of_pieces.values()) for name in names}
    first = set(sorted(names, key=most.__getitem__, reverse=True)[:n])
    return [name for name in names if name in first]
