"""Which tensors of a folder are quantized matrices, by its config and by what arrays there are."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from quantcore.io import ModelError, short
from quantcore.io.config_json import ConfigJson
from quantcore.io.safetensors import DTYPES, SafetensorsTensor
from quantcore.layouts import awq, bitsandbytes, compressed_tensors, fp8, gptq, mxfp4, nvfp4
from quantcore.layouts.parts import FP8_TYPES, Parts
from quantcore.layouts.stored_matrix import StoredMatrix

_Opener = Callable[[Parts], StoredMatrix]
READ: dict[str, tuple[tuple[str, ...], _Opener]] = {
    "gptq": (gptq.PARTS, gptq.open_matrix),
    "awq": (awq.PARTS, awq.open_matrix),
    "compressed-tensors": (compressed_tensors.PARTS, compressed_tensors.open_matrix),
    "fp8": (fp8.PARTS, fp8.open_matrix),
    "fbgemm_fp8": (fp8.PARTS, fp8.open_matrix),
    "mxfp4": (mxfp4.PARTS, mxfp4.open_matrix),
    "modelopt": (nvfp4.PARTS, nvfp4.open_matrix),
    "bitsandbytes": (bitsandbytes.PARTS, bitsandbytes.open_matrix),
}
"""By config.json's quant_method: parts that a matrix can have, and what reads it."""
_CACHE_SCALES = re.compile(r"\.(?:[qkv]|output)_scale$")  # of keys and values at work


def with_decoded(
    tensors: Mapping[str, SafetensorsTensor], config: Mapping[str, Any]
) -> dict[str, SafetensorsTensor | StoredMatrix]:
    """Put one matrix in place of the arrays that stand for it, under ``MODULE.weight``.

    Parameters
    ----------
    tensors
        Of all files of a folder.
    config
        A parsed config.json. Where it says nothing of quantization, 8-bit floats are read with the
        scales beside them, and ModelOpt's NVFP4, whose config is often in a file of its own.

    Raises
    ------
    ModelError
        If the lab reads no such layout, or arrays are missing or do not fit each other.
    """
    method, how = _method(tensors, config)
    if method is None:
        return dict(tensors)
    known, opener = READ[method]
    modules: dict[str, dict[str, SafetensorsTensor]] = {}
    found: dict[str, SafetensorsTensor | StoredMatrix] = {}
    for name, tensor in tensors.items():
        module, part = _split(name, known)
        if part and not (part == "weight" and tensor.dtype in DTYPES):
            modules.setdefault(module, {})[part] = tensor
        elif not _CACHE_SCALES.search(name):
            found[name] = tensor
    for module, parts in modules.items():
        if f"{module}.weight" not in found:  # else scales of something that is not quantized
            found[f"{module}.weight"] = opener(Parts(module, parts, how))
    return found


def _method(
    tensors: Mapping[str, SafetensorsTensor], config: Mapping[str, Any]
) -> tuple[str | None, ConfigJson]:
    whole = ConfigJson(config)
    how = whole.part("quantization_config")
    if how is None and whole.get("quantization_config") is None:
        plain = ConfigJson({})
        if any(name.endswith(".weight_scale_2") for name in tensors):
            return "modelopt", plain
        floats = any(tensor.dtype in FP8_TYPES for tensor in tensors.values())
        return ("fp8" if floats else None), plain
    method = how.get("quant_method") if how else None
    if how is None or method not in READ:
        raise ModelError(
            f"config.json has a quantization_config whose quant_method is {short(method)}; the lab "
            f"reads {', '.join(READ)}."
        )
    return method, how


def _split(name: str, known: tuple[str, ...]) -> tuple[str, str]:
    """Take a tensor's name apart into module and part; no part where it is none of these.

    >>> _split("model.layers.0.mlp.up_proj.weight.absmax", ("weight", "weight.absmax"))
    ('model.layers.0.mlp.up_proj', 'weight.absmax')
    >>> _split("model.layers.0.mlp.experts.down_proj_blocks", ("blocks", "scales"))
    ('model.layers.0.mlp.experts.down_proj', 'blocks')
    """
    for part in sorted(known, key=len, reverse=True):
        for joint in (".", "_") if part in mxfp4.PARTS else (".",):
            if name.endswith(joint + part):
                return name[: -len(part) - 1], part
    return name, ""
