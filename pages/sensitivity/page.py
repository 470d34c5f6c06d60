"""Page: which tensor cannot stand which bits, as measured, and which cheap guide knows it."""

import streamlit as st

from pages.sensitivity import beside as sensitivity_beside
from pages.sensitivity import costs as figures
from pages.sensitivity import maps as sensitivity_map
from pages.sensitivity import run as sensitivity_run
from pages.sensitivity import skills as sensitivity_skills
from pages.sensitivity import table as sensitivity_table
from pages.sensitivity import trust_words as trust
from pages.sensitivity import view as sensitivity_view
from pages.sensitivity import words
from pages.sensitivity.charts import dots as charts
from pages.sensitivity.charts import guides as sensitivity_guides
from pages.sensitivity.charts import lines as line_charts
from pages.sensitivity.view import View
from pages.shared import controls, frame, look
from pages.shared import sweeps as sensitivity_kept
from pages.shared.palette import colour
from quantcore.sensitivity.results import guide_ranks

frame.enter("sensitivity")

LINKS = (
    ("weights", "Its weights"),
    ("block", "Its blocks"),
    ("scales", "Its scales"),
    ("mix", "Its place in a mix"),
)
style, model = look.current(), controls.model()


def main() -> None:
    """Draw the page; without results of the model on the bench only what measures it."""
    st.title("Sensitivity", anchor=False)
    sensitivity_run.panel()
    every = sensitivity_kept.every(model)
    if not any(known.of_model for known in every.values()):
        look.finding(words.nothing(model.name))
        sensitivity_run.offer(model)
        return
    view = sensitivity_view.choose(model, every)
    found = view.costs()
    if not found:
        look.finding(words.not_measured(view.noun, view.how, view.format_name))
        sensitivity_run.offer(model)
        return
    st.space("small")
    top = st.container()
    tensor = follow(view)
    with top:
        sensitivity_map.section(view, found, tensor, style)
    st.space("medium")
    left, right = st.columns(2, gap="large")
    with left:
        over_bits(view, tensor)
    with right:
        additivity(view)
    st.space("medium")
    left, right = st.columns(2, gap="large")
    with left:
        over_depth(view)
    with right:
        by_role(view)
    guides(view, tensor)
    sensitivity_skills.section(view, style)
    st.space("medium")
    sensitivity_beside.section(view, every, tensor, style)
    st.space("medium")
    sensitivity_table.show(view, tensor)
    sensitivity_run.offer(model)


def follow(view: View) -> str:
    """Ask for the tensor to follow, and lead on to the other pages with it."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        tensor = controls.tensor("Follow the tensor", width=280)
        for page, label in LINKS:
            arrow = {"icon": ":material/arrow_forward:", "icon_position": "right"}
            if st.button(label, key=f"sensitivity_to_{page}", type="tertiary", **arrow):
                controls.go(page, tensor=tensor, type=view.format_name)
    return tensor


# ---- over bits, and sums ------------------------------------------------------------------------


def over_bits(view: View, tensor: str) -> None:
    """Draw the cost of some tensors against the bits that they take."""
    headline = st.container()
    chosen = st.multiselect(
        "Tensors", list(model.quantizable), key="curves", **controls.BOUND,
        placeholder="the worst, the middle one, the best, and the one that is followed",
    )  # fmt: skip
    single = view.costs("tensor", how="alone")
    ordered = sorted(single, key=lambda name: single[name].size, reverse=True)
    usual = [ordered[0], ordered[len(ordered) // 2], ordered[-1]] if ordered else []
    by_size = {f: view.costs("tensor", f, "alone") for f in figures.by_size(view.results)}
    lines = {
        name: {
            f: (figures.bits_of(view.results, model, name, f), costs[name])
            for f, costs in by_size.items()
            if name in costs
        }
        for name in dict.fromkeys([*(chosen or usual), tensor])
    }
    lines = {name: line for name, line in lines.items() if line}
    if not lines:
        return
    axis = view.measure.axis
    with headline:
        look.finding(
            words.curves(lines, view.measure),
            words.HOW_TO_READ_CURVES,
            help=words.terms(view.measure),
        )
    look.show(
        line_charts.curves(lines, view.format_name, tensor, axis, style, narrow=look.narrow()),
        key="sensitivity_curves",
        alt=f"Cost against bits a weight of {', '.join(lines)}, with 95 % intervals.",
    )


def additivity(view: View) -> None:
    """Draw sums of single effects beside the joint ones, by format or within one."""
    headline = st.container()
    formats = figures.sums_by_format(view.results)
    within = figures.sums_by_group(view.results, model, view.format_name)
    over = trust.SUMS[0]
    if formats and within:
        over = st.segmented_control(
            "Sums over", trust.SUMS, default=over, required=True, key="sums", **controls.BOUND
        )
    sums = within if over == trust.SUMS[1] or not formats else formats
    if not sums:
        return
    with headline:
        look.finding(*trust.sums(sums, view.format_name), help=words.TERMS["sums"])
    tones = {name: colour(name, style) for name in view.results.formats}
    look.show(
        line_charts.additivity(sums, tones, view.format_name, style),
        key="sensitivity_sums",
        alt="The sum of single effects as a multiple of the joint effect.",
    )


# ---- over depth, by role ------------------------------------------------------------------------


def over_depth(view: View) -> None:
    """Draw what whole layers cost, and the embedding and the output beside them."""
    layers, roles = view.costs("layer"), view.costs("role")
    if not layers:
        return
    ends = {name: roles[name] for name in ("token_embd", "output") if name in roles}
    if view.how == "kept":
        says = words.kept(view.format_name, layers, view.measure, view.whole())
    else:
        says = words.depth(layers, ends, view.format_name, view.measure)
    look.finding(says, words.HOW_TO_READ_DEPTH)
    look.show(
        line_charts.depth(layers, ends, view.format_name, view.measure.axis, style),
        key="sensitivity_depth",
        alt=f"What each whole layer costs in {view.format_name}, with 95 % intervals.",
    )


def by_role(view: View) -> None:
    """Draw what each role costs in all layers at once."""
    roles = view.costs("role")
    if not roles:
        return
    if view.how == "kept":
        says = words.kept(view.format_name, roles, view.measure, view.whole())
    else:
        says = words.roles(roles, view.measure)
    look.finding(says, words.HOW_TO_READ_ROLES)
    weight = figures.weights_of(roles, view.how, view.whole())
    tips = {name: words.tooltip(name, cost, view.measure) for name, cost in roles.items()}
    look.show(
        charts.dots(
            roles, sorted(roles, key=weight.get, reverse=True), tips, view.format_name, "", style,
            title=view.measure.axis, whole=view.whole() if view.how == "kept" else None,
        ),
        key="sensitivity_roles",
        alt=f"What each role costs in {view.format_name}, with 95 % intervals.",
    )  # fmt: skip


# ---- guides -------------------------------------------------------------------------------------


def guides(view: View, tensor: str) -> None:
    """Draw each cheap guide against what was measured."""
    found = figures.followed(view.results, view.format_name, guide_ranks(view.results))
    if not found:
        return
    st.space("medium")
    says = trust.guides(found, view.format_name)
    look.finding(says, trust.HOW_TO_READ_GUIDES, help=words.TERMS["guides"])
    look.show(
        sensitivity_guides.against_guides(found, view.format_name, tensor, style, look.narrow()),
        alt=f"Each guide against the measured divergence of tensors in {view.format_name}.",
        **sensitivity_view.choosing("sensitivity_guides"),
    )


main()
