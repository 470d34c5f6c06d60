"""Scales of columns go into what stands before a matrix, so that nobody divides while it runs.

    y = (x / s) (W * s).T

What x comes from takes the division: the gain of the norm before attn_q, attn_k, attn_v and before
ffn_gate, ffn_up, and of the last one before the output; the rows of attn_v before attn_output; the
rows of ffn_up before ffn_down, whose input is a product with them. Under grouped-query attention
several heads of queries read the same rows of attn_v, so attn_output can't have scales of its own.
"""

from collections.abc import Mapping

import numpy as np

from quantcore.format import Weights
from quantcore.methods.method import Chosen
from quantcore.model.config import LlamaConfig
from quantcore.model.layer import ENTRIES
from quantcore.model.llama import Llama
from quantcore.model.names import layer_and_role

NORM_BEFORE = {0: "attn_norm", 2: "ffn_norm"}
ROWS_BEFORE = {1: "attn_v", 3: "ffn_up"}
OUTPUT, OUTPUT_NORM = "output.weight", "output_norm.weight"


def can_fold(weights: Mapping[str, Weights], layer: int, place: int) -> bool:
    """Whether what stands before the matrices of an entry can take scales of their columns."""
    if place in NORM_BEFORE:
        return True
    before = weights[f"blk.{layer}.{ROWS_BEFORE[place]}.weight"]
    after = weights[f"blk.{layer}.{ENTRIES[place]}.weight"]
    return len(before) == after.shape[1]


def folded(
    weights: Mapping[str, Weights], column_scales: Mapping[str, Weights]
) -> dict[str, Weights]:
    """Multiply columns, and divide what stands before; logits stay those that they were.

    Parameters
    ----------
    weights
        Every tensor of a model, or of a layer, by name.
    column_scales
        (n_cols,) of some matrices; all that share an input have the same.

    Raises
    ------
    ValueError
        If matrices with one input have different scales, if a scale is not positive, or if nothing
        before the matrix can take it.
    """
    result = dict(weights)
    for name, scales in column_scales.items():
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            raise ValueError(f"Scales of {name} must be positive numbers.")
        result[name] = weights[name] * scales
    if OUTPUT in column_scales:
        _divide(result, OUTPUT_NORM, column_scales[OUTPUT])
    for layer, place, scales in _entries(column_scales):
        if not can_fold(weights, layer, place):
            raise ValueError(
                f"In layer {layer} attn_output can't have scales: its input comes from fewer rows "
                "of attn_v than it has columns. Leave it as it is."
            )
        if place in NORM_BEFORE:
            _divide(result, f"blk.{layer}.{NORM_BEFORE[place]}.weight", scales)
        else:
            _divide(result, f"blk.{layer}.{ROWS_BEFORE[place]}.weight", scales[:, None])
            _divide(result, f"blk.{layer}.{ROWS_BEFORE[place]}.bias", scales)
    return result


def deployed(
    config: LlamaConfig, weights: Mapping[str, Weights], chosen: Mapping[str, Chosen]
) -> Llama:
    """Make the model that would be stored, ready to run; inputs are rounded where a method does.

    Parameters
    ----------
    weights
        Every tensor of the original, by name.
    chosen
        What a method made of some of its matrices.
    """
    llama = Llama(config, deployed_weights(weights, chosen))
    return llama.rounding({name: each.inputs for name, each in chosen.items()})


def deployed_weights(
    weights: Mapping[str, Weights], chosen: Mapping[str, Chosen]
) -> dict[str, Weights]:
    """Every tensor as it would be stored; see `deployed`.

    Scales stand in the norms and matrices before, and scaled matrices are what their packed form
    restores. Rotations are turned back.
    """
    scales = {n: c.column_scales for n, c in chosen.items() if c.column_scales is not None}
    stored = folded(weights, scales)
    for name, each in chosen.items():
        scaled = each.column_scales is not None or each.row_scales is not None
        stored[name] = each.format.dequantize(each.packed) if scaled else each.restored
    return stored


def _divide(weights: dict[str, Weights], name: str, scales: Weights) -> None:
    if name in weights:  # not every model has biases
        weights[name] = weights[name] / scales


def _entries(column_scales: Mapping[str, Weights]) -> list[tuple[int, int, Weights]]:
    """Layer, entry and scales, once for the matrices that share an input."""
    found: list[tuple[int, int, Weights]] = []
    layers = {layer_and_role(name)[0] for name in column_scales}
    for layer in sorted(layer for layer in layers if layer is not None):
        for place, roles in enumerate(ENTRIES):
            names = [f"blk.{layer}.{role}.weight" for role in roles.split()]
            scales = [column_scales.get(name) for name in names]
            given = [each for each in scales if each is not None]
            if not given:
                continue
            if len(given) < len(names) or any(not np.array_equal(given[0], e) for e in given):
                raise ValueError(f"{', '.join(names)} have one input and so need the same scales.")
            found.append((layer, place, given[0]))
    return found
