"""Record what llama.cpp allocates for many shapes and set-ups: test_memory_llama_cpp.py reads it.

By hand: python -m tests.peers.make_memory FOLDER, a folder that holds llama-fit-params (commit
0c1e57098, built from PyPI's llama-cpp-python source package as in benchmarks/whole_file.py; no
wheel can tell sizes without allocating them). The models are header-only files; nothing is loaded.
The answers about presets in the same file were not made here and stay as they are.

python -m tests.peers.make_memory FOLDER --try N [SEED] compares N random shapes and set-ups with
ours instead, and prints the worst error of each architecture.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from quantcore.memory.llama_cpp import LlamaCppSetup, cache_bytes, compute_bytes, refuse
from quantcore.shape import ModelShape, shape_from_json
from tests.peers.header_only import write
from tests.peers.random_shapes import KINDS, random_config, random_setup
from tests.support.places import GOLDEN, ROOT

RECORD = GOLDEN / "llama_cpp_memory.json"
SHIPPED = ROOT / "assets" / "fable-7m" / "config.json"
TYPES = ("F16", "Q4_K_M", "Q8_0")
SETUPS_PER_SHAPE = 4
BUFFER = "compute buffer size"
TRIES = 10  # the end of the log is sometimes lost
MIB = 2**20


def main() -> None:
    """Record, or compare."""
    tool = Path(sys.argv[1]) / "llama-fit-params"
    if "--try" in sys.argv:
        n, *seed = map(int, sys.argv[sys.argv.index("--try") + 1 :])
        compare(tool, n, *seed)
        return
    chance = random.Random(0)
    configs = [json.loads(SHIPPED.read_text())]
    configs += [random_config(kind, chance) for kind in KINDS for _ in range(2)]
    shapes = [record(tool, config, chance) for config in configs]
    stays = json.loads(RECORD.read_text())["presets"]
    RECORD.write_text(as_lines(stays, shapes), encoding="utf-8")


def record(tool: Path, config: dict, chance: random.Random) -> dict:
    """Ask about one shape under several set-ups."""
    shape, type_name = shape_from_json(config), chance.choice(TYPES)
    setups = [random_setup(chance) for _ in range(SETUPS_PER_SHAPE)]
    cases = []
    for setup in setups:
        answer = ask(tool, shape, type_name, setup)
        if only_we_refuse(shape, setup, answer):
            continue
        changed = {key: n for key, n in asdict(setup).items() if n != getattr(LlamaCppSetup(), key)}
        cases.append(changed | ({"refused": True} if answer is None else answer))
    return {"config": config, "type": type_name, "cases": cases}


def ask(tool: Path, shape: ModelShape, type_name: str, setup: LlamaCppSetup) -> dict | None:
    """Return MiB of weights and cache (rounded down) and of the compute buffer; None: refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "model.gguf", shape, type_name)
        options = {
            "-c": setup.context,
            "-np": setup.sequences,
            "-ctk": setup.key_type.lower(),
            "-ctv": setup.value_type.lower(),
            "-b": setup.batch,
            "-ub": setup.ubatch,
            "-fa": "on" if setup.flash_attention else "off",
        }
        command = [tool, "-m", folder / "model.gguf", "--fit-print", "on"]
        command += ["--no-repack", "-v", "--log-file", folder / "log"]
        command += [str(word) for pair in options.items() for word in pair]
        for _ in range(TRIES):
            done = subprocess.run(command, capture_output=True, text=True)
            log = (folder / "log").read_text(errors="replace")
            if done.returncode or BUFFER in log:
                break
    if done.returncode:
        if "error loading model" in log:
            raise SystemExit(next(line for line in log.splitlines() if "error loading" in line))
        return None
    _, model, context, _ = done.stdout.splitlines()[-1].split()
    line = next(line for line in log.splitlines() if BUFFER in line)
    return {
        "model_mib": int(model),
        "context_mib": int(context),
        "compute_mib": float(line.split("=")[1].split()[0]),
    }


def only_we_refuse(shape: ModelShape, setup: LlamaCppSetup, answer: dict | None) -> str:
    """Say why, or nothing: heads cut into blocks go unnoticed there without flash attention."""
    try:
        refuse(shape, setup)
    except ValueError as problem:
        return str(problem) if answer is not None else ""
    return ""


def compare(tool: Path, n_pairs: int, seed: int = 1) -> None:
    """Print what differs by more than the last digit, and the worst of each architecture."""
    chance = random.Random(seed)
    errors = defaultdict(list)
    for _ in range(n_pairs):
        shape = shape_from_json(random_config(chance.choice(KINDS), chance))
        setup = random_setup(chance)
        answer = ask(tool, shape, "F16", setup)
        if answer is None:
            continue  # test_memory_llama_cpp.py holds that these are refused here too
        if problem := only_we_refuse(shape, setup, answer):
            print("only we refuse:", problem)
            continue
        ours, theirs = compute_bytes(shape, setup) / MIB, answer["compute_mib"]
        errors[shape.architecture].append(ours / theirs - 1)
        if cache_bytes(shape, setup) // MIB != answer["context_mib"]:
            print("cache:", shape, setup, cache_bytes(shape, setup) / MIB, answer)
        if abs(ours - theirs) > 0.006:
            print(f"compute: {theirs} MiB, ours {ours:.2f}:", shape, setup)
    for name, differences in sorted(errors.items()):
        print(
            f"{name}: {len(differences)} pairs, {min(differences):+.3%} to {max(differences):+.3%}"
        )


def as_lines(presets: list[dict], shapes: list[dict]) -> str:
    """Write one case a line."""
    blocks = [
        f'{{"config": {json.dumps(shape["config"])}, "type": "{shape["type"]}", '
        f'"cases": [\n{_rows(shape["cases"])}\n]}}'
        for shape in shapes
    ]
    every = ",\n".join(blocks)
    return f'{{"presets": [\n{_rows(presets)}\n],\n"shapes": [\n{every}\n]}}\n'


def _rows(cases: list[dict]) -> str:
    return ",\n".join(json.dumps(case) for case in cases)


if __name__ == "__main__":
    main()
