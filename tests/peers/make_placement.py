"""Record where llama.cpp puts layers, on devices that are other processes of this machine.

    python -m tests.peers.make_placement FOLDER HOST:PORT HOST:PORT

FOLDER holds llama-fit-params, built with GGML_RPC=ON like the two rpc-server that listen: llama.cpp
takes each for a GPU with all memory of the machine, and margins (--fit-target) make it smaller.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from quantcore.shape import preset
from tests.peers.header_only import write
from tests.support.places import GOLDEN

RECORD = GOLDEN / "llama_cpp_placement.json"
MODELS = {
    "Llama-3.1-8B": "Q4_K_M",
    "gemma-3-4b-it": "Q8_0",
    "Qwen3-4B": "F16",
    "DeepSeek-V2-Lite": "Q4_K_M",
    "Qwen3-30B-A3B": "Q4_K_M",
    "gpt-oss-20b": "Q8_0",
}
CONTEXTS = (4096, 20_000)


def main() -> None:
    """Ask about every model with fixed layers, and with memory to fit into."""
    tool, *servers = sys.argv[1:]
    cases = []
    for name, type_name in MODELS.items():
        shape = preset(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            write(path, shape, type_name)
            size_mib = path.stat().st_size >> 20
            ask = Asking(Path(tool) / "llama-fit-params", path, servers)
            experts = [(shape.n_layers + 1, n) for n in (1, 9)] if shape.experts else []
            for context in CONTEXTS:
                given = [ask.given(context, n, *gpus) for n, gpus in _layers(shape.n_layers)]
                given += [ask.given(context, n, 1, kept) for n, kept in experts]
                fitted = [ask.fitted(context, size_mib * part // 100) for part in (20, 45, 70, 95)]
                fitted += [ask.fitted(context, *pair) for pair in _pairs(size_mib)]
                about = {"model": name, "type": type_name, "context": context}
                cases.append(about | {"given": given, "fitted": fitted})
    RECORD.write_text(_as_lines(cases), encoding="utf-8")


def _layers(n: int) -> list[tuple[int, tuple[int, ...]]]:
    """Layers on one GPU, and on two."""
    return [(k, (gpus,)) for k in (0, 1, n // 3, n, n + 1) for gpus in (1, 2) if k or gpus == 1]


def _pairs(size_mib: int) -> list[tuple[int, int]]:
    return [
        tuple(size_mib * part // 100 for part in pair) for pair in ((30, 30), (20, 40), (70, 80))
    ]


class Asking:
    """One model file, and the servers that stand for GPUs."""

    def __init__(self, tool: Path, path: Path, servers: list[str]) -> None:
        self.command = [str(tool), "-m", str(path), "-fa", "on", "--no-repack"]
        self.servers = servers
        self.total_mib = psutil.virtual_memory().total >> 20

    def given(self, context: int, layers: int, n_gpus: int, kept: int = 0) -> dict:
        """Return MiB of weights, cache and compute buffers by device, the host's last."""
        words = ["-c", context, "-ngl", layers, "-ncmoe", kept, "--fit-print", "on"]
        lines = self._run(n_gpus, words).splitlines()[-(n_gpus + 1) :]
        devices = [[int(n) for n in line.split()[1:]] for line in lines]
        return {"layers": layers, "without_experts": kept, "devices": devices}

    def fitted(self, context: int, *targets_mib: int) -> dict:
        """Return the layers that llama.cpp gives GPUs of which it may use so many MiB."""
        margins = ",".join(str(self.total_mib - target) for target in targets_mib)
        answer = self._run(len(targets_mib), ["-c", context, "--fit-target", margins]).split("\n")
        words = answer[-2].split()
        options = dict(zip(words[::2], words[1::2], strict=False))
        counts = [int(n) for n in options["-ts"].split(",")] if "-ts" in options else []
        layers = int(options["-ngl"])
        overrides = options.get("-ot", "").strip('"')
        return {
            "targets_mib": targets_mib,
            "layers": layers,
            "by_gpu": counts or [layers],
            "overridden": len(overrides.split(",")) if overrides else 0,
        }

    def _run(self, n_gpus: int, words: list) -> str:
        servers = ",".join(self.servers[:n_gpus])
        command = [*self.command, "--rpc", servers, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _as_lines(cases: list[dict]) -> str:
    """Write one case a line."""
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"


if __name__ == "__main__":
    main()
