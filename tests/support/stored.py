"""Files of quantized matrices as other tools write them, from tests/golden/stored.npz."""

import json
import math

import numpy as np

from quantcore.io.safetensors import BITS
from tests.support.places import GOLDEN
from tests.support.toy_model import write_raw

KEPT = np.load(GOLDEN / "stored.npz")
NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I32": "<i4", "I64": "<i8", "I8": "i1"}
ALL_CASES = sorted({name.rpartition("/")[0] for name in KEPT})


def arrays_of(case):
    """Arrays of a case by part: (dtype as safetensors spells it, bits)."""
    start = f"{case}/"
    named = [name.removeprefix(start) for name in KEPT if name.startswith(start) and ":" in name]
    return {name.partition(":")[0]: (name.partition(":")[2], KEPT[start + name]) for name in named}


def config_of(case):
    """Its quantization_config."""
    return json.loads(str(KEPT[f"{case}/config"]))


def restored_of(case):
    """Return what the tool restores, and whether it did so in bfloat16."""
    narrow = f"{case}/restored_bf16" in KEPT
    return KEPT[f"{case}/restored{'_bf16' if narrow else ''}"], narrow


def file_name(module, part):
    """How a file calls a part of a module."""
    return f"{module}_{part}" if part in ("blocks",) else f"{module}.{part}"


def write_arrays(path, arrays):
    """Write named (dtype, array) as a file; bits of types that numpy has not are given as bytes."""
    header, parts, offset = {}, [], 0
    for name, (dtype, array) in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        assert len(data) * 8 == math.prod(array.shape) * BITS[dtype]
        span = [offset, offset + len(data)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": span}
        parts.append(data)
        offset += len(data)
    write_raw(path, json.dumps(header).encode(), b"".join(parts))
    return path


def to_bfloat16(values):
    """Round to bfloat16, ties to even, and back."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)
