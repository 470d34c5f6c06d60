"""How long measuring takes, before it begins: rough, in seconds of one core.

From what was timed on one core of the machine that the lab was built on (AVX2, OpenBLAS): a pass of
the shipped model over a text (docs/sensitivity.md), round trips of 262,144 weights, and what else a
model of 135 million weights and 49,152 tokens took.
"""

from collections.abc import Iterable, Mapping, Sequence

from quantcore.formats import get_format
from quantcore.model.source import Model

SECONDS_PER_WEIGHT_AND_TOKEN = 0.7 / (6.8e6 * 4096)  # of a forward pass
READ_PER_S = 100e6  # weights that are read from a file
SCORED_PER_S = 25e6  # logits that are compared with the original's
# Weights a second that are quantized and taken back. K-quants and uneven grids try many scales,
# codebooks besides many codes.
SIMPLE, SEARCHED = 200e6, 45e6
CODEBOOKS = {
    "IQ3_S": 3.7e6, "IQ3_XXS": 3.2e6, "IQ2_S": 7.3e6, "IQ2_XS": 2.3e6, "IQ2_XXS": 3.6e6,
    "IQ1_M": 16e6, "IQ1_S": 16e6,
}  # fmt: skip
# Choosing codes for a whole model, in forward passes over the calibration text, which it includes.
# Timed on the shipped model: plain rounding 2, the sign descent of AutoRound 18.
PASSES = {"rtn": 2.0, "hqq": 2.0, "awq": 7.5, "autoround": 18.0, "quip": 4.5}
USUAL_PASSES = 3.5
Formats = Mapping[str, str]  # by tensor


def pass_seconds(model: Model, n_tokens: int) -> float:
    """Estimate a forward pass over some tokens."""
    return SECONDS_PER_WEIGHT_AND_TOKEN * model.n_weights * n_tokens


def quantizing_seconds(model: Model, formats: Iterable[tuple[str, str]]) -> float:
    """Estimate the round trips of tensors, each in a format; what is stored so already stays."""
    return sum(
        model.tensors[name].n_weights / weights_per_second(fmt)
        for name, fmt in formats
        if not model.holds(name, fmt)
    )


def weights_per_second(format_name: str) -> float:
    """Say how many weights a second are quantized and taken back.

    >>> weights_per_second("Q4_0") > weights_per_second("Q4_K") > weights_per_second("IQ2_XXS")
    True
    """
    fmt = get_format(format_name)
    usual = SEARCHED if fmt.family in ("K", "uneven") else SIMPLE
    return CODEBOOKS.get(fmt.name, usual)


def drift_seconds(model: Model, types: Sequence[Formats], n_tokens: int) -> float:
    """Estimate comparing types, each by the format of every tensor, with the original on a text."""
    quantizing = sum(quantizing_seconds(model, formats.items()) for formats in types)
    of_each = pass_seconds(model, n_tokens) + model.n_weights / READ_PER_S
    scoring = len(types) * n_tokens * model.config.vocabulary_size / SCORED_PER_S
    return quantizing + scoring + (len(types) + 1) * of_each


def skills_seconds(model: Model, types: Sequence[Formats], n_question_tokens: int) -> float:
    """Estimate letting each type answer questions of so many tokens."""
    quantizing = sum(quantizing_seconds(model, formats.items()) for formats in types)
    return quantizing + len(types) * pass_seconds(model, n_question_tokens)


def recipes_seconds(
    model: Model, by: Sequence[str], n_seen: int, n_judged: int, n_question_tokens: int = 0
) -> float:
    """Estimate measuring recipes by the methods that make them; see `method_drift_steps`.

    Parameters
    ----------
    n_seen, n_judged
        Tokens of the calibration text, and of the one that recipes are judged on.
    n_question_tokens
        Tokens of the questions that each recipe answers; 0 for none.
    """
    choosing = sum(PASSES.get(name, USUAL_PASSES) for name in by) * pass_seconds(model, n_seen)
    scoring = len(by) * n_judged * model.config.vocabulary_size / SCORED_PER_S
    judging = (len(by) + 1) * pass_seconds(model, n_judged)
    return choosing + scoring + judging + len(by) * pass_seconds(model, n_question_tokens)
