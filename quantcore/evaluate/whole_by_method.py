"""A method on all matrices of a model, as a type that perplexity and its like measure."""

from collections.abc import Iterator
from dataclasses import replace

from quantcore.evaluate.quantized import StoredByMethod, applied_format, formats_by_tensor
from quantcore.evaluate.text import calibration_text, context_for, cut
from quantcore.formats import get_format
from quantcore.methods import get_method
from quantcore.methods.whole_model import ByName, choose_all_steps
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.types import get_type


def stored_by_steps(
    model: Model, type: str, by: str, text: str | None = None, context: int | None = None
) -> Iterator[Progress[StoredByMethod]]:
    """Store every matrix of a model by a method; the last step carries what was chosen.

    Matrices see the model as quantized so far. What the method cannot take, such as the embedding,
    is rounded to nearest, and what a file holds in its format already stays.

    Parameters
    ----------
    type
        A mix ("Q4_K_M") or one format on every matrix ("Q4_K pure", "INT4_G128").
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
    method, asked = get_method(by), get_type(type).name
    names = formats_by_tensor(model, asked)
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
