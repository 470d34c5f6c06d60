"""NF4 by bitsandbytes: codes, absmax, and absmax quantized again."""

from dataclasses import dataclass

import bitsandbytes.functional as bnb
import numpy as np
import torch

# Its PyTorch kernel, which its CUDA kernel agrees with: the CPU library rounds absmax to a table of
# 65,536 places first, so that one in about 700 is the neighbour.
_IN_TORCH = torch._C.DispatchKeySet(torch._C.DispatchKey.CompositeExplicitAutograd)


@dataclass(frozen=True)
class Nf4:
    """All that bitsandbytes keeps of weights, and what it restores: arrays of numpy."""

    codes: np.ndarray
    absmax: np.ndarray
    restored: np.ndarray
    absmax_codes: np.ndarray
    super_scales: np.ndarray
    offset: np.ndarray
    restored_twice: np.ndarray


def quantize(weights: np.ndarray) -> Nf4:
    """Quantize weights (n_rows, n_cols) to NF4, and its absmax to bytes."""
    codes, state = bnb.quantize_4bit(torch.from_numpy(weights), blocksize=64, quant_type="nf4")
    restored = bnb.dequantize_4bit(codes, state)
    offset, table = state.absmax.mean(), bnb.create_dynamic_map()
    kernel = torch.ops.bitsandbytes.quantize_blockwise.default
    twice, super_scales = kernel.redispatch(_IN_TORCH, state.absmax - offset, table, 256)
    absmax, state.offset = state.absmax, offset
    state.absmax, state.nested = twice, True
    state.state2 = bnb.QuantState(
        absmax=super_scales, code=table, blocksize=256, dtype=torch.float32
    )
    arrays = (
        *(codes.reshape(len(weights), -1), absmax.reshape(len(weights), -1), restored),
        *(twice.reshape(len(weights), -1), super_scales, offset),
        bnb.dequantize_4bit(codes, state),
    )
    return Nf4(*(array.numpy() for array in arrays))


def dynamic_map() -> np.ndarray:
    """Its table of 256 values."""
    return bnb.create_dynamic_map().numpy()
