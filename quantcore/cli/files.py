"""Commands on files: which type each tensor gets, and the GGUF file made so."""

import argparse
import sys
from typing import TYPE_CHECKING

from quantcore.cli.output import followed, print_json

if TYPE_CHECKING:
    from quantcore.recipe.plan import Plan


def plan(options: argparse.Namespace) -> None:
    """Print each tensor's type, and why."""
    from quantcore.recipe.contents import read_contents
    from quantcore.recipe.recipe_file import recipe_of

    if (options.type is None) == (options.budget is None):
        raise ValueError("give either --type, for llama-quantize's rules, or --budget")
    predicted = {}
    if options.budget is not None:
        planned, predicted = _for_budget(options)
    else:
        planned = _planned(read_contents(options.model), options, options.with_imatrix)
    if options.json:
        print_json(recipe_of(planned, **predicted))
        return
    print(f"{'tensor':<28}{'shape':>16}  {'type':<8}{'bytes':>14}  rule")
    for row in planned.tensors:
        shape = " x ".join(str(n) for n in row.shape)
        print(f"{row.name:<28}{shape:>16}  {row.type:<8}{row.bytes:>14,}  {row.rule}")
    for what, value in predicted.items():
        print(f"{what.replace('_', ' ')}: {value:,.6g}")
    print(
        f"\n{planned.type}: {planned.bytes:,} bytes, "
        f"{planned.bits_per_weight:.4f} bits per weight, {planned.n_fallbacks} fallbacks"
    )
    if any(row.needs_imatrix for row in planned.tensors):
        print("llama-quantize refuses this without an importance matrix.")


def _for_budget(options: argparse.Namespace) -> tuple["Plan", dict]:
    """Plan by measured divergence; and what is predicted of the plan."""
    from quantcore.model.source import open_model
    from quantcore.sensitivity.budget import Budget
    from quantcore.sensitivity.results import load, shipped

    model = open_model(options.model)
    measured = shipped() if options.sensitivity is None else load(options.sensitivity)
    formats = options.types.replace(",", " ").split() if options.types else None
    budget = Budget(
        model, measured, formats, keep_output=options.keep_output, by_layer=options.by_layer
    )
    if options.budget.lower().startswith("kl:"):
        found = budget.at_divergence(_divergence(options.budget[3:]))
    else:
        found = budget.within(budget.bytes_of(options.budget))
    return found.plan, {
        "budget_bytes": found.budget_bytes,
        "padded_bytes": found.padded_bytes,
        "predicted_kl_divergence": found.predicted_kl_divergence,
        "gap": found.gap,
    }


def _divergence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"kl:{text[:40]} is no divergence: write nats a token, as kl:0.002")
    return value


def quantize(options: argparse.Namespace) -> None:
    """Write a GGUF file."""
    from quantcore.io.imatrix import read_imatrix
    from quantcore.model.source import open_model
    from quantcore.recipe.quantize import quantize as write
    from quantcore.recipe.quantize import quantized_again

    model = open_model(options.model)
    imatrix = None if options.imatrix is None else read_imatrix(options.imatrix)
    planned = _planned(model, options, imatrix=imatrix is not None)
    if again := quantized_again(model, planned):
        print(
            f"{len(again)} tensors are quantized again, {again[0]} from "
            f"{model.tensors[again[0]].dtype}: errors add up, and llama-quantize does so only "
            "with --allow-requantize.",
            file=sys.stderr,
        )
    followed(write(model, planned, options.output, imatrix))
    print(
        f"{options.output}: {planned.type}, {options.output.stat().st_size:,} bytes, "
        f"{planned.bits_per_weight:.4f} bits per weight"
    )


def _planned(contents: object, options: argparse.Namespace, imatrix: bool) -> object:
    from quantcore.recipe.overrides import parse_override, read_overrides
    from quantcore.recipe.plan import plan as plan_file

    overrides = [parse_override(text) for text in options.tensor_type]
    if options.tensor_type_file is not None:
        overrides += read_overrides(options.tensor_type_file)
    return plan_file(
        contents,
        options.type,
        imatrix=imatrix,
        pure=options.pure,
        output_type=options.output_tensor_type and options.output_tensor_type.upper(),
        embedding_type=options.token_embedding_type and options.token_embedding_type.upper(),
        overrides=overrides,
    )
