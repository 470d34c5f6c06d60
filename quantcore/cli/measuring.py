"""Commands that measure a model: perplexity, error by tensor, skills, the importance matrix."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantcore.cli.output import followed, print_json, print_pairs, show

if TYPE_CHECKING:
    from quantcore.evaluate.quantized import StoredByMethod, Type
    from quantcore.model.cache_types import CacheTypes
    from quantcore.model.source import Model
    from quantcore.progress import Progress

PERPLEXITY_KEYS = (
    "model type context tokens_scored perplexity perplexity_error base_perplexity floor_perplexity "
    "mean_kl_divergence same_top_token bits_per_weight weights_bytes"
).split()
ERROR_KEYS = "name shape format relative_rmse sqnr_db max_abs_error bits_per_weight".split()


def perplexity(options: argparse.Namespace) -> None:
    """Print perplexity, and the divergence from the original."""
    from quantcore.evaluate.drift import drift_steps, summary_of
    from quantcore.recipe.types import get_type

    text = None if options.text is None else read_text(options.text)
    model, activations = opened_model(options), options.activations
    model = _reading(model, text, options)
    type: Type = get_type(options.type, options.pure).name
    if options.recipe is not None or options.tensor_type_file is not None:
        type = _types_by_tensor(model, options)
    if by_a_method(options):
        if type == "F32":
            raise ValueError("--by needs a type to store weights in: give --type")
        type = followed(stored_by(options, model, type, text))
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
        printed |= {"activations": activations} | cache
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
        ("type", f"{drift.type}, {drift.bits_per_weight:.3f} bits per weight"),
        ("weights", f"{drift.weights_bytes:,} bytes, norms in F32 included"),
        *([("imatrix", str(options.imatrix))] if options.imatrix else []),
        ("activations", activations),
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


def error(options: argparse.Namespace) -> None:
    """Print the error of every matrix."""
    from quantcore.evaluate.weight_error import model_errors
    from quantcore.recipe.types import get_type

    model, type = opened_model(options), get_type(options.type, options.pure).name
    rows: list[dict[str, Any]] = []
    for measured in model_errors(model, type):
        show(len(rows) / len(model.quantizable), measured.name)
        rows.append({key: getattr(measured, key) for key in ERROR_KEYS})
    show(1.0, "done")
    if options.json:
        print_json({"model": model.name, "type": type, "tensors": rows})
        return
    columns = f"{'rel. RMSE':>10}{'SQNR':>10}{'max':>11}{'bits':>8}"
    print(f"{'tensor':<28}{'shape':>14}  {'format':<12}{columns}")
    for row in rows:
        shape = " x ".join(str(n) for n in row["shape"])
        print(
            f"{row['name']:<28}{shape:>14}  {row['format']:<12}{row['relative_rmse']:>10.5f}"
            f"{row['sqnr_db']:>7.2f} dB{row['max_abs_error']:>11.3g}{row['bits_per_weight']:>8.4g}"
        )


def skills(options: argparse.Namespace) -> None:
    """Print right answers by skill."""
    from quantcore.evaluate.quantized import llama_of
    from quantcore.evaluate.skills import skill_steps
    from quantcore.recipe.types import get_type

    model, type = opened_model(options), get_type(options.type, options.pure).name
    scores = followed(skill_steps(model, llama_of(model, type)))
    if options.json:
        rows = [asdict(score) for score in scores]
        print_json({"model": model.name, "type": type, "skills": rows})
        return
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
    text = None if options.text is None else read_text(options.text)
    name = "calibration.txt" if options.text is None else options.text.name
    model = _reading(open_model(options.model), text, options)
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

    name = options.model or SHIPPED[0]
    if name not in SHIPPED:
        raise ValueError(f"Only what ships is kept beside the model: choose {either(SHIPPED)}.")
    if options.mixes:
        followed(measure_mixes_steps(name))
    elif options.methods:
        followed(measure_methods_steps(open_model(name)))
    elif options.recipes:
        followed(measure_recipes_steps(name))
    elif options.caches:
        followed(measure_caches_steps(name))
    else:
        followed(measure_steps(name))
    print(f"Written to {shipped_folder(name) / 'measured'}.")


def opened_model(options: argparse.Namespace) -> "Model":
    """Open the model of a command, with the importance matrix if one is named."""
    from quantcore.io.imatrix import read_imatrix
    from quantcore.model.source import open_model

    model = open_model(options.model)
    return model.with_imatrix(read_imatrix(options.imatrix)) if options.imatrix else model


def _reading(model: "Model", text: str | None, options: argparse.Namespace) -> "Model":
    """Have control tokens in the text read as the command asks for, and say how they are."""
    if text is None or not model.tokenizer.writes_control(text):
        return model
    as_what = "as such" if options.parse_special else "as characters (--parse-special: as such)"
    print(f"The text writes out control tokens; they are read {as_what}.", file=sys.stderr)
    return model.parsing_special() if options.parse_special else model


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


def by_a_method(options: argparse.Namespace) -> bool:
    """Whether a method is to choose codes; `ValueError` for a text that serves none."""
    if options.by is None and options.calibration is not None:
        raise ValueError("--calibration is for a method: name it by --by")
    return options.by is not None


def stored_by(
    options: argparse.Namespace, model: "Model", type: "Type", judged_on: str | None
) -> "Iterator[Progress[StoredByMethod]]":
    """Store a model by the method of a command, and say where the same text is to judge it."""
    from quantcore.evaluate.text import evaluation_text
    from quantcore.evaluate.whole_by_method import stored_by_steps

    text = None if options.calibration is None else read_text(options.calibration)
    if text is not None and text == (evaluation_text() if judged_on is None else judged_on):
        print(
            "The text that judges is the one that the method was calibrated on: on any other, "
            "figures will be worse.",
            file=sys.stderr,
        )
    return stored_by_steps(model, type, options.by, text)


def read_text(path: Path) -> str:
    """Read a text, its ends of lines as they are; `ValueError` where it is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path} is not UTF-8 text.") from problem
