"""The command line: `python -m quantcore COMMAND`, listed by `--help`.

With --json, one object on standard output and nothing else there; progress goes to standard error.
A mistake of the user gives one sentence there and exit status 2.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

PERPLEXITY_KEYS = (
    "model type context tokens_scored perplexity perplexity_error base_perplexity floor_perplexity "
    "mean_kl_divergence same_top_token bits_per_weight weights_bytes"
).split()
PLAN_KEYS = "name shape type rule fallback bytes".split()
ERROR_KEYS = "name shape format relative_rmse sqnr_db max_abs_error bits_per_weight".split()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its status: 0 done, 1 not healthy, 2 a mistake, 130 stopped."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _complain("Stopped.", 130)
    except MemoryError:
        return _complain("There is not enough memory for that.", 2)
    except (ValueError, OSError) as problem:
        return _complain(_sentence(problem), 2)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_complain(message[:1].upper() + message[1:] + ".", 2))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m quantcore", description="Measure what quantization does.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, run: Callable, says: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=says, description=says)
        found.set_defaults(run=run)
        return found

    def on_model(
        name: str, run: Callable, says: str, type_required: bool
    ) -> argparse.ArgumentParser:
        found = command(name, run, says)
        found.add_argument("model", nargs="?", metavar="MODEL", help="a folder (default: shipped)")
        what = "Q4_K_M, Q4_0, ... as llama-quantize mixes them; INT4_G128, ... throughout"
        what += "" if type_required else " (default: F32, the original)"
        default = None if type_required else "F32"
        found.add_argument("--type", required=type_required, default=default, help=what)
        found.add_argument("--pure", action="store_true", help="one format on every matrix")
        found.add_argument("--json", action="store_true", help="print one JSON object")
        return found

    run = on_model("perplexity", _perplexity, "Perplexity and divergence from the original.", False)
    run.add_argument("--text", type=Path, metavar="FILE", help="UTF-8 text (default: shipped)")
    run.add_argument("--context", type=int, default=512, metavar="N", help="tokens a chunk (512)")
    what = "Q8: rounded as llama.cpp does on a CPU, with its F16 cache (default: F32)"
    run.add_argument("--activations", choices=["F32", "Q8"], default="F32", help=what)
    on_model("error", _error, "Error of each tensor in a mix or a format.", True)
    on_model("skills", _skills, "Right answers by skill, of the shipped model.", False)

    def with_mix(name: str, run: Callable, says: str, where: str) -> argparse.ArgumentParser:
        found = command(name, run, says)
        found.add_argument("model", nargs="?", metavar="MODEL", help=where)
        found.add_argument("--type", required=True, help="Q4_K_M, Q5_K_S, IQ4_XS, ...")
        found.add_argument("--pure", action="store_true", help="one type for every matrix")
        found.add_argument("--output-tensor-type", metavar="T", help="type of the output")
        found.add_argument("--token-embedding-type", metavar="T", help="type of the embedding")
        what = "type of all tensors in whose name the pattern is found"
        found.add_argument(
            "--tensor-type", action="append", default=[], metavar="PATTERN=T", help=what
        )
        found.add_argument("--tensor-type-file", type=Path, metavar="FILE", help="a list of such")
        return found

    run = with_mix("plan", _plan, "Each tensor's type in a file, and why.", "folder, config.json")
    run.add_argument("--with-imatrix", action="store_true", help="as if there were one")
    run.add_argument("--json", action="store_true", help="print one JSON object")
    run = with_mix("quantize", _quantize, "Write a GGUF file for llama.cpp.", "a folder")
    run.add_argument("--output", type=Path, required=True, metavar="FILE.gguf")
    what = "importance matrix: GGUF, or the older .dat"
    run.add_argument("--imatrix", type=Path, metavar="FILE", help=what)
    run = command("imatrix", _imatrix, "Measure the importance matrix: mean squared inputs.")
    run.add_argument("model", nargs="?", metavar="MODEL", help="a folder (default: shipped)")
    run.add_argument("--text", type=Path, metavar="FILE", help="UTF-8 text (default: shipped)")
    run.add_argument("--context", type=int, default=512, metavar="N", help="tokens a chunk (512)")
    run.add_argument("--process-output", action="store_true", help="the output matrix too")
    run.add_argument("--output", type=Path, required=True, metavar="FILE.gguf")
    run.add_argument("--json", action="store_true", help="print one JSON object")
    command("measure", _measure, "Measure again what the pages show of the shipped model.")
    command("compile", _compile, "Compile the kernels ahead.")
    doctor = command("doctor", _doctor, "What this machine has and lacks for the lab.")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _perplexity(options: argparse.Namespace) -> None:
    from quantcore.evaluate.drift import drift_chunks, summary_of
    from quantcore.model.source import open_model
    from quantcore.recipe.types import get_type

    text = None if options.text is None else _read_text(options.text)
    type, activations = get_type(options.type, options.pure).name, options.activations
    steps = drift_chunks(open_model(options.model), type, text, options.context, activations)
    (drift,) = _followed(steps).drifts.values()
    if options.json:
        found = summary_of(drift)
        printed = {key: found[key] for key in PERPLEXITY_KEYS}
        _print_json(printed | {"activations": activations})
        return
    floor = (
        "unknown for this text"
        if drift.floor_perplexity is None
        else f"{drift.floor_perplexity:.4f}"
    )
    scored = f"{drift.perplexity:.4f} ± {drift.perplexity_error:.4f}"
    divergence = (
        f"{drift.mean_kl_divergence:.6f} ± {drift.mean_kl_divergence_error:.6f} nats a token"
    )
    _print_pairs(
        ("model", drift.model),
        ("type", f"{drift.type}, {drift.bits_per_weight:.3f} bits per weight"),
        ("weights", f"{drift.weights_bytes:,} bytes, norms in F32 included"),
        ("activations", activations),
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


def _error(options: argparse.Namespace) -> None:
    from quantcore.evaluate.weight_error import model_errors
    from quantcore.model.source import open_model
    from quantcore.recipe.types import get_type

    model, type = open_model(options.model), get_type(options.type, options.pure).name
    rows = []
    for row in model_errors(model, type):
        _show(len(rows) / len(model.quantizable), row.name)
        rows.append({key: getattr(row, key) for key in ERROR_KEYS})
    _show(1.0, "done")
    if options.json:
        _print_json({"model": model.name, "type": type, "tensors": rows})
        return
    columns = f"{'rel. RMSE':>10}{'SQNR':>10}{'max':>11}{'bits':>8}"
    print(f"{'tensor':<28}{'shape':>14}  {'format':<12}{columns}")
    for row in rows:
        shape = " x ".join(str(n) for n in row["shape"])
        print(
            f"{row['name']:<28}{shape:>14}  {row['format']:<12}{row['relative_rmse']:>10.5f}"
            f"{row['sqnr_db']:>7.2f} dB{row['max_abs_error']:>11.3g}{row['bits_per_weight']:>8.4g}"
        )


def _skills(options: argparse.Namespace) -> None:
    from quantcore.evaluate.quantized import llama_of
    from quantcore.evaluate.skills import skill_steps
    from quantcore.model.source import open_model
    from quantcore.recipe.types import get_type

    model, type = open_model(options.model), get_type(options.type, options.pure).name
    scores = _followed(skill_steps(model, llama_of(model, type))).scores
    if options.json:
        rows = [asdict(score) for score in scores]
        _print_json({"model": model.name, "type": type, "skills": rows})
        return
    print(f"{'skill':<14}{'level':<8}{'right':>6}{'of':>6}")
    for score in scores:
        share = f"{score.correct / score.total:.0%}"
        print(f"{score.skill:<14}{score.level:<8}{score.correct:>6}{score.total:>6}{share:>7}")


def _planned(contents: object, options: argparse.Namespace, imatrix: bool) -> object:
    from quantcore.recipe.overrides import parse_override, read_overrides
    from quantcore.recipe.plan import plan

    overrides = [parse_override(text) for text in options.tensor_type]
    if options.tensor_type_file is not None:
        overrides += read_overrides(options.tensor_type_file)
    return plan(
        contents,
        options.type,
        imatrix=imatrix,
        pure=options.pure,
        output_type=options.output_tensor_type and options.output_tensor_type.upper(),
        embedding_type=options.token_embedding_type and options.token_embedding_type.upper(),
        overrides=overrides,
    )


def _quantize(options: argparse.Namespace) -> None:
    from quantcore.io.imatrix import read_imatrix
    from quantcore.model.source import open_model
    from quantcore.recipe.quantize import quantize

    model = open_model(options.model)
    imatrix = None if options.imatrix is None else read_imatrix(options.imatrix)
    planned = _planned(model, options, imatrix=imatrix is not None)
    _followed(quantize(model, planned, options.output, imatrix))
    print(
        f"{options.output}: {planned.file_type.name}, {options.output.stat().st_size:,} bytes, "
        f"{planned.bits_per_weight:.4f} bits per weight"
    )


def _imatrix(options: argparse.Namespace) -> None:
    from quantcore.evaluate.importance import imatrix_steps
    from quantcore.io.gguf_writer import refuse_existing
    from quantcore.io.imatrix import write_imatrix
    from quantcore.model.source import open_model

    refuse_existing(options.output)  # before minutes of work
    text = None if options.text is None else _read_text(options.text)
    name = "calibration.txt" if options.text is None else options.text.name
    model = open_model(options.model)
    steps = imatrix_steps(
        model, text, options.context, dataset=name, process_output=options.process_output
    )
    imatrix = _followed(steps).imatrix
    write_imatrix(options.output, imatrix)
    found = {
        "model": model.name,
        "text": name,
        "context": imatrix.chunk_size,
        "chunks": imatrix.chunk_count,
        "entries": len(imatrix.sums),
        "output": str(options.output),
        "bytes": options.output.stat().st_size,
    }
    if options.json:
        _print_json(found)
        return
    _print_pairs(
        *((key, f"{value:,}" if isinstance(value, int) else value) for key, value in found.items())
    )


def _plan(options: argparse.Namespace) -> None:
    from quantcore.recipe.contents import read_contents

    planned = _planned(read_contents(options.model), options, options.with_imatrix)
    if options.json:
        rows = [{key: getattr(row, key) for key in PLAN_KEYS} for row in planned.tensors]
        size = {"bits_per_weight": planned.bits_per_weight, "bytes": planned.bytes}
        _print_json(
            {"model": planned.model, "type": planned.file_type.name, "tensors": rows} | size
        )
        return
    print(f"{'tensor':<28}{'shape':>16}  {'type':<8}{'bytes':>14}  rule")
    for row in planned.tensors:
        shape = " x ".join(str(n) for n in row.shape)
        print(f"{row.name:<28}{shape:>16}  {row.type:<8}{row.bytes:>14,}  {row.rule}")
    mixed = "pure" if planned.pure else "mixed"
    print(
        f"\n{planned.file_type.name}, {mixed}: {planned.bytes:,} bytes, "
        f"{planned.bits_per_weight:.4f} bits per weight, {planned.n_fallbacks} fallbacks"
    )
    if any(row.needs_imatrix for row in planned.tensors):
        print("llama-quantize refuses this without an importance matrix.")


def _measure(options: argparse.Namespace) -> None:
    from quantcore.evaluate.measured import measure

    folder = _followed(measure()).folder
    print(f"Written to {folder}.")


def _compile(options: argparse.Namespace) -> None:
    from quantcore.warm import compile_all

    for what, seconds in compile_all():
        print(f"{what:<16}{seconds:6.1f} s", flush=True)


def _doctor(options: argparse.Namespace) -> int:
    from quantcore import doctor

    return doctor.main(as_json=options.json)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path} is not UTF-8 text.") from problem


def _followed(steps: Iterable) -> object:
    """Run through an iterator of progress, showing it, and return its last step."""
    last, start = None, time.monotonic()
    for last in steps:
        stage = getattr(last, "stage", "")
        _show(last.share, _left(last.share, time.monotonic() - start) + stage)
    return last


def _left(share: float, seconds: float) -> str:
    """Say how long the rest takes, once there is something to go by.

    >>> _left(0.25, 30), _left(0.02, 20), _left(0.5, 1)
    ('1:30 left  ', '16:20 left  ', '')
    """
    if seconds < 2 or not 0.01 < share < 1:
        return ""
    minutes, seconds = divmod(round(seconds * (1 / share - 1)), 60)
    return f"{minutes}:{seconds:02} left  "


_shown = -1


def _show(share: float, stage: str) -> None:
    """Progress on standard error: a line that rewrites itself, or every tenth in a file."""
    global _shown
    if sys.stderr.isatty():
        print(f"\r{share:4.0%}  {stage:<50.50}", end="\n" if share >= 1 else "", file=sys.stderr)
    elif (tenth := int(share * 10)) != _shown:
        _shown = tenth
        print(f"{share:4.0%}  {stage}", file=sys.stderr)


def _complain(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


def _sentence(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return f"{problem.filename}: {problem.strerror}." if problem.filename else problem.strerror
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def _print_json(found: object) -> None:
    print(json.dumps(_finite(found), allow_nan=False))


def _finite(found: object) -> object:
    """JSON knows no infinity: the SQNR of a lossless format becomes null."""
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found


def _print_pairs(*pairs: tuple[str, str]) -> None:
    for name, value in pairs:
        print(f"{name:<16} {value}")
