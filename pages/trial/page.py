"""Page: one's own prompts, answered by the original and by smaller versions."""

import streamlit as st

from pages.shared import controls, definitions, look, saving
from pages.shared.palette import Look
from pages.trial import answers, charts, run, setup, words
from quantcore.trial.trial import Trial


def main() -> None:
    """Draw the page."""
    model, style = controls.model(), look.current()
    definitions.head("Try", words.PURPOSE, words.DEFINED)
    saving.of(model.name)
    run.take(model)
    margin = setup.ask(model)
    run.watch()
    trial = run.latest(model)
    if trial is None:
        look.finding(words.NOT_YET)
        return
    if any(answer.right is not None for answer in trial.original.answers):
        verdicts(trial, margin, style)
        st.space("medium")
    answers.section(trial, margin, style)


def verdicts(trial: Trial, margin: float, style: Look) -> None:
    """Draw how many more or fewer answers of each version are right, and say what follows."""
    found = [
        (version, verdict)
        for version in trial.versions
        if (verdict := trial.verdict(version, margin)) is not None
    ]
    look.finding(words.finding(found, margin), words.HOW_TO_READ_CHART)
    if not found:
        return
    look.show(
        charts.differences(
            [(version.name, verdict) for version, verdict in found], margin, style, look.narrow()
        ),
        key="trial_differences",
        alt="Right answers of each version, less the original’s, with intervals.",
    )
    for version, verdict in found:
        look.say(words.verdict(version, verdict))
