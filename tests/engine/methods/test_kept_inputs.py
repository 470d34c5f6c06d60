"""What is known of a matrix's inputs, kept in a file."""

from dataclasses import fields

import numpy as np
import pytest

from quantcore.methods.inputs.calibration import calibrate
from quantcore.methods.inputs.kept_inputs import find_inputs, keep_inputs
from quantcore.model.source import open_model
from tests.support.toy_model import write_folder

NAME = "blk.0.ffn_down.weight"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    model = open_model(write_folder(tmp_path_factory.mktemp("toy") / "toy"))
    tokens = np.arange(64).reshape(2, 32) % model.config.vocabulary_size
    return calibrate(model, tokens, [NAME], {"second_moment", "rows"})[NAME]


def test_it_comes_back_to_the_last_bit(inputs, tmp_path):
    path = tmp_path / "kept.npz"
    keep_inputs(path, inputs)
    again = find_inputs(path, len(inputs.mean_square))
    for each in fields(inputs):
        before, after = getattr(inputs, each.name), getattr(again, each.name)
        np.testing.assert_array_equal(before, after)
        assert getattr(before, "dtype", None) == getattr(after, "dtype", None)
    assert type(again.n_tokens) is int and again.cross_moment is None


def test_what_is_broken_or_of_something_else_is_nothing(inputs, tmp_path):
    path, n_cols = tmp_path / "kept.npz", len(inputs.mean_square)
    assert find_inputs(path, n_cols) is None
    keep_inputs(path, inputs)
    assert find_inputs(path, n_cols + 1) is None
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], whole.replace(b"mean_abs", b"mean_xyz")):
        path.write_bytes(content)
        assert find_inputs(path, n_cols) is None
    np.savez(path, n_tokens=3, mean_square=np.full(n_cols, np.nan), mean_abs=1, largest=1)
    assert find_inputs(path, n_cols) is None
