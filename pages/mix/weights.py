"""The sections of the page Mix on bytes and weight error: where they go, and beside file types."""

from pages.mix import errors as mixing
from pages.mix import words
from pages.mix.charts import map as charts
from pages.mix.choice import Choice
from pages.shared import look, tables
from pages.shared.units import megabytes, percent
from quantcore.recipe.plan import Plan
from quantcore.recipe.rules import role_of

COLUMNS = [
    tables.Column(key="tensor", title="tensor", text=True),
    tables.Column(key="type", title="type", text=True),
    tables.Column(key="bytes", title="size", show=megabytes),
    tables.Column(key="relative_rmse", title="error", show=percent),
    tables.Column(key="wanted", title="wanted", text=True, wide=True),
    tables.Column(key="rule", title="rule", text=True, wide=True),
]


def bytes_by_role(choice: Choice, hand: Plan) -> None:
    """Draw where the bytes go."""
    sizes: dict[str, dict[str, int]] = {}
    for each in hand.tensors:
        is_matrix = each.name in choice.model.quantizable
        by_type = sizes.setdefault(role_of(each.name) if is_matrix else "norms and biases", {})
        by_type[each.type] = by_type.get(each.type, 0) + each.bytes
    look.finding(words.where_bytes_go(sizes), "Bytes by role, all layers together, cut by type.")
    look.show(
        charts.bytes_by_role(sizes, look.current()),
        key="mix_bytes",
        alt="A bar a role with its bytes, cut by type.",
    )


def size_against_error(choice: Choice, mine: words.Recipe, n_changed: int) -> None:
    """Draw the recipe among llama-quantize's file types, by size and weight error."""
    model = choice.model
    stock = mixing.stock(model, choice.with_imatrix)
    missing = [name for name, each in stock.items() if each.missing]
    cases = [
        case
        for name, each in stock.items()
        if name not in missing
        for case in mixing.cases(model, mixing.types_of(each.plan).items(), each.aided)
    ]
    mixing.at_once(model, mixing.lacking(model, cases))
    others = [mixing.recipe(model, name, each.plan, each.aided) for name, each in stock.items()
              if name not in (mine.name, *missing)]  # fmt: skip
    others = [each for each in others if each.error is not None]
    look.finding(
        words.standing(mine, others, bool(n_changed)),
        "Left is smaller, down is closer to the original weights; the star is this recipe. Weight "
        "error is not the model’s error: the chart above shows that.",
    )
    if mine.error and choice.hears_names:
        look.show(
            charts.size_against_error(others, mine, look.current(), look.narrow()),
            key="mix_size",
            alt="Bits a weight against the error of all weights, stock mixes and this recipe.",
        )
    mixing.offer(model, mixing.lacking(model, cases), "stock", "Measure every file type")
    aided = [name for name, each in stock.items() if each.aided]
    if note := words.with_and_without(list(stock), aided, missing):
        look.note(note)


def table(choice: Choice, hand: Plan, tensor: str) -> None:
    """List every tensor of the file."""
    model, aided = choice.model, choice.with_imatrix
    tables.show(
        [
            {
                "tensor": each.name,
                "type": each.type,
                "bytes": each.bytes,
                "relative_rmse": mixing.error_of(model, each.name, each.type, aided),
                "wanted": each.fallback,
                "rule": each.rule,
            }
            for each in hand.tensors
        ],
        COLUMNS,
        "mix_tensors",
        caption=f"Every tensor of {model.name} by {choice.name}",
        chosen=tensor,
    )
