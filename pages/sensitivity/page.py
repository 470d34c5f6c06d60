"""Page: which tensor cannot stand which bits, as measured, and which cheap guide knows it."""

import streamlit as st

from pages.sensitivity import beside, bits, depth, maps, run, skills, table, trust
from pages.sensitivity import view as views
from pages.sensitivity import words as about
from pages.sensitivity.view import View
from pages.sensitivity.words import costs as words
from pages.shared import controls, definitions, look, saving, sweeps

LINKS = (
    ("weights", "Its weights"),
    ("block", "Its blocks"),
    ("scales", "Its scales"),
    ("mix", "Its place in a mix"),
)


def main() -> None:
    """Draw the page; without results of the model on the bench only what measures it."""
    style, model = look.current(), controls.model()
    definitions.head("Sensitivity", about.PURPOSE, about.DEFINED)
    ended = run.take_in()
    every = sweeps.every(model)
    if not any(known.of_model for known in every.values()):
        look.finding(words.nothing(model.name))
        run.offer(model, ended)
        return
    view = views.choose(model, every)
    saving.of(model.name, view.format_name)
    if not view.costs():
        look.finding(words.not_measured(view.noun, view.how, view.format_name))
        run.offer(model, ended)
        return
    st.space("small")
    top = st.container()
    tensor = follow(view)
    with top:
        maps.section(view, tensor, style)
    st.space("medium")
    left, right = st.columns(2, gap="large")
    with left:
        bits.section(view, tensor, style)
    with right:
        trust.sums(view, style)
    st.space("medium")
    left, right = st.columns(2, gap="large")
    with left:
        depth.layers(view, style)
    with right:
        depth.roles(view, style)
    trust.guides(view, tensor, style)
    skills.section(view, style)
    st.space("medium")
    beside.section(view, every, tensor, style)
    st.space("medium")
    table.show(view, tensor)
    run.offer(model, ended)


def follow(view: View) -> str:
    """Ask for the tensor to follow, and lead on to the other pages with it."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        tensor = controls.tensor("Follow the tensor", width=280)
        for page, label in LINKS:
            key = f"sensitivity_to_{page}"
            controls.link(page, label, key, tensor=tensor, type=view.format_name)
    return tensor
