"""Mixes chosen in every way beside llama.cpp's rules, at equal bytes, on held-out text.

``python -m benchmarks.budget``: the shipped model, without importance matrix. Choices are made on
calibration.txt, from the results that lie beside the model, and judged on all of evaluation.txt.
The last line is the sum of single effects over the divergence of the mix as a whole.
"""

import numpy as np

from quantcore import open_model
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.progress import result_of
from quantcore.sensitivity.measure_mixes import CONTEXT, mixes_to_measure
from quantcore.sensitivity.mixes import mix_steps
from quantcore.sensitivity.results import shipped

SIZES = ("Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M")


def main() -> None:
    """Print a column for each size, a row for each way."""
    model = open_model()
    mixes = [mix for mix in mixes_to_measure(model, shipped()) if mix.size_of in SIZES]
    points: dict[tuple[str, str], list] = {}
    chunks = cut(model, evaluation_text(), CONTEXT)
    for point in result_of(mix_steps(model, mixes, chunks)).values():
        points.setdefault((point.way, point.size_of), []).append(point)
    print("nats a token on held-out text, and the change from llama.cpp's rules")
    print(f"{'':<16}" + "".join(f"{size:>20}" for size in SIZES))
    bits = [points["rules", size][0].bits_per_weight for size in SIZES]
    print(f"{'bits a weight':<16}" + "".join(f"{each:>20.3f}" for each in bits))
    for way in dict.fromkeys(mix.way for mix in mixes):
        cells = []
        for size in SIZES:
            rules = points["rules", size][0].mean_kl_divergence
            mean = np.mean([point.mean_kl_divergence for point in points[way, size]])
            cells.append(f"{mean:>13.6f}{mean / rules - 1:>+7.0%}")
        print(f"{way.replace('_', ' '):<16}" + "".join(cells))
    measured = [points["measured", size][0] for size in SIZES]
    shares = [each.predicted_kl_divergence / each.mean_kl_divergence for each in measured]
    print(f"{'sum over joint':<16}" + "".join(f"{each:>20.2f}" for each in shares))


if __name__ == "__main__":
    main()
