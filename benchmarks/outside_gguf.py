"""FP8, NF4 and FP4 beside ml_dtypes, torch and bitsandbytes: ``python -m benchmarks.outside_gguf``.

Prints a Markdown table of speeds in million weights a second on one core, with ratios: above 1,
quantcore is faster. What peers do not do, finding scales, is added to their casts in numpy or
torch, as their users do it. Timed as in `benchmarks.formats`; all write to fresh memory.
"""

import bitsandbytes.functional as bnb
import ml_dtypes
import numpy as np
import torch

from benchmarks.formats import compare
from quantcore import get_format, pool

SHAPE = (1024, 4096)
FP8 = {
    "FP8_E4M3_ROW": (ml_dtypes.float8_e4m3fn, torch.float8_e4m3fn, 448),
    "FP8_E5M2_ROW": (ml_dtypes.float8_e5m2, torch.float8_e5m2, 57344),
}
HEAD = """\
| format | quantize | × ml_dtypes | × torch | × bitsandbytes | dequantize | × ml_dtypes | × torch |\
 × bitsandbytes |
|---|---:|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Measure each format that a peer has, and print a line for it."""
    weights = (np.random.default_rng(0).standard_t(4, SHAPE) * 0.02).astype(np.float32)
    torch.set_num_threads(1)
    print(HEAD)
    with pool.threads(1):
        for name in FP8:
            print(fp8_line(name, weights), flush=True)
        print(nf4_line(weights))


def fp8_line(name: str, weights: np.ndarray) -> str:
    """Beside a cast by ml_dtypes and by torch, of weights divided by the scale of their row."""
    fmt, (by_numpy, by_torch, largest) = get_format(name), FP8[name]
    tensor = torch.from_numpy(weights)
    packed = fmt.quantize(weights)
    codes, scales = packed.codes.view(by_numpy), packed.stored.scales
    codes_torch = torch.from_numpy(packed.codes).view(by_torch)

    def cast_numpy():
        row_scales = np.abs(weights).max(axis=1, keepdims=True) / np.float32(largest)
        return (weights / row_scales).clip(-largest, largest).astype(by_numpy)

    def cast_torch():
        row_scales = tensor.abs().amax(dim=1, keepdim=True) / largest
        return (tensor / row_scales).clamp(-largest, largest).to(by_torch)

    if not (cast_numpy().view(np.uint8) == packed.codes).all():
        raise SystemExit(f"{name}: bytes differ from ml_dtypes'")
    scales_torch = torch.from_numpy(scales)
    encode = compare(lambda: fmt.quantize(weights), cast_numpy, cast_torch)
    decode = compare(
        lambda: fmt.dequantize(packed),
        lambda: codes.astype(np.float32) * scales,
        lambda: codes_torch.to(torch.float32) * scales_torch,
    )
    return f"| {name} | {cells(encode, '{1:.1f} | {2:.1f} | –')} | " + (
        f"{cells(decode, '{1:.1f} | {2:.1f} | –')} |"
    )


def nf4_line(weights: np.ndarray) -> str:
    """Beside bitsandbytes' own kernels for the CPU."""
    fmt, tensor = get_format("NF4"), torch.from_numpy(weights)

    def theirs():
        return bnb.quantize_4bit(tensor, blocksize=64, quant_type="nf4")

    codes, state = theirs()
    packed = fmt.quantize(weights)
    if not (codes.numpy().ravel() == packed.codes.ravel()).all():
        raise SystemExit("NF4: bytes differ from bitsandbytes'")
    encode = compare(lambda: fmt.quantize(weights), theirs)
    decode = compare(lambda: fmt.dequantize(packed), lambda: bnb.dequantize_4bit(codes, state))
    return f"| NF4 | {cells(encode, '– | – | {1:.1f}')} | {cells(decode, '– | – | {1:.1f}')} |"


def cells(measured: tuple[float, ...], form: str) -> str:
    """Our speed, and the ratios in their columns."""
    return f"{SHAPE[0] * SHAPE[1] / measured[0] / 1e6:,.0f} | " + form.format(*measured)


if __name__ == "__main__":
    main()
