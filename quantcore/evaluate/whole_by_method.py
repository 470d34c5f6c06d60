"""A method on all matrices of a model, as a type that perplexity and its like measure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from quantcore.evaluate.quantized import (
    StoredByMethod,
    Type,
    applied_format,
    formats_by_tensor,
    type_name,
)
from quantcore.evaluate.text import calibration_tokens
from quantcore.format import Format, Packed
from quantcore.formats import FORMATS, get_format
from quantcore.methods import get_method
from quantcore.methods.method import Chosen, Method
from quantcore.methods.whole_model import ByName, choose_all_steps, why_not
from quantcore.model.source import Model
from quantcore.progress import Progress


def stored_by_steps(
    model: Model, type: Type, by: str, text: str | None = None, context: int | None = None
) -> Iterator[Progress[StoredByMethod]]:
    """Store every matrix of a model by a method; the last step carries what was chosen.

    Matrices see the model as quantized so far. What the method cannot take, such as the embedding,
    is rounded to nearest, and what a file holds in its format already stays.

    Parameters
    ----------
    type
        A mix ("Q4_K_M"), one format on every matrix ("Q4_K pure"), or formats by tensor.
    by
        A name in `quantcore.methods.METHODS`.
    text
        What inputs are taken from, by default the calibration text that ships with the lab.
    context
        Tokens a chunk; by default the most of the usual that the text fills.

    Raises
    ------
    ValueError
        If type, method or text do not suit the model, or the method could choose nothing in the
        type. At the end, if the method rounds inputs too: that is no way to store weights alone.
    """
    method, asked = get_method(by), type_name(type)
    names = formats_by_tensor(model, type)
    tokens = calibration_tokens(model, text, context)
    formats = {name: applied_format(model, name, each) for name, each in names.items()}
    changed = {n: fmt for n, fmt in formats.items() if not model.holds(n, names[n])}
    _refuse_useless(model, method, changed)
    steps = choose_all_steps(model, method, formats, tokens)
    return _named(model, names, asked, method.title, steps)


def _refuse_useless(model: Model, method: Method, formats: Mapping[str, Format]) -> None:
    """Refuse a type in which a method could only leave every matrix to rounding."""
    if not formats:
        raise ValueError(
            f"{method.title} can choose nothing here: all matrices are stored so already, and stay."
        )
    problems = [why_not(model, method, name, fmt) for name, fmt in formats.items()]
    if all(problems):
        raise ValueError(f"{method.title} can choose nothing here: {problems[-1]}")


def _named(
    model: Model,
    names: dict[str, str],
    asked: str,
    title: str,
    steps: Iterator[Progress[ByName]],
) -> Iterator[Progress[StoredByMethod]]:
    for step in steps:
        result = None
        if step.share >= 1 and step.result is not None:
            result = StoredByMethod(asked, title, _as_stored(model, names, step.result, title))
        yield Progress(step.share, f"{title}: {step.stage}", result)


def _as_stored(model: Model, names: dict[str, str], chosen: ByName, title: str) -> ByName:
    rounds = next((each.inputs for each in chosen.values() if each.inputs != "F32"), None)
    if rounds is not None:
        raise ValueError(
            f"{title} rounds inputs too, which is measured on single matrices only: use the "
            "command method, or choose another."
        )
    held = [name for name in names if model.holds(name, names[name])]
    return dict(chosen) | {name: _held(model, name, names[name], chosen[name]) for name in held}


def _held(model: Model, name: str, format_name: str, chosen: Chosen) -> Chosen:
    """Call what stays as it is by the format that a file holds it in."""
    fmt = get_format(format_name)
    n_bytes = fmt.stored_bytes(model.tensors[name].shape)
    return replace(chosen, format=fmt, stored_bytes=n_bytes, note="")


def bytes_for_gguf(stored: StoredByMethod) -> dict[str, Packed]:
    """Bytes of each matrix, for `quantize_steps`.

    Raises
    ------
    ValueError
        If the method stores something besides, which a GGUF file has no place for.
    """
    for name, each in stored.chosen.items():
        beside = (each.column_scales, each.row_scales, each.rotation)
        if each.format.name not in FORMATS or any(one is not None for one in beside):
            raise ValueError(
                f"{name}: {stored.method} stores more than a GGUF file has a place for: choose a "
                "method that only chooses codes, such as gptq."
            )
    return {name: each.packed for name, each in stored.chosen.items()}
