"""Mixes of the shipped model, chosen in every way at the same sizes and measured on held-out text.

`python -m quantcore measure --mixes` writes what `quantcore.sensitivity.mixes` reads. Choices are
made by the results that lie beside the model, on the calibration text, without importance matrix.
"""

from collections.abc import Iterator

from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.source import Model, open_model, shipped_folder
from quantcore.progress import Progress
from quantcore.recipe.of_types import padded_bytes
from quantcore.recipe.plan import Plan, plan
from quantcore.sensitivity.budget import Budgeted
from quantcore.sensitivity.measure import source_of
from quantcore.sensitivity.mixes import Mix, MixPoint, mix_steps, save_mixes
from quantcore.sensitivity.results import Sensitivity, shipped
from quantcore.sensitivity.ways import BY, budget_by

SIZES = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K")
SEEDS = range(5)
ALONG_FRONT = 16
CONTEXT = 512


def mixes_to_measure(model: Model, measured: Sensitivity) -> list[Mix]:
    """Choose mixes at the sizes of `SIZES`, and along the front of the measured divergence."""
    budgets = {way: budget_by(way, model, measured) for way in BY}
    by_divergence = budgets["measured"]
    found = []
    for size in SIZES:
        rules = plan(model, size)
        n_bytes = padded_bytes(rules)
        predicted = by_divergence.predicted(rules)
        found.append(_mix(model, size, "rules", rules, predicted))
        for way, budget in budgets.items():
            found.append(_chosen(model, size, way, budget.within(n_bytes)))
        for seed in SEEDS:
            found.append(_chosen(model, size, "random", by_divergence.at_random(n_bytes, seed)))
    front = by_divergence.front()
    for i in range(ALONG_FRONT):
        each = front[round(i * (len(front) - 1) / (ALONG_FRONT - 1))]
        name = f"{each.plan.bits_per_weight:.2f} bits"
        found.append(_chosen(model, name, "measured", each))
    return found


def measure_mixes_steps() -> Iterator[Progress[dict[int, MixPoint]]]:
    """Measure all of them on the whole evaluation text, and write the file at the end."""
    model = open_model()
    mixes = mixes_to_measure(model, shipped())
    chunks = cut(model, evaluation_text(), CONTEXT)
    for step in mix_steps(model, mixes, chunks):
        yield step
    source = source_of(model, chunks, "evaluation.txt")
    path = shipped_folder() / "measured" / "mixes.json"
    save_mixes(path, source, [step.result[place] for place in range(len(mixes))])


def _chosen(model: Model, name: str, way: str, made: Budgeted) -> Mix:
    return _mix(model, name, way, made.plan, made.predicted_kl_divergence)


def _mix(model: Model, name: str, way: str, made: Plan, predicted: float | None) -> Mix:
    types = {t.name: t.type for t in made.tensors if t.name in model.quantizable}
    return Mix(name=name, way=way, types=types, predicted_kl_divergence=predicted)
