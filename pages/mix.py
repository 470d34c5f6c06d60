"""Page: which type each tensor of a file gets and why, and what another choice would cost."""

import re
from pathlib import Path

import streamlit as st

import quantcore
from pages.shared import controls, frame, jobs, look, mixing, tables, writing
from pages.shared import mix_words as words
from pages.shared.charts import mix as charts
from pages.shared.units import megabytes, percent, real_minus
from quantcore.formats import FORMATS, UNAIDED
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.overrides import Override, overrides_as_text, parse_override
from quantcore.recipe.plan import Plan
from quantcore.recipe.rules import role_of
from quantcore.recipe.types import needs_imatrix

frame.enter(__file__)

CHOICES = sorted(UNAIDED, key=lambda name: -GGML_TYPES[name].bits_per_weight)
STOCK = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "IQ4_NL", "Q4_0",
         "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K")  # fmt: skip
style, model = look.current(), controls.model()


def changes() -> dict[str, str]:
    """Types chosen by hand, by tensor; ValueError in one sentence for an entry that is none."""
    found = {}
    for entry in st.session_state.get("set") or []:
        wanted = parse_override(entry)
        name = f"{wanted.pattern}.weight"
        if name not in model.quantizable:
            raise ValueError(f"{model.name} has no matrix {wanted.pattern[:60]!r} to change.")
        found[name] = wanted.type
    return found


def remember(types: dict[str, str]) -> None:
    """Keep types chosen by hand in the control, and so in the address."""
    pairs = types.items()
    st.session_state["set"] = [f"{name.removesuffix('.weight')}={type}" for name, type in pairs]


def plan_with(types: dict[str, str]) -> Plan:
    """Plan the file with types chosen by hand."""
    overrides = [Override(f"^{re.escape(name)}$", type) for name, type in types.items()]
    return quantcore.plan(model, mix, imatrix=with_imatrix, pure=pure, overrides=overrides)


def types_of(plan: Plan) -> dict[str, str]:
    """Type of each tensor by name."""
    return {tensor.name: tensor.type for tensor in plan.tensors}


def steps_around(tensor: str, type: str) -> list[str]:
    """List the types a few steps up and down from that of a tensor, or all that fit its rows."""
    n_cols = model.tensors[tensor].shape[-1]
    fitting = [name for name in CHOICES if n_cols % FORMATS[name].block_size == 0]
    if st.session_state.get("every"):
        return fitting
    bits = GGML_TYPES[type].bits_per_weight
    larger = (GGML_TYPES[name].bits_per_weight > bits for name in fitting)
    at = fitting.index(type) if type in fitting else sum(larger)
    return fitting[max(0, at - 3) : at + 4]


def recipe(name: str, plan: Plan) -> words.Recipe:
    """Sum up what a plan costs."""
    error = mixing.whole(model, types_of(plan))
    return words.Recipe(name, plan.bytes, plan.bits_per_weight, error)


def choose(key: str, tensor: str, hand: dict[str, str]) -> None:
    """Take over the type that was chosen for a tensor."""
    remember(hand | {tensor: st.session_state[key]})


def load() -> None:
    """Take over a recipe that was uploaded: first pattern found counts, as in llama-quantize."""
    if (file := st.session_state["recipe_file"]) is None:
        return
    try:
        entries = file.getvalue().decode("utf-8").split()
        loaded = [parse_override(entry) for entry in entries]
        found = {}
        for name in model.quantizable:
            hits = (each.type for each in loaded if re.search(each.pattern, name))
            if type := next(hits, None):
                found[name] = type
        remember(found)
        unused = not found
        st.session_state["_recipe"] = "No pattern of that file is found in a name." * unused
    except UnicodeDecodeError:
        st.session_state["_recipe"] = f"{file.name} is no text in UTF-8."
    except ValueError as problem:
        st.session_state["_recipe"] = frame.sentence(problem)


