"""Commands that measure a model: perplexity, error by tensor, skills, the importance matrix."""

import argparse
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from quantcore.cli.by_method import (
    by_a_method,
    say_if_it_judges,
    say_which_are_answered,
    stored_by,
)
from quantcore.cli.opening import opened_model, read_text, reading
from quantcore.cli.output import followed, print_json, print_pairs

if TYPE_CHECKING:
    from quantcore.evaluate.drift_result import Drift
    from quantcore.evaluate.quantized import Type
    from quantcore.model.cache_types import CacheTypes
    from quantcore.model.source import Model

PERPLEXITY_KEYS = (
    "model type context tokens_scored perplexity perplexity_error base_perplexity floor_perplexity "
    "mean_kl_divergence same_top_token bits_per_weight weights_bytes"
).split()


def perplexity(options: argparse.Namespace) -> None:
    """Print perplexity, and the divergence from the original."""
    from quantcore.evaluate.drift import drift_steps, summary_of
    from quantcore.evaluate.text import evaluation_text
    from quantcore.recipe.types import get_type

    text = read_text(options.text)
    model, activations = opened_model(options), options.activations
    model = reading(model, text, options)
    type: Type = get_type(options.type, options.pure).name
    if options.recipe is not None or options.tensor_type_file is not None:
        type = _types_by_tensor(model, options)
    rounds: str = activations
    if by_a_method(options):
        say_if_it_judges(options, evaluation_text() if text is None else text)
        stored = type = stored_by(options, model, type)
        rounds = activations if stored.inputs == "F32" else stored.inputs
    cache_types = _cache_types(options)
    steps = drift_steps(model, type, text, options.context, activations, cache_types)
    cache = {
        "cache_type_k": cache_types.keys,
        "cache_type_v": cache_types.values,
        "cache_rotation": cache_types.rotation,
        "cache_bytes_per_token": cache_types.bytes_per_token(model.config),
    }
    (drift,) = followed(steps).drifts.values()
    if options.json:
        summary = summary_of(drift)
        printed = {key: summary[key] for key in PERPLEXITY_KEYS}
        printed |= {"activations": rounds} | cache
        print_json(printed)
        return
    floor = (
        "unknown for this text"
        if drift.floor_perplexity is None
        else f"{drift.floor_perplexity:.4f}"
    )
    scored = f"{drift.perplexity:.4f} ± {drift.perplexity_error:.4f}"
    divergence = (
        f"{drift.mean_kl_divergence:.6f} ± {drift.mean_kl_divergence_error:.6f} nats per token"
    )
    print_pairs(
        ("model", drift.model),
        *_stored(model, drift),
        *([("imatrix", str(options.imatrix))] if options.imatrix else []),
        ("activations", rounds),
        ("cache", f"{cache_types.name}: {cache['cache_bytes_per_token']:,} bytes per token"),
        ("tokens scored", f"{drift.tokens_scored:,} at context {drift.context}"),
        ("perplexity", f"{scored} (second half of each chunk, as llama-perplexity)"),
        ("  all targets", f"{drift.perplexity_all_targets:.4f}"),
        ("  original", f"{drift.base_perplexity:.4f} ± {drift.base_perplexity_error:.4f}"),
        ("  floor", floor),
        ("  ratio", f"{drift.perplexity_ratio:.5f} ± {drift.perplexity_ratio_error:.5f}"),
        ("KL divergence", divergence),
        ("  median, 99 %", f"{drift.median_kl_divergence:.6f}, {drift.kl_percentiles[99]:.6f}"),
        ("  maximum", f"{drift.max_kl_divergence:.6f}"),
        ("Δ probability", f"{drift.probability_change.rms:.3%} root mean square"),
        ("same top token", f"{drift.same_top_token:.3%} ± {drift.same_top_token_error:.3%}"),
    )


def _stored(model: "Model", drift: "Drift") -> list[tuple[str, str]]:
    """Say what weights are stored in, and how large that is; of the original, what its file has."""
    from quantcore.model.original import original_of

    if drift.type != "F32":
        return [
            ("type", f"{drift.type}, {drift.bits_per_weight:.3f} bits per weight"),
            ("weights", f"{drift.weights_bytes:,} bytes, norms in F32 included"),
        ]
    original = original_of(model)
    stored = f"stored as {original.stored_as}, {original.bits_per_weight:.3f} bits per weight"
    return [
        ("type", f"the original, {stored}"),
        ("weights", f"{original.n_bytes:,} bytes, norms in F32 included"),
    ]


