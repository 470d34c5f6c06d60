"""Cache and compute buffer against what llama.cpp's own allocator reports."""

import json
from pathlib import Path

import pytest

from quantcore.memory.llama_cpp import (
    LlamaCppSetup,
    cache_bytes,
    cache_terms,
    compute_bytes,
    compute_terms,
)
from quantcore.shape import preset

GOLDEN = json.loads((Path(__file__).parent / "golden" / "llama_cpp_memory.json").read_text())
MIB = 2**20


def setup_of(case):
    return LlamaCppSetup(
        context=case["context"],
        sequences=case["sequences"],
        key_type=case["cache_type"].upper(),
        value_type=case["cache_type"].upper(),
        ubatch=case["ubatch"],
        flash_attention=case["flash_attention"] == "on",
    )


@pytest.mark.parametrize("case", GOLDEN)
def test_presets_take_what_llama_cpp_reports(case):
    shape, setup = preset(case["id"]), setup_of(case)
    assert cache_bytes(shape, setup) // MIB == case["context_mib"]
    assert compute_bytes(shape, setup) // MIB == case["compute_mib"]


@pytest.mark.parametrize("case", GOLDEN)
def test_terms_add_up(case):
    shape, setup = preset(case["id"]), setup_of(case)
    assert sum(t.bytes for t in cache_terms(shape, setup)) == cache_bytes(shape, setup)
    assert sum(t.bytes for t in compute_terms(shape, setup)) == compute_bytes(shape, setup)
