"""How figures and pieces are worded on the page Sensitivity, in sentences and in charts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from pages.shared import units
from pages.shared.units import number, percent, spoken
from quantcore.sensitivity.costs import DIVERGENCE, PERPLEXITY, TOP_TOKEN, Measure

UNITS = ((1e-3, "thousandths"), (1e-6, "millionths"), (1e-9, "billionths"), (1e-12, "trillionths"))
GUIDE_NAMES = {
    "weight_error": "weight error",
    "weighted_error": "weighted error",
    "output_error": "output error",
    "fisher": "Fisher",
}


@dataclass(frozen=True, slots=True)
class Wording:
    """How a measure's figures are written."""

    axis: str  # title of an axis
    unit: str  # behind a number
    whole: str  # what a number counts that stands in no parts
    parts: str  # behind "millionths"
    effect: str  # what a change does, "{}" for its number
    bare: Callable[[float], str] = number  # one figure without its unit

    def figure(self, value: float) -> str:
        """Write a figure with its unit."""
        return f"{self.bare(value)} {self.unit}"

    def counted_in(self, part: str) -> str:
        """Say what numbers count that stand in thousandths, millionths, or, for "", in wholes."""
        return f"{part} {self.parts}" if part else self.whole

    def does(self, value: float) -> str:
        """Say what a change that costs so much does."""
        return self.effect.format(self.bare(value))


def _change(share: float) -> str:
    return ("+" if share > 0 else "") + percent(share)


_OF_TEXT = {
    DIVERGENCE: Wording(
        "divergence, nats per token",
        "nats per token",
        "nats per token",
        "of a nat per token",
        "costs {} nats per token",
    ),
    PERPLEXITY: Wording(
        "change of perplexity",
        "in perplexity",
        "multiples of the original’s perplexity",
        "of the original’s perplexity",
        "moves perplexity by {}",
        _change,
    ),
    TOP_TOKEN: Wording(
        "first choices changed, share of the tokens",
        "of the first choices",
        "shares of the tokens",
        "of the tokens",
        "changes {} of the first choices",
        percent,
    ),
}


def wording(measure: Measure) -> Wording:
    """Find how a measure's figures are written."""
    return _OF_TEXT.get(measure.name) or Wording(
        f"what right answers lose, {measure.name}, nats",
        "nats per answer",
        "nats per answer",
        "of a nat per answer",
        f"takes {{}} nats from right answers on {measure.name}",
    )


def the(name: str) -> str:
    """Name a tensor, a layer or a role within a sentence.

    >>> the("3"), the("attn_q"), the("token_embd")
    ('layer 3', 'attn_q', 'the embedding')
    """
    return f"layer {name}" if name.isdigit() else units.the(name)


def called(name: str) -> str:
    """Name a tensor, a layer or a role as a chart does.

    >>> called("3"), called("attn_q"), called("blk.3.attn_q.weight")
    ('layer 3', 'attn_q', 'layer 3 attn_q')
    """
    return f"layer {name}" if name.isdigit() else spoken(name)


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