def clicked() -> None:
    """Choose the tensor that was clicked."""
    if place := controls.clicked("mix_map"):
        st.session_state["tensor"] = place[0]


# ---- the recipe ---------------------------------------------------------------------------------

st.title("Mix", anchor=False)
one, two, three, four = st.columns([2, 2, 2, 6], vertical_alignment="bottom")
mix = one.selectbox(
    "File type", list(FILE_TYPES), list(FILE_TYPES).index("Q4_K_M"), key="mix",
    help="What `llama-quantize` calls a type: a recipe for the whole file.", **controls.BOUND,
)  # fmt: skip
with_imatrix = two.toggle(
    "With imatrix", key="with_imatrix",
    help="Some rules ask whether there is an importance matrix, and the file is written with that "
    "which lies with the model. The errors here are without one.",
    **controls.BOUND,
)  # fmt: skip
pure = three.toggle(
    "Pure", key="pure", help="No rules: every matrix gets the type of most.", **controls.BOUND
)
asked = [*st.query_params.get_all("set"), *(st.session_state.get("set") or [])]
with four:
    st.multiselect(
        "Changed by hand", list(dict.fromkeys(asked)), key="set", accept_new_options=True,
        placeholder="none: click a cell below, or type blk.3.ffn_down=Q6_K", **controls.BOUND,
        help="Takes precedence over the rules, as `--tensor-type` does. Remove one to undo it.",
    )  # fmt: skip
mixed = FILE_TYPES[mix].is_quantized
hand_types = changes()
if hand_types and not mixed:
    look.note(f"In a file of type {mix} llama-quantize ignores types that are asked for by name.")
n_changed = len(hand_types) if mixed else 0
base, hand = plan_with({}), plan_with(hand_types)
by_name = {tensor.name: tensor for tensor in hand.tensors}
stock = {name: quantcore.plan(model, name) for name in STOCK}
tensor = st.session_state.get("tensor") or st.query_params.get("tensor")
tensor = tensor if tensor in model.quantizable else model.quantizable[0]

needed = [pair for plan in (hand, base) for pair in types_of(plan).items()]
further = [pair for plan in stock.values() for pair in types_of(plan).items()]
further += [(tensor, type) for type in steps_around(tensor, types_of(hand)[tensor])]
for pairs in (needed, further):
    mixing.at_once(model, mixing.lacking(model, pairs))
unknown = mixing.lacking(model, [*needed, *further])

called = f"{FILE_TYPES[mix].format} pure" if pure and mixed else mix
base_recipe = recipe(called, base)
mine = recipe("by hand" if n_changed else called, hand)

# ---- the map ------------------------------------------------------------------------------------

st.space("small")
look.finding(
    words.headline(mine, base_recipe, n_changed),
    words.HOW_TO_READ_MAP,
    help="Weight error: root of the squared errors’ sum over the squared weights’ sum, all tensors "
    "together. Bits a weight as llama-quantize counts them, norms included.",
)
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
        alt=f"Types of {model.name} as {mix} by layer and role; {tensor} is {after[tensor]}.",
        on_select=clicked,
        selection_mode="points",
    )

# ---- one tensor ---------------------------------------------------------------------------------

