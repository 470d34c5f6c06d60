"""A rotation of the residual stream, folded into the weights of a whole model.

    embedding  E Q.T         what reads the stream  W diag(g) Q.T         what adds to it  Q W

g is the gain of the norm before: once it is part of the matrices that read, the norm only divides
by the length, which no rotation changes. So logits stay what they were, while the channels of the
stream are mixed and none stands out. As in SliceGPT and QuaRot (Ashkboos et al., 2024).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.methods.rotations.hadamard import RandomHadamard
from quantcore.model.config import LlamaConfig
from quantcore.model.names import layer_and_role

_NORM_BEFORE = {
    **dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attn_norm"),
    **dict.fromkeys(("ffn_gate", "ffn_up"), "ffn_norm"),
}
_ADD = ("attn_output", "ffn_down")
_GAINS = ("attn_norm", "ffn_norm", "output_norm")


def rotate_residual(
    config: LlamaConfig, weights: Mapping[str, Weights], rotation: RandomHadamard
) -> tuple[LlamaConfig, dict[str, Weights]]:
    """Fold a rotation of `hidden_size` places into all weights of a model.

    The output matrix takes the last norm's gain, so it is one of its own afterwards, even where it
    was the embedding before. Works in float64, rounds once to float32.

    Returns
    -------
    tuple
        The config, no longer tied, and the weights by GGUF name.
    """
    folded = {name: _folded(name, tensor, weights, rotation) for name, tensor in weights.items()}
    head = "token_embd.weight" if config.tied_embedding else "output.weight"
    gained = weights[head] * np.float64(weights["output_norm.weight"])
    folded["output.weight"] = rotation.rotate(gained).astype(np.float32)
    return replace(config, tied_embedding=False), folded


def _folded(
    name: str, tensor: Weights, weights: Mapping[str, Weights], rotation: RandomHadamard
) -> Weights:
    layer, role = layer_and_role(name)
    wide: NDArray[np.float64] = np.asarray(tensor, np.float64)
    if role in _GAINS:
        return np.ones_like(tensor)
    if role in _ADD:  # a bias, too, is added to the stream
        columns = np.ascontiguousarray(np.atleast_2d(wide.T))
        wide = rotation.rotate(columns).T if wide.ndim == 2 else rotation.rotate(columns)[0]
    elif role == "token_embd":
        wide = rotation.rotate(wide)
    elif role in _NORM_BEFORE and wide.ndim == 2:  # a bias comes after
        gain = weights[f"blk.{layer}.{_NORM_BEFORE[role]}.weight"]
        wide = rotation.rotate(wide * gain)
    return np.ascontiguousarray(wide, np.float32)
