"""What options name, opened and read: the model, and texts."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantcore.model.source import Model


def opened_model(options: argparse.Namespace) -> "Model":
    """Open the model of a command, with the importance matrix if one is named."""
    from quantcore.io.imatrix import read_imatrix
    from quantcore.model.source import open_model

    model = open_model(options.model)
    return model.with_imatrix(read_imatrix(options.imatrix)) if options.imatrix else model


def reading(model: "Model", text: str | None, options: argparse.Namespace) -> "Model":
    """Have control tokens in the text read as the command asks for, and say how they are."""
    if text is None or not model.tokenizer.writes_control(text):
        return model
    as_what = "as such" if options.parse_special else "as characters (--parse-special: as such)"
    print(f"The text writes out control tokens; they are read {as_what}.", file=sys.stderr)
    return model.parsing_special() if options.parse_special else model


def read_text(path: Path | None) -> str | None:
    """Read a text, its ends of lines as they are; `ValueError` where it is none.

    None, where no option names one, stays None.
    """
    if path is None:
        return None
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path} is not UTF-8 text.") from problem
