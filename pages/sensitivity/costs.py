"""What a sweep found, as the page Sensitivity shows it: costs by piece, sums, ranks. No Streamlit.

A cost is one figure with its interval, in the measure that was chosen. Divergence cannot be below
zero; perplexity and answers can get better by luck, so charts on a log axis show the size of the
change and mark those that fell.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from pages.shared.units import number, percent, spoken
from quantcore.model.source import Model
from quantcore.sensitivity.effect import Effect
from quantcore.sensitivity.guides import GUIDES, rank_correlation
from quantcore.sensitivity.results import Sensitivity

GROUPS = {"tensors": "tensor", "layers": "layer", "roles": "role"}
HOWS = {"only this": "alone", "all but this": "kept"}
UNITS = ((1e-3, "thousandths"), (1e-6, "millionths"), (1e-9, "billionths"), (1e-12, "trillionths"))
GUIDE_WORDS = {
    "weight_error": "weight error",
    "weighted_error": "weighted error",
    "output_error": "output error",
    "fisher": "Fisher",
}


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
    """A way to say what a change costs."""

    name: str
    axis: str  # title of an axis
    unit: str  # behind a number
    parts: str  # behind "millionths"
    said: str  # what a change does, "{}" for its number
    of: Callable[[Effect], Cost]
    bare: Callable[[float], str] = number  # one figure without its unit

    @property
    def signed(self) -> bool:
        """Whether it can get better as well as worse."""
        return self.name not in (DIVERGENCE, TOP_TOKEN)

    @property
    def is_skill(self) -> bool:
        """Whether it is what right answers of a skill lose."""
        return self.name not in (DIVERGENCE, PERPLEXITY, TOP_TOKEN)

    def worded(self, value: float) -> str:
        """Write a figure with its unit."""
        return f"{self.bare(value)} {self.unit}"


DIVERGENCE, PERPLEXITY, TOP_TOKEN = "divergence", "perplexity", "top token"


def _change(share: float) -> str:
    return ("+" if share > 0 else "") + percent(share)


def _skill(skill: str, level: str) -> Measure:
    """Measure by one skill: what the right answers lose in log probability."""

    def of(effect: Effect) -> Cost:
        found = next(s for s in effect.skills if (s.skill, s.level) == (skill, level))
        return Cost(-found.log_probability_change, -found.change_high, -found.change_low)

    return Measure(
        f"{level} {skill}",
        f"what right answers lose, {level} {skill}, nats",
        "nats an answer",
        "of a nat an answer",
        f"takes {{}} nats from right answers on {level} {skill}",
        of,
    )


_MEASURES = (
    Measure(
        DIVERGENCE,
        "divergence, nats a token",
        "nats a token",
        "of a nat a token",
        "costs {} nats a token",
        lambda e: Cost(e.mean_kl_divergence, e.kl_low, e.kl_high),
    ),
    Measure(
        PERPLEXITY,
        "change of perplexity",
        "in perplexity",
        "of the original’s perplexity",
        "moves perplexity by {}",
        lambda e: Cost(e.perplexity_ratio - 1, e.ratio_low - 1, e.ratio_high - 1),
        _change,
    ),
    Measure(
        TOP_TOKEN,
        "first choices changed, share of the tokens",
        "of the first choices",
        "of the tokens",
        "changes {} of the first choices",
        lambda e: Cost(*[1 - e.same_top_token] * 3),
        percent,
    ),
)


def measures(results: Sensitivity) -> dict[str, Measure]:
    """List the measures that results can be shown in, by name."""
    first = results.effects[0].skills if results.effects else ()
    found = [*_MEASURES, *(_skill(each.skill, each.level) for each in first)]
    return {each.name: each for each in found}


def called(name: str) -> str:
    """Name a tensor, a layer or a role as a sentence does.

    >>> called("3"), called("attn_q"), called("blk.3.attn_q.weight")
    ('layer 3', 'attn_q', 'layer 3 attn_q')
    """
    return f"layer {name}" if name.isdigit() else spoken(name)


def costs(
    results: Sensitivity, format_name: str, measure: Measure, group: str = "tensor",
    how: str = "alone",
) -> dict[str, Cost]:  # fmt: skip
    """Look up what every piece of a group costs in a format, by its name, in the model's order."""
    found = {
        effect.name: measure.of(effect)
        for effect in results.effects
        if (effect.format, effect.group, effect.how) == (format_name, group, how)
    }
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(name: str) -> tuple:
    """Order tensors as the file has them: the embedding, layers by their roles, the output."""
    parts = name.split(".")
    if parts[0] == "blk":
        return 1, int(parts[1]), _ROLES.get(parts[2], len(_ROLES)), parts[2]
    if name.isdigit():
        return 1, int(name), 0, ""
    role = parts[0]
    return (0 if role == "token_embd" else 2 if role == "output" else 1), 0, _ROLES.get(role, 9), ""


