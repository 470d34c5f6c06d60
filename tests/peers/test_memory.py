"""Shapes that nobody recorded: what llama.cpp's own allocator answers, and what we do.

Skipped where llama-fit-params is not on PATH; tests/peers/make_memory.py says how to come by it.
"""

import random
import shutil
from pathlib import Path

import pytest

from quantcore.memory.llama_cpp import cache_bytes, compute_bytes
from quantcore.shape import shape_from_json
from tests.peers.make_memory import MIB, ask, only_we_refuse
from tests.peers.random_shapes import KINDS, random_config, random_setup

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("kind", KINDS)
def test_cache_and_compute_buffer_of_random_shapes(kind):
    program = shutil.which("llama-fit-params") or pytest.skip("no llama-fit-params on PATH")
    chance = random.Random(f"{kind} of this test")
    for _ in range(3):
        shape, setup = shape_from_json(random_config(kind, chance)), random_setup(chance)
        answer = ask(Path(program), shape, "F16", setup)
        if answer is None or only_we_refuse(shape, setup, answer):
            continue
        assert cache_bytes(shape, setup) // MIB == answer["context_mib"]
        assert compute_bytes(shape, setup) / MIB == pytest.approx(answer["compute_mib"], rel=0.01)
