"""The table of recipes: its rows, and how the page words them."""

from collections.abc import Mapping, Sequence

from pages.drift import recipes_words
from pages.shared.drifts import Results
from pages.shared.palette import Look, harm_colour
from pages.shared.ranking import TERMS
from pages.shared.recipes import called
from pages.shared.tables import Column
from pages.shared.units import decimal, duration, number, perplexity, signed
from quantcore.evaluate.recipes import MethodDrift, paired
from quantcore.evaluate.skills import SkillScore
from quantcore.model.original import Original
from quantcore.model.source import Model
from quantcore.recipe.types import get_type

ORIGINAL = "F32"  # as the engine calls the model as it is
ABSENT = "not measured"
CSV_KEYS = (
    *("recipe", "type", "by", "with_imatrix", "bits_per_weight", "weights_bytes", "perplexity"),
    *("perplexity_change_percent", "kl_nats", "kl_low_nats", "kl_high_nats"),
    *("more_than_first_nats", "more_low_nats", "more_high_nats", "same_top_token"),
    *("right_answers", "seconds", "tokens_scored"),
)


def skills(rows: Sequence[MethodDrift], types: Results, original: Results) -> dict[str, float]:
    """Take shares of right answers, by recipe, where they are known; the original's as F32.

    Of a mix they are those of the type. `original` knows the model's answers as it is.
    """
    scores: dict[str, Sequence[SkillScore]] = {}
    for row in rows:
        name = row.recipe.name
        if row.skills is not None:
            scores[name] = row.skills
        elif get_type(row.type).mix and not row.with_imatrix and name in types.skills:
            scores[name] = types.skills[name]
    if ORIGINAL in original.skills:
        scores[ORIGINAL] = original.skills[ORIGINAL]
    return {name: _share(each) for name, each in scores.items()}


def _share(scores: Sequence[SkillScore]) -> float:
    return sum(each.correct for each in scores) / sum(each.total for each in scores)


def base_perplexity(rows: Sequence[MethodDrift], original: Results) -> float | None:
    """Find the perplexity of the original on this text; None where it was not kept."""
    known = [row.base_perplexity for row in rows if row.base_perplexity is not None]
    known += [drift.base_perplexity for drift in original.drifts.values()]
    return known[0] if known else None


def rows(
    model: Model,
    found: Sequence[MethodDrift],
    original: Original,
    base: float | None,
    answers: Mapping[str, float],
) -> list[dict]:
    """Make the original's row, then one a recipe, in the order given."""
    n_weights = sum(model.tensors[name].n_weights for name in model.quantizable)
    first = {
        "recipe": f"original, {original.stored_as}",
        "mark": False,
        "bits_per_weight": original.bits_per_weight,
        "weights_bytes": original.n_bytes,
        "perplexity": base,
        "perplexity_change_percent": 0.0,
        "kl_nats": 0.0,
        "more": "",
        "right_answers": answers.get(ORIGINAL),
        "time": "",
    }
    return [first, *(_row(row, found[0], n_weights, base, answers) for row in found)]


def _row(
    row: MethodDrift,
    best: MethodDrift,
    n_weights: int,
    base: float | None,
    answers: Mapping[str, float],
) -> dict:
    more = None if row is best else paired(row, best)
    return {
        "recipe": called(row.recipe),
        "format": row.type,
        "type": row.type,
        "by": row.by,
        "with_imatrix": row.with_imatrix,
        "bits_per_weight": row.bits_per_weight,
        "weights_bytes": round(row.bits_per_weight * n_weights / 8),
        "perplexity": None if base is None else base * row.perplexity_ratio,
        "perplexity_change_percent": 100 * (row.perplexity_ratio - 1),
        "kl_nats": row.mean_kl_divergence,
        "kl_low_nats": row.kl_low,
        "kl_high_nats": row.kl_high,
        "more_than_first_nats": row.mean_kl_divergence - best.mean_kl_divergence,
        "more_low_nats": more and more.low,
        "more_high_nats": more and more.high,
        "more": "" if row is best else more and _ends(more.low, more.high),
        "same_top_token": row.same_top_token,
        "right_answers": answers.get(row.recipe.name),
        "seconds": row.seconds,
        "time": None if row.seconds is None else duration(row.seconds),
        "tokens_scored": row.tokens_scored,
    }


def _ends(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def columns(answers: Mapping[str, float], style: Look) -> list[Column]:
    """Say how the page shows them."""
    before = answers.get(ORIGINAL)

    def lost(row: Mapping) -> str:
        share = 0.0 if before is None else before - row["right_answers"]
        return harm_colour(max(share, 0.0), style)

    return [
        Column(key="recipe", title="recipe", text=True),
        Column(
            key="bits_per_weight", title="bits per weight", show="{:.2f}".format,
            help=TERMS["bits"],
        ),
        Column(
            key="weights_bytes", title="size", show=decimal, help=recipes_words.BYTES_HELP,
            wide=True,
        ),
        Column(
            key="perplexity", title="perplexity", show=perplexity, help=TERMS["perplexity"],
            absent=ABSENT, wide=True,
        ),
        Column(
            key="perplexity_change_percent", title="change", show=lambda v: f"{signed(v)} %",
            help=TERMS["change"], wide=True,
        ),
        Column(key="kl_nats", title="divergence", show=number, help=TERMS["divergence"]),
        Column(
            key="more", title="more than the first", help=recipes_words.MORE_HELP,
            absent="not kept", wide=True,
        ),
        Column(
            key="right_answers", title="right answers of 100",
            show=lambda share: f"{100 * share:.0f}", help=recipes_words.SKILLS_HELP, absent=ABSENT,
            fill=lost, wide=True,
        ),
        Column(
            key="time", title="CPU time", help=recipes_words.SECONDS_HELP, absent=ABSENT, wide=True,
        ),
    ]  # fmt: skip