def skills(options: argparse.Namespace) -> None:
    """Print right answers by skill."""
    from quantcore.evaluate.quantized import Type, llama_of, type_name
    from quantcore.evaluate.skills import skill_steps
    from quantcore.recipe.types import get_type

    model = opened_model(options)
    type: Type = get_type(options.type, options.pure).name
    if by_a_method(options):
        say_which_are_answered(options)
        type = stored_by(options, model, type)
    scores = followed(skill_steps(model, llama_of(model, type)))
    if options.json:
        rows = [asdict(score) for score in scores]
        print_json({"model": model.name, "type": type_name(type), "skills": rows})
        return
    if options.by is not None:
        print_pairs(("model", model.name), ("type", type_name(type)))
        print()
    print(f"{'skill':<14}{'level':<8}{'right':>6}{'of':>6}")
    for score in scores:
        share = f"{score.correct / score.total:.0%}"
        print(f"{score.skill:<14}{score.level:<8}{score.correct:>6}{score.total:>6}{share:>7}")


def imatrix(options: argparse.Namespace) -> None:
    """Measure an importance matrix and write it."""
    from quantcore.evaluate.importance import imatrix_steps
    from quantcore.io.imatrix import write_imatrix
    from quantcore.io.writing import refuse_existing
    from quantcore.model.source import open_model

    refuse_existing(options.output)  # before minutes of work
    text = read_text(options.text)
    name = "calibration.txt" if options.text is None else options.text.name
    model = reading(open_model(options.model), text, options)
    steps = imatrix_steps(
        model, text, options.context, dataset=name, process_output=options.process_output
    )
    measured = followed(steps)
    write_imatrix(options.output, measured)
    summary = {
        "model": model.name,
        "text": name,
        "context": measured.chunk_size,
        "chunks": measured.chunk_count,
        "entries": len(measured.sums),
        "output": str(options.output),
        "bytes": options.output.stat().st_size,
    }
    if options.json:
        print_json(summary)
        return
    print_pairs(*((k, f"{v:,}" if isinstance(v, int) else v) for k, v in summary.items()))


def measure(options: argparse.Namespace) -> None:
    """Measure again what lies beside a shipped model."""
    from quantcore.evaluate.measured import measure_steps
    from quantcore.evaluate.measured_cache import measure_caches_steps
    from quantcore.evaluate.measured_recipes import measure_recipes_steps
    from quantcore.evaluate.method_table import measure_methods_steps
    from quantcore.formats.fitting import either
    from quantcore.model.shipped import SHIPPED, shipped_folder
    from quantcore.model.source import open_model
    from quantcore.sensitivity.measure_mixes import measure_mixes_steps
    from quantcore.trial.shipped import measure_trial_steps

    name = options.model or SHIPPED[0]
    if name not in SHIPPED:
        raise ValueError(f"Only what ships is kept beside the model: choose {either(SHIPPED)}.")
    if options.mixes:
        followed(measure_mixes_steps(name))
    elif options.methods:
        followed(measure_methods_steps(open_model(name)))
    elif options.recipes:
        followed(measure_recipes_steps(name))
    elif options.trial:
        followed(measure_trial_steps(name))
    elif options.caches:
        followed(measure_caches_steps(name))
    else:
        followed(measure_steps(name))
    print(f"Written to {shipped_folder(name) / 'measured'}.")


def _cache_types(options: argparse.Namespace) -> "CacheTypes":
    """Types of keys and values; where an option is missing, the usual ones."""
    from quantcore.model.cache_types import CacheTypes

    usual = CacheTypes.usual(rounds_queries=options.activations == "Q8")
    return CacheTypes(
        options.cache_type_k or usual.keys,
        options.cache_type_v or usual.values,
        rotation=not options.no_cache_rotation,
    )


def _types_by_tensor(model: "Model", options: argparse.Namespace) -> dict[str, str]:
    """Give each matrix the type of the file's list, or else that of the recipe or the mix."""
    from quantcore.recipe.of_types import matrix_types
    from quantcore.recipe.overrides import read_overrides
    from quantcore.recipe.plan import plan
    from quantcore.recipe.quantize import plan_with_matrix
    from quantcore.recipe.recipe_file import plan_of_recipe

    if options.recipe is not None and (options.type != "F32" or options.pure):
        raise ValueError("Give either --type or --recipe")
    listed = options.tensor_type_file
    how: dict[str, Any] = {"overrides": read_overrides(listed) if listed is not None else []}
    if options.recipe is None:
        make = partial(plan, model, options.type, pure=options.pure, **how)
    else:
        make = partial(plan_of_recipe, options.recipe, model, **how)
    planned, _ = plan_with_matrix(model, make)  # rules ask for the matrix that is really used
    return matrix_types(model, planned)
