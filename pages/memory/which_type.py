"""Which type to take on this machine: the types that fit, what each costs, and one of them."""

import math

from pages.memory import model as models
from pages.memory import words
from pages.shared import controls, look, tables
from pages.shared.palette import Look, colour
from pages.shared.units import binary, number
from quantcore.memory.hardware import Machine
from quantcore.which_type import Recommendation

NEAREST = 1e-9  # nats per token; a type that a file is in already costs nothing


def _log(divergence: float) -> float:
    return math.log(max(divergence, NEAREST))


def show(chosen: Recommendation | None, machine: Machine, style: Look) -> None:
    """Draw the types that fit and the next larger one, largest first, the one to take in bold."""
    if chosen is None:
        look.finding(*words.NO_COSTS)
        return
    look.finding(words.which_type(chosen), words.how_to_read_types(chosen))
    options = chosen.options
    n_large = next((i for i, one in enumerate(options) if one.whole), len(options) - 1)
    shown = options[max(n_large - 1, 0) :]
    low, high = (_log(one.divergence) for one in (options[0], options[-1]))

    def bar(row: tables.Row) -> tuple[float, str]:
        share = (_log(row["divergence_nats"]) - low) / (high - low or 1.0)
        return 0.05 + 0.95 * share, colour(row["type"], style)

    tables.show(
        [
            {"type": one.type, "weights_bytes": one.weights_bytes, "total_bytes": one.total_bytes,
             "fits": one.fits, "divergence_nats": one.divergence, "figures_of": chosen.costs.model,
             "imatrix": "with one" if one.aided else ""}
            for one in shown
        ],
        [
            tables.Column(key="type", title="type", text=True),
            tables.Column(key="weights_bytes", title="weights", show=binary, wide=True),
            tables.Column(key="total_bytes", title="in all", show=binary),
            tables.Column(key="fits", title="fits", text=True,
                          show=lambda fits: f"{words.SIGNS[fits]} {words.VERDICTS[fits]}"),
            tables.Column(key="divergence_nats", title=f"divergence of {chosen.costs.model}",
                          show=number, bar=bar),
            tables.Column(key="imatrix", title="importance matrix", text=True, wide=True),
        ],
        "memory_which_type",
        caption=f"Types of {chosen.shape.name} on {machine.name}, and what each costs",
        chosen=chosen.best.type if chosen.best else None,
        formats=True,
        csv_keys=["type", "weights_bytes", "total_bytes", "fits", "divergence_nats", "figures_of",
                  "imatrix"],
    )  # fmt: skip
    if models.from_bench() and not chosen.own:
        controls.link("drift", "Measure these types of this model on Drift", "memory_to_drift")
