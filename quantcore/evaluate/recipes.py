"""What is measured of a whole model by a recipe: a type, and the method that chose its codes.

Two recipes are compared on the same tokens, so that what a hard text costs both of them takes
nothing from the certainty of the difference.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quantcore.evaluate.disturbed import Changes
from quantcore.evaluate.intervals import interval_of_sums
from quantcore.evaluate.skills import SkillScore
from quantcore.methods import METHODS, get_method
from quantcore.recipe.types import get_type

AIDED = " with imatrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A type for a whole model, and what chooses its codes."""

    type: str  # a mix ("Q4_K_M"), or a format for the matrices of all layers ("Q4_K pure")
    by: str = "rtn"  # a method; of a mix always "rtn"
    with_imatrix: bool = False  # whether a mix is made with the model's importance matrix

    @property
    def name(self) -> str:
        """As tables call it; `get_recipe` reads it back.

        >>> Recipe(type="NF4", by="gptq").name, Recipe(type="Q4_K_M", with_imatrix=True).name
        ('NF4 by gptq', 'Q4_K_M with imatrix')
        """
        return self.type + (f" by {self.by}" if self.by != "rtn" else AIDED * self.with_imatrix)

    def check(self) -> None:
        """Raise a `ValueError` if no model can be measured in it."""
        meant = get_type(self.type)
        get_method(self.by)
        if meant.mix and self.by != "rtn":
            raise ValueError(
                f"{self.type} is a mix, which is made by rounding: a method takes one format, "
                f"such as {get_type(self.type, pure=True).name}."
            )
        if self.with_imatrix and not meant.mix:
            raise ValueError(
                f"{self.type} is one format throughout: an importance matrix is for mixes, such as "
                "Q4_K_M."
            )


def get_recipe(name: str) -> Recipe:
    """Read a recipe's name, upper or lower case, its method by name or title.

    Raises
    ------
    ValueError
        If its type or its method is unknown, or they do not go together.

    Examples
    --------
    >>> get_recipe("nf4 by GPTQ")
    Recipe(type='NF4', by='gptq', with_imatrix=False)
    >>> get_recipe("Q4_K_M with imatrix").with_imatrix, get_recipe("E8P2 by QuIP#").by
    (True, 'quip')
    """
    aided = name.lower().endswith(AIDED)
    said, _, by = (name[: -len(AIDED)] if aided else name).partition(" by ")
    titles = {method.title.lower(): method.name for method in METHODS.values()}
    method = get_method(titles.get(by.lower(), by)).name if by else "rtn"
    recipe = Recipe(type=get_type(said).name, by=method, with_imatrix=aided)
    recipe.check()
    return recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDrift(Changes):
    """What a recipe costs on a text; ends of intervals hold with 95 % confidence."""

    type: str
    by: str
    with_imatrix: bool
    bits_per_weight: float  # of all matrices, with all that is stored
    kl_low: float
    kl_high: float
    more_than_rounding: float | None  # divergence, less that of the same type by rounding; nats
    more_low: float | None
    more_high: float | None
    seconds: float | None = None  # of one core that choosing codes took where it was measured
    base_perplexity: float | None = None  # of the model as it is, on the same tokens
    kl_sums: tuple[tuple[float, ...], ...] | None = None
    """Divergence summed by chunk and block of tokens (`intervals.block_sums`), nats."""
    skills: tuple[SkillScore, ...] | None = None  # None where nobody asked

    @property
    def recipe(self) -> Recipe:
        """What was measured."""
        return Recipe(type=self.type, by=self.by, with_imatrix=self.with_imatrix)


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean divergence of one recipe less another's, on the same tokens, in nats per token."""

    mean: float
    low: float  # ends of the 95 % interval
    high: float

    @property
    def is_tie(self) -> bool:
        """Whether it may as well be nothing, or of the other sign."""
        return self.low <= 0 <= self.high


def paired(one: MethodDrift, other: MethodDrift) -> Difference | None:
    """Compare two recipes that were measured on the same text, token by token.

    None where not enough was kept: sums by block of both, or what one of them costs more than the
    other, which rounds to the same type.
    """
    if one.kl_sums is not None and other.kl_sums is not None:
        mine, its = np.array(one.kl_sums), np.array(other.kl_sums)
        if mine.shape == its.shape and one.tokens_scored == other.tokens_scored:
            ends = interval_of_sums(mine - its, one.tokens_scored // len(mine))
            return Difference(float((mine - its).sum()) / one.tokens_scored, *ends)
    if (known := _more_than(one, other)) is not None:
        return known
    if (known := _more_than(other, one)) is not None:
        return Difference(-known.mean, -known.high, -known.low)
    return None


def _more_than(one: MethodDrift, plain: MethodDrift) -> Difference | None:
    more, low, high = one.more_than_rounding, one.more_low, one.more_high
    if plain.recipe != Recipe(type=one.type) or more is None or low is None or high is None:
        return None
    return Difference(more, low, high)


def to_json(row: MethodDrift) -> dict[str, Any]:
    """Make what JSON can hold of it, floats in six digits; `from_json` reads it back."""
    kept = _short(asdict(row))
    assert isinstance(kept, dict)
    return kept


def _short(value: object) -> object:
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def from_json(row: Mapping[str, Any]) -> MethodDrift:
    """Read what `to_json` made; what was measured before a field existed lacks it.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is no such thing.
    """
    sums, skills = row.get("kl_sums"), row.get("skills")
    found = MethodDrift(
        **dict(row)
        | {
            "kl_sums": None if sums is None else tuple(tuple(map(float, each)) for each in sums),
            "skills": None if skills is None else tuple(SkillScore(**each) for each in skills),
        }
    )
    found.recipe.check()
    if not np.isfinite([found.mean_kl_divergence, found.kl_low, found.kl_high]).all():
        raise ValueError(f"The divergence of {found.recipe.name} is not a number.")
    return found
