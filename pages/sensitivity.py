"""Page: which tensor cannot stand which bits, as measured, and which cheap guide knows it."""

import streamlit as st

from pages.shared import (
    controls,
    frame,
    look,
    sensitivity_beside,
    sensitivity_kept,
    sensitivity_run,
    sensitivity_skills,
    sensitivity_table,
    sensitivity_view,
)
from pages.shared import sensitivity_costs as figures
from pages.shared import sensitivity_words as words
from pages.shared.charts import layer_map, sensitivity_guides
from pages.shared.charts import sensitivity as charts
from pages.shared.charts import sensitivity_lines as lines_charts
from pages.shared.palette import colour
from quantcore.sensitivity.results import guide_ranks

frame.enter(__file__)

MOST_ROWS = 15  # of the dot plot
style, model = look.current(), controls.model()


def follow(chart: str, key: str = "tensor"):
    """Return options of a chart in which a click chooses a tensor, or the format."""

    def clicked() -> None:
        if place := controls.clicked(chart):
            st.session_state[key] = place[0]

    return {"key": chart, "on_select": clicked, "selection_mode": "points"}


st.title("Sensitivity", anchor=False)
sensitivity_run.panel()
every = sensitivity_kept.every(model)
if not any(known.of_model for known in every.values()):
    look.finding(words.nothing(model.name))
    sensitivity_run.offer(model)
    st.stop()
view = sensitivity_view.choose(model, every)
results, format_name, measure = view.results, view.format_name, view.measure
found, whole = view.costs(), view.whole()
if not found:
    look.finding(words.not_measured(view.noun, view.how, format_name))
    sensitivity_run.offer(model)
    st.stop()

# ---- the map and the worst ----------------------------------------------------------------------

st.space("small")
top = st.container()
with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
    tensor = controls.tensor("Follow the tensor", width=280)
    for page, label in (
        ("weights", "Its weights"),
        ("block", "Its blocks"),
        ("scales", "Its scales"),
        ("mix", "Its place in a mix"),
    ):
        arrow = {"icon": ":material/arrow_forward:", "icon_position": "right", "type": "tertiary"}
        if st.button(label, key=f"sensitivity_to_{page}", **arrow):
            controls.go(page, tensor=tensor, type=format_name)
