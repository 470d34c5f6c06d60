"""The command that sets methods side by side on one matrix."""

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from quantcore.cli.opening import read_text
from quantcore.cli.output import followed, print_json, print_pairs

if TYPE_CHECKING:
    from quantcore.evaluate.by_method import MethodComparison

KEYS = "by type bits_per_weight weight_error output_error seconds note".split()


def method(options: argparse.Namespace) -> None:
    """Print the error of weights and of outputs by each method; save all arrays if asked to."""
    from quantcore.evaluate.by_method import compare_methods_steps
    from quantcore.io.writing import refuse_existing
    from quantcore.model.source import open_model
    from quantcore.recipe.types import get_type

    if options.save is not None:
        refuse_existing(options.save)
    text = read_text(options.calibration)
    model, names = open_model(options.model), options.by.split(",")
    fmt = get_type(options.type).format
    steps = compare_methods_steps(model, options.tensor, fmt, names, text, options.context)
    compared = followed(steps)
    if options.save is not None:
        _save(compared, options)
    rows = [{key: getattr(each, key) for key in KEYS} for each in compared.results]
    if options.json:
        head = {key: getattr(compared, key) for key in ("model", "tensor", "calibration_tokens")}
        print_json(head | {"results": rows})
        return
    print_pairs(
        ("model", compared.model),
        ("tensor", f"{compared.tensor}, {' x '.join(str(n) for n in compared.original.shape)}"),
        ("calibrated on", f"{compared.calibration_tokens:,} tokens"),
    )
    print(f"\n{'by':<12}{'type':<16}{'bits':>8}{'weights':>10}{'outputs':>10}{'seconds':>9}")
    for row in rows:
        errors = f"{row['weight_error']:>10.5f}{row['output_error']:>10.5f}"
        bits = f"{row['bits_per_weight']:>8.4g}"
        print(f"{row['by']:<12}{row['type']:<16}{bits}{errors}{row['seconds']:>9.2f}")
    for row in rows:
        if row["note"]:
            print(f"{row['by']}: {row['note']}")


def _save(compared: "MethodComparison", options: argparse.Namespace) -> None:
    from quantcore.io.writing import whole_file

    arrays: dict[str, Any] = {f"restored_{each.by}": each.restored for each in compared.results}
    arrays |= {
        "original": compared.original,
        "second_moment": compared.second_moment.astype(np.float32),
    }
    with whole_file(options.save, new=True) as file:
        np.savez(file, **arrays)