_ROLES = {
    role: place
    for place, role in enumerate(
        ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    )
}


def joint(results: Sensitivity, format_name: str, measure: Measure) -> Cost | None:
    """Look up what all tensors together cost in a format; None where that was not measured."""
    effect = results.effect("all", format_name, "all")
    return None if effect is None else measure.of(effect)


def weights_of(
    found: Mapping[str, Cost], how: str, whole: Cost | None, *, sure: bool = False
) -> dict[str, float]:
    """Say how much each piece matters: its cost alone, or what is saved when it is kept.

    Never below zero; of the least a small share of the most is made, so that a log scale ends.
    With `sure` a cost counts as far as the near end of its interval: what may be chance is nothing.
    """
    if how == "alone":
        plain = {name: cost.span[0] if sure else cost.size for name, cost in found.items()}
    else:
        reference = reference_of(found, whole)
        plain = {name: max(reference - cost.value, 0.0) for name, cost in found.items()}
    least = max(plain.values(), default=0.0) * (1e-6 if how == "alone" and not sure else 1e-3)
    return {name: max(value, least) for name, value in plain.items()}


def reference_of(found: Mapping[str, Cost], whole: Cost | None) -> float:
    """Find what a kept piece is held against: the joint effect, else the most that is left."""
    return max(cost.value for cost in found.values()) if whole is None else whole.value


def unit_of(sizes: Iterable[float]) -> tuple[float, str]:
    """Choose a part of the unit in which the middle of the sizes has one to three digits.

    >>> unit_of([2e-5, 3e-5, 0.1]), unit_of([0.0])
    ((1e-06, 'millionths'), (1.0, ''))
    """
    seen = [size for size in sizes if size > 0]
    middle = median(seen) if seen else 1.0
    if middle >= 1:
        return 1.0, ""
    return next((unit for unit in UNITS if middle >= unit[0]), UNITS[-1])


def short(value: float) -> str:
    """Write a number of parts in as few letters as will do.

    >>> short(0.0419), short(7.04), short(118.2), short(52762.4), short(-3.0), short(-0.001)
    ('0.04', '7.0', '118', '52,762', '−3.0', '0')
    """
    digits = 2 if abs(value) < 1 else 1 if abs(value) < 10 else 0
    text = f"{value:,.{digits}f}"
    return "0" if not text.strip("-0.") else text.replace("-", "−")


def bits_of(results: Sensitivity, model: Model, name: str, format_name: str) -> float:
    """Bits a weight that a measured tensor takes in a format, scales included."""
    return 8 * results.effect(name, format_name).bytes / model.tensors[name].n_weights


