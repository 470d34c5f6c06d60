"""Hostile files for every reader: ``python -m tests.fuzz --inputs 100000``, or ``make fuzz``.

Each input is a sound file that was changed at random: bytes for the binary formats, members and
values for JSON. A reader may take it, or refuse it by one sentence (a ValueError, of which
ModelError is one, or an OSError); anything else, more than a few seconds or much memory is a
failure, and the input is written to a file. Inputs of the binary formats that reach a new pair of
lines become the start of others. The suite tries 5,000 inputs in all, always the same; what once
failed stays in tests/golden/fuzz and is tried first.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from quantcore import open_model
from quantcore.io.gguf import read_gguf
from quantcore.io.imatrix import Imatrix, read_imatrix, write_imatrix
from quantcore.io.safetensors import read_header
from quantcore.memory import find_pasted, find_shape
from quantcore.model.tokenizer import read_tokenizer
from quantcore.recipe.contents import read_contents
from quantcore.recipe.overrides import read_overrides
from quantcore.recipe.plan import plan
from quantcore.recipe.quantize import quantize
from quantcore.recipe.recipe_file import read_recipe, recipe_as_json
from quantcore.sensitivity.results import load
from tests.support.gguf_bytes import small_file
from tests.support.gguf_models import stranger_bytes
from tests.support.places import GOLDEN, ROOT
from tests.support.sweep_results import effect, results
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

FOUND = GOLDEN / "fuzz"  # inputs that once failed, by target
IN_SUITE = 5_000
SLOW_S = 5.0
LARGE_BYTES = 600 * 2**20
ENGINE = str(ROOT / "quantcore")
NUMBERS = (0, 1, 2, 127, 255, 2**15, 2**31 - 1, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -0.5, 1e308, float("nan"), float("inf"),
    "", "a", "\x00", "\ud800", "ü" * 300, [], [[]], {}, [None], {"a": {}}, ["a"] * 50, [-1, 2**40],
)  # fmt: skip


@dataclass
class Target:
    """A reader, a sound file for it, and how its files are changed."""

    name: str  # of the file
    sound: list[bytes]
    read: Callable[[Path], object]
    change: Callable[[random.Random, list[bytes]], bytes]
    guided: bool = False  # by what it reaches
    edges: set[tuple[str, int, int]] = field(default_factory=set)


class Failure(Exception):
    """An input that a reader neither takes nor refuses by a sentence."""


def targets(folder: Path) -> list[Target]:
    """Write what the readers need beside their file, and list them."""
    write_folder(folder / "toy")
    toy = open_model(folder / "toy")
    write_safetensors(folder / "few", dict(list(tensors().items())[1:4]))
    sums = {"blk.0.attn_q.weight": np.ones((1, 64), np.float32)}
    counts = {"blk.0.attn_q.weight": np.full(1, 8, np.float32)}
    write_imatrix(folder / "few.gguf", Imatrix(sums=sums, counts=counts, chunk_count=2))
    quantize(toy, "Q4_K_M", folder / "whole")
    config, tokenizer = (folder / "toy" / n for n in ("config.json", "tokenizer.json"))
    sweep = results(effect("blk.0.attn_q.weight", 0.1), effect("blk.0.attn_k.weight", 0.2))
    recipe = recipe_as_json(plan(toy, "Q4_K_M"))
    overrides = b"blk.[01].attn_k=q8_0\nffn_(up|down)=q4_k\n^token_embd=q6_k"
    return [
        Target("model.gguf", [small_file(), small_file(">"), stranger_bytes()[:6000]], read_gguf,
               changed_bytes, guided=True),
        Target("whole.gguf", [(folder / "whole").read_bytes()], _read_whole, changed_bytes,
               guided=True),
        Target("shape.gguf", [stranger_bytes()], find_shape, changed_bytes, guided=True),
        Target("model.safetensors", [(folder / "few").read_bytes()], read_header, changed_bytes,
               guided=True),
        Target("imatrix.gguf", [(folder / "few.gguf").read_bytes()], read_imatrix, changed_bytes,
               guided=True),
        Target("imatrix.dat", [_dat()], read_imatrix, changed_bytes, guided=True),
        Target("config.json", [config.read_bytes(), json.dumps(CONFIG).encode()], read_contents,
               changed_json),
        Target("pasted.json", [config.read_bytes()], lambda path: find_pasted(
            path.read_text(encoding="utf-8", errors="replace")), changed_json),
        Target("tokenizer.json", [tokenizer.read_bytes()], lambda path: read_tokenizer(
            path.parent), changed_json),
        Target("sensitivity.json", [sweep.as_json().encode()], load, changed_json),
        Target("recipe.json", [recipe.encode()], lambda path: read_recipe(path, toy), changed_json),
        Target("types.txt", [overrides], read_overrides, changed_text),
    ]  # fmt: skip


def _read_whole(path: Path) -> None:
    model = open_model(path)
    model.tokenizer.encode("a word")
    for name in model.tensors:
        model.weights(name)


def _dat() -> bytes:
    """Write an importance matrix in llama.cpp's older format."""
    name = b"blk.0.attn_q.weight"
    head = np.array([1, len(name)], "<i4").tobytes() + name
    return head + np.array([2, 64], "<i4").tobytes() + np.ones(64, "<f4").tobytes()


