"""The command that writes a checkpoint of packed integers."""

import argparse

from quantcore.cli.opening import read_text
from quantcore.cli.output import followed


def export(options: argparse.Namespace) -> None:
    """Write a folder, and say what it takes."""
    from quantcore.checkpoint.export import export_steps
    from quantcore.evaluate.text import calibration_tokens
    from quantcore.model.source import open_model

    text = read_text(options.calibration)
    model = open_model(options.model)
    tokens = calibration_tokens(model, text, options.context)
    how = {"by": options.by}
    folder = followed(
        export_steps(model, options.layout, options.type, options.output, tokens, **how)
    )
    n_bytes = sum(file.stat().st_size for file in folder.iterdir())
    print(
        f"{folder}: {options.type.upper()} by {options.by} as {options.layout}, {n_bytes:,} bytes"
    )
