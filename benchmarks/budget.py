"""Mixes by measured divergence beside llama.cpp's rules, at equal bytes, on held-out text.

``python -m benchmarks.budget``: the shipped model, without importance matrix. Choices are made on
calibration.txt, from the results that lie beside the model, and judged on evaluation.txt.
"""

from quantcore import open_model, plan
from quantcore.evaluate.drift import compare
from quantcore.evaluate.text import calibration_text, cut, evaluation_text
from quantcore.sensitivity.budget import Budget, padded_bytes
from quantcore.sensitivity.results import shipped

MIXES = ("Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M")


def main() -> None:
    """Print a row for each size."""
    model, measured = open_model(), shipped()
    budget = Budget(model, measured)
    rules = {mix: plan(model, mix) for mix in MIXES}
    chosen = {mix: budget.within(padded_bytes(made)) for mix, made in rules.items()}
    types: dict = {mix: mix for mix in MIXES}
    for mix, found in chosen.items():
        types[f"{mix} chosen"] = {
            t.name: t.type for t in found.plan.tensors if t.name in model.quantizable
        }
    held_out = _divergences(model, types, evaluation_text())
    where = _divergences(model, types, _measured_part(model, measured.source.tokens))
    print("nats a token; rules and chosen on held-out text, the last two where it was measured")
    print(f"{'size of':<10}{'bits':>7}{'rules':>11}{'chosen':>11}{'change':>9}"
          f"{'predicted':>11}{'measured':>11}")  # fmt: skip
    for mix, found in chosen.items():
        rule, mine = held_out[mix], held_out[f"{mix} chosen"]
        print(
            f"{mix:<10}{found.plan.bits_per_weight:>7.3f}{rule:>11.6f}{mine:>11.6f}"
            f"{mine / rule - 1:>9.0%}{found.predicted_kl_divergence:>11.6f}"
            f"{where[f'{mix} chosen']:>11.6f}"
        )


def _measured_part(model, n_tokens: int) -> str:
    """Give the beginning of the calibration text, about as many tokens as were measured."""
    text = calibration_text()
    n_characters = len(text) * n_tokens // (cut(model, text, 512).tokens.size or 1)
    return text[: n_characters + 2000]


def _divergences(model, types: dict, text: str) -> dict[str, float]:
    *_, last = compare(model, types, cut(model, text, 512))
    return {name: drift.mean_kl_divergence for name, drift in last.drifts.items()}


if __name__ == "__main__":
    main()
