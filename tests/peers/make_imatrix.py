"""Record what llama.cpp's own tools make of the shipped model, for test_imatrix.py.

By hand: python -m tests.peers.make_imatrix FOLDER, a folder that holds llama-imatrix and
llama-quantize (commit 0c1e57098, built from PyPI's llama-cpp-python source package).
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from quantcore import open_model, plan
from quantcore.evaluate.text import calibration_text
from quantcore.io.gguf import read_gguf
from quantcore.recipe.contents import layer_of
from quantcore.recipe.quantize import quantize
from tests.support.places import GOLDEN

N_CHARACTERS = 15_000
PLAIN = "Q8_0 Q6_K Q5_K_M Q5_0 Q4_K_M Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K_M IQ3_M IQ3_S Q2_K TQ2_0".split()
WITH_IMATRIX = "Q2_K_S IQ3_XXS IQ2_M IQ2_S IQ2_XS IQ2_XXS IQ1_M IQ1_S".split()
CACHE = "-c 512 -t 2 -ctk f32 -ctv f32 -fa off".split()


def main() -> None:
    """Write the three files."""
    tools = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name), open_model()
        quantize(model, plan(model, "F32"), folder / "f32.gguf")
        (folder / "text.txt").write_text(calibration_text()[:N_CHARACTERS], encoding="utf-8")
        for ending in ("gguf", "dat"):
            output = GOLDEN / f"imatrix_llama_cpp.{ending}"
            run(
                *(tools / "llama-imatrix", "-m", "f32.gguf", "-f", "text.txt", "-o", output),
                *("--output-format", ending, *CACHE),
                folder=folder,
            )
        record = {}
        for file_type in PLAIN + WITH_IMATRIX:
            ways = {"imatrix": ("--imatrix", "imatrix.gguf")} | (
                {"plain": ()} if file_type in PLAIN else {}
            )
            (folder / "imatrix.gguf").write_bytes((GOLDEN / "imatrix_llama_cpp.gguf").read_bytes())
            for way, options in ways.items():
                output = folder / "out.gguf"
                command = (tools / "llama-quantize", *options, "f32.gguf", output, file_type, "2")
                run(*command, folder=folder)
                record.setdefault(file_type, {})[way] = described(output)
    text = json.dumps(record, indent=1) + "\n"
    (GOLDEN / "llama_quantize_shipped.json").write_text(text, encoding="utf-8")


def run(*command, folder: Path) -> None:
    """Run a tool; what it says is only of interest where it fails."""
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])


def described(path: Path) -> dict[str, object]:
    """Digest of types and bytes by layer, and what the metadata say of the quantization."""
    file, layers = read_gguf(path), {}
    for name in sorted(file.tensors):
        digest = layers.setdefault(str(layer_of(name)), hashlib.sha256())
        digest.update(f"{name} {file.tensors[name].type} ".encode())
        digest.update(file.tensors[name].packed().tobytes())
    said = ("general.file_type", "general.quantization_version")
    metadata = {
        key: value
        for key, value in sorted(file.metadata.items())
        if key in said or key.startswith("quantize.")
    }
    return {
        "metadata": metadata,
        "layers": {layer: digest.hexdigest()[:16] for layer, digest in sorted(layers.items())},
    }


if __name__ == "__main__":
    main()
