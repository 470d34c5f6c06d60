"""Print the table of docs/llama_cpp.md: our perplexity beside llama.cpp's recorded one.

python -m tests.peers.show_perplexity
"""

import json

from quantcore import measure_perplexity, open_model, plan
from quantcore.evaluate.text import evaluation_text
from tests.support.places import GOLDEN

RECORD = GOLDEN / "perplexity_shipped.json"


def main() -> None:
    """Measure each recorded file type twice."""
    golden, model = json.loads(RECORD.read_text(encoding="utf-8")), open_model()
    text = evaluation_text()[: golden["characters"]]
    print("| file type | llama.cpp | lab | apart | lab, activations in Q8 | apart |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, recorded in golden["files"].items():
        types = {t.name: t.type for t in plan(model, name).tensors if t.name in model.quantizable}
        theirs, cells = recorded["default"]["perplexity"], []
        for activations in ("F32", "Q8"):
            ours = measure_perplexity(model, types, text, activations=activations).perplexity
            cells.append(f"{ours:.5f} | {(ours / theirs - 1) * 1e6:+,.0f}".replace("-", "−"))
        print(f"| {name} | {theirs:.5f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
