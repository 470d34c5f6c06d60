"""Every writer of the lab, killed at random moments: ``python -m tests.killed --kills 20``.

A child writes without end; SIGKILL ends it somewhere. What then lies at the place of a file must be
whole, and the next start must remove what lies beside it. The suite does a few of each.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numba
import numpy as np

from quantcore import _kernel_cache, export, open_model, scratch
from quantcore.evaluate import kept_drift, measured
from quantcore.evaluate.kept_drift import KeptDrift
from quantcore.io.gguf import read_gguf
from quantcore.io.imatrix import Imatrix, read_imatrix, write_imatrix
from quantcore.io.safetensors import read_header
from quantcore.progress import Progress
from quantcore.recipe.quantize import quantize
from quantcore.sensitivity.measure import Swept, saving
from quantcore.sensitivity.mixes import MixPoint, load_mixes, save_mixes
from quantcore.sensitivity.results import load
from tests.support.sweep_results import SOURCE, effect, results
from tests.support.toy_model import write_folder

LONGEST_S = 0.1  # that a child lives, once it writes


@dataclass(frozen=True)
class Writer:
    """Writes into a folder, again and again; `check` raises where something is not whole."""

    name: str
    write: Callable[[Path, int], None]  # the folder, and how often it was written to before
    check: Callable[[Path], None]


def _write_gguf(folder: Path, i: int) -> None:
    (folder / "model.gguf").unlink(missing_ok=True)
    quantize(open_model(folder / "toy"), "F16", folder / "model.gguf")


def _check_gguf(folder: Path) -> None:
    if (folder / "model.gguf").exists():
        file = read_gguf(folder / "model.gguf")
        for name, tensor in open_model(folder / "toy").tensors.items():
            assert file.tensors[name].shape == tensor.shape and file.tensors[name].read().any()


def _export(folder: Path, i: int) -> None:
    (folder / "out" / "config.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "out", ignore_errors=True)
    tokens = np.zeros((1, 8), np.int32)
    export(open_model(folder / "toy"), "gptq", "INT4_G32", folder / "out", tokens)


def _check_export(folder: Path) -> None:
    if (folder / "out" / "config.json").exists():  # which the writer removes first
        tensors = read_header(folder / "out" / "model.safetensors")
        assert len(tensors) == 2 + 2 * (2 + 7 * 4) and (folder / "out" / "tokenizer.json").exists()


def _write_imatrix(folder: Path, i: int) -> None:
    (folder / "imatrix.gguf").unlink(missing_ok=True)
    sums = {f"blk.{n}.ffn_up.weight": np.full((1, 4096), 1 + i % 9, np.float32) for n in range(40)}
    counts = dict.fromkeys(sums, np.ones(1, np.float32))
    write_imatrix(folder / "imatrix.gguf", Imatrix(sums=sums, counts=counts))


def _check_imatrix(folder: Path) -> None:
    if (folder / "imatrix.gguf").exists():
        assert len(read_imatrix(folder / "imatrix.gguf").sums) == 40


def _sweep(folder: Path, i: int) -> None:
    mine = results(*(effect(f"blk.{i % 99}.{role}.weight", 0.1) for role in ("a", "b")))
    for _ in saving(iter([Progress(1.0, "done", Swept(mine))]), folder / "sensitivity.json"):
        pass


def _check_sweep(folder: Path) -> None:
    if (folder / "sensitivity.json").exists():
        names = {each.name for each in load(folder / "sensitivity.json").effects}
        assert len(names) % 2 == 0  # of each piece of work, both results or none


_shipped = cache(measured.load)


def _keep_drift(folder: Path, i: int) -> None:
    drift = next(iter(_shipped().drifts.values()))
    kept = KeptDrift(
        model="toy", fingerprint="f", text="t", text_digest="d", context=64,
        drifts={("Q8_0", "Q6_K", "Q4_0")[i % 3]: drift},
    )  # fmt: skip
    kept_drift.keep(folder / "toy.drift.json", kept)


def _check_drift(folder: Path) -> None:
    if (folder / "toy.drift.json").exists():
        assert kept_drift.load(folder / "toy.drift.json").drifts


def _write_measured(folder: Path, i: int) -> None:
    drifts = dict(itertools.islice(_shipped().drifts.items(), 2))
    measured._write(folder, {"key": str(i), "drifts": {}}, drifts)


def _check_measured(folder: Path) -> None:
    if (folder / "measured.json").exists():
        json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    if (folder / "tokens.npz").exists():
        with np.load(folder / "tokens.npz") as stored:
            assert all(len(stored[name]) for name in measured.BY_TYPE)


def _write_mixes(folder: Path, i: int) -> None:
    figures = dict.fromkeys(
        ("bits_per_weight mean_kl_divergence kl_low kl_high perplexity perplexity_ratio ratio_low "
         "ratio_high same_top_token predicted_kl_divergence").split(), 1.0,
    )  # fmt: skip
    point = MixPoint(name="m", way="hand", bytes=i, types={"a": "Q8_0"}, **figures)
    save_mixes(folder / "mixes.json", SOURCE, [point] * 500)


def _check_mixes(folder: Path) -> None:
    if (folder / "mixes.json").exists():
        assert len(load_mixes(folder / "mixes.json")[1]) == 500


def _one_more(x):
    return x + 1


def _compile(folder: Path, i: int) -> None:
    _kernel_cache.cache_folder = lambda: folder
    dispatcher = numba.njit(_one_more)
    _kernel_cache.keep(dispatcher, _one_more, f"k-{i % 3:012x}")
    assert dispatcher(i) == i + 1


def _check_kernels(folder: Path) -> None:
    for path in folder.rglob("*.nb[ic]"):
        assert _kernel_cache._is_sound(path)


def _hand_over(folder: Path, i: int) -> None:
    """Write into a temporary folder of the process's own, as the lab's server does."""
    tempfile.tempdir = str(folder)
    (scratch.own_folder() / f"{i}.gguf").write_bytes(bytes(1000))


WRITERS = (
    Writer("a GGUF file", _write_gguf, _check_gguf),
    Writer("a checkpoint", _export, _check_export),
    Writer("an importance matrix", _write_imatrix, _check_imatrix),
    Writer("results of a sweep", _sweep, _check_sweep),
    Writer("kept drift", _keep_drift, _check_drift),
    Writer("what was measured of the shipped model", _write_measured, _check_measured),
    Writer("measured mixes", _write_mixes, _check_mixes),
    Writer("compiled kernels", _compile, _check_kernels),
    Writer("a server's temporary files", _hand_over, lambda folder: None),
)


def killed(writer: Writer, folder: Path, kills: int, rng: np.random.Generator) -> int:
    """Kill a writer so often; return how often it left something, which the next start removed."""
    left = 0
    for _ in range(kills):
        child, ready = _begin(writer, folder)
        assert os.read(ready, 1) == b"x", f"{writer.name}: the writer did not begin"
        os.close(ready)
        time.sleep(rng.uniform(0, LONGEST_S))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{writer.name}: the writer ended by itself"
        writer.check(folder)
        left += bool(_left(folder))
        scratch.remove_left_behind(folder)
        assert not _left(folder), f"{writer.name} left {_left(folder)}"
        writer.check(folder)
    return left


def _begin(writer: Writer, folder: Path) -> tuple[int, int]:
    """Fork a child that writes for ever; the pipe tells when it begins."""
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        return child, ready
    try:
        writer.write(folder, 0)  # what is loaded and compiled only once
        for i in itertools.count(1):
            if i == 1:
                os.write(tell, b"x")
            writer.write(folder, i)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _left(folder: Path) -> list[str]:
    names = (path.name for path in folder.iterdir())
    return [name for name in names if name.startswith((".quantlab-", "quantlab-run-"))]


def rounds(kills: int, seed: int) -> Iterator[tuple[str, int]]:
    """Kill each writer so often; yield its name, and how often it left something behind."""
    rng = np.random.default_rng(seed)
    _shipped()  # once, for all children
    for writer in WRITERS:
        with tempfile.TemporaryDirectory() as place:
            write_folder(Path(place) / "toy")
            yield writer.name, killed(writer, Path(place), kills, rng)


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each writer")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, left in rounds(options.kills, options.seed):
        print(
            f"{name}: {options.kills} kills, nothing half-written; {left} times a temporary file "
            "was left, and removed"
        )


if __name__ == "__main__":
    main()
