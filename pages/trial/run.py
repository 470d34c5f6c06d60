"""A trial as a job that can be watched, and what this visitor keeps of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import streamlit as st

from pages.shared import bench, jobs, look, plans
from quantcore.evaluate.estimate import pass_seconds, quantizing_seconds
from quantcore.io import ModelError
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress
from quantcore.trial.answering import Sampling
from quantcore.trial.prompts import TestPrompt
from quantcore.trial.shipped import load_trial
from quantcore.trial.trial import Asked, Trial, Version, trial_steps

TITLE = "the trial on the page Try"
ALONE = 4  # a token that is made takes as long as so many that are read at once
_KEPT = "_trials"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a visitor wants to be answered, and by what."""

    prompts: tuple[TestPrompt, ...]
    types: tuple[str, ...]
    sampling: Sampling
    in_chat: bool = False


@bench.per_model(st.cache_resource, max_entries=4)
def shipped(model_name: str) -> Trial | None:
    """Read the answers that lie beside a shipped model, None where there are none."""
    if not bench.is_shipped(model_name):
        return None
    try:
        return load_trial(model_name)
    except ModelError:
        return None


def latest(model: Model) -> Trial | None:
    """Return what this visitor had the model answer last, or what is shipped."""
    kept: dict[str, Trial] = st.session_state.setdefault(_KEPT, {})
    return kept.get(model.key) or shipped(model.name)


def button(model: Model, wanted: Wanted | None, unable: str) -> None:
    """Draw the button that lets the versions answer."""
    if jobs.button(
        "Let them answer",
        key="run_trial",
        title=TITLE,
        begin=_begin(model, wanted),
        seconds=None if wanted is None else _seconds(model, wanted),
        unable=unable,
        help="The original answers first, then each version, one prompt after another.",
    ):
        st.rerun()


def _begin(model: Model, wanted: Wanted | None) -> Callable[[], Iterator[Progress[Trial]]]:
    def begin() -> Iterator[Progress[Trial]]:
        assert wanted is not None  # else the button cannot be pressed
        asked = [Asked(type=each) for each in wanted.types]
        return trial_steps(model, wanted.prompts, asked, wanted.sampling, in_chat=wanted.in_chat)

    return begin


def _seconds(model: Model, wanted: Wanted) -> float:
    n_read = sum(len(each.prompt) for each in wanted.prompts) // 3  # letters of a token, or so
    n_made = len(wanted.prompts) * wanted.sampling.n_tokens
    answering = pass_seconds(model, 2 * n_read + (1 + ALONE) * n_made)
    storing = sum(
        quantizing_seconds(model, plans.formats(model.name, each).items()) for each in wanted.types
    )
    return (answering * (1 + len(wanted.types)) + storing) / n_threads()


def take(model: Model) -> None:
    """Take in the trial that has ended, cancelled ones as far as they came."""
    ended = jobs.ended(TITLE)
    if ended is None:
        return
    if ended.problem:
        look.problem(ended.problem)
        return
    found = ended.latest.result if ended.latest else None
    if found is not None and found.model == model.name and found.original.answers:
        st.session_state.setdefault(_KEPT, {})[model.key] = found
    if ended.state == "cancelled":
        look.note("The trial was cancelled; what was answered until then is shown.")


def watch() -> None:
    """Draw the trial while it waits or runs: the answer that is being given, as it grows."""
    jobs.watch(TITLE, _draw)


def _draw(step: Progress[Trial]) -> None:
    if step.result is None:
        return
    number = len(_answering(step.result).answers)
    if number < len(step.result.prompts):
        look.note(_end_of(step.result.prompts[number].prompt))
        look.say(step.result.so_far or "…")


def _answering(trial: Trial) -> Version:
    every = (trial.original, *trial.versions)
    return next((v for v in every if len(v.answers) < len(trial.prompts)), every[-1])


def _end_of(prompt: str) -> str:
    return prompt if len(prompt) <= 160 else f"… {prompt[-160:]}"
