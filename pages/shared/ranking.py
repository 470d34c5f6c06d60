"""Types ranked by how far they drift: rows, columns and marks, and what is said of them all."""

import math
from collections.abc import Mapping, Sequence

from pages.shared.charts.size import Point
from pages.shared.definitions import says
from pages.shared.palette import FAMILY_WORDS, SIGNS, Look, colour, family
from pages.shared.tables import Column
from pages.shared.units import decimal, number, one_in, percent, perplexity, signed, times
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.model.original import Original
from quantcore.recipe.types import get_type

TERMS = {
    "perplexity": f"{says('perplexity')} Scored as llama-perplexity does.",
    "divergence": f"{says('divergence')} It sees changes that perplexity averages away.",
    "sure": "Of the places where the original gave one token a probability above one half, the "
    "share where the quantized model prefers another token. Elsewhere two near-equal candidates "
    "can swap at the slightest change.",
    "bits": says("bits per weight"),
    "size": "Bytes of all weights; 1 MB is 10⁶ bytes, 1 GB is 10⁹.",
    "change": "Change of perplexity from the original’s. It may fall by luck; divergence is never "
    "below zero.",
}


def rows(
    drifts: Mapping[str, DriftFigures], types: Sequence[str], original: Original
) -> list[dict]:
    """Make the original's row, then one a type that was measured, by divergence."""
    known = sorted((t for t in types if t in drifts), key=lambda t: drifts[t].mean_kl_divergence)
    measured = [{"type": name} | _figures(drifts[name]) for name in known]
    if not measured:
        return []
    first = {
        "type": f"original, {original.stored_as}",
        "mark": False,
        "weights_bytes": original.n_bytes,
        "bits_per_weight": original.bits_per_weight,
        "perplexity": drifts[known[0]].base_perplexity,
        "mean_kl_nats": 0.0,
    }
    return [first, *measured]


def columns(table: Sequence[Mapping], look: Look) -> list[Column]:
    """Say how the page shows them; bars are on a log scale."""
    kl = [row["mean_kl_nats"] for row in table if row["mean_kl_nats"] > 0]
    low, high = (math.log(0.5 * min(kl)), math.log(max(kl))) if kl else (0.0, 1.0)

    def bar(row: Mapping) -> tuple[float, str]:
        value = row["mean_kl_nats"]
        if value <= 0 or high <= low:
            return 0.0, look.page
        return (math.log(value) - low) / (high - low), colour(row["type"], look)

    return [
        Column(key="type", title="type", text=True),
        Column(key="weights_bytes", title="size", show=decimal, help=TERMS["size"]),
        Column(
            key="bits_per_weight",
            title="bits per weight",
            show=lambda v: f"{v:.2f}",
            help=TERMS["bits"],
            wide=True,
        ),
        Column(
            key="perplexity",
            title="perplexity",
            show=perplexity,
            help=TERMS["perplexity"],
        ),
        Column(
            key="perplexity_change_percent",
            title="change",
            show=lambda v: f"{signed(v)} %",
            help=TERMS["change"],
            wide=True,
        ),
        Column(
            key="mean_kl_nats",
            title="divergence, log bar",
            show=number,
            help=TERMS["divergence"],
            bar=bar,
        ),
        Column(
            key="sure_tokens_changed",
            title="confident predictions changed",
            show=percent,
            help=TERMS["sure"],
            wide=True,
        ),
    ]


CSV_KEYS = (
    *("type", "weights_bytes", "bits_per_weight", "perplexity", "perplexity_error"),
    *("perplexity_change_percent", "mean_kl_nats", "mean_kl_error_nats", "median_kl_nats"),
    *("kl_90_nats", "kl_95_nats", "kl_99_nats", "kl_99_9_nats", "max_kl_nats"),
    *("same_top_token", "sure_tokens_changed", "tokens_scored"),
)


