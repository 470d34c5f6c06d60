"""Reading safetensors, against files that the package of that name wrote."""

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file, save_file

from quantcore.io.safetensors import read_header

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
