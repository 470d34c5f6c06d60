"""Rebuild tests/golden/stored.npz: ``python -m tests.peers.make_stored [PART ...]``.

Quantized matrices as other tools store them, and what these tools restore. Parts, each with the
package that it asks (CPU torch 2.13 in all), all of them where none is named:

    fp8            transformers 5.23.0, the dequantizer of fine-grained FP8
    compressed     compressed-tensors 0.20.1: floats, integers, MXFP4, NVFP4
    mxfp4          transformers 5.23.0, gpt-oss's blocks
    modelopt       nvidia-modelopt 0.47.0 (needs no GPU for this)
    gptq           auto-round 0.15.1, which transformers loads GPTQ's files into on a CPU; act-order
    bitsandbytes   bitsandbytes 0.50.2
    gguf           llama.cpp's converter, as in auto-round 0.15.1, and gguf 0.19.0 for the way back

A case is ``LAYOUT/NAME``: its arrays as ``.../PART:DTYPE``, its quantization_config as JSON, and
``restored`` in float32, or in ``restored_bf16`` where the tool computes no wider. ``gguf`` are the
bytes that the converter repacks it to, ``gguf_restored`` what these stand for.
"""

import json
import sys

import numpy as np
import torch

from tests.support.places import GOLDEN

FILE = GOLDEN / "stored.npz"
N_ROWS, N_COLS = 32, 64
NAMES = {
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e8m0fnu: "F8_E8M0",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.int8: "I8",
    torch.uint8: "U8",
}


def weights(seed: int, shape: tuple[int, ...] = (N_ROWS, N_COLS)) -> torch.Tensor:
    """Random weights with a few large ones."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.standard_t(4, shape) * 0.05).astype(np.float32))


def case(name: str, parts: dict, config: dict, restored: torch.Tensor) -> dict[str, np.ndarray]:
    """Arrays of a case as they are kept: bits of what numpy has no type for."""
    arrays = {}
    for part, tensor in parts.items():
        raw = tensor.detach().contiguous()
        if raw.dtype in (torch.float8_e4m3fn, torch.float8_e8m0fnu):
            array = raw.view(torch.uint8).numpy()
        elif raw.dtype == torch.bfloat16:
            array = raw.view(torch.int16).numpy()
        else:
            array = raw.numpy()
        arrays[f"{name}/{part}:{NAMES[raw.dtype]}"] = array
    arrays[f"{name}/config"] = np.array(json.dumps(config))
    key = "restored_bf16" if restored.dtype == torch.bfloat16 else "restored"
    arrays[f"{name}/{key}"] = restored.detach().float().contiguous().numpy()
    return arrays


def fp8_part() -> dict[str, np.ndarray]:
    """Scales for the tensor and for blocks, in float32 and as powers of two."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    one = Fp8Dequantize._dequantize_one
    found = {}
    for kind, block in (("tensor", None), ("block", [16, 32]), ("powers", [16, 32])):
        given = weights(1)
        rows, cols = block or given.shape
        peaks = given.reshape(N_ROWS // rows, rows, N_COLS // cols, cols).abs().amax((1, 3))
        scales = peaks / 448
        if kind == "powers":
            scales = scales.log2().ceil().exp2()
        spread = scales.repeat_interleave(rows, 0).repeat_interleave(cols, 1)
        codes = (given / spread).to(torch.float8_e4m3fn)
        stored = scales.to(torch.float8_e8m0fnu) if kind == "powers" else scales
        stored = stored.reshape(()) if block is None else stored
        config = {"quant_method": "fp8", "activation_scheme": "dynamic"}
        config |= {"weight_block_size": block} if block else {}
        parts = {"weight": codes, "weight_scale_inv": stored}
        restored = one(None, codes, stored.reshape(scales.shape), torch.float32)
        found |= case(f"fp8/{kind}", parts, config, restored)
    return found


def compressed_part() -> dict[str, np.ndarray]:
    """Everything that its compressors make of a linear layer."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    def of_spans(given: torch.Tensor, args: QuantizationArgs) -> torch.Tensor:
        rows, cols = given.shape
        if args.strategy == "tensor":
            return given.reshape(1, -1)[None]
        if args.strategy == "channel":
            return given[:, None]
        if args.strategy == "block":
            high, wide = args.block_structure
            padded = torch.nn.functional.pad(given, (0, -cols % wide, 0, -rows % high))
            split = padded.reshape(len(padded) // high, high, -1, wide)
            return split.transpose(1, 2).flatten(2)
        return given.reshape(rows, -1, args.group_size)

    def one(name: str, fmt: str, seed: int, shape=(N_ROWS, N_COLS), **how) -> dict:
        given, args = weights(seed, shape), QuantizationArgs(**how)
        spans = of_spans(given, args)
        state = {"weight": given}
        overall = None
        if fmt.startswith("nvfp4"):
            overall = (448 * 6 / given.abs().max()).reshape(1)
            state["weight_global_scale"] = overall
        scale, zero = calculate_qparams(spans.amin(-1), spans.amax(-1), args, overall)
        state["weight_scale"] = scale.reshape(-1) if args.strategy == "tensor" else scale
        state["weight_zero_point"] = zero.reshape(state["weight_scale"].shape)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        compressor = BaseCompressor.load_from_registry(fmt)
        kind = compressor if isinstance(compressor, type) else type(compressor)
        packed = kind.compress(dict(state), scheme)
        packed = {part: tensor for part, tensor in packed.items() if tensor is not None}
        restored = kind.decompress(dict(packed), scheme)["weight"]
        config = {
            "quant_method": "compressed-tensors",
            "format": fmt,
            "config_groups": {"group_0": json.loads(scheme.model_dump_json())},
        }
        return case(f"compressed-tensors/{name}", packed, config, restored)

    found = {}
    floats = {"num_bits": 8, "type": "float", "symmetric": True}
    found |= one("fp8-tensor", "float-quantized", 2, strategy="tensor", **floats)
    found |= one("fp8-channel", "float-quantized", 3, strategy="channel", **floats)
    block = {"strategy": "block", "block_structure": [16, 32]}
    found |= one("fp8-block", "float-quantized", 4, (40, 80), **block, **floats)
    for symmetric in (True, False):
        word = "sym" if symmetric else "asym"
        group = {"strategy": "group", "group_size": 16, "symmetric": symmetric}
        channel = {"strategy": "channel", "symmetric": symmetric}
        for bits in (4, 8):
            name = f"int{bits}"
            found |= one(f"{name}-group-{word}", "pack-quantized", 5, num_bits=bits, **group)
            found |= one(f"{name}-channel-{word}", "pack-quantized", 6, num_bits=bits, **channel)
        found |= one(f"plain-int8-channel-{word}", "int-quantized", 7, num_bits=8, **channel)
        found |= one(f"plain-int8-group-{word}", "int-quantized", 8, num_bits=8, **group)
    found |= one("plain-int8-tensor", "int-quantized", 9, num_bits=8, strategy="tensor")
    fours = {"num_bits": 4, "type": "float", "symmetric": True}
    mx = {"strategy": "group", "group_size": 32, "scale_dtype": torch.uint8}
    found |= one("mxfp4", "mxfp4-pack-quantized", 10, **mx, **fours)
    nv = {"strategy": "tensor_group", "group_size": 16, "scale_dtype": torch.float8_e4m3fn}
    found |= one("nvfp4", "nvfp4-pack-quantized", 11, **nv, **fours)
    return found


def mxfp4_part() -> dict[str, np.ndarray]:
    """Random codes of two experts; transformers turns each matrix round, which is undone here."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    rng = np.random.default_rng(12)
    blocks = torch.from_numpy(rng.integers(0, 256, (2, 16, 2, 16), dtype=np.uint8))
    scales = torch.from_numpy(rng.integers(90, 150, (2, 16, 2), dtype=np.uint8))
    restored = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2)
    parts = {"blocks": blocks, "scales": scales}
    return case("mxfp4/experts", parts, {"quant_method": "mxfp4"}, restored.reshape(32, 64))


