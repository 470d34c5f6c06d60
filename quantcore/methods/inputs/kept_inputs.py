"""A file that keeps what a text says of the inputs of a matrix: NumPy's .npz, an array a field."""

from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from quantcore.io.writing import whole_file
from quantcore.methods.method import LayerInputs


def keep_inputs(path: Path, inputs: LayerInputs) -> None:
    """Write the file whole, or leave what is there.

    Raises
    ------
    ModelError
        If it cannot be written.
    """
    given = {each.name: getattr(inputs, each.name) for each in fields(inputs)}
    with whole_file(path) as file:
        np.savez(file, **{name: value for name, value in given.items() if value is not None})


def find_inputs(path: Path, n_cols: int) -> LayerInputs | None:
    """Read what `keep_inputs` wrote of a matrix with `n_cols` columns.

    None where there is no such file, or one that is broken or holds something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            known: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        found = LayerInputs(**known | {"n_tokens": int(known["n_tokens"])})
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
    whole = all(
        value.shape[-1:] == (n_cols,) and np.isfinite(value).all()
        for name, value in known.items()
        if name != "n_tokens"
    )
    return found if whole and found.n_tokens > 0 else None
