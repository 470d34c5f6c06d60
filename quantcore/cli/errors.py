"""The command that prints the error of every matrix: of a type alone, or as a method stores it."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from quantcore.cli.by_method import by_a_method, stored_by
from quantcore.cli.opening import opened_model, read_text
from quantcore.cli.output import followed, print_json, print_pairs, show

if TYPE_CHECKING:
    from quantcore.evaluate.quantized import Type
    from quantcore.evaluate.stored_errors import StoredError
    from quantcore.model.source import Model

KEYS = "name shape format relative_rmse sqnr_db max_abs_error bits_per_weight".split()
Rows = list[dict[str, Any]]


def error(options: argparse.Namespace) -> None:
    """Print the error of every matrix."""
    from quantcore.model.original import original_of
    from quantcore.recipe.types import get_type

    model, type = opened_model(options), get_type(options.type, options.pure).name
    if by_a_method(options):
        _by_method(options, model, type)
        return
    rows, stored_as = _rounded(model, type), original_of(model).stored_as
    if options.json:
        print_json({"model": model.name, "type": type, "stored_as": stored_as, "tensors": rows})
        return
    _print_table(rows)
    if any(tensor.layout for tensor in model.tensors.values()):
        print(f"The original is what {model.name} is decoded to, which is stored as {stored_as}.")


def _rounded(model: "Model", type: str) -> Rows:
    from quantcore.evaluate.weight_error import model_errors

    rows: Rows = []
    for measured in model_errors(model, type):
        show(len(rows) / len(model.quantizable), measured.name)
        rows.append({key: getattr(measured, key) for key in KEYS})
    show(1.0, "done")
    for name, dtype in model.unreadable.items():
        print(f"{name} is not measured: the lab cannot read {dtype}.", file=sys.stderr)
    return rows


def _by_method(options: argparse.Namespace, model: "Model", type: "Type") -> None:
    from quantcore.evaluate.quantized import type_name
    from quantcore.evaluate.stored_errors import stored_error_steps
    from quantcore.evaluate.text import calibration_tokens

    stored = stored_by(options, model, type)
    tokens = calibration_tokens(model, read_text(options.calibration))
    errors = followed(stored_error_steps(model, stored, tokens))
    rows = [{key: getattr(each, key) for key in [*KEYS, "output_error", "note"]} for each in errors]
    head = {"model": model.name, "type": type_name(stored), "calibration_tokens": tokens.size}
    if options.json:
        print_json(head | {"tensors": rows})
        return
    print_pairs(
        ("model", model.name),
        ("type", type_name(stored)),
        ("outputs", f"over the {tokens.size:,} tokens that the method was calibrated on"),
    )
    print()
    _print_table(rows)
    for line in _notes(errors):
        print(line)


def _print_table(rows: Rows) -> None:
    outputs = any("output_error" in row for row in rows)
    columns = f"{'rel. RMSE':>10}{'SQNR':>10}{'max':>11}{'bits':>8}" + f"{'outputs':>10}" * outputs
    print(f"{'tensor':<28}{'shape':>14}  {'format':<12}{columns}")
    for row in rows:
        shape = " x ".join(str(n) for n in row["shape"])
        known = row.get("output_error")
        of_outputs = f"{'-' if known is None else f'{known:.5f}':>10}" if outputs else ""
        print(
            f"{row['name']:<28}{shape:>14}  {row['format']:<12}{row['relative_rmse']:>10.5f}"
            f"{row['sqnr_db']:>7.2f} dB{row['max_abs_error']:>11.3g}{row['bits_per_weight']:>8.4g}"
            f"{of_outputs}"
        )


def _notes(errors: "list[StoredError]") -> list[str]:
    """Say each note once, and of which matrices."""
    named: dict[str, list[str]] = {}
    for each in errors:
        if each.note:
            named.setdefault(each.note, []).append(each.name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}"
        for note, names in named.items()
    ]
