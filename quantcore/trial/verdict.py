"""What answers to the same prompts say of a quantized version: better, worse, or too few to tell.

Both answer every prompt, so only prompts count on which one is right and the other wrong: `better`
of them speak for the quantized version and `worse` against it. The p-value is McNemar's, exact: the
chance of so uneven a split, or a more uneven one, if each of them were a coin.

The interval of the difference (quantized less original, in shares of all prompts) is Tango's score
interval: all differences that a score test does not reject, the other share at its most likely.

"As good within a margin" is a one-sided test at 5 %: yes where even the lower end of the 90 %
interval stays above minus the margin, no where its upper end stays below.

Source: McNemar, 1947; Tango, Equivalence test and confidence interval for the difference in
proportions for the paired-sample design, Statistics in Medicine 17, 1998; Schuirmann, 1987.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

AsGood = Literal["yes", "no", "cannot tell yet"]

Z_95 = 1.959963984540054  # two-sided 95 %
Z_90 = 1.6448536269514722  # two-sided 90 %, one-sided 95 %
MOST_TIMES = 1000  # more prompts than so many times as many nobody will write


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was counted over judged prompts, and what follows from it."""

    n: int  # prompts whose answers could be judged
    original_matches: int
    matches: int  # of the quantized version
    better: int  # the quantized version is right, the original wrong
    worse: int
    p_value: float
    difference: float  # (better - worse) / n
    difference_low: float  # ends of the 95 % interval
    difference_high: float
    margin: float
    as_good: AsGood
    more_prompts: int | None
    """How many more prompts like these would decide; 0 where it is decided. None where more than
    1,000 times as many would be needed, or no number would do: the difference is the margin."""


def verdict(original: Sequence[bool], quantized: Sequence[bool], margin: float) -> Verdict:
    """Compare right (True) and wrong answers to the same prompts.

    Parameters
    ----------
    margin
        Share of all prompts by which a version may be worse and still count as good, such as 0.02.

    Raises
    ------
    ValueError
        If there are no answers, not as many of both, or the margin is not above 0 and below 1.

    Examples
    --------
    >>> found = verdict([True] * 40 + [False] * 10, [True] * 32 + [False] * 18, 0.02)
    >>> found.better, found.worse, round(found.p_value, 4), found.as_good
    (0, 8, 0.0078, 'no')
    """
    if not original or len(original) != len(quantized):
        raise ValueError("A verdict needs prompts that both have answered.")
    if not 0 < margin < 1:
        raise ValueError(f"The margin must be above 0 and below 100 %, not {100 * margin:g} %.")
    n = len(original)
    better = sum(q and not o for o, q in zip(original, quantized, strict=True))
    worse = sum(o and not q for o, q in zip(original, quantized, strict=True))
    low, high = interval(better, worse, n)
    decided = _as_good(better, worse, n, margin)
    return Verdict(
        n=n,
        original_matches=sum(original),
        matches=sum(quantized),
        better=better,
        worse=worse,
        p_value=mcnemar(better, worse),
        difference=(better - worse) / n,
        difference_low=low,
        difference_high=high,
        margin=margin,
        as_good=decided,
        more_prompts=0 if decided != "cannot tell yet" else _more(better, worse, n, margin),
    )


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value of a split that should be even.

    >>> mcnemar(0, 0), mcnemar(1, 5), mcnemar(3, 3)
    (1.0, 0.21875, 1.0)
    """
    n, fewer = better + worse, min(better, worse)
    if better == worse:
        return 1.0
    tail = sum(math.comb(n, i) for i in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**n) if n < 1000 else 2 * math.exp(math.log(tail) - n * _LN2))


_LN2 = math.log(2)


def interval(better: float, worse: float, n: float, z: float = Z_95) -> tuple[float, float]:
    """Tango's score interval of (better - worse) / n.

    >>> low, high = interval(1, 7, 21)  # as in Fagerland et al., 2014
    >>> round(low, 3), round(high, 3)
    (-0.517, -0.026)
    """
    middle = (better - worse) / n

    def within(difference: float) -> bool:
        return abs(_score(better, worse, n, difference)) <= z

    return _edge(within, middle, -1.0), _edge(within, middle, 1.0)


def _score(better: float, worse: float, n: float, difference: float) -> float:
    """How many standard errors a difference is from the one that was found."""
    away = better - worse - n * difference
    spread = n * (2 * _worse_share(better, worse, n, difference) + difference * (1 - difference))
    if spread <= 0:
        return 0.0 if abs(away) < 1e-12 * n else math.copysign(math.inf, away)
    return away / math.sqrt(spread)


def _worse_share(better: float, worse: float, n: float, difference: float) -> float:
    """Most likely share of prompts that get worse, if the difference is this."""
    a = 2 * n
    b = -better - worse + (2 * n - better + worse) * difference
    c = -worse * difference * (1 - difference)
    return max(0.0, (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a))


def _edge(within: Callable[[float], bool], inside: float, outside: float) -> float:
    if within(outside):
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        if within(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _as_good(better: float, worse: float, n: float, margin: float) -> AsGood:
    low, high = interval(better, worse, n, Z_90)
    return "yes" if low > -margin else "no" if high < -margin else "cannot tell yet"


def _more(better: int, worse: int, n: int, margin: float) -> int | None:
    """How many more prompts decide, if they split as these did."""

    def decides(times: float) -> bool:
        return _as_good(better * times, worse * times, n * times, margin) != "cannot tell yet"

    low, high = 1.0, 2.0
    while not decides(high):
        low, high = high, 2 * high
        if high > MOST_TIMES:
            return None
    while (high - low) * n > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return math.ceil(high * n) - n
