"""Reading safetensors, against files that the package of that name wrote."""

import json
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file, save_file

from quantcore import ModelError
from quantcore.io.safetensors import list_tensors, read_header

RNG = np.random.default_rng(12)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_the_package_wrote_is_read_as_the_package_reads_it(tmp_path, dtype):
    path = tmp_path / "model.safetensors"
    arrays = {
        "a.weight": RNG.normal(size=(7, 5)).astype(dtype),
        "b.bias": RNG.normal(size=11).astype(dtype),
        "z": np.array([[0, -0.0, 1e-8, 65504]], dtype),
    }
    save_file(arrays, path, metadata={"format": "pt"})
    ours, theirs = read_header(path), load_file(path)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name].read(), array.astype(np.float32))
    np.testing.assert_array_equal(ours["a.weight"].read(slice(2, 5)), arrays["a.weight"][2:5])


def test_bfloat16_is_the_upper_half_of_a_float(tmp_path):
    """Its numpy door cannot read these; what it writes as raw bytes, this reader can."""
    path = tmp_path / "model.safetensors"
    values = RNG.normal(size=(6, 4)).astype(np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    raw = {"data_ptr": upper.ctypes.data, "data_len": upper.nbytes}
    spec = safetensors.TensorSpec(dtype="bfloat16", shape=upper.shape, **raw)
    path.write_bytes(safetensors.serialize({"w": spec}))
    expected = (upper.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(read_header(path)["w"].read(), expected)


SOUND = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "none": {"dtype": "U8", "shape": [0], "data_offsets": [24, 24]},
    "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    "c": {"dtype": "F4", "shape": [6], "data_offsets": [32, 35]},
}
NUMBERS = (0, 1, 2, 3, 4, 8, 23, 24, 25, 32, 35, 36, -1, 2**31, 2**63, 2**64, 1.0, True, None, "1")
DTYPES = ("F32", "F16", "BF16", "F64", "U8", "BOOL", "F4", "F6_E2M3", "F8_E4M3", "C64", "f32", None)


def _mutated(rng):
    """Change a sound header in one to three places, and sometimes the number of bytes behind it."""
    header = json.loads(json.dumps(SOUND))
    for _ in range(rng.integers(1, 4)):
        name = str(rng.choice(list(header)))
        entry = header[name] if isinstance(header[name], dict) else {}
        match rng.integers(9):
            case 0 | 1 | 2 if {"shape", "data_offsets"} <= entry.keys():
                numbers = entry[("data_offsets", "data_offsets", "shape")[rng.integers(3)]]
                if numbers:
                    numbers[rng.integers(len(numbers))] = NUMBERS[rng.integers(len(NUMBERS))]
            case 3 if "shape" in entry:
                entry["dtype"] = DTYPES[rng.integers(len(DTYPES))]
            case 4:
                del header[name]
            case 5 if entry:
                entry.pop(str(rng.choice(list(entry))))
            case 6:
                header[("d", "", "a b", "\ud800", "é")[rng.integers(5)]] = header[name]
            case 7:
                header[name] = (None, 1, {}, [], "x")[rng.integers(5)]
            case 8:
                entry["more"] = NUMBERS[rng.integers(len(NUMBERS))]
        if not header:
            break
    text = json.dumps(header).encode()
    text += b" " * int(rng.integers(3))
    n_bytes = 35 + int(rng.choice([0, 0, 0, 0, 1, -1, 8]))
    return struct.pack("<Q", len(text)) + text + bytes(n_bytes)


def _by_the_package(content):
    """Names of the tensors in a file's bytes; None where it is refused."""
    try:
        return sorted(name for name, _ in safetensors.deserialize(content))
    except safetensors.SafetensorError:
        return None


def _by_the_lab(content):
    try:
        return sorted(list_tensors(Path("m"), BytesIO(content), len(content)))
    except ModelError:
        return None


def test_what_the_package_refuses_is_refused_and_nothing_else():
    """On random headers, sound and broken: holes, overlaps, bytes left over, senseless entries."""
    rng, both = np.random.default_rng(4), {True: 0, False: 0}
    for _ in range(6000):
        content = _mutated(rng)
        theirs = _by_the_package(content)
        assert _by_the_lab(content) == theirs, content
        both[theirs is None] += 1
    assert min(both.values()) > 500
