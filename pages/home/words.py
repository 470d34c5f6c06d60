"""Sentences of the first page that follow the numbers. Measurements in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.units import decimal, millions, number, one_in, opening, percent, the, times
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.model.config import LlamaConfig
from quantcore.model.original import Original

PURPOSE = (
    "A language model is millions of numbers. Quantization stores each of them with fewer "
    "bits, so the file shrinks and the model starts to answer differently. This lab does it "
    "to real weights and measures what changes."
)
DEFINED = (
    "token, tensor, embedding, quantization, code, scale, minimum, grid, block, super-block, "
    "outlier, format, mix, pure, bits per weight, GGUF, importance matrix, divergence, nat, "
    "perplexity, sure tokens, KV cache"
).split(", ")
CARDS = (
    ("weights", "Meet the weights", "How they are distributed, and the outliers that cost bits."),
    ("block", "Open one block", "Its weights on their grid, and the bytes that store them."),
    ("scales", "Weigh the scales", "What scale factors cost, and how they are stored."),
    (
        "imatrix",
        "Which inputs matter",
        "Which columns count, and what an importance matrix changes.",
    ),
    ("layer_error", "Find the weak layers", "The error of every matrix in every format."),
    ("methods", "Round with care", "What GPTQ, AWQ, QuIP# and others make of the same bits."),
    ("sensitivity", "Test each tensor", "How far the model drifts when only it is quantized."),
    ("drift", "Read what changes", "Where the smaller model thinks differently, word by word."),
    ("trial", "Test before you commit", "Your own prompts, answered by the original and others."),
    ("mix", "Compose a file", "Which type each tensor gets, and why; change it, and save it."),
    ("file", "Look into a file", "What is inside a GGUF file, and whether it matches its name."),
    ("memory", "Count the bytes", "What a model needs: weights, cache and overhead."),
)

SHIPPED = (
    "Unrounded, both say exactly the same. The second has outlier channels, as large models have, "
    "which make its weights hard to round."
)
RUIN = 0.5  # share of changed tokens above which little of a model is left


def at_a_glance(table: Sequence[Mapping], original: Original, gentle: str, harsh: str) -> str:
    """Say what the gentle and the harsh type save and cost, and which leaves nothing, if any."""
    rows = {row["type"]: row for row in table}
    first, second = rows[gentle], rows[harsh]
    if first is second:
        return f"{_saves(first, original)} and changes {_changes(first)}."
    return (
        f"{_saves(first, original)} and changes {_changes(first)}. "
        f"{_saves(second, original, 'it')} and changes {one_in(second['sure_tokens_changed'])}"
        f"{_ruin(table, harsh)}."
    )


def _ruin(table: Sequence[Mapping], harsh: str) -> str:
    """Name the type that changes most of what the model was sure of, where one does."""
    worst = max(table[1:], key=lambda row: row["sure_tokens_changed"])
    if worst["sure_tokens_changed"] <= RUIN or worst["type"] == harsh:
        return ""
    return f"; {worst['type']} changes {one_in(worst['sure_tokens_changed'])}"


def _saves(row: Mapping, original: Original, what: str = "the file") -> str:
    """Say how much smaller a type makes a file; of one that has few bits already, how large."""
    ratio = row["weights_bytes"] / original.n_bytes
    if (smaller := times(1 / ratio)) != "1.0" and ratio < 1:
        return f"**{row['type']}** makes {what} {smaller} times smaller"
    if (larger := times(ratio)) != "1.0":
        return f"**{row['type']}** makes {what} {larger} times as large"
    return f"**{row['type']}** leaves {what} about as large as it is"


def _changes(row: Mapping) -> str:
    return f"{one_in(row['sure_tokens_changed'])} of the tokens the model was sure of"


def anatomy(damage: Mapping[str, float], n_weights: Mapping[str, int], format_name: str) -> str:
    """Say which matrix drifts most when each is quantized alone; `damage` by name."""
    total = sum(damage.values())
    if total <= 0:
        return f"No matrix moves the model when it alone is stored in {format_name}."
    most = max(damage, key=damage.__getitem__)
    share = damage[most] / total
    held = n_weights[most] / sum(n_weights.values())
    fair = abs(share - held) < 0.2 * held
    return (
        f"**{opening(the(most))}** has {percent(held)} of the weights "
        f"{'but' if share > held and not fair else 'and'} causes **{percent(share)}** of the drift"
        f"{', no more than its share,' if fair else ''} when the matrices are put into "
        f"{format_name} one at a time."
    )


def the_model(
    name: str, config: LlamaConfig, n_weights: int, drift: DriftFigures, file: Original
) -> str:
    """Introduce a shipped model, and say how good it is."""
    floor_ = drift.floor_perplexity
    best = ""
    if floor_:
        above = drift.base_perplexity / floor_ - 1
        best = (
            " The program that wrote the stories knows how likely each continuation is, and scores "
            f"{floor_:.2f}: the model is {percent(above)} off perfect."
        )
    return (
        f"This page is about **{name}**, a small Llama with {millions(n_weights)} weights in "
        f"{config.n_layers} layers ({decimal(file.n_bytes)} in {file.stored_as}), which this lab "
        "trained on stories of an invented world. On stories that it never saw, its perplexity is "
        f"{drift.base_perplexity:.2f}.{best}"
    )


def same_function(
    type_name: str, mine: tuple[str, float], base: tuple[str, float], large: tuple[str, float]
) -> str:
    """Say what a model with outlier channels is: names, and what a type costs in nats a token."""
    (name, cost), (plain, least), (other, published) = mine, base, large
    return (
        f" Unrounded, {name} computes exactly what {plain} computes: factors in neighbouring "
        "tensors cancel out, and give it outlier channels such as large models have. So "
        f"{type_name} costs it {number(cost)} nats per token, {times(cost / least)} times as much "
        f"as {plain}; {other} loses {number(published)}."
    )


def another(on_bench: str, shown: str) -> str:
    """Say whose figures the page shows while another model is on the bench."""
    return (
        f"On the bench is **{on_bench}**. The figures on this page are those of **{shown}**, the "
        "small model that comes with this lab and was measured in every type beforehand."
    )


def measured_here(on_bench: str, text: str, shown: str) -> str:
    """Say whose figures the page shows where Drift has measured the model on the bench."""
    return (
        f"The chart shows **{on_bench}** as the page Drift measured it here, on {text}. What "
        f"stands below it is about **{shown}**, the small model that comes with this lab."
    )


def sample(prompt: str, continuation: str) -> str:
    """Quote what the model writes, to the end of its second sentence."""
    ends = [i for i, letter in enumerate(continuation) if letter in ".?!"][:2]
    written = continuation[: ends[-1] + 1] if ends else continuation
    return f"Given “{prompt}”, it continues: “{written.strip()}”"


def sensitivity_range(damage: Mapping[str, float]) -> tuple[str, str]:
    """Word the ends of the colour scale."""
    return number(min(damage.values())), number(max(damage.values()))
