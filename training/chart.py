"""Draws training_log.csv of a model folder as training_log.svg, the curve of the model card.

python training/chart.py assets/fable-7m
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from quantcore.corpus.floor import FILE

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 300, 56, 40


def points(x, y, x_max: float, y_range: tuple[float, float]) -> list[tuple[float, float]]:
    """Place data on the page; y is on a log scale."""
    low, high = np.log(y_range)
    across = LEFT + np.asarray(x) / x_max * (WIDTH - LEFT - 12)
    up = (np.log(y) - low) / (high - low) * (HEIGHT - BOTTOM - 12)
    return list(zip(across, HEIGHT - BOTTOM - up, strict=True))


def line(x, y, x_max, y_range, style: str) -> str:
    """Draw a polyline."""
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points(x, y, x_max, y_range))
    return f'<polyline points="{path}" fill="none" {style}/>'


def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    """Write words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def svg(tokens, loss, floor: float) -> str:
    """Loss by millions of tokens, over the floor of the evaluation text."""
    x_max, y_range = max(tokens), (0.9 * min(*loss, floor), 1.05 * max(loss))
    frame = (x_max, y_range)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12" fill="#777">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for nats in (n for n in (0.75, 1, 1.25, 1.5, 2, 3, 6) if y_range[0] < n < y_range[1]):
        parts.append(line([0, x_max], [nats, nats], *frame, 'stroke="#ddd"'))
        (_, y), _ = points([0, x_max], [nats, nats], *frame)
        parts.append(text(LEFT - 6, y + 4, f"{nats:g}", "end"))
    for share in range(5):
        (x, _), _ = points([share / 4 * x_max, 0], [1, 1], *frame)
        parts.append(text(x - 8 * (share == 4), HEIGHT - 22, f"{share / 4 * x_max:.1f}"))
    parts.append(text(WIDTH / 2, HEIGHT - 6, "million tokens of training"))
    parts.append(text(LEFT + 8, 24, "loss in nats a token (log scale); dashed: the floor", "start"))
    parts.append(line([0, x_max], [floor, floor], *frame, 'stroke="#b34" stroke-dasharray="6 4"'))
    parts.append(line(tokens, loss, *frame, 'stroke="#247" stroke-width="1.5"'))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with (arguments.folder / "training_log.csv").open() as log:
        rows = list(csv.DictReader(log))
    tokenizer = Tokenizer.from_file(str(arguments.folder / "tokenizer.json"))
    evaluation = (arguments.folder / "evaluation.txt").read_text(encoding="utf-8")
    n_tokens = len(tokenizer.encode(evaluation, add_special_tokens=False).ids)
    floor = -np.loadtxt(arguments.folder / FILE, skiprows=1)[:, 1].sum() / n_tokens
    tokens = [int(row["tokens"]) / 1e6 for row in rows]
    drawing = svg(tokens, [float(row["loss_nats"]) for row in rows], floor)
    (arguments.folder / "training_log.svg").write_text(drawing, newline="\n")


if __name__ == "__main__":
    main()