def points(table: Sequence[Mapping]) -> list[Point]:
    """Give the same rows to the chart of size against divergence; floats are its floor."""
    return [
        Point(
            type=row["type"],
            n_bytes=row["weights_bytes"],
            bits_per_weight=row["bits_per_weight"],
            divergence=row["mean_kl_nats"],
            says=f"confident predictions changed: {one_in(row['sure_tokens_changed'])}",
        )
        for row in table
        if row.get("mark", True) and family(row["type"]) != "float"
    ]


def floor(drifts: Mapping[str, DriftFigures]) -> tuple[float, str] | None:
    """Find the least that a change of number format costs: what rounding to 16 bits does."""
    halves = {n: drifts[n].mean_kl_divergence for n in ("F16", "BF16") if n in drifts}
    costly = {name: kl for name, kl in halves.items() if kl > 0}
    if not costly:
        return None
    least = min(costly, key=costly.__getitem__)
    return costly[least], f"floor: rounding to {least} alone"


def marks(table: Sequence[Mapping]) -> str:
    """Say what colour and shape mean; the original's row comes first."""
    shown = {family(row["type"]) for row in table[1:]} - {"float"}
    signs = [f"{SIGNS[each]} {FAMILY_WORDS[each]}" for each in SIGNS if each in shown]
    return f"Colour shows the bits per code, shape shows the family: {', '.join(signs)}"


def which(table: Sequence[Mapping]) -> str:
    """Say which types are mixes, and which put one format on every matrix."""
    names = [row["type"] for row in table[1:]]
    mixes = [name for name in names if get_type(name).mix]
    alone = [name for name in names if name not in mixes]
    more = "important matrices get more bits than the rest"
    if not mixes:
        return "Each type puts the same format on every matrix."
    example = "Q4_K_M" if "Q4_K_M" in mixes else mixes[0]
    if not alone:
        return f"Names such as {example} are llama-quantize’s mixes: {more}."
    return (
        f"Names such as {example} are llama-quantize’s mixes: {more}. Names such as {alone[-1]} "
        "put the same format on every matrix."
    )


def small_and_large(table: Sequence[Mapping], published: Mapping) -> str:
    """Say how a model this small differs from a large one, where Q4_K_M was measured of both."""
    theirs = {row["format"]: row for row in published["formats"]}
    ours = {row["type"]: row["mean_kl_nats"] for row in table}
    text = (
        f"Dotted: {published['model']} in llama-quantize’s mixes, on {published['text']} "
        f"({published['source']}). "
        f"Its floor, {number(published['floor_kl_nats'])}, comes from logits kept in 16 bits. "
    )
    if ours.get("Q4_K_M"):
        large, small = theirs["Q4_K_M"]["kl_nats"], ours["Q4_K_M"]
        how = "further" if large > 1.1 * small else "less far" if large < small / 1.1 else "as far"
        ratio = max(large / small, small / large)
        often = "" if how == "as far" else f"{times(ratio)} times "
        text += (
            f"In Q4_K_M the large model drifts {often}{how} "
            f"({number(large)} against {number(small)} nats). "
        )
    return text + (
        "A model a thousand times smaller has fewer weights to average errors out, but also fewer "
        "things to tell apart: its text has a small vocabulary and few surprises. What carries "
        "over is the shape: each bit less costs several times more."
    )


def _figures(drift: DriftFigures) -> dict:
    kl = drift.kl_percentiles
    return {
        "weights_bytes": drift.weights_bytes,
        "bits_per_weight": drift.bits_per_weight,
        "perplexity": drift.perplexity,
        "perplexity_error": drift.perplexity_error,
        "perplexity_change_percent": 100 * (drift.perplexity_ratio - 1),
        "mean_kl_nats": drift.mean_kl_divergence,
        "mean_kl_error_nats": drift.mean_kl_divergence_error,
        "median_kl_nats": drift.median_kl_divergence,
        "kl_90_nats": kl[90],
        "kl_95_nats": kl[95],
        "kl_99_nats": kl[99],
        "kl_99_9_nats": kl[99.9],
        "max_kl_nats": drift.max_kl_divergence,
        "same_top_token": drift.same_top_token,
        "sure_tokens_changed": drift.sure_tokens_changed,
        "tokens_scored": drift.tokens_scored,
    }
