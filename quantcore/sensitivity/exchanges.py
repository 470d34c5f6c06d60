"""Which swap of a mix to measure next: those that promise most, by what is known of their steps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from quantcore.recipe.allocate import Option


@dataclass(frozen=True, slots=True)
class Step:
    """One group of tensors in another option."""

    group: str
    before: Option
    after: Option

    @property
    def bytes(self) -> int:
        """Bytes that it takes; below zero where it gives some."""
        return self.after.bytes - self.before.bytes


Swap = tuple[Step, ...]  # a step up that fits the budget, alone or with a step down


@dataclass(slots=True)
class Exchanges:
    """The swaps that a mix allows within its budget, and what is known of them.

    Parameters
    ----------
    options
        Of each group of tensors.
    chosen
        The mix at hand, an option for each group.
    spare_bytes
        What it leaves of the budget.
    single
        Change of the divergence, in nats a token, if a step were taken alone in the original: the
        estimate for a step that was not measured in the mix.
    """

    options: Mapping[str, Sequence[Option]]
    chosen: dict[str, Option]
    spare_bytes: int
    single: Callable[[Step], float]
    _measured: dict[Swap, float] = field(default_factory=dict)  # change when measured in the mix
    _refused: set[Swap] = field(default_factory=set)  # by the mix at hand

    def learn(self, swap: Swap, change: float) -> None:
        """Take in what a step or swap changes in the mix at hand; it is not asked for again."""
        self._measured[swap] = change
        self._refused.add(swap)

    def keep(self, swap: Swap) -> None:
        """Make a swap; what was refused before may be asked for again."""
        for step in swap:
            self.chosen[step.group] = step.after
            self.spare_bytes -= step.bytes
        self._refused.clear()

    def wanted(self, n: int) -> list[Swap]:
        """List what to measure next, n or fewer; nothing is left where the list is empty.

        A swap is measured as a whole when its steps were, and promise to lower the divergence
        together; before that its steps are, one by one.
        """
        swaps: dict[Swap, None] = {}
        for swap in sorted(self._swaps(), key=self._promised):
            unknown = [(step,) for step in swap if (step,) not in self._measured]
            if unknown:
                swaps |= dict.fromkeys(unknown)
            elif self._promised(swap) < 0 and swap not in self._refused:
                swaps[swap] = None
            if len(swaps) >= n:
                break
        return list(swaps)[:n]

    def _promised(self, swap: Swap) -> float:
        if swap in self._measured:
            return self._measured[swap]
        return sum(self._measured.get((step,), self.single(step)) for step in swap)

    def _swaps(self) -> Iterable[Swap]:
        steps = [step for group in self.options for step in self._steps(group)]
        down = [step for step in steps if step.bytes < 0]
        for up in steps:
            if up.bytes <= 0:
                continue
            if up.bytes <= self.spare_bytes:
                yield (up,)
            for each in down:
                if each.group != up.group and up.bytes + each.bytes <= self.spare_bytes:
                    yield up, each

    def _steps(self, group: str) -> Iterable[Step]:
        """Give the steps to the next smaller and the next larger option."""
        now = self.chosen[group]
        by_size = sorted(self.options[group], key=lambda option: option.bytes)
        for small, large in pairwise(by_size):
            if now in (small, large):
                yield Step(group, now, large if now == small else small)
