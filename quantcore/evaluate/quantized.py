"""A model with its matrices put through formats: it runs as a file of that type would."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import refuse_lost
from quantcore.format import Format
from quantcore.formats import FORMATS, get_format
from quantcore.formats.fitting import either, fits, instead, replacement
from quantcore.io import ModelError
from quantcore.model.activations import input_type
from quantcore.model.cache_types import CacheTypes
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.recipe.quantize import importance_of
from quantcore.recipe.types import ModelType, get_type, mix_needs_imatrix, mixed_formats

if TYPE_CHECKING:
    from quantcore.methods.method import Chosen  # all methods come with it, and most do without

Activations = Literal["F32", "Q8"]  # Q8: inputs rounded as llama.cpp's CPU kernels do
# A name as `quantcore.recipe.types` reads it: "Q4_K_M" a mix, "Q4_K pure" one format throughout;
# or the format of each matrix by its name; what a method has chosen is such a mapping too.
Type = str | Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class StoredByMethod(Mapping[str, str]):
    """The format of each matrix, and what a method has stored in it."""

    asked: str  # the type, as `get_type` spells it
    method: str  # its title
    chosen: "Mapping[str, Chosen]"  # for every matrix of the model

    @property
    def inputs(self) -> str:
        """What the method rounds inputs to while the model runs; "F32" if it does not."""
        kinds = {each.inputs for each in self.chosen.values()}
        return min(kinds - {"F32"}, default="F32")

    def run(self, llama: Llama) -> Llama:
        """Let a model whose weights are stored so round its inputs as the method does."""
        return llama.rounding({name: each.inputs for name, each in self.chosen.items()})

    def __getitem__(self, name: str) -> str:
        return self.chosen[name].format.name

    def __iter__(self) -> Iterator[str]:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a type does to each matrix of a model that it can store, and why not to the others."""

    formats: dict[str, str]  # by tensor
    left_out: dict[str, str]  # why, in a sentence, by tensor


def fitting_formats(model: Model, type: str) -> Fitting:
    """Name the format of each matrix that can be stored in a type; the others are no mistake.

    A mix fits whole or not at all: of a row that does not divide its rules say what to do.

    Raises
    ------
    ValueError
        If there is no such type.
    """
    meant, fitting = get_type(type), Fitting({}, {})
    if meant.mix:
        try:
            fitting.formats.update(mixed_formats(model, meant.mix))
        except ModelError as problem:
            fitting.left_out.update(dict.fromkeys(model.quantizable, str(problem)))
        return fitting
    for name in model.quantizable:
        try:
            meant.format.check(model.tensors[name].shape)
            needed_importance(model, name, meant.format.name)
            fitting.formats[name] = meant.format.name
        except ValueError as problem:
            fitting.left_out[name] = str(problem)
    return fitting


def formats_by_tensor(model: Model, type: Type) -> dict[str, str]:
    """Name the format of each quantizable tensor, spelled as the lab spells it.

    Raises
    ------
    ValueError
        If a type is unknown, wants an importance matrix, or cannot store a tensor of that shape;
        before any work is done.
    """
    meant = None
    if isinstance(type, StoredByMethod):
        return dict(type)
    if isinstance(type, str):
        meant = get_type(type)
        if meant.mix:
            return mixed_formats(model, meant.mix)
        type = dict.fromkeys(model.quantizable, meant.format.name)
    chosen = {}
    for name in model.quantizable:
        fmt = get_format(type[name])
        check_fit(model, name, fmt, meant)
        needed_importance(model, name, fmt.name)
        chosen[name] = fmt.name
    return chosen


def check_fit(model: Model, name: str, fmt: Format, type: ModelType | None = None) -> None:
    """Raise a `ValueError` if a format cannot store a tensor; it says what can be chosen instead.

    With `type`, what is to be stored in it is the whole model; else any tensor will do.
    """
    shapes = {each: model.tensors[each].shape for each in model.quantizable}
    try:
        fmt.check(shapes[name])
    except ValueError as problem:
        choices = either(instead(shapes.values() if type else [shapes[name]]))
        if type is None:
            others = (each for each, shape in shapes.items() if fits(fmt, shape))
            choices += "".join(f", or the tensor {each}" for each in islice(others, 1))
        elif type.mixed.mix:
            choices += f", or the mix {type.mixed.name}"
        raise ValueError(f"{name}: {problem}. Choose {choices}.") from problem


