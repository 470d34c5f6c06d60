"""Which type to take: of those that fit, the smallest that is close enough, or the closest."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from quantcore.memory import Estimate, Setup, estimate, in_type
from quantcore.memory.fit_table import Fit, how_it_fits
from quantcore.memory.hardware import Machine
from quantcore.memory.sizes import gib
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.shape import ModelShape
from quantcore.which_type.known_costs import (
    LEFT_OUT,
    Elsewhere,
    KnownCosts,
    published_elsewhere,
)

# Nats per token. Below it lie the types that are called indistinguishable: of Llama-3-8B Q6_K and
# larger, whose perplexity grows by a third of a percent or less.
CLOSE = 0.01
FAR = 0.3  # here its perplexity grows by more than a third


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A type, what it takes on the machine, and what it costs in divergence."""

    type: str
    weights_bytes: int
    total_bytes: int
    fits: Fit
    divergence: float  # nats per token, of the model that `KnownCosts` names
    aided: bool  # the figure is one with an importance matrix

    @property
    def whole(self) -> bool:
        """Whether it fits where it is fast: on the GPUs, if there are any."""
        return self.fits in ("fits", "just")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Types to choose from, largest first, and the one to take."""

    shape: ModelShape
    costs: KnownCosts
    options: tuple[Option, ...]  # none is both larger and further off than another
    best: Option | None  # None where none fits

    @property
    def own(self) -> bool:
        """Whether the figures are the model's own."""
        return self.costs.model == self.shape.name

    @property
    def reason(self) -> str:
        """Say in a sentence which one, and why."""
        smallest = self.options[-1]
        if self.best is None:
            return (
                f"No type is small enough: even {smallest.type} takes "
                f"{gib(smallest.total_bytes)} in all."
            )
        if not self.best.divergence:
            return f"Take {self.best.type}: the file is in it already, so nothing more is lost."
        nats = f"{self.best.divergence:.2g} nats per token"
        if self.best.divergence <= CLOSE:
            return (
                f"Take {self.best.type}: of the types that diverge by no more than {CLOSE:g} nats "
                f"per token it is the smallest that fits ({self.best.divergence:.2g}); larger ones "
                "are closer still, but take more memory, and more time per token."
            )
        least = f"Take {self.best.type}: of the types that fit it diverges least, {nats}"
        if self.best.divergence < FAR:
            return f"{least}."
        return (
            f"{least}. That is far from the original: rather read fewer tokens, keep the cache in "
            "fewer bits, or take a smaller model."
        )

    @property
    def whose(self) -> str:
        """Say whose figures they are, and what is not known."""
        costs, shape = self.costs, self.shape
        if self.own:
            return (
                f"The divergences were measured of {costs.model} itself, on {costs.text} "
                f"({costs.source})."
            )
        other = self._elsewhere()
        ratio = costs.divergence[other.type] / other.divergence
        return (
            f"The divergences are published ones of another model, {costs.model} "
            f"({_billions(costs.n_weights)} weights), on {costs.text}; source: {costs.source}. "
            f"Those of {shape.name} ({_billions(shape.n_weights)} weights) are not known here, and "
            f"models differ: in {other.type} {other.model} diverged by {other.divergence:.2g}, "
            f"{max(ratio, 1 / ratio):.1f} times {'less' if ratio > 1 else 'more'} than "
            f"{costs.model}."
        )

    def _elsewhere(self) -> Elsewhere:
        """Find the other model's figure of the type that is nearest to the best one."""
        known = [each for each in published_elsewhere() if each.type in self.costs.divergence]
        at = self.costs.divergence.get(self.best.type if self.best else "", CLOSE)
        return min(known, key=lambda each: abs(self.costs.divergence[each.type] - at))


def recommend(
    shape: ModelShape,
    setup: Setup,
    machine: Machine,
    costs: KnownCosts,
    estimate_of: Callable[[ModelShape, Setup], Estimate] | None = None,
) -> Recommendation | None:
    """Choose a file type for a machine and a context.

    The smallest type that fits and diverges by no more than `CLOSE`; where none of these fits, the
    one that diverges least of those that do.

    Parameters
    ----------
    setup
        Context, sequences and runtime; its type does not count.
    costs
        What each type costs; types without a figure are not spoken of.
    estimate_of
        What estimates are asked from, for those who keep them.

    Returns
    -------
    Recommendation | None
        None under vLLM: of what it loads no figures are known.
    """
    if setup.runtime == "vllm":
        return None
    if estimate_of is None:  # cache and buffers are the same in every type
        once = estimate(shape, replace(setup, type_name="F16"))

        def estimate_of(shape: ModelShape, setup: Setup) -> Estimate:
            return in_type(once, setup.type_name)

    every = [
        _option(estimate_of(shape, replace(setup, type_name=name)), machine, costs)
        for name in costs.divergence
        if name not in LEFT_OUT and name in FILE_TYPES and FILE_TYPES[name].is_quantized
    ]
    options, least = [], float("inf")
    for option in sorted(every, key=lambda one: (one.weights_bytes, one.divergence)):
        if option.divergence < least:
            options.append(option)
            least = option.divergence
    fitting = [option for option in options if option.whole]
    close = [option for option in fitting if option.divergence <= CLOSE]
    best = close[0] if close else fitting[-1] if fitting else None
    return Recommendation(shape=shape, costs=costs, options=tuple(options[::-1]), best=best)


def _option(taken: Estimate, machine: Machine, costs: KnownCosts) -> Option:
    name = taken.setup.type_name
    return Option(
        type=name,
        weights_bytes=taken.weights_bytes,
        total_bytes=taken.total_bytes,
        fits=how_it_fits(taken, machine),
        divergence=costs.divergence[name],
        aided=name in costs.aided,
    )


def _billions(count: int) -> str:
    return f"{count / 1e9:.3g} billion" if count >= 1e9 else f"{count / 1e6:.3g} million"
