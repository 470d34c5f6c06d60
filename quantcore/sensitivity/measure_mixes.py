"""Mixes of a shipped model, chosen in every way at the same sizes and measured on held-out text.

`python -m quantcore measure --mixes [MODEL]` writes what `quantcore.sensitivity.mixes` reads.
Choices are made by the results that lie beside the model, on the calibration text, without
importance matrix.
"""

from collections.abc import Iterator

from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.source import Model, open_model
from quantcore.progress import Progress
from quantcore.recipe.of_types import padded_bytes
from quantcore.recipe.plan import plan
from quantcore.sensitivity.measure import source_of
from quantcore.sensitivity.mixes import Mix, MixPoint, mix_of, mix_steps, save_mixes
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
    mixes = []
    for size in SIZES:
        rules = plan(model, size)
        n_bytes = padded_bytes(rules)
        chosen = [(way, budget.within(n_bytes).plan) for way, budget in budgets.items()]
        chosen += [("random", by_divergence.at_random(n_bytes, seed).plan) for seed in SEEDS]
        for way, made in (("rules", rules), *chosen):
            mixes.append(mix_of(model, made, way, by_divergence.predicted(made), size_of=size))
    front = by_divergence.front()
    for i in range(ALONG_FRONT):
        each = front[round(i * (len(front) - 1) / (ALONG_FRONT - 1))]
        mixes.append(mix_of(model, each.plan, "measured", each.predicted_kl_divergence))
    return mixes


def measure_mixes_steps(name: str = SHIPPED[0]) -> Iterator[Progress[dict[int, MixPoint]]]:
    """Measure all of them on the whole evaluation text, and write the file at the end."""
    model = open_model(name)
    mixes = mixes_to_measure(model, shipped(name))
    chunks = cut(model, evaluation_text(), CONTEXT)
    for step in mix_steps(model, mixes, chunks):
        yield step
    source = source_of(model, chunks, "evaluation.txt")
    path = shipped_folder(name) / "measured" / "mixes.json"
    save_mixes(path, source, [step.known[place] for place in range(len(mixes))])