with right:
    tensor = controls.tensor()
    this, error = by_name[tensor], mixing.known(model).errors.get((tensor, after[tensor]))
    st.markdown(words.tensor(tensor, this.type, this.bytes, this.bytes / hand.bytes, error))
    look.note(this.rule)
    key = f"as_{tensor}_{this.type}"
    options = list(dict.fromkeys([*CHOICES, this.type]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Store it as", options, options.index(this.type), key=key, width=180,
            disabled=not mixed, on_change=choose, args=(key, tensor, hand_types),
        )  # fmt: skip
        if tensor in hand_types:
            rest = {name: type for name, type in hand_types.items() if name != tensor}
            st.button("Undo", key="undo", on_click=remember, args=(rest,))
        if hand_types:
            st.button("Undo all", key="undo_all", on_click=remember, args=({},))
    rows = []
    for type in steps_around(tensor, this.type) if mixed else ():
        other = plan_with(hand_types | {tensor: type})
        got = types_of(other)
        if got[tensor] != type:
            continue  # rows do not divide: what it falls back to has a line of its own
        whole = mixing.whole(model, got)
        known = whole is not None and mine.error is not None
        rows.append(
            {
                "type": type,
                "bits_per_weight": GGML_TYPES[type].bits_per_weight,
                "relative_rmse": mixing.known(model).errors.get((tensor, type)),
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

if unknown:
    job = jobs.current()
    busy = job is not None and job.active
    if job is not None and job.title == mixing.TITLE and job.state == "failed":
        jobs.forget()
        st.error(job.problem)
    look.note(f"{len(unknown):,} pairs of tensor and type are not measured yet on this model.")
    if st.button("Measure the weight errors", key="measure_mix", disabled=busy):
        found = mixing.known(model)
        jobs.start(mixing.TITLE, lambda: mixing.steps(model, found, unknown))
        st.rerun()
    if busy and job.title == mixing.TITLE:
        mixing.watch()

# ---- where the bytes go -------------------------------------------------------------------------

st.space("medium")
left, right = st.columns(2, gap="large")
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
    others = [recipe(name, plan) for name, plan in stock.items()]
    others = [each for each in others if each.error is not None and each.name != mine.name]
    look.finding(
        words.standing(mine, others, bool(n_changed)),
        "Left is smaller, down is closer to the original weights; the star is this recipe. Weight "
        "error is not the model’s error: Drift shows that.",
    )
    if mine.error:
        fills = {name: charts.tone(FILE_TYPES[name].format, style) for name in STOCK}
        look.show(
            charts.size_against_error(others, mine, fills, style, look.narrow()),
            key="mix_size",
            alt="Bits a weight against the error of all weights, stock mixes and this recipe.",
        )
    look.note(words.left_out([n for n, each in FILE_TYPES.items() if needs_imatrix(model, each)]))

# ---- take it along ------------------------------------------------------------------------------

st.space("medium")
look.finding(
    "The recipe is a short file that **llama-quantize** reads.",
    "One line a tensor that was changed by hand, each pattern made to fit only that tensor; the "
    "rules of the file type decide about all others.",
)
text = overrides_as_text(hand_types.items())
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    st.download_button(
        "Save the recipe", text, "tensor-types.txt", "text/plain", key="save_recipe",
        disabled=not text, on_click="ignore",
    )  # fmt: skip
    what = str((model.key, mix, with_imatrix, pure, tuple(hand_types.items())))
    imatrix = model.imatrix if with_imatrix else None
    if with_imatrix and imatrix is None:
        look.note(words.NO_MATRIX)
    else:
        writing.offer(model, hand, what, imatrix)
st.file_uploader(
    "Load a recipe", key="recipe_file", on_change=load,
    help="A file as `--tensor-type-file` reads it: PATTERN=TYPE between spaces or line ends.",
)  # fmt: skip
if problem := st.session_state.pop("_recipe", ""):
    st.error(problem)
demanded = with_imatrix or any(each.needs_imatrix for each in hand.tensors)
matrix = " --imatrix imatrix.gguf" * demanded
options = matrix + " --pure" * pure + " --tensor-type-file tensor-types.txt" * bool(text)
stem = Path(model.name).stem
st.code(
    f"llama-quantize{options} {stem}-F16.gguf {stem}-{mix}.gguf {mix}\n"
    f"python -m quantcore quantize {model.name} --type {mix}{options} --output {stem}-{mix}.gguf",
    language="bash",
)
with st.expander("Table of all tensors"):
    tables.show(
        [
            {
                "tensor": each.name,
                "type": each.type,
                "bytes": each.bytes,
                "relative_rmse": mixing.known(model).errors.get((each.name, each.type)),
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
        caption=f"Every tensor of {model.name} as {mix}",
        chosen=tensor,
    )
