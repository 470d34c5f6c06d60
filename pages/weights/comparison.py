"""All tensors of the model by one measure: a map that opens what is clicked, and a table."""

from collections.abc import Mapping
from dataclasses import asdict

import streamlit as st

from pages.shared import controls, look, tables
from pages.shared.charts import layer_map
from pages.shared.palette import Look
from pages.shared.units import exact, one_in, signed
from pages.weights import cache, words
from quantcore.evaluate.statistics import TensorStatistics
from quantcore.model.source import Model, TensorInfo


def compare_tensors(model: Model, tensor: str, style: Look) -> None:
    """Ask for a measure, and draw every matrix by it; `tensor` is marked."""
    measure = st.segmented_control(
        "Compare tensors by", list(words.MEASURES), default="tails", required=True, key="measure",
        help="; ".join(f"**{key}**: {says}, {more}"
                       for key, (_, says, more) in words.MEASURES.items()),
        **controls.BOUND,
    )  # fmt: skip
    field, says, more = words.MEASURES[measure]
    every = cache.model_statistics(model.name)
    values = {name: float(getattr(statistics, field)) for name, statistics in every.items()}
    texts = {name: words.worded(measure, value) for name, value in values.items()}
    most = max(values, key=values.__getitem__)
    look.finding(
        words.leader(measure, values),
        f"{says[0].upper()}{says[1:]} of every matrix: {more}. A stronger colour means more. Click "
        "a cell to open its tensor above.",
    )
    look.show(
        layer_map.layer_map(values, texts, tensor, style),
        key="weights_map",
        alt=f"Map of layers and roles, coloured by {says}; {most} has the most.",
        on_select=_open_clicked,
        selection_mode="points",
    )
    with st.expander("Table of all tensors"):
        _table(model.tensors, every, field, tensor)


def _open_clicked() -> None:
    if place := controls.clicked("weights_map"):
        st.session_state["tensor"] = place[0]


def _table(
    tensors: Mapping[str, TensorInfo],
    every: Mapping[str, TensorStatistics],
    field: str,
    chosen: str,
) -> None:
    """Draw the statistics of all tensors, those with the most of a field first."""
    rows = [
        {
            "tensor": name,
            "shape": " × ".join(map(str, tensors[name].shape)),
            "reach": statistics.reach,
            **asdict(statistics),
        }
        for name, statistics in every.items()
    ]
    tables.show(
        sorted(rows, key=lambda row: -row[field]),
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(key="standard_deviation", title="σ", show=lambda v: exact(v, 3),
                          help="Standard deviation."),
            tables.Column(key="minimum", title="smallest", show=lambda v: exact(v, 3), wide=True),
            tables.Column(key="maximum", title="largest", show=lambda v: exact(v, 3), wide=True),
            tables.Column(key="reach", title="reach, σ", show="{:.1f}".format,
                          help="Largest absolute value, in standard deviations."),
            tables.Column(key="excess_kurtosis", title="kurtosis", show=signed,
                          help="Excess kurtosis: 0 for a normal distribution."),
            tables.Column(key="outlier_share", title="beyond 4 σ", show=one_in),
        ],
        "weights_tensors",
        caption="Statistics of all tensors",
        chosen=chosen,
    )  # fmt: skip
