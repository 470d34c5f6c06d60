"""Reading GGUF: what a file says, and one sentence for whatever is wrong with it."""

import struct

import numpy as np
import pytest

from quantcore.io import ModelError
from quantcore.io.gguf import MAX_STRINGS, read_gguf
from tests.support.gguf_bytes import description, gguf_bytes, small_file, string


@pytest.fixture
def opened(tmp_path):
    def read(content: bytes):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return read_gguf(path)

    return read


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_in_both_byte_orders(opened, version, order):
    file = opened(small_file(order, version))
    assert (file.version, file.big_endian) == (version, order == ">")
    assert file.metadata["general.architecture"] == "llama"
    assert (file.metadata["llama.block_count"], file.metadata["ok"]) == (2, True)
    assert file.metadata["tokens"] == ["a", "Ġb", "<0xE4>"]
    assert file.metadata["scores"].tolist() == [0.5, -1.0]
    assert file.tensors["m.weight"].shape == (2, 64)
    assert file.tensors["m.weight"].type == "Q8_0"
    blocks = np.arange(136).reshape(4, 34)
    if order == ">":  # the scale of each block, a float16, is turned round
        blocks[:, :2] = blocks[:, 1::-1]
    assert file.tensors["m.weight"].packed().tolist() == blocks.reshape(2, 68).tolist()
    assert file.tensors["v"].read().tolist() == [0, 1, 2, 3, 4]


def test_the_alignment_is_the_files_own(opened):
    stored = bytes(range(12))
    file = opened(gguf_bytes({"general.alignment": 128}, {"v": ([3], 0, stored)}))
    assert file.tensors["v"].start_byte % 128 == 0
    assert file.tensors["v"].packed().tobytes() == stored


def test_bytes_that_are_no_utf8_survive_in_a_vocabulary(opened):
    raw = small_file().replace("Ġb".encode(), b"\xff\xfe\xfd")
    assert opened(raw).metadata["tokens"][1].encode("utf-8", "surrogateescape") == b"\xff\xfe\xfd"


def test_every_cut_is_noticed(opened):
    whole = small_file()
    for length in range(len(whole) - 24):  # the last tensor is padded by that much
        with pytest.raises(ModelError, match=r"^model\.gguf [^\n]+\.$"):
            opened(whole[:length])


def test_no_change_of_a_byte_brings_more_than_a_sentence(opened):
    whole, rng = small_file(), np.random.default_rng(7)
    for _ in range(5000):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole) - 168, rng.integers(1, 4)):
            broken[place] = rng.integers(256)
        try:
            opened(bytes(broken))
        except ModelError as problem:
            assert "\n" not in str(problem) and str(problem).endswith(".")


HEAD = b"GGUF" + struct.pack("<IQQ", 3, 1, 0)
LIES = {
    "no GGUF": b"GGML" + small_file()[4:],
    "version": b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
    "claims": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
    "metadata entries": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
    "no sense": HEAD + string("") + bytes(64),
    "bytes of": HEAD + struct.pack("<Q", 2**60) + bytes(64),
    "axes": HEAD + description("v", [], 0, 0) + bytes(64),
    "unknown type": HEAD + description("v", [4], 99, 0) + bytes(64),
    "whole blocks": HEAD + description("v", [40], 8, 0) + bytes(64),
    "ends before": HEAD + description("v", [4], 0, 2**60) + bytes(64),
    "rows of 0": HEAD + description("v", [0], 0, 0) + bytes(64),
}


@pytest.mark.parametrize("says", LIES)
def test_a_lie_is_told_in_one_sentence(opened, says):
    with pytest.raises(ModelError, match=r"^model\.gguf [^\n]+\.$") as caught:
        opened(LIES[says])
    assert says in str(caught.value).replace("not a GGUF", "no GGUF")


@pytest.mark.parametrize("alignment", [0, 3, 2**30])
def test_an_alignment_must_be_a_power_of_two(opened, alignment):
    sound = gguf_bytes({"general.alignment": 32}, {})
    place = sound.index(struct.pack("<II", 4, 32)) + 4
    with pytest.raises(ModelError, match="alignment"):
        opened(sound[:place] + struct.pack("<I", alignment) + sound[place + 4 :])


def test_names_appear_once(opened):
    for twice in (
        b"GGUF" + struct.pack("<IQQ", 3, 2, 0) + 2 * description("v", [4], 0, 0) + bytes(64),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + 2 * (string("k") + struct.pack("<II", 4, 1)),
    ):
        with pytest.raises(ModelError, match="twice"):
            opened(twice)


@pytest.mark.parametrize(
    "offsets",
    [(0, 16), (0, 40), (0, 64), (32, 0), (4, 36), (0, 0), (32, 64)],
    ids=["overlap", "misaligned", "gap", "swapped", "shifted", "twice", "late"],
)
def test_offsets_follow_llama_cpps_rule(opened, offsets):
    """Each tensor begins where the one before it ends, aligned: so says gguf_init_from_file."""

    def file(offsets):
        described = b"".join(
            description(name, [8], 0, offset) for name, offset in zip("ab", offsets, strict=True)
        )
        head = b"GGUF" + struct.pack("<IQQ", 3, 2, 0) + described
        return head + bytes(-len(head) % 32 + 256)

    assert list(opened(file((0, 32))).tensors) == ["a", "b"]
    with pytest.raises(ModelError, match=r"puts '[ab]' at byte \d+ of its data instead of \d+"):
        opened(file(offsets))


def test_arrays_are_not_nested(opened):
    entry = string("k") + struct.pack("<IIQ", 9, 9, 1)
    with pytest.raises(ModelError, match="nests"):
        opened(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry + bytes(64))


def test_strings_are_counted(opened, monkeypatch):
    monkeypatch.setattr("quantcore.io.gguf.MAX_STRINGS", 2)
    with pytest.raises(ModelError, match="strings"):
        opened(small_file())
    assert MAX_STRINGS > 850_000


@pytest.mark.parametrize("what", ["tensors", "metadata entries"])
def test_more_than_any_model_has_are_not_read(opened, what):
    """64 MB of small entries would take a minute: each is an object of its own."""
    counts = (100_000, 0) if what == "tensors" else (0, 100_000)
    content = b"GGUF" + struct.pack("<IQQ", 3, *counts) + bytes(4_000_000)
    with pytest.raises(ModelError, match=f"has 100,000 {what}; no model has that many"):
        opened(content)


def test_every_type_of_ours_has_the_size_of_its_format():
    from quantcore.formats import FORMATS
    from quantcore.formats.ggml_types import GGML_TYPES

    for name, fmt in FORMATS.items():
        sizes = GGML_TYPES[name]
        assert fmt.stored_bytes((1, 256)) == 256 // sizes.block_size * sizes.block_bytes