def suited_format(model: Model, name: str, wanted: str) -> str:
    """Name the format to store a tensor in: the wanted one if it can, or what takes its place.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    fmt = get_format(wanted)
    try:
        check_fit(model, name, fmt)
        needed_importance(model, name, fmt.name)
    except ValueError:
        return replacement(fmt.name, model.tensors[name].shape)
    return fmt.name


def applied_format(model: Model, name: str, format_name: str) -> Format:
    """Return the format whose round trip a tensor goes through when it is stored in a format.

    What is stored in it already stays as it is, as llama-quantize copies its bytes: F32 changes
    nothing.
    """
    return get_format("F32" if model.holds(name, format_name) else format_name)


def needed_importance(model: Model, name: str, format_name: str) -> NDArray[np.float32] | None:
    """Return what the model's importance matrix says of a tensor, if a format needs one.

    Returns
    -------
    (n_cols,), or None for all other formats, and where the tensor is stored in it already.

    Raises
    ------
    ModelError
        If there is no matrix with the model, or it says nothing of this tensor.
    """
    if not applied_format(model, name, format_name).needs_importance:
        return None
    if model.imatrix is None:
        raise ModelError(
            f"{format_name} needs an importance matrix, and {model.name} has none: measure one "
            f"by python -m quantcore imatrix, or choose {_others(model, name)}."
        )
    importance = importance_of(model.imatrix, name, model.tensors[name].shape[-1])
    if importance is None:
        raise ModelError(
            f"{format_name} needs an importance matrix, and that of {model.name} says nothing of "
            f"{name}, which is looked up rather than multiplied: choose {_others(model, name)}, or "
            "another tensor."
        )
    return importance


def _others(model: Model, name: str) -> str:
    return either(instead([model.tensors[name].shape]))


def importances(
    model: Model, type: Type, formats: Mapping[str, str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Return what the model's importance matrix says, (n_cols,) by tensor.

    That which was given, or that which lies with the model if the type needs one, serves all
    tensors that it knows, as in llama-quantize; else there is nothing. `formats` are those of the
    tensors in question where a type does not fit all, as `fitting_formats` finds them.
    """
    formats = formats_by_tensor(model, type) if formats is None else formats
    mix = get_type(type).mix if isinstance(type, str) else None
    needed = any(needed_importance(model, *pair) is not None for pair in formats.items())
    if not needed and not model.given and not (mix and mix_needs_imatrix(model, mix)):
        return {}
    imatrix = model.imatrix
    if imatrix is None:  # then no tensor in question is stored in what needs one
        return {}
    known = {}
    for name in (name for name, fmt in formats.items() if fmt in FORMATS):
        values = importance_of(imatrix, name, model.tensors[name].shape[-1])
        if values is not None:
            known[name] = values
    return known


def restored_tensors(
    model: Model, type: Type | None = None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every tensor by name; matrices quantized and restored, unless `type` is None.

    Of a model that a method stored, norms and biases hold the scales of columns.
    """
    if isinstance(type, StoredByMethod):
        from quantcore.methods.fold import deployed_weights

        weights = {name: model.weights(name) for name in model.tensors}
        yield from deployed_weights(weights, type.chosen).items()
        return
    formats = {} if type is None else formats_by_tensor(model, type)
    importance = {} if type is None else importances(model, type)
    for name in model.tensors:
        if name in formats:
            yield name, restored(model, name, formats[name], importance.get(name))
        else:
            yield name, model.weights(name)


def restored(
    model: Model, name: str, format_name: str, importance: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """One tensor (n_rows, n_cols) quantized and restored, with importance (n_cols,) or without."""
    fmt, weights = applied_format(model, name, format_name), model.weights(name)
    there_and_back = fmt.round_trip(weights, importance=importance)
    refuse_lost(f"{fmt.name} of {name}", weights, there_and_back)
    return there_and_back


def stored_types(model: Model, type: Type | None = None) -> dict[str, str]:
    """Name what each matrix is stored as: the format, or for the original what its file says.

    Raises
    ------
    ValueError
        If llama.cpp does not know one of the formats, so that nothing says how it would round
        activations.
    """
    if type is None or type == "F32":
        types = {name: model.tensors[name].dtype for name in model.quantizable}
    else:
        types = formats_by_tensor(model, type)
    for name in set(types.values()):
        input_type(name)
    return types


def stored_bytes(model: Model, type: Type) -> int:
    """Bytes of all tensors, norms in F32 included, with what a method stores besides formats."""
    n_bytes = model.stored_bytes(formats_by_tensor(model, type))
    if isinstance(type, StoredByMethod):
        for name, each in type.chosen.items():
            n_bytes += each.stored_bytes - each.format.stored_bytes(model.tensors[name].shape)
    return n_bytes


def llama_of(
    model: Model,
    type: Type | None = None,
    activations: Activations = "F32",
    cache_types: CacheTypes | None = None,
) -> Llama:
    """Make the model ready to run, quantized unless `type` is None; all weights in memory."""
    return as_it_runs(model, type, dict(restored_tensors(model, type)), activations, cache_types)


def as_it_runs(
    model: Model,
    type: Type | None,
    weights: Mapping[str, NDArray[np.float32]],
    activations: Activations,
    cache_types: CacheTypes | None = None,
) -> Llama:
    """Make tensors as `restored_tensors` gives them ready to run, inputs rounded if they are to be.

    That is as llama.cpp does with activations in "Q8", or as the method does that stored them.
    """
    types = activation_types(model, type) if activations == "Q8" else None
    llama = Llama(model.config, weights, types, cache_types=cache_types)
    return type.run(llama) if isinstance(type, StoredByMethod) and types is None else llama


def activation_types(model: Model, type: Type | None) -> dict[str, str]:
    """Name what matrices are stored as where inputs are rounded beside them as in llama.cpp.

    Raises
    ------
    ValueError
        If llama.cpp does not know one of the formats, or inputs are rounded by a method already.
    """
    if isinstance(type, StoredByMethod) and type.inputs != "F32":
        raise ValueError(f"{type.method} rounds inputs itself: leave activations at F32")
    return stored_types(model, type)


def type_name(type: Type | None) -> str:
    """Name a type: "Q4_K_M", "Q4_K pure", or "mix" for a choice by hand; the original is "F32"."""
    if type is None:
        return "F32"
    if isinstance(type, StoredByMethod):
        return f"{type.asked} by {type.method}"
    names = {type} if isinstance(type, str) else set(type.values())
    if len(names) > 1:
        return "mix"
    return get_type(names.pop(), pure=not isinstance(type, str)).name
