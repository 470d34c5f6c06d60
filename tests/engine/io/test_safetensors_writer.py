"""Safetensors files that are written: read by the package of that name, and by the lab."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from quantcore.io.safetensors import read_header
from quantcore.io.safetensors_writer import Outgoing, write_safetensors


def outgoing(name, dtype, values):
    return Outgoing(name, dtype, values.shape, lambda: values)


def write(path, tensors):
    with path.open("xb") as file:
        return [each.name for each in write_safetensors(file, tensors)]


def test_both_readers_find_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a.half": ("F16", rng.normal(size=(3, 5)).astype(np.float16).T),  # not in the order of C
        "b.whole": ("I32", rng.integers(-(2**31), 2**31, (7,)).astype(np.int32)),
        "c.float": ("F32", rng.normal(size=(2, 3)).astype(np.float32)),
        "d.shape": ("I64", np.array([5, 3])),
        "e.é": ("F16", np.float16([[1]])),
    }
    path = tmp_path / "model.safetensors"
    tensors = [outgoing(name, dtype, values) for name, (dtype, values) in arrays.items()]
    assert sorted(write(path, tensors)) == sorted(arrays)
    read, header = load_file(path), read_header(path)
    assert read.keys() == header.keys() == arrays.keys()
    for name, (dtype, values) in arrays.items():
        np.testing.assert_array_equal(read[name], values)
        assert read[name].dtype == values.dtype
        assert header[name].dtype == dtype and header[name].shape == values.shape
        assert header[name].start_byte % values.itemsize == 0


def test_bfloat16_keeps_what_it_held(tmp_path):
    """The lab reads it as float32, of which BF16 is the upper half."""
    values = np.float32([[1.5, -3.0, 2.0**100, 0.0078125]])
    write(tmp_path / "x.safetensors", [outgoing("x", "BF16", values)])
    tensor = read_header(tmp_path / "x.safetensors")["x"]
    assert tensor.dtype == "BF16" and tensor.n_bytes == 2 * values.size
    np.testing.assert_array_equal(tensor.read(), values)


def test_another_shape_than_was_said(tmp_path):
    lies = Outgoing("x", "F32", (3,), lambda: np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"x: shape \(2,\) made, \(3,\) planned"):
        write(tmp_path / "x.safetensors", [lies])
