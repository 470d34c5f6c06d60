"""The sections of the page Mix on bytes and weight error: where they go, and beside file types."""

from pages.mix import cache, errors, words
from pages.mix.charts import map as charts
from pages.mix.choice import ChosenMix
from pages.shared import look, tables
from pages.shared.units import decimal, percent
from quantcore.evaluate.mix_error import MixSummary
from quantcore.recipe.plan import Plan

COLUMNS = [
    tables.Column(key="tensor", title="tensor", text=True),
    tables.Column(key="type", title="format", text=True),
    tables.Column(key="bytes", title="size", show=decimal),
    tables.Column(key="relative_rmse", title="error", show=percent),
    tables.Column(key="wanted", title="wanted", text=True, wide=True),
    tables.Column(key="rule", title="rule", text=True, wide=True),
]


def bytes_by_role(hand: Plan) -> None:
    """Draw where the bytes go."""
    sizes = hand.bytes_by_role()
    look.finding(words.where_bytes_go(sizes), "Bytes by role, over all layers, divided by format.")
    look.show(
        charts.bytes_by_role(sizes, look.current()),
        key="mix_bytes",
        alt="One bar per role with its bytes, divided by format.",
    )


def size_against_error(choice: ChosenMix, mine: MixSummary, n_changed: int) -> None:
    """Draw the recipe among llama-quantize's file types, by size and weight error."""
    name, table = choice.model.name, cache.error_table(choice.model.name)
    stock = cache.stock(name, choice.with_imatrix)
    drawn = {name: plan for name, plan in stock.items() if not plan.needs_imatrix}
    cases = [
        case
        for plan in drawn.values()
        for case in table.cases(plan.types.items(), plan.with_imatrix)
    ]
    errors.at_once(table, cases)
    every = [table.summary(name, plan, plan.with_imatrix) for name, plan in stock.items()]
    others = [each for each in every if each.name != mine.name and each.error is not None]
    look.finding(
        words.beside_stock(mine, every, bool(n_changed)),
        "Left is smaller, down is closer to the original weights; the star is this recipe. Weight "
        "error is not the model’s error: the chart above shows that.",
    )
    if mine.error and choice.allows_changes:
        look.show(
            charts.size_against_error(others, mine, look.current(), look.narrow()),
            key="mix_size",
            alt="Bits per weight against the error of all weights, stock mixes and this recipe.",
        )
    errors.offer(name, cases, "stock", "Measure every mix")
    aided = [name for name, plan in stock.items() if plan.with_imatrix]
    missing = [name for name in stock if name not in drawn]
    if note := words.with_and_without(list(stock), aided, missing):
        look.note(note)


def table(choice: ChosenMix, hand: Plan, tensor: str) -> None:
    """List every tensor of the file."""
    known = cache.error_table(choice.model.name)
    tables.show(
        [
            {
                "tensor": each.name,
                "type": each.type,
                "bytes": each.bytes,
                "relative_rmse": known.error(each.name, each.type, choice.with_imatrix),
                "wanted": each.fallback,
                "rule": each.rule,
            }
            for each in hand.tensors
        ],
        COLUMNS,
        "mix_tensors",
        caption=f"Every tensor of {choice.model.name} by {choice.name}",
        chosen=tensor,
    )
