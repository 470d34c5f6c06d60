"""Commands on files: which type each tensor gets, and the GGUF file made so."""

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from quantcore.cli.budget import known_as_text, plan_from_options
from quantcore.cli.by_method import by_a_method, stored_by
from quantcore.cli.output import followed, print_json

if TYPE_CHECKING:
    from quantcore.evaluate.quantized import StoredByMethod
    from quantcore.model.source import Model
    from quantcore.recipe.contents import Contents
    from quantcore.recipe.plan import Plan

ASKED_FOR = "pure output_tensor_type token_embedding_type tensor_type tensor_type_file".split()


def plan(options: argparse.Namespace) -> None:
    """Print each tensor's type, and why."""
    from quantcore.recipe.contents import read_contents
    from quantcore.recipe.recipe_file import recipe_of

    if sum(each is not None for each in (options.type, options.budget, options.recipe)) != 1:
        raise ValueError(
            "Give one of --type, for llama-quantize's rules, --budget, and --recipe, for a file"
        )
    if options.swaps is not None and options.budget is None:
        raise ValueError("--swaps refine what a budget chose: they go only with --budget")
    known: dict[str, Any] = {}
    if options.budget is not None:
        _refuse_asked_for(options)
        planned, known = plan_from_options(options)
    else:
        planned = _planned(read_contents(options.model), options, options.with_imatrix or None)
    if options.json:
        print_json(recipe_of(planned, **known))
        return
    print(f"{'tensor':<28}{'shape':>16}  {'type':<8}{'bytes':>14}  rule")
    for row in planned.tensors:
        shape = " x ".join(str(n) for n in row.shape)
        print(f"{row.name:<28}{shape:>16}  {row.type:<8}{row.bytes:>14,}  {row.rule}")
    for line in known_as_text(known):
        print(line)
    print(
        f"\n{planned.type}: {planned.bytes:,} bytes, "
        f"{planned.bits_per_weight:.4f} bits per weight, {planned.n_fallbacks} fallbacks"
    )
    if planned.needs_imatrix:
        print("llama-quantize refuses this without an importance matrix.")
    if planned.with_imatrix and not options.with_imatrix:  # so says a recipe, or what was measured
        print("This is for a file made with an importance matrix: give it with --imatrix.")


def _refuse_asked_for(options: argparse.Namespace) -> None:
    for name in ASKED_FOR:
        if getattr(options, name):
            raise ValueError(
                f"--{name.replace('_', '-')} does not go with --budget, which chooses every type: "
                "print the plan with --json, and give it by --recipe"
            )


def quantize(options: argparse.Namespace) -> None:
    """Write a GGUF file."""
    from quantcore.evaluate.importance_use import stored_as_zeros
    from quantcore.evaluate.whole_by_method import packed_for_gguf
    from quantcore.io.imatrix import read_imatrix
    from quantcore.io.writing import refuse_existing
    from quantcore.model.source import open_model
    from quantcore.recipe.of_types import matrix_types
    from quantcore.recipe.quantize import (
        FLOATS,
        plan_with_matrix,
        quantize_steps,
        quantized_again,
    )

    if (options.type is None) == (options.recipe is None):
        raise ValueError("Give either --type, for llama-quantize's rules, or --recipe, for a file")
    model = open_model(options.model)
    asked = None if options.imatrix is None else read_imatrix(options.imatrix)
    planned, imatrix = plan_with_matrix(model, partial(_planned, model, options), asked)
    if imatrix is not asked:
        print("Using the importance matrix that comes with the model.", file=sys.stderr)
    if imatrix is not None and (zeros := stored_as_zeros(imatrix, planned.types)):
        print(
            f"{len(zeros)} tensors become zeros, {zeros[0]} the first: the importance matrix has "
            "nothing but zeros for them, and llama-quantize stores them so, too.",
            file=sys.stderr,
        )
    if imatrix is None and _planned(model, options, None).with_imatrix:
        print(
            "Without the importance matrix that this recipe is for: give it with --imatrix.",
            file=sys.stderr,
        )
    if again := quantized_again(model, planned):
        types = {tensor.name: tensor.type for tensor in planned.tensors}
        rounded = any(types[name] not in FLOATS for name in again)
        allowed = ", and llama-quantize does so only with --allow-requantize"
        if model.files.is_dir():  # of a folder llama.cpp's converter makes floats first
            allowed = ""
        number = "1 tensor is" if len(again) == 1 else f"{len(again)} tensors are"
        print(
            f"{number} quantized again, {again[0]} from "
            f"{model.tensors[again[0]].stored_as}: errors add up{allowed}."
            if rounded
            else f"{number} quantized already, {again[0]} as "
            f"{model.tensors[again[0]].stored_as}: what they have lost stays lost{allowed}.",
            file=sys.stderr,
        )
    for difference in model.tokenizer.differences:
        print(difference, file=sys.stderr)
    packed = None
    if by_a_method(options):
        refuse_existing(options.output)  # before minutes of work
        stored = stored_by(options, model, matrix_types(model, planned))
        packed = packed_for_gguf(model, stored)
        _say_unscaled(stored)
    followed(quantize_steps(model, planned, options.output, imatrix, packed))
    print(
        f"{options.output}: {planned.type}, {options.output.stat().st_size:,} bytes, "
        f"{planned.bits_per_weight:.4f} bits per weight"
    )


def _say_unscaled(stored: "StoredByMethod") -> None:
    """Where a method gives columns scales, name the matrices of layers that can't have any."""
    chosen = stored.chosen.items()
    if any(each.column_scales is not None for _, each in chosen):
        without = {n: each.note for n, each in chosen if each.note.startswith("No scales")}
        for name, note in without.items():
            print(f"{name}: {note}", file=sys.stderr)


def _planned(
    contents: "Contents | Model", options: argparse.Namespace, imatrix: bool | None
) -> "Plan":
    """Plan what the options ask for; None: with an importance matrix if the recipe says so."""
    from quantcore.recipe.overrides import parse_override, read_overrides
    from quantcore.recipe.plan import plan as plan_file
    from quantcore.recipe.recipe_file import plan_of_recipe

    overrides = [parse_override(text) for text in options.tensor_type]
    if options.tensor_type_file is not None:
        overrides += read_overrides(options.tensor_type_file)
    how: dict[str, Any] = {
        "output_type": options.output_tensor_type and options.output_tensor_type.upper(),
        "embedding_type": options.token_embedding_type and options.token_embedding_type.upper(),
        "overrides": overrides,
    }
    if options.recipe is not None:
        return plan_of_recipe(options.recipe, contents, imatrix=imatrix, **how)
    return plan_file(contents, options.type, pure=options.pure, imatrix=bool(imatrix), **how)
