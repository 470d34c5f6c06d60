"""The command `plan --budget`: a mix chosen by what was measured, and refined by swaps."""

import argparse
from typing import TYPE_CHECKING

from quantcore.cli.output import followed

if TYPE_CHECKING:
    from quantcore.recipe.plan import Plan
    from quantcore.sensitivity.budget import Budget, Budgeted
    from quantcore.sensitivity.swaps import Swapped


def plan_from_options(options: argparse.Namespace) -> tuple["Plan", dict]:
    """Plan a file within a budget; and what is known of it."""
    from quantcore.model.shipped import SHIPPED, shipped_name
    from quantcore.model.source import open_model
    from quantcore.sensitivity.results import load, shipped
    from quantcore.sensitivity.ways import budget_by

    model = open_model(options.model)
    lies_with = shipped_name(model.path) or SHIPPED[0]
    measured = shipped(lies_with) if options.sensitivity is None else load(options.sensitivity)
    formats = options.types.replace(",", " ").split() if options.types else None
    budget = budget_by(
        "measured" if options.by == "random" else options.by,
        model,
        measured,
        formats,
        keep_output=options.keep_output,
        by_layer=options.by_layer,
    )
    budgeted = _made(budget, options)
    known = {
        "by": options.by,
        "budget_bytes": budgeted.budget_bytes,
        "padded_bytes": budgeted.padded_bytes,
        "predicted_kl_divergence": budgeted.predicted_kl_divergence,
        "gap": budgeted.gap,
    }
    if measured.source.by:
        known["measured_with"] = measured.source.by  # codes chosen so: quantize it --by the same
    if options.swaps is None:
        return budgeted.plan, known
    swapped = _swapped(budget, budgeted, options)
    return swapped.plan, known | _known_of(swapped, budgeted)


def _made(budget: "Budget", options: argparse.Namespace) -> "Budgeted":
    if options.by == "random":
        return budget.at_random(budget.bytes_of(options.budget), options.seed)
    return budget.plan_for(options.budget)


def _swapped(budget: "Budget", start: "Budgeted", options: argparse.Namespace) -> "Swapped":
    from quantcore.cli.opening import read_text
    from quantcore.evaluate.text import calibration_text
    from quantcore.sensitivity.measure import chunks_of
    from quantcore.sensitivity.swaps import swap_steps, swapped_plan

    given = read_text(options.text)
    text = calibration_text() if given is None else given
    chunks = chunks_of(budget.model, budget.measured, text)
    swaps = followed(swap_steps(budget, start, chunks, options.swaps))
    return swapped_plan(budget, start, swaps)


def _known_of(swapped: "Swapped", start: "Budgeted") -> dict:
    from quantcore.sensitivity.swaps import is_near

    result, predicted = swapped.result, start.predicted_kl_divergence
    return {
        "padded_bytes": swapped.padded_bytes,
        "predicted_kl_divergence": swapped.predicted_kl_divergence,
        "sum_was_near": None if predicted is None else is_near(predicted, result.before),
        "measurements": result.measurements,
        "swaps": [
            {step.group: [step.before.name, step.after.name] for step in tried.swap}
            for tried in result.history
            if tried.kept
        ],
        "kl_divergence_before": [result.before.value, result.before.low, result.before.high],
        "kl_divergence": [result.after.value, result.after.low, result.after.high],
    }


def known_as_text(known: dict) -> list[str]:
    """Say what is known of a plan, a line each."""
    lines = []
    for what, value in known.items():
        if what == "swaps":
            lines += ["swaps kept: " + ("none" if not value else "")]
            lines += ["  " + ", ".join(map(_step, swap.items())) for swap in value]
        elif isinstance(value, list):
            middle, low, high = value
            lines.append(f"{_words(what)}: {middle:.6g} ({low:.6g} to {high:.6g})")
        elif isinstance(value, str):
            lines.append(f"{_words(what)}: {_words(value)}")
        elif value is None:
            lines.append(f"{_words(what)}: not known")
        elif isinstance(value, bool):
            lines.append(f"{_words(what)}: {'yes' if value else 'no'}")
        else:
            lines.append(f"{_words(what)}: {value:,.6g}")
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _step(step: tuple[str, list[str]]) -> str:
    group, (before, after) = step
    return f"{group} from {before} to {after}"