with top:
    weight = figures.weights_of(found, view.how, whole)
    says = {name: words.tooltip(name, cost, measure) for name, cost in found.items()}
    factor, part = words.unit(found.values(), measure)
    texts = words.cells(found, measure, view.how, whole, factor)
    look.finding(
        words.headline(format_name, found, measure, view.how, whole, view.noun),
        words.how_to_read_map(measure, view.how, part, whole),
        help=words.terms(measure),
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        if view.noun == "tensors":
            look.show(
                layer_map.layer_map(weight, texts, tensor, style, says=says),
                alt=f"What each matrix costs in {format_name}, by layer and role.",
                **follow("sensitivity_map"),
            )
        else:
            maps = {name: view.costs(format_name=name) for name in figures.by_size(results)}
            maps = {name: costs for name, costs in maps.items() if costs}
            wholes = {name: view.whole(name) for name in maps}
            look.show(
                charts.group_map(
                    {f: figures.weights_of(c, view.how, wholes[f]) for f, c in maps.items()},
                    {f: words.cells(c, measure, view.how, wholes[f], factor)
                     for f, c in maps.items()},
                    {f: {n: words.tooltip(n, each, measure) for n, each in c.items()}
                     for f, c in maps.items()},
                    format_name,
                    style,
                ),
                alt=f"What the {view.noun} cost in each format.",
                **follow("sensitivity_groups", "type"),
            )  # fmt: skip
    with right:
        names = sorted(found, key=weight.get, reverse=True)[:MOST_ROWS]
        look.note(words.worst(found, view.how, len(names), view.noun))
        look.show(
            charts.dots(
                found, names, says, format_name, tensor, style, title=measure.axis,
                whole=whole if view.how == "kept" else None,
            ),
            alt=f"The {len(names)} that cost most in {format_name}, with 95 % intervals.",
            **follow("sensitivity_worst"),
        )  # fmt: skip

# ---- over bits ----------------------------------------------------------------------------------

st.space("medium")
left, right = st.columns(2, gap="large")
single = view.costs("tensor", how="alone")
with left:
    headline = st.container()
    ordered = sorted(single, key=lambda name: single[name].size, reverse=True)
    usual = [ordered[0], ordered[len(ordered) // 2], ordered[-1]] if ordered else []
    chosen = st.multiselect(
        "Tensors", list(model.quantizable), key="curves", **controls.BOUND,
        placeholder="the worst, the middle one, the best, and the one that is followed",
    )  # fmt: skip
    by_size = {f: view.costs("tensor", f, "alone") for f in figures.by_size(results)}
    lines = {
        name: {
            f: (figures.bits_of(results, model, name, f), costs[name])
            for f, costs in by_size.items()
            if name in costs
        }
        for name in dict.fromkeys([*(chosen or usual), tensor])
    }
    lines = {name: line for name, line in lines.items() if line}
    if lines:
        with headline:
            look.finding(
                words.curves(lines, measure), words.HOW_TO_READ_CURVES, help=words.terms(measure)
            )
        look.show(
            lines_charts.curves(
                lines, format_name, tensor, measure.axis, style, narrow=look.narrow()
            ),
            key="sensitivity_curves",
            alt=f"Cost against bits a weight of {', '.join(lines)}, with 95 % intervals.",
        )

# ---- additivity ---------------------------------------------------------------------------------

by_format = figures.sums_by_format(results)
within = figures.sums_by_group(results, model, format_name)
with right:
    headline = st.container()
    over = words.SUMS[0]
    if by_format and within:
        over = st.segmented_control(
            "Sums over", words.SUMS, default=over, required=True, key="sums", **controls.BOUND
        )
    if sums := within if over == words.SUMS[1] or not by_format else by_format:
        with headline:
            look.finding(*words.sums(sums, format_name), help=words.TERMS["sums"])
        tones = {name: colour(name, style) for name in results.formats}
        look.show(
            lines_charts.additivity(sums, tones, format_name, style),
            key="sensitivity_sums",
            alt="The sum of single effects as a multiple of the joint effect.",
        )

# ---- over depth, by role ------------------------------------------------------------------------

layers, roles = view.costs("layer"), view.costs("role")
st.space("medium")
left, right = st.columns(2, gap="large")
with left:
    if layers:
        ends = {name: roles[name] for name in ("token_embd", "output") if name in roles}
        says = (
            words.headline(format_name, layers, measure, "kept", whole, "layers")
            if view.how == "kept"
            else words.depth(layers, ends, format_name, measure)
        )
        look.finding(says, words.HOW_TO_READ_DEPTH)
        look.show(
            lines_charts.depth(layers, ends, format_name, measure.axis, style),
            key="sensitivity_depth",
            alt=f"What each whole layer costs in {format_name}, with 95 % intervals.",
        )
with right:
    if roles:
        names = sorted(roles, key=lambda name: roles[name].size, reverse=True)
        says = (
            words.headline(format_name, roles, measure, "kept", whole, "roles")
            if view.how == "kept"
            else words.roles(roles, measure)
        )
        look.finding(says, words.HOW_TO_READ_ROLES)
        look.show(
            charts.dots(
                roles, names, {n: words.tooltip(n, c, measure) for n, c in roles.items()},
                format_name, "", style, title=measure.axis,
            ),
            key="sensitivity_roles",
            alt=f"What each role costs in {format_name}, with 95 % intervals.",
        )  # fmt: skip

# ---- guides -------------------------------------------------------------------------------------

guides = figures.followed(results, format_name, guide_ranks(results))
if guides:
    st.space("medium")
    look.finding(
        words.guides(guides, format_name), words.HOW_TO_READ_GUIDES, help=words.TERMS["guides"]
    )
    look.show(
        sensitivity_guides.against_guides(guides, format_name, tensor, style, look.narrow()),
        alt=f"Each guide against the measured divergence of tensors in {format_name}.",
        **follow("sensitivity_guides"),
    )

# ---- skills, two results, the table, a new sweep ------------------------------------------------

sensitivity_skills.section(view, style)
st.space("medium")
sensitivity_beside.section(view, every, tensor, style)
st.space("medium")
sensitivity_table.show(view, tensor)
sensitivity_run.offer(model)
