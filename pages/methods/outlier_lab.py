"""The section of the page Methods that gives the layer in view outlier channels."""

from dataclasses import replace
from typing import Any

import streamlit as st

from pages.methods import cache
from pages.methods import words_outliers as words
from pages.methods.charts import outliers as charts
from pages.shared import bench, controls, look, ranking, shipped
from pages.shared.charts import size as size_chart
from pages.shared.frame import sentence
from pages.shared.palette import Look
from quantcore.model.original import original_of
from quantcore.model.outliers.columns import place_before
from quantcore.model.outliers.settings import PRESETS, Channels, OutlierSettings
from quantcore.model.outliers.spelled import spelled
from quantcore.model.source import Model

SHIPPED = "fable-7m-outliers"
USUAL = "like Llama-3-8B"
KINDS = {name: each for name, each in PRESETS.items() if not each.rotated}
DIALS = ("outlier_channels", "outlier_size", "outlier_spread")
MOST = 32  # channels
DOUBLINGS = 8  # of sizes, either way
SIZES = {
    (f"weights × {2**-k}" if k < 0 else f"inputs × {2**k}" if k else "as they are"): 2.0**k
    for k in range(-DOUBLINGS, DOUBLINGS + 1)
}


def section(model: Model, tensor: str, style: Look) -> None:
    """Draw the controls, what they do to this layer, and the way to the model that ships."""
    st.space("medium")
    look.say(words.ABOUT)
    if model.base is not None:
        look.note(words.already(model.name, model.base.name))
    else:
        try:
            on_this_layer(model, tensor, style)
        except ValueError as problem:
            look.note(sentence(problem))
    if not bench.is_shipped(model.name):  # the pages of another model speak of that alone
        return
    if model.name != SHIPPED:
        look.say(words.SHIPPED)
        controls.link("home", f"Put {SHIPPED} on the bench", "to_outliers", model=SHIPPED)
    if shipped.is_measured(SHIPPED):
        curve(style)


def on_this_layer(model: Model, tensor: str, style: Look) -> None:
    """Draw errors and columns without outlier channels and with those that are chosen."""
    settings = chosen(tensor)
    before = cache.with_outliers(model.name, tensor, OutlierSettings())
    after = cache.with_outliers(model.name, tensor, settings)
    moved = cache.logits_moved(model.name, settings)
    look.note(words.same_function(moved))
    look.finding(words.errors(tensor, before.errors, after.errors), words.HOW_TO_READ_ERRORS)
    names = {way: words.title(way) for way in after.errors}
    look.show(
        charts.errors(before.errors, after.errors, names, style),
        key="methods_outliers",
        alt=f"Error of the output of {tensor} by format and method, without and with outliers.",
    )
    for said in (words.by_row(after.errors), words.eight_bits(after.errors, before.errors)):
        if said:
            look.say(said)
    if settings != OutlierSettings():
        made = f"{model.name}{spelled(settings)}"
        look.say(words.TAKE)
        controls.link("weights", words.PUT.format(name=made), "take_outliers", model=made)
    st.space("small")
    by_inputs = after.input_reach / before.input_reach > after.weight_reach / before.weight_reach
    what = "input" if by_inputs else "weight"
    look.finding(words.columns(tensor, what, before, after), words.HOW_TO_READ_COLUMNS)
    look.show(
        charts.columns(
            getattr(before, f"largest_{what}"), getattr(after, f"largest_{what}"), what, style
        ),
        key="methods_outlier_columns",
        alt=f"Largest {what} of each column of {tensor}, before and after.",
    )


def chosen(tensor: str) -> OutlierSettings:
    """Ask for outlier channels: one of the presets, and those of this layer's columns in detail."""
    one, two, three, four = st.columns(4, gap="medium", vertical_alignment="bottom")
    with one:
        kind = st.selectbox(
            "Outlier channels", list(KINDS), index=list(KINDS).index(USUAL), key="outlier_kind",
            on_change=_forget_dials, help=words.PRESET, **controls.BOUND,
        )  # fmt: skip
    place = place_before(tensor)
    given: Channels = getattr(KINDS[kind], place)
    size = next(name for name, factor in SIZES.items() if factor == given.size)
    for key, default in zip(DIALS, (given.n, size, given.spread), strict=True):
        controls.follow_default(key, default)
    with two:
        n = st.slider(
            "How many", 0, MOST, given.n, key="outlier_channels", help=words.CHANNELS,
            **controls.BOUND,
        )  # fmt: skip
    with three:
        size = st.select_slider(
            "How large", list(SIZES), size, key="outlier_size", help=words.SIZE, **controls.BOUND
        )
    with four:
        spread = st.slider(
            "Spread of the others", 0.0, 1.0, given.spread, 0.05, key="outlier_spread",
            help=words.SPREAD, **controls.BOUND,
        )  # fmt: skip
    here: dict[str, Any] = {place: Channels(n=n, size=SIZES[size], spread=spread)}
    return replace(KINDS[kind], **here)


def _forget_dials() -> None:
    """Let the dials show what another preset says."""
    for key in DIALS:
        st.session_state.pop(key, None)


def curve(style: Look) -> None:
    """Draw what the shipped model loses by type, on what was published of a large one."""
    figures, published = shipped.measured(SHIPPED).drifts, shipped.published()
    theirs = {row["format"]: row["kl_nats"] for row in published["formats"]}
    ours = {name: figures[name] for name in theirs if name in figures}
    lost = {name: drift.mean_kl_divergence for name, drift in ours.items()}
    original = original_of(bench.model(SHIPPED))
    st.space("small")
    look.finding(
        words.curve(SHIPPED, published["model"], lost, theirs),
        words.HOW_TO_READ_CURVE.format(name=SHIPPED, other=published["model"]),
    )
    look.show(
        size_chart.size_against_divergence(
            ranking.points(ranking.rows(ours, list(ours), original)),
            original,
            style,
            floor=ranking.floor(ours),
            published=published,
            narrow=look.narrow(),
        ),
        key="methods_outlier_curve",
        alt=f"Bits per weight against divergence of {SHIPPED} and of {published['model']}.",
    )