def changed_bytes(chance: random.Random, known: list[bytes]) -> bytes:
    """Change some bytes of a file: single ones, numbers, runs that come, go, or move."""
    made = bytearray(chance.choice(known))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        # The head of a file says most.
        at = int(len(made) * chance.random() ** chance.choice((1, 3)))
        size = chance.choice((1, 2, 4, 8, 40))
        match chance.randrange(7):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                width = chance.choice((1, 2, 4, 8))
                number = chance.choice(NUMBERS) % 2 ** (8 * width)
                made[at : at + width] = number.to_bytes(width, chance.choice(("little", "big")))
            case 2:
                del made[at : at + size]
            case 3:
                made[at:at] = chance.randbytes(size)
            case 4:
                made[at:at] = made[at : at + size]
            case 5:
                other = chance.choice(known)
                start = chance.randrange(len(other) + 1)
                made[at : at + size] = other[start : start + size]
            case _:
                del made[at + size :]
    return bytes(made)


def changed_text(chance: random.Random, known: list[bytes]) -> bytes:
    """Change letters of a text, among them those that mean something in a pattern."""
    made = list(chance.choice(known).decode())
    for _ in range(chance.choice((1, 2, 4, 16))):
        at = chance.randrange(len(made) + 1)
        made[at : at + chance.randrange(3)] = chance.choice(
            ["(", ")", "[", "]", "{9}", "*", "+", "?", "|", "\\", "^", "$", "=", "\n", ",", "(.*)*",
             "q4_k", "\x00", "ü", "[[:alpha:]]", "(?=", "{1000}", "=" * 9]
        )  # fmt: skip
    return "".join(made).encode()


def changed_json(chance: random.Random, known: list[bytes]) -> bytes:
    """Change members of a JSON text; sometimes the text itself."""
    if chance.random() < 0.2:
        return changed_bytes(chance, known)
    whole = json.loads(chance.choice(known))
    for _ in range(chance.choice((1, 1, 2, 3))):
        holder, key = chance.choice(list(_members(whole)))
        match chance.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(("", "x", f"{key}2"))] = deepcopy(holder[key])
            case 2:
                holder[key] = [holder[key]]
            case _:
                holder[key] = deepcopy(chance.choice(VALUES))
        if not whole:
            break
    return json.dumps(whole).encode("utf-8", errors="surrogatepass")


def _members(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Go through all places of a tree, not through all of a long list."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree[:20])
    for key, value in list(below):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _members(value)


def fuzz(target: Target, folder: Path, n_inputs: int, seed: int) -> None:
    """Try inputs on a reader; `Failure` where one is neither taken nor refused."""
    place = folder / target.name
    known, chance = list(target.sound), random.Random(f"{seed} {target.name}")
    before = sorted((FOUND / target.name).glob("*")) if FOUND.exists() else []
    for path in before:
        _try(target, place, path.read_bytes())
    for _ in range(n_inputs):
        made = target.change(chance, known)
        if _try(target, place, made) and len(known) < 1000:
            known.append(made)


def _try(target: Target, place: Path, made: bytes) -> bool:
    """Read one input, and say whether it has reached what none reached before."""
    place.write_bytes(made)
    start, memory, n_edges = time.process_time(), _peak_bytes(), len(target.edges)
    try:
        if target.guided:
            _watched(target, place)
        else:
            target.read(place)
    except (ValueError, OSError) as problem:
        if not str(problem).strip() or "\n" in str(problem):
            raise Failure(f"{target.name}: no sentence: {problem!r}", made) from problem
    except BaseException as problem:
        raise Failure(f"{target.name}: {problem!r}", made) from problem
    if (seconds := time.process_time() - start) > SLOW_S:
        raise Failure(f"{target.name}: took {seconds:.1f} s", made)
    if (more := _peak_bytes() - memory) > LARGE_BYTES:
        raise Failure(f"{target.name}: took {more / 1e6:.0f} MB", made)
    return len(target.edges) > n_edges


def _watched(target: Target, place: Path) -> None:
    """Read, and note each pair of the engine's lines that follow one another."""
    edges = target.edges

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(ENGINE):
            return None
        last = [0]

        def step(frame: FrameType, event: str, _: Any) -> Any:
            if event == "line":
                edges.add((code.co_filename, last[0], frame.f_lineno))
                last[0] = frame.f_lineno
            return step

        return step

    former = sys.gettrace()
    sys.settrace(enter)
    try:
        target.read(place)
    finally:
        sys.settrace(former)


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=IN_SUITE, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a target, such as model.gguf")
    asked = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        chosen = [each for each in targets(folder) if asked.only in (None, each.name)]
        for target in chosen:
            start = time.perf_counter()
            try:
                fuzz(target, folder, asked.inputs // len(chosen), asked.seed)
                said = f"{len(target.edges):,} pairs of lines reached" if target.guided else ""
            except Failure as failure:
                said, failed = f"FAILED: {failure.args[0]}", True
                place = Path(f"failed-{target.name}")
                place.write_bytes(failure.args[1])
            print(f"{target.name:20} {time.perf_counter() - start:6.1f} s  {said}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
