"""Reading GGUF: what a file says, and one sentence for whatever is wrong with it."""

import re
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
    "axes": HEAD + description("v", [1] * 5, 0, 0) + bytes(64),
    "whole blocks": HEAD + description("v", [40], 8, 0) + bytes(64),
    "ends before": HEAD + description("v", [4], 0, 2**60) + bytes(64),
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


def of_two(offsets, kinds=(0, 0), axes=([8], [8])):
    """Two tensors, a and b, in 256 bytes of data."""
    described = b"".join(
        description(name, shape, kind, offset)
        for name, shape, kind, offset in zip("ab", axes, kinds, offsets, strict=True)
    )
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 0) + described
    return head + bytes(-len(head) % 32 + 256)


@pytest.mark.parametrize(
    "offsets",
    [(0, 40), (0, 64), (32, 0), (4, 36), (32, 64)],
    ids=["misaligned", "gap", "swapped", "shifted", "late"],
)
def test_a_layout_that_llama_cpp_refuses_is_read_and_said(opened, offsets):
    """Each tensor begins where the one before it ends, aligned: so says gguf_init_from_file."""
    assert not opened(of_two((0, 32))).refused
    file = opened(of_two(offsets))
    assert re.fullmatch(r"it puts '[ab]' at byte \d+ of its data instead of \d+", file.refused)
    begin = -(-file.header_bytes // 32) * 32
    assert [t.start_byte - begin for t in file.tensors.values()] == list(offsets)
    assert file.tensors["b"].read().tolist() == [0.0] * 8


@pytest.mark.parametrize("offsets", [(0, 16), (0, 0), (16, 0)])
def test_tensors_do_not_overlap(opened, offsets):
    with pytest.raises(ModelError, match=r"^model\.gguf puts another tensor over '[ab]'\.$"):
        opened(of_two(offsets))


@pytest.mark.parametrize(
    ("number", "name"), [(144, "IQ4_KS"), (31, "Q4_0_4_4"), (9999, "type 9999")]
)
def test_a_type_that_nobody_here_knows_is_named_and_counted(opened, number, name):
    """Its bytes reach to the next tensor, or to the end; values are refused, and no others."""
    file = opened(of_two((0, 64), kinds=(number, 0)))
    assert [(t.type, t.n_bytes) for t in file.tensors.values()] == [(name, 64), ("F32", 32)]
    assert not file.refused and file.tensors["b"].read().tolist() == [0.0] * 8
    for read in (file.tensors["a"].read, file.tensors["a"].packed):
        with pytest.raises(ModelError, match=f"^model.gguf stores 'a' as {name}, whose values"):
            read()
    last = opened(of_two((0, 32), kinds=(0, number)))
    assert last.tensors["b"].n_bytes == 256 - 32


def test_scalars_and_tensors_without_weights(opened):
    """No axes: one weight, as ggml has it. An axis of 0: no bytes, and the next begins there."""
    file = opened(of_two((0, 32), axes=([], [8])))
    assert file.tensors["a"].shape == (1,) and file.tensors["a"].read().tolist() == [0.0]
    file = opened(of_two((0, 0), axes=([4, 0], [8])))
    assert file.tensors["a"].shape == (0, 4) and file.tensors["a"].read().shape == (0, 4)
    assert not file.refused and file.tensors["b"].n_bytes == 32
    file = opened(of_two((0, 0), kinds=(8, 0), axes=([0], [8])))
    assert file.tensors["a"].read().shape == (0,)


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