def modelopt_part() -> dict[str, np.ndarray]:
    """Its NVFP4, quantized and restored by itself."""
    from modelopt.torch.quantization.qtensor.nvfp4_tensor import NVFP4QTensor

    packed, scales, overall = NVFP4QTensor.quantize(weights(13), 16)
    restored = packed.dequantize(
        torch.float32, scale=scales, double_scale=overall, block_sizes={-1: 16}
    )
    parts = {"weight": packed._quantized_data, "weight_scale": scales, "weight_scale_2": overall}
    config = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    return case("modelopt/nvfp4", parts, config, restored)


def gptq_part() -> dict[str, np.ndarray]:
    """Symmetric codes by the first version, others by the second, columns in any order or none."""
    from auto_round_extension.torch import qlinear_torch, qlinear_torch_zp

    group, found = 16, {}
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            rng = np.random.default_rng(bits + 10 * symmetric)
            home = qlinear_torch_zp if symmetric else qlinear_torch
            layer = home.QuantLinear(bits, group, N_COLS, N_ROWS, bias=False)
            order = np.repeat(np.arange(N_COLS // group), group)
            if not symmetric:
                order = rng.permutation(order)
            layer.device, shape = torch.device("cpu"), (N_ROWS, N_COLS // group)
            codes = rng.integers(0, 2**bits, (N_ROWS, N_COLS))
            zeros = (
                np.full(shape, 2 ** (bits - 1)) if symmetric else rng.integers(1, 2**bits, shape)
            )
            scales = rng.uniform(0.001, 0.02, shape).astype(np.float16).astype(np.float32)
            plain = torch.nn.Linear(N_COLS, N_ROWS, bias=False)
            plain.weight.data = torch.from_numpy(
                (scales[:, order] * (codes - zeros[:, order])).astype(np.float32)
            )
            # It packs columns by their group's scale, as `g_idx` has it.
            spread = torch.from_numpy(scales), torch.from_numpy(zeros.astype(np.int32))
            in_order = np.argsort(order, kind="stable")
            plain.weight.data = plain.weight.data[:, in_order]
            layer.pack(plain, *spread, device="cpu")
            layer.qweight = _columns_back(layer.qweight, bits, in_order)
            layer.g_idx = torch.from_numpy(order.astype(np.int32))
            kept = {part: getattr(layer, part) for part in ("qweight", "qzeros", "scales", "g_idx")}
            kept["scales"] = kept["scales"].half()
            layer.scales = layer.scales.float()
            restored = layer(torch.eye(N_COLS)).T
            version = "gptq" if symmetric else "gptq_v2"
            config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric}
            config |= {"checkpoint_format": version, "desc_act": not symmetric}
            kind = "first" if symmetric else "second-act-order"
            found |= case(f"gptq/{bits}-{kind}", kept, config, restored)
    return found


def _columns_back(qweight: torch.Tensor, bits: int, in_order: np.ndarray) -> torch.Tensor:
    """Put packed columns where they belong: they were packed group by group."""
    words = qweight.numpy().view(np.uint32).T
    stream = np.unpackbits(words.copy().view(np.uint8), axis=1, bitorder="little")
    codes = stream.reshape(len(words), N_COLS, bits)
    back = np.empty_like(codes)
    back[:, in_order] = codes
    packed = np.packbits(back.reshape(len(words), -1), axis=1, bitorder="little")
    return torch.from_numpy(np.ascontiguousarray(packed.view(np.int32).T))


def bitsandbytes_part() -> dict[str, np.ndarray]:
    """Its files hold absmax as floats or bytes; the state is as it saves it."""
    import bitsandbytes.functional as bnb

    found = {}
    for kind, shape, nested, size in (
        ("nf4", (N_ROWS, N_COLS), False, 64),
        ("nf4-nested", (160, 128), True, 64),
        ("nf4-across-rows", (24, 48), True, 64),
        ("nf4-of-128", (N_ROWS, 128), False, 128),
    ):
        given = weights(14, shape)
        codes, state = bnb.quantize_4bit(
            given, blocksize=size, quant_type="nf4", compress_statistics=nested
        )
        parts = {"weight": codes}
        parts |= {f"weight.{part}": t for part, t in state.as_dict(packed=True).items()}
        restored = bnb.dequantize_4bit(codes, state)
        config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
        config |= {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": nested}
        found |= case(f"bitsandbytes/{kind}", parts, config, restored)
    codes, peaks, _ = bnb.int8_vectorwise_quant(weights(15).half())
    restored = bnb.int8_vectorwise_dequant(codes, peaks)
    parts = {"weight": codes, "SCB": peaks, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    return found | case("bitsandbytes/int8", parts, config, restored)


def gguf_part() -> dict[str, np.ndarray]:
    """Repack what the parts before made; needs them in the file."""
    import gguf
    from auto_round.export.export_to_gguf.conversion.base import ModelBase

    kept, found = np.load(FILE), {}
    cases = {
        "compressed-tensors/mxfp4": ("weight_packed:U8", "weight_scale:U8"),
        "mxfp4/experts": ("blocks:U8", "scales:U8"),
        "compressed-tensors/nvfp4": ("weight_packed:U8", "weight_scale:F8_E4M3"),
        "modelopt/nvfp4": ("weight:U8", "weight_scale:F8_E4M3"),
    }
    for name, parts in cases.items():
        codes, scales = (torch.from_numpy(kept[f"{name}/{part}"]) for part in parts)
        if "nvfp4" in name:
            packed, _ = ModelBase._nvfp4_pack(codes, scales)
            type = gguf.GGMLQuantizationType.NVFP4
        else:
            codes, scales = codes.reshape(N_ROWS, -1), scales.reshape(N_ROWS, -1)
            packed, type = (
                ModelBase.repack_mxfp4_blocks(codes, scales),
                gguf.GGMLQuantizationType.MXFP4,
            )
        found[f"{name}/gguf"] = packed
        found[f"{name}/gguf_restored"] = gguf.quants.dequantize(packed, type)
    return found


if __name__ == "__main__":
    made = dict(np.load(FILE)) if FILE.exists() else {}
    makers = {
        "fp8": fp8_part,
        "compressed": compressed_part,
        "mxfp4": mxfp4_part,
        "modelopt": modelopt_part,
        "gptq": gptq_part,
        "bitsandbytes": bitsandbytes_part,
        "gguf": gguf_part,
    }
    for part in sys.argv[1:] or makers:
        made |= makers[part]()
    np.savez_compressed(FILE, **dict(sorted(made.items())))
