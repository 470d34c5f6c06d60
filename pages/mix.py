"""Page: which type each tensor of a file gets and why, and what another choice would cost."""

import streamlit as st

from pages.shared import (
    by_hand,
    controls,
    frame,
    look,
    mix_choice,
    mix_divergence,
    mix_take,
    mixing,
    tables,
)
from pages.shared import mix_words as words
from pages.shared.charts import mix as charts
from pages.shared.units import megabytes, percent, real_minus
from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.recipe.plan import Plan
from quantcore.recipe.rules import role_of

frame.enter(__file__)

BY_SIZE = sorted(FORMATS, key=lambda name: -GGML_TYPES[name].bits_per_weight)
style, model = look.current(), controls.model()


def types_of(plan: Plan) -> dict[str, str]:
    """Type of each tensor by name."""
    return {tensor.name: tensor.type for tensor in plan.tensors}


def choices(tensor: str) -> list[str]:
    """List the types that a tensor can get, largest first."""
    heard = with_imatrix and model.imatrix is not None and tensor in model.imatrix.sums
    return [name for name in BY_SIZE if heard or not FORMATS[name].needs_importance]


def steps_around(tensor: str, type: str) -> list[str]:
    """List the types a few steps up and down from that of a tensor, or all that fit its rows."""
    n_cols = model.tensors[tensor].shape[-1]
    fitting = [name for name in choices(tensor) if n_cols % FORMATS[name].block_size == 0]
    if st.session_state.get("every"):
        return fitting
    bits = GGML_TYPES[type].bits_per_weight
    larger = (GGML_TYPES[name].bits_per_weight > bits for name in fitting)
    at = fitting.index(type) if type in fitting else sum(larger)
    return fitting[max(0, at - 3) : at + 4]


def error_of(tensor: str, type: str) -> float | None:
    """Error of one tensor in a type, where it is measured; vectors have none."""
    found = mixing.cases(model, [(tensor, type)], with_imatrix)
    return mixing.known(model).errors.get(found[0]) if found else None


def recipe(name: str, plan: Plan, aided: bool) -> words.Recipe:
    """Sum up what a plan costs."""
    error = mixing.whole(model, types_of(plan), aided)
    return words.Recipe(name, plan.bytes, plan.bits_per_weight, error)


def clicked() -> None:
    """Choose the tensor that was clicked."""
    if place := controls.clicked("mix_map"):
        st.session_state["tensor"] = place[0]


# ---- the recipe ---------------------------------------------------------------------------------

st.title("Mix", anchor=False)
choice = mix_choice.choose(model)
with_imatrix, mixed = choice.with_imatrix, choice.hears_names
hand_types = by_hand.changes(model)
if hand_types and not mixed:
    look.note(words.names_unheard(choice.file_type))
n_changed = len(hand_types) if mixed else 0
base, hand = choice.base, choice.plan(hand_types)
by_name = {tensor.name: tensor for tensor in hand.tensors}
stock = mixing.stock(model, with_imatrix)
tensor = st.session_state.get("tensor") or st.query_params.get("tensor")
tensor = tensor if tensor in model.quantizable else model.quantizable[0]

missing = [name for name, each in stock.items() if each.missing]
around = [(tensor, type) for type in steps_around(tensor, types_of(hand)[tensor])]
wanted = {
    "tensor": mixing.cases(model, around, with_imatrix),
    "recipe": [case for plan in (hand, base)
               for case in mixing.cases(model, types_of(plan).items(), with_imatrix)],
    "stock": [case for name, each in stock.items() if name not in missing
              for case in mixing.cases(model, types_of(each.plan).items(), each.aided)],
}  # fmt: skip
for asked_for in wanted.values():
    mixing.at_once(model, mixing.lacking(model, asked_for))
unknown = {scope: mixing.lacking(model, asked_for) for scope, asked_for in wanted.items()}

base_recipe = recipe(choice.name, base, with_imatrix)
mine = recipe("by hand" if n_changed else choice.short_name, hand, with_imatrix)

# ---- the map ------------------------------------------------------------------------------------

st.space("small")
look.finding(
    words.headline(mine, base_recipe, n_changed),
    words.HOW_TO_READ_MAP,
    help="Weight error: root of the squared errors’ sum over the squared weights’ sum, all tensors "
    "together. Bits a weight as llama-quantize counts them, norms included.",
)
if not with_imatrix and any(each.needs_imatrix for each in hand.tensors):
    look.note(words.REFUSED)
mixing.offer(model, unknown["recipe"], "recipe", "Measure the weight error")
fallen = [each for each in hand.tensors if each.fallback]
if fallen:
    st.markdown(words.fallbacks(fallen))
before, after = types_of(base), types_of(hand)
if moved := [n for n in after if after[n] != before[n] and n not in hand_types]:
    look.note(words.shifted(moved))
left, right = st.columns([3, 2], gap="large")
with left:
    look.show(
        charts.type_map(
            {name: after[name] for name in model.quantizable},
            [each.name for each in fallen],
            list(hand_types),
            tensor,
            style,
        ),
        key="mix_map",
        alt=f"{choice.name}: types by layer and role; {tensor} is {after[tensor]}.",
        on_select=clicked,
        selection_mode="points",
    )

