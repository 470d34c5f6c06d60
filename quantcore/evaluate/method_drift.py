"""Methods on a whole model: what each recipe costs, beside plain rounding on the same tokens.

All matrices of the layers get the format of a recipe; the embedding and the output keep `ENDS`, so
that recipes differ only in what methods can choose. A mix is llama-quantize's, as a file has it.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.disturbed import TokenChanges, changes_of, disturbed_steps
from quantcore.evaluate.intervals import block_sums, interval
from quantcore.evaluate.quantized import formats_by_tensor, llama_of
from quantcore.evaluate.recipes import MethodDrift, Recipe
from quantcore.evaluate.skills import SkillScore, skill_steps
from quantcore.evaluate.text import Chunks, calibration_text, context_for, cut, evaluation_text
from quantcore.formats import get_format
from quantcore.methods import get_method
from quantcore.methods.fold import deployed
from quantcore.methods.whole_model import ByName, choose_all_steps
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.types import get_type

ENDS = "Q8_0"  # of the embedding and the output


def method_drift_steps(
    model: Model,
    recipes: Sequence[Recipe],
    text: str | None = None,
    context: int = 512,
    *,
    calibration: str | None = None,
    with_skills: bool = False,
) -> Iterator[Progress[list[MethodDrift]]]:
    """Measure recipes on one text; the last step carries the results, in the order of `recipes`.

    Parameters
    ----------
    text
        By default the evaluation text that ships with the lab.
    calibration
        What methods see; by default the calibration text, never the one that is judged on.
    with_skills
        Whether each recipe also answers the questions on skills that ship with the lab.

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
        check_recipe(model, recipe)
    chunks = cut(model, text, context)
    fits = context_for(model, len(model.tokenizer.encode(calibration)))
    seen = cut(model, calibration, min(context, fits)).inputs
    return _steps(model, recipes, chunks, seen, with_skills)


def check_recipe(model: Model, recipe: Recipe) -> None:
    """Raise a `ValueError` if a model cannot be stored by a recipe; one sentence."""
    recipe.check()
    meant, method = get_type(recipe.type), get_method(recipe.by)
    if meant.mix:
        if recipe.with_imatrix and model.imatrix is None:
            raise ValueError(
                f"{model.name} has no importance matrix, which {recipe.name} needs: choose "
                f"{recipe.type} alone."
            )
        formats_by_tensor(model, recipe.type)
        return
    for name in model.quantizable:
        tensor = model.tensors[name]
        try:
            if tensor.layer is None:
                get_format(ENDS).check(tensor.shape)
            else:
                method.check(tensor.shape, meant.format)
        except ValueError as problem:
            raise ValueError(f"{recipe.name}: {problem}") from problem


def _steps(
    model: Model,
    recipes: Sequence[Recipe],
    chunks: Chunks,
    seen: NDArray[np.int32],
    with_skills: bool,
) -> Iterator[Progress[list[MethodDrift]]]:
    original, made, part = llama_of(model), {}, 0.4 if with_skills else 0.7
    for i, recipe in enumerate(recipes):
        for step in _made(model, recipe, seen):
            share = part * (i + step.share) / len(recipes)
            yield Progress(share, f"{recipe.name}: {step.stage}")
        made[recipe.name] = step.known
    llamas = {name: each.llama for name, each in made.items()}
    passes = {name: llama.hidden_by_layer for name, llama in llamas.items()}
    scoring = 0.2 if with_skills else 1 - part
    for scored in disturbed_steps(original, passes, chunks, llamas):
        yield Progress(part + scoring * scored.share, scored.stage)
    skills: dict[str, list[SkillScore]] = {}
    for i, (name, llama) in enumerate(llamas.items() if with_skills else ()):
        for asked in skill_steps(model, llama):
            share = part + scoring + (1 - part - scoring) * (i + asked.share) / len(made)
            yield Progress(share, f"{name}: {asked.stage}")
        skills[name] = asked.known
    shape = chunks.tokens.shape
    results = [_drift(each, made[each.name], scored.known, shape, skills) for each in recipes]
    yield Progress(1.0, "done", results)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    llama: Llama
    bits_per_weight: float
    seconds: float


def _made(model: Model, recipe: Recipe, seen: NDArray[np.int32]) -> Iterator[Progress[_Made]]:
    start = time.process_time()  # of this process alone, all of its threads
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
        weights = {name: model.weights(name) for name in model.tensors}
        llama = deployed(model.config, weights, chosen)
        n_bytes = sum(each.stored_bytes for each in chosen.values())
    seconds = time.process_time() - start
    yield Progress(1.0, "done", _Made(llama, 8 * n_bytes / n_weights, seconds))


def _drift(
    recipe: Recipe,
    made: _Made,
    tokens: Mapping[str, TokenChanges],
    shape: tuple[int, ...],  # of the chunks
    skills: Mapping[str, Sequence[SkillScore]],
) -> MethodDrift:
    n_chunks, context = shape
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
    by_chunk = mine.kl.reshape(n_chunks, -1)
    low, high = interval(by_chunk)
    answers = skills.get(recipe.name)
    return MethodDrift(
        type=recipe.type,
        by=recipe.by,
        with_imatrix=recipe.with_imatrix,
        bits_per_weight=made.bits_per_weight,
        seconds=made.seconds,
        base_perplexity=float(np.exp(mine.base_nll.mean())),
        kl_low=low,
        kl_high=high,
        kl_sums=tuple(tuple(map(float, sums)) for sums in block_sums(by_chunk)),
        skills=None if answers is None else tuple(answers),
        **changes_of(mine, context),
        **more,
    )
