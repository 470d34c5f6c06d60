"""The commands that make the file of a plan: llama.cpp's, and the lab's own."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from quantcore.model.source import Model
from quantcore.recipe.plan import Plan
from quantcore.recipe.quantize import quantized_again


def quantize_commands(
    model: Model,
    made: Plan,
    place: str | Path,
    output: str | Path,
    types_file: str | Path | None = None,
) -> tuple[str, str]:
    """Write the command of `llama-quantize` and that of `python -m quantcore` that make a file.

    Parameters
    ----------
    place
        Where whoever runs them finds the model. Of a folder llama.cpp reads the GGUF file in F16
        that its converter makes, which is taken to be called NAME-F16.gguf; of one with outlier
        channels, which no converter knows, NAME-F32.gguf, as the lab writes it in type F32.
    output
        File to be written.
    types_file
        File of types by tensors' names (`overrides_as_text`), where the plan has some.

    Examples
    --------
    >>> from quantcore.model.source import open_model
    >>> from quantcore.recipe.plan import plan
    >>> model = open_model()
    >>> quantize_commands(model, plan(model, "Q4_0"), "fable-7m", "small.gguf")[0]
    'llama-quantize fable-7m-F16.gguf small.gguf Q4_0'
    """
    file_type = made.file_type.name
    options = ["--imatrix", "imatrix.gguf"] * (made.with_imatrix or made.needs_imatrix)
    options += ["--pure"] * made.pure
    options += ["--tensor-type-file", str(types_file)] if types_file else []
    wide = "F16" if model.base is None else "F32"
    in_gguf = model.base is None and model.path.is_file()
    source = place if in_gguf else f"{model.stem}-{wide}.gguf"
    again = ["--allow-requantize"] * bool(quantized_again(model, made))
    theirs = ["llama-quantize", *again, *options, source, output, file_type]
    ours = ["python", "-m", "quantcore", "quantize", place, "--type", file_type, *options]
    return _line(theirs), _line([*ours, "--output", output])


def _line(words: Sequence[str | Path]) -> str:
    """Write a command for a shell: names with spaces are quoted."""
    return shlex.join(map(str, words))
