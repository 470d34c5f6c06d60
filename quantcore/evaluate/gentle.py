"""Which of several measured types to show first: the smallest that is gentle, and the smallest."""

from collections.abc import Mapping

from quantcore.evaluate.drift_result import DriftFigures

GENTLE = 0.01  # share of the tokens the original was sure of that may change


def gentle_and_harsh(drifts: Mapping[str, DriftFigures]) -> tuple[str, str]:
    """Name the smallest file that changes few sure tokens, and the smallest of all.

    Of files of one size the one with the smaller divergence. Where none is gentle, the closest to
    the original takes its place; types that change nothing count only where there are no others.

    Raises
    ------
    ValueError
        If there is no type at all.
    """
    if not drifts:
        raise ValueError("There is no type to choose from")
    by_divergence = sorted(drifts, key=lambda name: drifts[name].mean_kl_divergence)
    lossy = [name for name in by_divergence if drifts[name].mean_kl_divergence > 0]
    if not lossy:
        return by_divergence[0], by_divergence[-1]

    def size(name: str) -> int:
        return drifts[name].weights_bytes

    gentle = [name for name in lossy if drifts[name].sure_tokens_changed <= GENTLE]
    return min(gentle, key=size, default=lossy[0]), min(lossy, key=size)
