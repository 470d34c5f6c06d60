"""NVFP4 with better scales for its blocks of sixteen; the file is an ordinary one.

    four over six    each block's largest weight becomes 6, or 4 where that leaves fewer errors:
                     between 4 and 6 E2M1 has no value, where the largest weights lie
    mse              of all scales from the one that makes the largest 6 down to a fifth of it,
                     the one with the least sum of |error| ** 2.4

For four over six the tensor scale is largest / (6 * 256), not 448: 1.5 times the largest block
scale must have room. With a `run`, so many columns are mixed by a Hadamard transform before:
MR-GPTQ's block Hadamard, of 16 as a rule, which spreads what stands out within a block.

E4M3 has few scales between 1 and 1/5, all of which are tried: MR-GPTQ's hundred steps of shrinking
meet the same ones.

Sources: Cook et al., Four Over Six, 2025, arXiv 2512.02010; Egiazarian et al., Bridging the Gap
Between Promise and Performance for Microscaling FP4 Quantization (MR-GPTQ), 2025, arXiv 2509.23202.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantcore.checks import read_only
from quantcore.format import Format, Packed, Weights
from quantcore.formats.outside_gguf.fp8 import E4M3, round_to_e4m3
from quantcore.formats.outside_gguf.nvfp4_tensor import (
    LARGEST_CODE,
    LARGEST_SCALE,
    NVFP4_TENSOR,
)
from quantcore.formats.outside_gguf.scaled import ScaledPacked, StoredScales
from quantcore.formats.outside_gguf.scaled_group import safe
from quantcore.methods.method import Chosen, LayerInputs, Statistic
from quantcore.methods.rotations.hadamard import RandomHadamard
from quantcore.methods.rotations.incoherence import Incoherence

MR_GPTQ = "Egiazarian et al., MR-GPTQ, 2025, arXiv 2509.23202"
ROOM = np.float32(256)  # of E4M3's 448, for four over six
FEWEST_SHARE, POWER = np.float32(0.2), 2.4  # MR-GPTQ's


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp4Scales:
    """NVFP4_TENSOR with scales by a search; see the top of this file for the rules."""

    rule: Literal["four_over_six", "mse"] = "four_over_six"
    run: int | None = None  # columns that a Hadamard transform mixes first; None for no transform
    name: str = "four_over_six"
    title: str = "Four over six"
    source: str = "Cook et al., Four Over Six, 2025, arXiv 2512.02010"
    needs: frozenset[Statistic] = frozenset()

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if the format is not NVFP4_TENSOR, or cannot store the shape."""
        if fmt.name != NVFP4_TENSOR.name:
            raise ValueError(
                f"{self.title} chooses scales of {NVFP4_TENSOR.name}, not of {fmt.name}: take "
                "that type."
            )
        fmt.check(shape)
        if self.run is not None:
            RandomHadamard.drawn(shape[1], None, self.run)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose scales and codes for weights (n_rows, n_cols)."""
        self.check(weights.shape, fmt)
        rotation = None
        if self.run is not None:
            columns = RandomHadamard.drawn(weights.shape[1], None, self.run)
            rotation = Incoherence(columns=columns, rows=None)
        turned = weights if rotation is None else rotation.rotate(weights)
        packed = four_over_six(turned) if self.rule == "four_over_six" else least_error(turned)
        restored = NVFP4_TENSOR.dequantize(packed)
        return Chosen(
            format=NVFP4_TENSOR,
            packed=packed,
            restored=restored if rotation is None else rotation.rotate_back(restored),
            stored_bytes=NVFP4_TENSOR.stored_bytes(weights.shape),
            rotation=rotation,
        )


def four_over_six(weights: Weights) -> ScaledPacked:
    """Let the largest weight of each block be 6 or 4, whichever leaves less squared error."""
    peaks = _peaks(weights)
    tensor_scale = peaks.max() / (LARGEST_CODE * ROOM)
    if tensor_scale == 0:
        return NVFP4_TENSOR.quantize(weights)
    to_six = peaks / (LARGEST_CODE * tensor_scale)
    candidates = [round_to_e4m3(to_six), round_to_e4m3(np.float32(1.5) * to_six)]
    return _best_of(weights, tensor_scale, candidates, 2.0)


def least_error(weights: Weights) -> ScaledPacked:
    """Take the scale of each block, of those down to a fifth, with the least powers of errors."""
    peaks = _peaks(weights)
    tensor_scale = peaks.max() / (LARGEST_CODE * LARGEST_SCALE)
    if tensor_scale == 0:
        return NVFP4_TENSOR.quantize(weights)
    plain = round_to_e4m3(peaks / (LARGEST_CODE * tensor_scale))
    lowest = round_to_e4m3(FEWEST_SHARE * E4M3[plain])
    steps = range(int((plain.astype(int) - lowest).max()) + 1)
    candidates = (np.maximum(plain.astype(int) - k, lowest).astype(np.uint8) for k in steps)
    return _best_of(weights, tensor_scale, candidates, POWER)


def _peaks(weights: Weights) -> Weights:
    """Largest magnitude of each block, (n_rows, n_blocks); refuses what is not finite."""
    stored = NVFP4_TENSOR.quantize(weights).stored  # it checks shape and numbers
    peaks: Weights = np.abs(weights.reshape(*stored.scales.shape, -1)).max(axis=2)
    return peaks


def _best_of(
    weights: Weights, tensor_scale: np.float32, candidates: Iterable[Packed], power: float
) -> ScaledPacked:
    """Encode with each candidate's scales, and keep for each block the best; of equals the first.

    Candidates are E4M3 codes (n_rows, n_blocks).
    """
    best: ScaledPacked | None = None
    least = np.empty(0)
    for scales in candidates:
        packed = _encoded(weights, scales, tensor_scale)
        errors = np.abs(NVFP4_TENSOR.dequantize(packed) - weights).reshape(*scales.shape, -1)
        sums = (errors.astype(np.float64) ** power).sum(axis=2)
        if best is None:
            best, least = packed, sums
            continue
        better = sums < least
        least[better] = sums[better]
        best.stored.scales[better] = scales[better]
        by_block = best.codes.reshape(*scales.shape, -1)
        by_block[better] = packed.codes.reshape(by_block.shape)[better]
    assert best is not None  # there are always candidates
    return best


def _encoded(weights: Weights, scales: Packed, tensor_scale: np.float32) -> ScaledPacked:
    stored = StoredScales(scales=scales, super_scales=np.array([tensor_scale], np.float32))
    groups = read_only(weights.reshape(scales.size, -1))
    codes = np.empty((scales.size, groups.shape[1] // 2), np.uint8)
    steps = read_only(safe(NVFP4_TENSOR.read(stored)).reshape(-1))
    NVFP4_TENSOR.encode(groups, steps, codes)
    return ScaledPacked(codes=codes.reshape(len(weights), -1), stored=stored)
