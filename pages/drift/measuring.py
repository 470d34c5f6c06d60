"""Measuring drift from a page: what was measured before, and a run that can be watched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import streamlit as st

from pages.drift import charts
from pages.drift.texts import Text
from pages.shared import bench, jobs, look, shipped
from quantcore.evaluate.drift import Comparison, Drift, drift_steps
from quantcore.evaluate.quantized import restored_tensors
from quantcore.evaluate.skills import SkillScore, skill_steps
from quantcore.evaluate.text import context_for
from quantcore.model.llama import Llama
from quantcore.model.source import Model
from quantcore.progress import Progress

TITLE = "drift"
# What is compared before anything is chosen: down to types in which skills are lost, and to one
# that leaves nothing.
AT_FIRST = (
    *("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q2_K", "IQ2_XXS", "IQ1_S", "TQ1_0"),
    *("Q2_K pure", "INT4_TENSOR", "INT4_ROW", "INT4_G128"),
)
ORIGINAL = "F32"  # as the engine calls the model as it is
_MEASURED = "_measured_drift"  # what this session measured, by model and text


@dataclass(frozen=True)
class Results:
    """Drift and skills by type."""

    drifts: Mapping[str, Drift] = field(default_factory=dict)
    skills: Mapping[str, Sequence[SkillScore]] = field(default_factory=dict)
    stale: bool = False  # of another version of the model

    def with_newer(self, newer: "Results") -> "Results":
        """Add what was measured later; of a type that both have, the newer counts."""
        drifts, skills = {**self.drifts, **newer.drifts}, {**self.skills, **newer.skills}
        return Results(drifts, skills, self.stale and not newer.drifts)


@dataclass(frozen=True)
class Course:
    """How the divergence went so far, and at the end what was measured."""

    key: tuple[str, str]  # of model and text
    n_chunks: int
    running: Mapping[str, list[float]]  # mean divergence after each batch, by type
    chunks: list[int] = field(default_factory=list)  # done after each batch
    results: Results | None = None

    def add(self, known: Comparison) -> None:
        """Take in what was known after one more batch."""
        self.chunks.append(known.chunks_done)  # first: a page may look at any time
        for name, value in known.mean_kl.items():
            self.running[name].append(value)


def results(model: Model, text_key: str) -> Results:
    """Return what lies beside the shipped model, and what this session measured since."""
    mine = _measured().get((model.key, text_key), Results())
    if not bench.is_shipped(model.name) or text_key != "evaluation":
        return mine
    kept = shipped.measured()
    return Results(kept.drifts, kept.skills, kept.stale).with_newer(mine)


def _measured() -> dict[tuple[str, str], Results]:
    return st.session_state.setdefault(_MEASURED, {})


def steps(
    model: Model, types: Sequence[str], text: Text, with_skills: bool
) -> Iterator[Progress[Course]]:
    """Measure in steps of at most a layer of one batch of chunks."""
    n_tokens = len(model.tokenizer.encode(text.words))
    context = context_for(model, n_tokens)
    course = Course((model.key, text.key), n_tokens // context, {name: [] for name in types})
    part = 0.5 if with_skills else 1.0
    drifts: Mapping[str, Drift] = {}
    for step in drift_steps(model, types, text.words, context):
        if step.result is not None:
            drifts = step.result.drifts
            if not drifts:
                course.add(step.result)
        yield Progress(part * step.share, step.stage, course)
    skills: dict[str, list[SkillScore]] = {}
    answering = list(dict.fromkeys([ORIGINAL, *types])) if with_skills else []
    for i, name in enumerate(answering):
        for share, scores in _skill_steps(model, name):
            yield Progress(part + part * (i + share) / len(answering), f"{name}: skills", course)
            skills[name] = scores or []
    yield Progress(1.0, "done", replace(course, results=Results(drifts, skills)))


def _skill_steps(model: Model, name: str) -> Iterator[tuple[float, list[SkillScore] | None]]:
    weights = {}
    for tensor, restored in restored_tensors(model, name):
        weights[tensor] = restored
        yield 0.0, None
    for step in skill_steps(model, Llama(model.config, weights)):
        yield step.share, step.result


def run_button(model: Model, types: Sequence[str], text: Text) -> None:
    """Draw the button that measures the chosen types, here and now."""
    busy = jobs.busy()
    with_skills = False
    if bench.is_shipped(model.name) and text.key == "evaluation":
        also = "Let each type also answer the thousand questions on recall, arithmetic, facts, "
        also += "agreement and chains. This takes longer."
        with_skills = bool(st.pills("Also", ["skills"], key="also", disabled=busy, help=also))
    says = (
        "Quantizes the whole model to each of the types and lets all of them read the text, on "
        "this machine. You can go on using the lab meanwhile, or cancel."
    )
    if st.button("Measure", key="measure_drift", disabled=busy, help=says):
        jobs.start(TITLE, lambda: steps(model, types, text, with_skills))
        st.rerun()


def panel() -> None:
    """Draw the run of this session while there is one; keep its results when it is done."""
    job = jobs.panel(TITLE, _draw)
    if job is None:
        return
    course: Course | None = job.result
    if job.state == "done" and course and course.results:
        former = _measured().get(course.key, Results())
        _measured()[course.key] = former.with_newer(course.results)
    elif job.state == "cancelled":
        look.note("Cancelled; nothing of that run was kept.")


def _draw(step: Progress[Course]) -> None:
    course = step.result
    if course and course.chunks:
        figure = charts.so_far(course.running, course.chunks, course.n_chunks, look.current())
        look.show_running(figure, "Mean divergence of each type so far, by chunks scored.")
