"""Record llama.cpp's perplexity of the shipped model, and of the files that the lab makes of it.

By hand, with requirements-peers.txt: python -m tests.peers.make_perplexity
"""

import hashlib
import json
import tempfile
from pathlib import Path

import xllamacpp

from quantcore import open_model, plan
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.recipe.quantize import quantize
from tests.peers import gguf_file, llama_cpp
from tests.support.places import GOLDEN

RECORD = GOLDEN / "perplexity_shipped.json"
CONTEXT = 512
N_CHARACTERS = 30_000
FILE_TYPES = "F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_1 Q4_K_M Q4_0 IQ4_XS Q3_K_M Q2_K".split()


def main():
    """Run the start of the evaluation text with keys and values in F32, and as llama.cpp does."""
    model = open_model()
    chunks = cut(model, evaluation_text()[:N_CHARACTERS], CONTEXT).inputs
    record = {
        "made_with": f"xllamacpp {xllamacpp.__version__}",
        "model_sha256": hashlib.sha256((model.path / "model.safetensors").read_bytes()).hexdigest(),
        "characters": N_CHARACTERS,
        "context": CONTEXT,
        "chunks": len(chunks),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f32.gguf"
        gguf_file.write(path, model.config, {name: model.weights(name) for name in model.tensors})
        record |= by_cache(path, model.config.vocabulary_size, chunks)
        record["files"] = {}
        for file_type in FILE_TYPES:
            path = Path(folder) / f"{file_type}.gguf"
            quantize(model, plan(model, file_type), path)
            record["files"][file_type] = by_cache(path, model.config.vocabulary_size, chunks)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def by_cache(path, n_vocabulary, chunks):
    """Perplexity of a file with keys and values in F32, and with llama.cpp's defaults."""
    figures = {}
    for name, exact in (("f32_cache", True), ("default", False)):
        with llama_cpp.opened(path, n_vocabulary, CONTEXT, exact=exact) as run:
            figures[name] = dict(zip(("perplexity", "error"), run.perplexity(chunks), strict=True))
    return figures


if __name__ == "__main__":
    main()
