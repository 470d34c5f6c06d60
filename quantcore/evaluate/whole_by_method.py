"""A method on all matrices of a model, as a type that perplexity and its like measure."""

from collections.abc import Iterator, Mapping

from quantcore.evaluate.quantized import (
    StoredByMethod,
    Type,
    formats_by_tensor,
    type_name,
)
from quantcore.evaluate.text import calibration_tokens
from quantcore.format import Format, Packed
from quantcore.formats import FORMATS, get_format
from quantcore.methods import get_method
from quantcore.methods.fold import folded
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
        type.
    """
    method, asked = get_method(by), type_name(type)
    names = formats_by_tensor(model, type)
    tokens = calibration_tokens(model, text, context)
    formats = {name: get_format(each) for name, each in names.items()}
    chosen_for = {n: fmt for n, fmt in formats.items() if not model.holds(n, fmt.name)}
    _refuse_useless(model, method, chosen_for)
    steps = choose_all_steps(model, method, chosen_for, tokens)
    return _named(model, formats, asked, method.title, steps)


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
    formats: dict[str, Format],
    asked: str,
    title: str,
    steps: Iterator[Progress[ByName]],
) -> Iterator[Progress[StoredByMethod]]:
    for step in steps:
        result = None
        if step.share >= 1 and step.result is not None:
            result = StoredByMethod(asked, title, _as_stored(model, formats, step.result))
        yield Progress(step.share, f"{title}: {step.stage}", result)


def _as_stored(model: Model, formats: dict[str, Format], chosen: ByName) -> ByName:
    """Put what a file holds already between what was chosen, in the model's order."""
    return {
        name: chosen[name] if name in chosen else _held(model, name, fmt)
        for name, fmt in formats.items()
    }


def _held(model: Model, name: str, fmt: Format) -> Chosen:
    """Call a matrix that stays as it is by the format that a file holds it in."""
    return Chosen(
        format=fmt,
        packed=None,  # whoever writes a file copies its bytes
        restored=model.weights(name),
        stored_bytes=fmt.stored_bytes(model.tensors[name].shape),
    )


def packed_for_gguf(model: Model, stored: StoredByMethod) -> dict[str, Packed]:
    """Bytes of each matrix that was chosen, and of norms and biases that hold scales of columns.

    For `quantize_steps`. Scales fold as `quantcore.methods.fold` says, so that the file computes
    what the method meant without knowing of them.

    Raises
    ------
    ValueError
        If the method stores something besides, which a GGUF file has no place for.
    """
    if stored.inputs != "F32":
        raise ValueError(
            f"{stored.method} rounds inputs too, which no runtime of GGUF files does its way: "
            "choose a method that only chooses codes and scales of columns, such as gptq or awq."
        )
    packed: dict[str, Packed] = {}
    for name, each in stored.chosen.items():
        if each.format.name not in FORMATS or each.rotation is not None:
            raise ValueError(
                f"{name}: {stored.method} stores more than a GGUF file has a place for: choose a "
                "method that only chooses codes and scales of columns, such as gptq or awq."
            )
        if each.packed is not None:
            packed[name] = each.packed
    for names in _by_layer(model):
        scales = {n: stored.chosen[n].column_scales for n in names if n in stored.chosen}
        given = {name: each for name, each in scales.items() if each is not None}
        before = {name: model.weights(name) for name in names} if given else {}
        for name, values in folded(before, given).items():
            if values.ndim == 1 and values is not before[name]:
                packed[name] = FORMATS["F32"].quantize(values)
    return packed


def _by_layer(model: Model) -> list[list[str]]:
    """Names of the tensors of each layer, and of those in none."""
    names: dict[int | None, list[str]] = {}
    for name, tensor in model.tensors.items():
        names.setdefault(tensor.layer, []).append(name)
    return list(names.values())
