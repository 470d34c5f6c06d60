"""Record llama.cpp's perplexity of the shipped model for tests/test_perplexity.py.

By hand, with requirements-peers.txt: python -m tests.peers.make_perplexity
"""

import hashlib
import json
import tempfile
from pathlib import Path

import xllamacpp

from quantcore import open_model
from quantcore.evaluate.text import cut, evaluation_text
from tests.peers import gguf_file, llama_cpp

GOLDEN = Path(__file__).parent.parent / "golden" / "perplexity_shipped.json"
CONTEXT = 512
N_CHARACTERS = 30_000


def main():
    """Run the start of the evaluation text with keys and values in F32, and as llama.cpp does."""
    model = open_model()
    chunks = cut(model, evaluation_text()[:N_CHARACTERS], CONTEXT).inputs
    found = {
        "made_with": f"xllamacpp {xllamacpp.__version__}",
        "model_sha256": hashlib.sha256(
            (model.place / "model.safetensors").read_bytes()
        ).hexdigest(),
        "characters": N_CHARACTERS,
        "context": CONTEXT,
        "chunks": len(chunks),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f32.gguf"
        gguf_file.write(path, model.config, {name: model.weights(name) for name in model.tensors})
        for name, exact in (("f32_cache", True), ("default", False)):
            with llama_cpp.opened(path, model.config.vocabulary_size, CONTEXT, exact=exact) as run:
                found[name] = dict(
                    zip(("perplexity", "error"), run.perplexity(chunks), strict=True)
                )
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
