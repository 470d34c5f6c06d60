"""A plan in which every matrix has a type of its own, and what the file's tensors take."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.source import Model
from quantcore.recipe.file_types import ALIASES, FILE_TYPES
from quantcore.recipe.overrides import exactly
from quantcore.recipe.plan import Plan, plan

ALIGNMENT = 32  # bytes; in a GGUF file each tensor begins at a multiple of it


def plan_of_types(
    model: Model,
    types: Mapping[str, str],
    rule: Callable[[str, str], str],
    *,
    imatrix: bool = False,
) -> Plan:
    """Plan a file in which every matrix has a type of its own.

    Parameters
    ----------
    types
        Of every quantizable tensor, by name.
    rule
        Says why a tensor has its type, from both names: "Q4_K is the best for the budget".
    imatrix
        Whether there will be an importance matrix.
    """
    made = plan(model, most_common(model, types), overrides=exactly(types), imatrix=imatrix)
    tensors = tuple(
        replace(tensor, rule=f"{tensor.name}: {rule(tensor.name, tensor.type)}.")
        if tensor.name in types
        else tensor
        for tensor in made.tensors
    )
    return replace(made, tensors=tensors)


def matrix_types(model: Model, made: Plan) -> dict[str, str]:
    """Type of each quantizable tensor in a plan, by name."""
    matrices = set(model.quantizable)
    return {tensor.name: tensor.type for tensor in made.tensors if tensor.name in matrices}


def most_common(model: Model, types: Mapping[str, str]) -> str:
    """Name a file type most of whose tensors have the type that most weights have here.

    Quantized ones go first: llama-quantize gives every matrix of an F16 file that type. Types that
    are those of no file type, as NVFP4, are left to the overrides.

    Raises
    ------
    ValueError
        If no type here is that of most tensors of a file type.
    """
    weights: Counter[str] = Counter()
    quantized = {name: type for name, type in types.items() if type not in ("F32", "F16", "BF16")}
    for name, type in (quantized or types).items():
        weights[type] += model.tensors[name].n_weights
    for format_name, _ in weights.most_common():
        usual = ALIASES.get(format_name, format_name)
        able = [name for name, each in FILE_TYPES.items() if each.format == format_name]
        if able:  # most of a file of type IQ2_S is IQ2_XS
            return usual if usual in able else able[0]
    raise ValueError(f"llama-quantize has no file type most of whose tensors are {min(weights)}")


def padded_bytes(made: Plan) -> int:
    """Bytes of all tensors of a file, each rounded up to where the next may begin."""
    return sum(padded(tensor.bytes) for tensor in made.tensors)


def tensors_bytes(tensors: Iterable[tuple[tuple[int, ...], str]]) -> int:
    """Bytes of tensors by their shape and type, each rounded up as `padded_bytes` does."""
    sizes = ((math.prod(shape), GGML_TYPES[type]) for shape, type in tensors)
    return sum(padded(n // size.block_size * size.block_bytes) for n, size in sizes)


def padded(n_bytes: int) -> int:
    """Round up to where the next tensor may begin.

    >>> padded(100)
    128
    """
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT
