"""Page: one's own prompts, answered by the original and by smaller versions."""

import streamlit as st

from pages.shared import controls, definitions, look, saving
from pages.trial import answers, charts, run, setup, words


def main() -> None:
    """Draw the page."""
    model, style = controls.model(), look.current()
    definitions.head("Try", words.PURPOSE, words.DEFINED)
    saving.of(model.name)
    run.take(model)
    wanted, unable = setup.ask(model)
    run.button(model, wanted, unable)
    run.watch()
    st.space("small")
    trial = run.latest(model)
    if trial is None:
        look.finding(words.NOT_YET)
        return
    margin = setup.margin() if any(a.right is not None for a in trial.original.answers) else 0.02
    look.finding(words.finding(trial, margin), words.HOW_TO_READ_CHART)
    found = [
        (version.name, verdict)
        for version in trial.versions
        if (verdict := trial.verdict(version, margin)) is not None
    ]
    if found:
        look.show(
            charts.differences(found, margin, style, look.narrow()),
            key="trial_differences",
            alt="Right answers of each version, less the original’s, with intervals.",
        )
    for version in trial.versions:
        if (verdict := trial.verdict(version, margin)) is not None:
            look.say(words.verdict(version, verdict))
    answers.section(trial, margin, style)
