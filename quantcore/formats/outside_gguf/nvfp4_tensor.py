"""NVFP4_TENSOR: NVFP4 with the float32 scale of the whole tensor that NVIDIA's has (4.5 bits).

    restored = tensor scale * scale * value of code

16 E2M1 codes share a scale in E4M3. The tensor scale is largest magnitude / (6 * 448), so that the
largest scale is E4M3's largest value and small weights keep full precision: ggml's blocks have no
room for it. All roundings are to nearest, ties to even, and saturate.
"""

from functools import partial

import numpy as np

from quantcore.format import Weights
from quantcore.formats.floats.fp4 import VALUES, encode_e2m1
from quantcore.formats.outside_gguf.fp8 import E4M3, round_to_e4m3
from quantcore.formats.outside_gguf.scaled import ScaledFormat, StoredScales
from quantcore.formats.outside_gguf.scaled_group import decode_pairs, pairs_of, safe

LARGEST_CODE, LARGEST_SCALE = np.float32(6), np.float32(448)


def _choose(peaks: Weights) -> tuple[StoredScales, Weights]:
    tensor_scale = peaks.max() / (LARGEST_CODE * LARGEST_SCALE)
    ones = np.ones_like(peaks)  # the scale of sixteen zeros, as in NVIDIA's Model Optimizer
    some = (peaks > 0) & (tensor_scale > 0)
    scales = np.divide(peaks, LARGEST_CODE * tensor_scale, out=ones, where=some)
    stored = StoredScales(
        scales=round_to_e4m3(scales), super_scales=np.array([tensor_scale], np.float32)
    )
    return stored, safe(_read(stored))


def _read(stored: StoredScales) -> Weights:
    assert stored.super_scales is not None  # by `_choose`
    return E4M3[stored.scales] * stored.super_scales


def _says(stored: StoredScales, place: tuple[int, int]) -> str:
    assert stored.super_scales is not None
    scale, tensor_scale = E4M3[stored.scales[place]], stored.super_scales[0]
    return f"{scale:g} × {tensor_scale:.4g} of the tensor = {scale * tensor_scale:.4g}"


NVFP4_TENSOR = ScaledFormat(
    name="NVFP4_TENSOR",
    code_bits=4,
    span="group",
    group_size=16,
    values=VALUES,
    choose=_choose,
    read=_read,
    says=_says,
    encode=encode_e2m1,
    decode=partial(decode_pairs, pairs_of(VALUES, high_first=False)),
    scale_bytes=1,
    shared_bytes=lambda n_scales: 4,
    source="NVIDIA TensorRT Model Optimizer, modelopt/torch/quantization/qtensor/nvfp4_tensor.py",
)
