"""Four-bit floats of a quantized folder put into GGUF's blocks: bits move, and nothing is lost.

    stored          GGUF    of 16 codes in a block or sub-block, two a byte
    MXFP4_OCP       MXFP4   neighbours share a byte there, weight j and j + 16 here
    NVFP4_TENSOR    NVFP4   likewise, j and j + 8; four sub-blocks make a block of 64

NVIDIA's float32 for the whole tensor has no place in a block: it goes into a tensor of its own, a
``.scale`` beside the ``.weight``, by which llama.cpp multiplies what the product gives. It knows
those of matrices in layers only, so that others are quantized like any weights.

Source: llama.cpp, conversion/base.py (repack_mxfp4_blocks, _nvfp4_pack), src/llama-model.cpp.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Packed
from quantcore.formats.floats import mxfp4, nvfp4
from quantcore.formats.outside_gguf.scaled import ScaledPacked
from quantcore.io import ModelError
from quantcore.io.gguf_writer import OutgoingTensor
from quantcore.model.gguf_source import companion_name
from quantcore.model.source import Model
from quantcore.recipe.plan import TensorPlan

STORED_AS = {"MXFP4": "MXFP4_OCP", "NVFP4": "NVFP4_TENSOR"}
"""GGUF's type -> the format of a folder whose codes and scales it can take over."""
SIGN = 0x80


def can_be_repacked(model: Model, planned: TensorPlan) -> bool:
    """Whether a matrix is stored in what the planned type only has in another order."""
    info = model.tensors.get(planned.name)
    wanted = STORED_AS.get(planned.type)
    if info is None or not info.layout or info.dtype != wanted:
        return False
    if planned.type == "NVFP4":
        return info.layer is not None and info.shape[1] % nvfp4.BLOCK_SIZE == 0
    return True


def repacked(model: Model, planned: TensorPlan) -> Packed:
    """Take over codes and scales, (n_rows, row_bytes), rows as the model has them.

    Raises
    ------
    ModelError
        If a scale is none of the numbers that GGUF's have.
    """
    packed: ScaledPacked = model.packed(planned.name)
    return (_mxfp4 if planned.type == "MXFP4" else _nvfp4)(planned.name, packed)


def companions(model: Model, planned: Sequence[TensorPlan]) -> list[OutgoingTensor]:
    """List the tensors that hold the scales of whole tensors, for those that need one.

    Those of a GGUF file go along with the blocks that are copied.
    """
    return [
        OutgoingTensor(companion_name(each.name), "F32", (1,), partial(_overall, model, each.name))
        for each in planned
        if each.type == "NVFP4" and (can_be_repacked(model, each) or _has_factor(model, each.name))
    ]


def _has_factor(model: Model, name: str) -> bool:
    stored = model.as_stored(name)
    return stored is not None and stored.factor is not None and model.holds(name, "NVFP4")


def _overall(model: Model, name: str) -> NDArray[np.uint8]:
    """Bytes of the float32 that multiplies a whole tensor."""
    stored = model.as_stored(name)
    if stored is not None and stored.factor is not None:
        return np.array([stored.factor]).view(np.uint8)
    packed: ScaledPacked = model.packed(name)
    assert packed.stored.super_scales is not None  # as NVFP4_TENSOR's have
    return packed.stored.super_scales.view(np.uint8)


def _mxfp4(name: str, packed: ScaledPacked) -> Packed:
    scales = packed.stored.scales
    if (scales == 0xFF).any():
        raise ModelError(f"{name} has a scale that is not a number (255 in E8M0).")
    blocks = _halves_apart(packed.codes, mxfp4.BLOCK_SIZE)
    whole = np.concatenate([scales.astype(np.uint8)[..., None], blocks], axis=-1)
    return whole.reshape(len(whole), -1)


def _nvfp4(name: str, packed: ScaledPacked) -> Packed:
    scales = packed.stored.scales.astype(np.uint8)
    if (scales & 0x7F == 0x7F).any():
        raise ModelError(f"{name} has a scale that is not a number (NaN in E4M3).")
    halves = _halves_apart(packed.codes, nvfp4.SIZE)
    # UE4M3 has no sign: that of a scale goes over into its codes, whose fourth bit is theirs.
    flips = np.where(scales & SIGN, 0x88, 0).astype(np.uint8)
    halves ^= flips[..., None]
    n_rows, n_groups = scales.shape
    heads = (scales & 0x7F).reshape(n_rows, n_groups // nvfp4.N_SUB_BLOCKS, -1)
    codes = halves.reshape(*heads.shape[:2], -1)
    return np.concatenate([heads, codes], axis=-1).reshape(n_rows, -1)


def _halves_apart(codes: Packed, size: int) -> Packed:
    """Pair weight j of `size` with weight j + size / 2 in a byte, where neighbours were paired."""
    pairs = codes.reshape(len(codes), -1, size // 2)
    single = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(*pairs.shape[:2], size)
    halves: Packed = single[..., : size // 2] | single[..., size // 2 :] << 4
    return halves