# ---- one tensor ---------------------------------------------------------------------------------

with right:
    tensor = controls.tensor()
    this, error = by_name[tensor], error_of(tensor, after[tensor])
    st.markdown(words.tensor(tensor, this.type, this.bytes, this.bytes / hand.bytes, error))
    look.note(this.rule)
    key = f"as_{tensor}_{this.type}"
    options = list(dict.fromkeys([*choices(tensor), this.type]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Store it as", options, options.index(this.type), key=key, width=180,
            disabled=not mixed, on_change=by_hand.choose, args=(key, tensor, hand_types),
        )  # fmt: skip
        if tensor in hand_types:
            rest = {name: type for name, type in hand_types.items() if name != tensor}
            st.button("Undo", key="undo", on_click=by_hand.remember, args=(rest,))
        if hand_types:
            st.button("Undo all", key="undo_all", on_click=by_hand.remember, args=({},))
    rows = []
    for type in steps_around(tensor, this.type) if mixed else ():
        other = choice.plan(hand_types | {tensor: type})
        got = types_of(other)
        if got[tensor] != type:
            continue  # rows do not divide: what it falls back to has a line of its own
        whole = mixing.whole(model, got, with_imatrix)
        known = whole is not None and mine.error is not None
        rows.append(
            {
                "type": type,
                "bits_per_weight": GGML_TYPES[type].bits_per_weight,
                "relative_rmse": error_of(tensor, type),
                "change_bytes": other.bytes - hand.bytes,
                "change_error": whole - mine.error if known else None,
            }
        )
    st.toggle("Every type", key="every")
    tables.show(
        rows,
        [
            tables.Column(key="type", title="stored as"),
            tables.Column(key="bits_per_weight", title="bits", show="{:.4g}".format),
            tables.Column(key="relative_rmse", title="its error",
                          show=lambda v: f"{100 * v:.3f} %"),
            tables.Column(key="change_bytes", title="file, bytes",
                          show=lambda v: real_minus(f"{v:+,}") if v else "–",
                          help="What the file would gain or lose."),
            tables.Column(key="change_error", title="error of all",
                          show=lambda v: real_minus(f"{100 * v:+.3f} %") if v else "–",
                          help="Change of the error of all weights, in percentage points."),
        ],
        "mix_steps",
        caption=f"What {tensor} would cost in other types",
        chosen=this.type,
        formats=True,
    )  # fmt: skip
    mixing.offer(model, unknown["tensor"], "tensor", "Measure this tensor")

# ---- what it costs the model --------------------------------------------------------------------

st.space("medium")
mix_divergence.section(choice, hand, n_changed)

# ---- where the bytes go -------------------------------------------------------------------------

st.space("medium")
left, right = st.columns([2, 3], gap="large")
sizes: dict[str, dict[str, int]] = {}
for each in hand.tensors:
    role = role_of(each.name) if each.name in model.quantizable else "norms and biases"
    by_type = sizes.setdefault(role, {})
    by_type[each.type] = by_type.get(each.type, 0) + each.bytes
with left:
    look.finding(words.where_bytes_go(sizes), "Bytes by role, all layers together, cut by type.")
    look.show(
        charts.bytes_by_role(sizes, style),
        key="mix_bytes",
        alt="A bar a role with its bytes, cut by type.",
    )
with right:
    others = [recipe(name, each.plan, each.aided) for name, each in stock.items()]
    others = [each for each in others if each.error is not None
              and each.name not in (mine.name, *missing)]  # fmt: skip
    look.finding(
        words.standing(mine, others, bool(n_changed)),
        "Left is smaller, down is closer to the original weights; the star is this recipe. Weight "
        "error is not the model’s error: Drift shows that.",
    )
    if mine.error and mixed:
        look.show(
            charts.size_against_error(others, mine, style, look.narrow()),
            key="mix_size",
            alt="Bits a weight against the error of all weights, stock mixes and this recipe.",
        )
    mixing.offer(model, unknown["stock"], "stock", "Measure every file type")
    aided = [name for name, each in stock.items() if each.aided]
    if note := words.with_and_without(list(stock), aided, missing):
        look.note(note)

# ---- take it along ------------------------------------------------------------------------------

st.space("medium")
mix_take.section(choice, hand, hand_types)
with st.expander("Table of all tensors"):
    tables.show(
        [
            {
                "tensor": each.name,
                "type": each.type,
                "bytes": each.bytes,
                "relative_rmse": error_of(each.name, each.type),
                "wanted": each.fallback,
                "rule": each.rule,
            }
            for each in hand.tensors
        ],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="type", title="type", text=True),
            tables.Column(key="bytes", title="size", show=megabytes),
            tables.Column(key="relative_rmse", title="error", show=percent),
            tables.Column(key="wanted", title="wanted", text=True, wide=True),
            tables.Column(key="rule", title="rule", text=True, wide=True),
        ],
        "mix_tensors",
        caption=f"Every tensor of {model.name} by {choice.name}",
        chosen=tensor,
    )
