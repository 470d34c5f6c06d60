"""Methods on a whole model: what each recipe costs, beside plain rounding on the same tokens.

All matrices of the layers get the format of a recipe; the embedding and the output keep `ENDS`, so
that recipes differ only in what methods can choose. A mix is llama-quantize's, as a file has it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.disturbed import Changes, TokenChanges, changes_of, disturbed_steps
from quantcore.evaluate.intervals import interval
from quantcore.evaluate.quantized import formats_by_tensor, llama_of
from quantcore.evaluate.text import calibration_text, cut, evaluation_text
from quantcore.formats import get_format
from quantcore.methods import get_method
from quantcore.methods.whole_model import ByName, choose_all_steps
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.types import get_type

ENDS = "Q8_0"  # of the embedding and the output


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A type for a whole model, and what chooses its codes."""

    type: str  # a mix ("Q4_K_M"), or a format for the matrices of all layers ("Q4_K pure")
    by: str = "rtn"  # a method; of a mix always "rtn"
    with_imatrix: bool = False  # whether a mix is made with the model's importance matrix

    @property
    def name(self) -> str:
        """As tables call it.

        >>> Recipe(type="NF4", by="gptq").name, Recipe(type="Q4_K_M", with_imatrix=True).name
        ('NF4 by gptq', 'Q4_K_M with imatrix')
        """
        return self.type + (
            f" by {self.by}" if self.by != "rtn" else " with imatrix" * self.with_imatrix
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDrift(Changes):
    """What a recipe costs on the evaluation text; ends of intervals hold with 95 % confidence."""

    type: str
    by: str
    with_imatrix: bool
    bits_per_weight: float  # of all matrices, with all that is stored
    seconds: float | None  # that choosing codes took; None where it was on another machine
    kl_low: float
    kl_high: float
    more_than_rounding: float | None  # divergence, less that of the same type by rounding; nats
    more_low: float | None
    more_high: float | None


def method_drift_steps(
    model: Model,
    recipes: Sequence[Recipe],
    text: str | None = None,
    context: int = 512,
    *,
    calibration: str | None = None,
) -> Iterator[Progress[list[MethodDrift]]]:
    """Measure recipes on one text; the last step carries the results, in the order of `recipes`.

    Parameters
    ----------
    text
        By default the evaluation text that ships with the lab.
    calibration
        What methods see; by default the calibration text, never the one that is judged on.

    Raises
    ------
    ValueError
        If a type, a method or a text does not suit the model, or both texts are the same.
    """
    text = evaluation_text() if text is None else text
    calibration = calibration_text() if calibration is None else calibration
    if text == calibration:
        raise ValueError(
            "The same text cannot both calibrate and judge: what was fitted to it would look too "
            "good. Give another one."
        )
    if len({recipe.name for recipe in recipes}) < len(recipes):
        raise ValueError("Two of these recipes are the same.")
    for recipe in recipes:
        get_method(recipe.by)
        if get_type(recipe.type).mix and recipe.by != "rtn":
            raise ValueError(
                f"{recipe.type} is a mix, which is made by rounding: a method takes one format, "
                f"such as {get_type(recipe.type, pure=True).name}."
            )
    chunks, seen = cut(model, text, context), cut(model, calibration, context).inputs
    return _steps(model, recipes, chunks, seen)


def _steps(model, recipes, chunks, seen) -> Iterator[Progress[list[MethodDrift]]]:
    original, made, part = llama_of(model), {}, 0.7
    for i, recipe in enumerate(recipes):
        for step in _made(model, original, recipe, seen):
            share = part * (i + step.share) / len(recipes)
            yield Progress(share, f"{recipe.name}: {step.stage}")
        made[recipe.name] = step.known
    passes = {name: each.llama.hidden_by_layer for name, each in made.items()}
    for scored in disturbed_steps(original, passes, chunks):
        yield Progress(part + (1 - part) * scored.share, scored.stage)
    tokens, context = scored.known, chunks.tokens.shape[1]
    results = [
        _drift(recipe, made[recipe.name], tokens, context, len(chunks.tokens)) for recipe in recipes
    ]
    yield Progress(1.0, "done", results)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    llama: Llama
    bits_per_weight: float
    seconds: float


def _made(
    model: Model, original: Llama, recipe: Recipe, seen: NDArray[np.int32]
) -> Iterator[Progress[_Made]]:
    start = time.perf_counter()
    n_weights = sum(model.tensors[name].n_weights for name in model.quantizable)
    meant = get_type(recipe.type)
    if meant.mix:
        imatrix = model.imatrix if recipe.with_imatrix else None
        with_matrix = model if imatrix is None else model.with_imatrix(imatrix)
        formats = formats_by_tensor(with_matrix, recipe.type)
        llama = llama_of(with_matrix, recipe.type)
        n_bytes = sum(
            get_format(fmt).stored_bytes(model.tensors[name].shape) for name, fmt in formats.items()
        )
    else:
        wanted = {
            name: get_format(ENDS) if model.tensors[name].layer is None else meant.format
            for name in model.quantizable
        }
        chosen: ByName = {}
        for step in choose_all_steps(model, get_method(recipe.by), wanted, seen):
            chosen = step.result or {}
            yield Progress(step.share, step.stage)
        llama = original.replaced({name: each.restored for name, each in chosen.items()})
        n_bytes = sum(each.stored_bytes for each in chosen.values())
    seconds = time.perf_counter() - start
    yield Progress(1.0, "done", _Made(llama, 8 * n_bytes / n_weights, seconds))


def _drift(
    recipe: Recipe, made: _Made, tokens: dict[str, TokenChanges], context: int, n_chunks: int
) -> MethodDrift:
    mine = tokens[recipe.name]
    plain = tokens.get(Recipe(type=recipe.type).name)
    more: dict[str, Any] = dict.fromkeys(("more_than_rounding", "more_low", "more_high"))
    if plain is not None and plain is not mine:
        difference = (mine.kl - plain.kl).reshape(n_chunks, -1)
        low, high = interval(difference)
        more = {
            "more_than_rounding": float(difference.mean()),
            "more_low": low,
            "more_high": high,
        }
    low, high = interval(mine.kl.reshape(n_chunks, -1))
    return MethodDrift(
        type=recipe.type,
        by=recipe.by,
        with_imatrix=recipe.with_imatrix,
        bits_per_weight=made.bits_per_weight,
        seconds=made.seconds,
        kl_low=low,
        kl_high=high,
        **changes_of(mine, context),
        **more,
    )
