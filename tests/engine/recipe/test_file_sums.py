"""What fills a file: sums by type and role, and the parts of its header, are all of it."""

import pytest

from quantcore import open_model, plan
from quantcore.io.gguf import read_gguf
from quantcore.recipe.file_sums import (
    VECTORS,
    header_bits_per_weight,
    header_parts,
    sums_by_role,
    sums_by_type,
)
from quantcore.recipe.promise import promise_of
from quantcore.recipe.quantize import preview
from tests.support.gguf_models import stranger_bytes


@pytest.fixture(scope="module")
def planned():
    model = open_model()
    return preview(model, plan(model, "Q4_K_M"))


@pytest.fixture
def stranger(tmp_path):
    path = tmp_path / "stranger.gguf"
    path.write_bytes(stranger_bytes())
    return read_gguf(path)


def test_sums_of_a_small_file_by_hand(stranger):
    """Two layers with a matrix in Q4_K and one in Q5_0; an embedding of 66 bytes a row; a norm."""
    by_type = {each.name: each for each in sums_by_type(promise_of(stranger))}
    assert {name: (each.n_tensors, each.bytes) for name, each in by_type.items()} == {
        "Q4_K": (2, 2 * 64 * 144),
        "Q5_0": (2, 2 * 64 * 66),
        "IQ2_XXS": (1, 40 * 66),
        "F32": (1, 1024),
    }
    assert by_type["Q4_K"].bits_per_weight == 4.5
    by_role = {each.name: each.types for each in sums_by_role(promise_of(stranger))}
    assert by_role == {
        "ssm_in": ("Q4_K",),
        "ssm_x": ("Q5_0",),
        "token_embd": ("IQ2_XXS",),
        VECTORS: ("F32",),
    }


def test_sums_are_the_whole_and_the_largest_comes_first(planned):
    promise = promise_of(planned)
    for sums in (sums_by_type(promise), sums_by_role(promise)):
        assert sum(each.bytes for each in sums) == promise.bytes
        assert sum(each.n_weights for each in sums) == promise.n_weights
        assert sum(each.n_tensors for each in sums) == len(promise.tensors)
        sizes = [each.bytes for each in sums]
        assert len(sizes) > 2 and sizes == sorted(sizes, reverse=True)


def test_parts_of_the_header_add_up(planned, stranger):
    for file in (planned, stranger):
        parts = header_parts(file)
        assert sum(parts.values()) == file.header_bytes
        assert min(parts.values()) > 0
    assert "merges" in header_parts(planned) and "merges" not in header_parts(stranger)


def test_header_and_tensors_are_all_of_the_file(planned):
    promise = promise_of(planned)
    bits = promise.bits_per_weight + header_bits_per_weight(planned, promise)
    assert bits * promise.n_weights / 8 == pytest.approx(planned.file_bytes, rel=1e-12)
