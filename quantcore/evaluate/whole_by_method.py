"""A method on all matrices of a model, as a type that perplexity and its like measure."""

from collections.abc import Iterator
from dataclasses import replace

from quantcore.evaluate.quantized import (
    StoredByMethod,
    Type,
    applied_format,
    formats_by_tensor,
    type_name,
)
from quantcore.evaluate.text import calibration_text, context_for, cut
from quantcore.format import Packed
from quantcore.formats import FORMATS, get_format
from quantcore.methods import get_method
from quantcore.methods.whole_model import ByName, choose_all_steps
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
        If type, method or text do not suit the model. At the end, if the method rounds inputs as
        well: that is no way to store weights alone.
    """
    method, asked = get_method(by), type_name(type)
    names = formats_by_tensor(model, type)
    text = calibration_text() if text is None else text
    if context is None:
        context = context_for(model, len(model.tokenizer.encode(text)))
    formats = {name: applied_format(model, name, each) for name, each in names.items()}
    steps = choose_all_steps(model, method, formats, cut(model, text, context).inputs)
    return _named(model, names, asked, method.title, steps)


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
    return dict(chosen) | {
        name: replace(chosen[name], format=get_format(names[name]), note="") for name in held
    }


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
