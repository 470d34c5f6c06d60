"""Readers on files changed at random: they take them, or refuse them by one sentence."""

import pytest

from tests.fuzz import IN_SUITE, Failure, Target, changed_bytes, fuzz, targets

NAMES = (
    "model.gguf", "whole.gguf", "shape.gguf", "model.safetensors", "imatrix.gguf", "imatrix.dat",
    "config.json", "pasted.json", "tokenizer.json", "sensitivity.json", "recipe.json", "types.txt",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def by_name(place):
    return {target.name: target for target in targets(place)}


def test_every_reader_is_tried(by_name):
    assert tuple(by_name) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_was_changed_at_random_is_taken_or_refused(place, by_name, name):
    fuzz(by_name[name], place, IN_SUITE // len(NAMES), seed=0)


def _read_two(path):
    first, second = path.read_bytes()[:2]
    if second == 0:
        raise KeyError(first)


def test_a_reader_that_fails_is_found(tmp_path):
    broken = Target("two", [b"ab"], _read_two, changed_bytes)
    with pytest.raises(Failure, match="two: KeyError"):
        fuzz(broken, tmp_path, 1000, seed=0)
