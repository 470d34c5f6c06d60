"""A model's shape from config.json and the headers of its safetensors, held against each other."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from quantcore.io import ModelError, short
from quantcore.io.config_json import ConfigJson
from quantcore.io.safetensors import SafetensorsTensor
from quantcore.memory.lookup.found_model import FoundModel
from quantcore.memory.lookup.measured import measured_shape
from quantcore.memory.lookup.stored_names import FolderTensor, Packing, sort_out, tensors_of
from quantcore.recipe.contents import layer_of
from quantcore.shape.configs import shape_from_json
from quantcore.shape.model_shape import ModelShape, is_weight

_LEFT_OUT = {
    "duplicate": "The files repeat the tied output",
    "vision": "The files also hold parts for images or sound",
    "prediction": "The files also hold layers that predict further tokens",
}


def find_in_tensors(
    raw: Mapping[str, Any] | None, stored: Mapping[str, SafetensorsTensor], name: str, source: str
) -> FoundModel:
    """Take sizes from a parsed config.json and hold them against the tensors that there are.

    Where both agree on the weights of every layer, tensors are those that the converter would
    write; where they do not, or the architecture is unknown, those of the files.

    Raises
    ------
    ModelError
        If neither tells the sizes.
    """
    expected, problem = _by_config(raw, name, source)
    packing = _packing(raw)
    n_layers, tied = (expected.n_layers, expected.tied_embedding) if expected else (None, False)
    tensors = sort_out(stored, n_layers, tied, packing)
    language = [one for one in tensors if one.kind == "language"]
    notes = tuple(_left_out(tensors))
    if packing:
        notes += (f"The files are quantized ({packing.method}); sizes here are before that.",)
    if expected and not expected.estimated:
        shape, difference = _compared(expected, language, packing)
        notes += difference
    else:
        why = expected.estimated.partition(":")[0] if expected else problem
        shape = measured_shape(expected, language, name, source, why)
    kinds = ("language", "scale")
    stored_bytes = sum(one.n_bytes for one in tensors if one.kind in kinds)
    return FoundModel(shape=shape, stored_bytes=stored_bytes, notes=notes)


def _by_config(
    raw: Mapping[str, Any] | None, name: str, source: str
) -> tuple[ModelShape | None, str]:
    """Read the config's sizes; None, and why, where it does not give them."""
    if raw is None:
        return None, "there is no config.json"
    try:
        return shape_from_json(raw, name, source), ""
    except ModelError as problem:
        return None, str(problem).rstrip(".")


def _compared(
    expected: ModelShape, language: list[FolderTensor], packing: Packing | None
) -> tuple[ModelShape, tuple[str, ...]]:
    """Compare weights layer by layer; fused, split and turned matrices make no difference."""
    notes: tuple[str, ...] = ()
    if not expected.tied_embedding and not any(one.name == "output.weight" for one in language):
        kept = {name: s for name, s in expected.tensors.items() if name != "output.weight"}
        expected = replace(expected, tied_embedding=True, tensors=kept)
        notes = ("The files hold no output matrix, so the embedding is used for it.",)
    stored: Counter[int] = Counter()
    wanted: Counter[int] = Counter()
    for one in language:
        stored[one.layer] += one.n_weights
    for name, size in expected.tensors.items():
        if is_weight(name):
            wanted[layer_of(name)] += math.prod(size)
    differing = [layer for layer in sorted(stored | wanted) if stored[layer] != wanted[layer]]
    if not differing:
        return expected, notes
    where = "Outside the layers" if differing[0] < 0 else f"In layer {differing[0]}"
    more = f" (and in {len(differing) - 1} more places)" if len(differing) > 1 else ""
    believed = "packed files may hold more, so config.json is" if packing else "the files are"
    sentence = (
        f"{where} the files hold {stored[differing[0]]:,} weights where config.json asks for "
        f"{wanted[differing[0]]:,}{more}; {believed} believed."
    )
    if packing:
        return expected, (*notes, sentence)
    why = "the files do not hold what config.json asks for"
    return replace(expected, tensors=tensors_of(language), estimated=why), (*notes, sentence)


def _left_out(tensors: list[FolderTensor]) -> list[str]:
    """Name what is left out, with its weights."""
    n_weights: Counter[str] = Counter()
    for one in tensors:
        n_weights[one.kind] += one.n_weights
    return [
        f"{what}: {n_weights[kind]:,} weights, not counted."
        for kind, what in _LEFT_OUT.items()
        if n_weights[kind]
    ]


def _packing(raw: Mapping[str, Any] | None) -> Packing | None:
    """Read how the files are quantized, None where they are not."""
    config = ConfigJson(raw or {}).part("quantization_config")
    if config is None:
        return None
    method = short(config.get("quant_method", "in a way not said")).strip("'")
    bits = config.get("bits", _bits_of_groups(config))
    return Packing(method, bits if type(bits) is int and bits in (2, 3, 4, 8) else 4)


def _bits_of_groups(config: ConfigJson) -> object:
    """Bits of compressed-tensors, which says them by groups of modules; otherwise 4."""
    for group in config.parts("config_groups"):
        weights = group.part("weights")
        if weights and "num_bits" in weights:
            return weights.get("num_bits")
    return 4