@dataclass(frozen=True, slots=True)
class Sum:
    """Single effects added up beside the measured effect of the same tensors at once."""

    label: str
    total: float  # of single effects, those below zero taken as zero, as a budget does
    joint: Cost

    @property
    def ratio(self) -> Cost:
        """The sum as a multiple of the joint effect; 1 where effects add up."""
        ends = [self.total / max(end, 1e-300) for end in (self.joint.high, self.joint.low)]
        return Cost(self.total / max(self.joint.value, 1e-300), *ends)


def sums_by_format(results: Sensitivity) -> list[Sum]:
    """Add up all tensors in each format whose joint effect was measured, fewest bits first."""
    measure = _MEASURES[0]
    found = []
    for format_name in by_size(results):
        whole = results.effect("all", format_name, "all")
        single = costs(results, format_name, measure)
        if whole is None or len(single) < 2 or whole.mean_kl_divergence <= 0:
            continue
        parts = sum(results.effect(name, format_name).bytes for name in single)
        if parts == whole.bytes:  # every tensor is there
            found.append(_sum(format_name, single.values(), measure.of(whole)))
    return found


def sums_by_group(results: Sensitivity, model: Model, format_name: str) -> list[Sum]:
    """Add up the tensors of each layer and of each role, where that was measured too."""
    measure = _MEASURES[0]
    single = costs(results, format_name, measure)
    found = []
    for group in ("layer", "role"):
        for name, cost in costs(results, format_name, measure, group).items():
            mine = [n for n in single if str(getattr(model.tensors[n], group)) == name]
            if len(mine) > 1 and cost.value > 0:
                found.append(_sum(called(name), [single[n] for n in mine], cost))
    return found


def _sum(label: str, single: Iterable[Cost], whole: Cost) -> Sum:
    return Sum(label, sum(max(cost.value, 0.0) for cost in single), whole)


def by_size(results: Sensitivity) -> list[str]:
    """List the formats, fewest bytes first."""

    def size(name: str) -> float:
        found = [e for e in results.effects if e.format == name and e.group in ("tensor", "all")]
        return float(np.mean([e.bytes for e in found])) if found else 0.0

    return sorted(results.formats, key=size)


@dataclass(frozen=True, slots=True)
class Followed:
    """How a guide orders the tensors in a format, beside the measurement."""

    guide: str
    points: Mapping[str, tuple[float, Cost]]  # by tensor: what the guide says, and what it costs
    correlation: float  # Spearman's, nan where there is no order
    everywhere: float  # the same over all formats
    places: Mapping[str, tuple[int, int]]  # by the guide and by the measurement; 1 is the most

    @property
    def astray(self) -> list[str]:
        """Tensors whose two places lie farthest apart, the farthest first."""
        gap = {name: abs(a - b) for name, (a, b) in self.places.items()}
        return sorted((n for n in gap if gap[n]), key=lambda n: (-gap[n], self.places[n][1]))


def followed(results: Sensitivity, format_name: str, everywhere: Mapping) -> list[Followed]:
    """Hold each guide against the measured divergence of tensors in a format."""
    single = costs(results, format_name, _MEASURES[0])
    found = []
    for guide in GUIDES:
        points = {}
        for name, cost in single.items():
            known = results.guide(name, format_name)
            if known is not None and getattr(known, guide) is not None:
                points[name] = (getattr(known, guide), cost)
        if len(points) > 2:
            said, measured = ([p[0] for p in points.values()],
                              [p[1].value for p in points.values()])  # fmt: skip
            places = {
                name: (1 + sum(v > a for v in said), 1 + sum(v > b.value for v in measured))
                for name, (a, b) in points.items()
            }
            rank = rank_correlation(said, measured)
            found.append(Followed(guide, points, rank, everywhere.get(guide, rank), places))
    return found


def correlation(first: Mapping[str, Cost], second: Mapping[str, Cost]) -> float:
    """Rank correlation of two results over the pieces that both have; nan below three."""
    shared = [name for name in first if name in second]
    if len(shared) < 3:
        return float("nan")
    return rank_correlation(*[[each[name].value for name in shared] for each in (first, second)])
