"""Sentences of the first page that follow the numbers. Measurements in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.units import decimal, millions, number, one_in, percent, spoken, times
from quantcore.evaluate.drift import Drift
from quantcore.model.config import LlamaConfig
from quantcore.model.original import Original


def at_a_glance(table: Sequence[Mapping], original: Original, gentle: str, harsh: str) -> str:
    """Say what the gentle and the harsh type save and cost."""
    rows = {row["type"]: row for row in table}
    first, second = rows[gentle], rows[harsh]
    if first is second:
        return f"**{first['type']}** {_saves(first, original)} and {_costs(first)}."
    smaller = times(original.n_bytes / second["weights_bytes"])
    return (
        f"**{first['type']}** {_saves(first, original)} and {_costs(first)}; "
        f"**{second['type']}**, {smaller} times smaller, {_costs(second)}."
    )


def _saves(row: Mapping, original: Original) -> str:
    return f"makes the file {times(original.n_bytes / row['weights_bytes'])} times smaller"


def _costs(row: Mapping) -> str:
    share = row["sure_tokens_changed"]
    if not share:
        return "changes none of the tokens the model was sure of"
    return f"changes {one_in(share)} of the tokens the model was sure of"


def anatomy(damage: Mapping[str, float], n_weights: Mapping[str, int], format_name: str) -> str:
    """Say which matrix matters most for its size; `damage` in nats per token, by name."""
    total = sum(damage.values())
    if total <= 0:
        return f"No matrix moves the model when it alone is stored in {format_name}."
    most = max(damage, key=damage.__getitem__)
    share = damage[most] / total
    held = n_weights[most] / sum(n_weights.values())
    fair = abs(share - held) < 0.2 * held
    return (
        f"**{spoken(most).capitalize()}** holds {percent(held)} of the weights and carries "
        f"**{percent(share)}** of the drift in {format_name}"
        + (", no more than its share." if fair else ".")
    )


def the_model(name: str, config: LlamaConfig, n_weights: int, drift: Drift, file: Original) -> str:
    """Introduce the shipped model, and say how good it is."""
    floor_ = drift.floor_perplexity
    best = ""
    if floor_:
        above = drift.base_perplexity / floor_ - 1
        best = (
            f", {percent(above)} above {floor_:.2f}, which is the text’s own and no model can beat"
        )
    return (
        f"On the bench lies **{name}**, a Llama of {millions(n_weights)} weights in "
        f"{config.n_layers} layers ({decimal(file.n_bytes)} in {file.stored_as}), trained by "
        f"this lab on stories of an invented world. On stories that it never saw its perplexity is "
        f"{drift.base_perplexity:.2f}{best}."
    )


def sample(prompt: str, continuation: str) -> str:
    """Quote what the model writes, to the end of its second sentence."""
    ends = [i for i, letter in enumerate(continuation) if letter in ".?!"][:2]
    written = continuation[: ends[-1] + 1] if ends else continuation
    return f"Given “{prompt}”, it goes on: “{written.strip()}”"


def sensitivity_range(damage: Mapping[str, float]) -> tuple[str, str]:
    """Word the ends of the colour scale."""
    return number(min(damage.values())), number(max(damage.values()))
