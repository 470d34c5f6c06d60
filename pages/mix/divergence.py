"""The section of the page Mix that judges mixes: size against measured divergence."""

from collections.abc import Iterator, Sequence

import streamlit as st

from pages.drift import measuring
from pages.mix import cache
from pages.mix import divergence_words as words
from pages.mix.charts import divergence as charts
from pages.mix.choice import BY, RECIPE, RULES, Choice
from pages.shared import (
    bench,
    controls,
    jobs,
    look,
    tables,
)
from pages.shared.units import plural
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.of_types import padded_bytes
from quantcore.recipe.plan import Plan
from quantcore.sensitivity.mixes import Mix, MixPoint, mix_steps

TITLE = "mix divergence"
_FOUND = "_mix_points"  # what this session measured, by model
_RUN = "_mix_run"
_CALLED = BY | {RULES: "llama-quantize", "random": "at random", "hand": "", "swapped": "swapped"}


def section(choice: Choice, hand: Plan, n_changed: int) -> None:
    """Draw the chart, what it says, and the run that measures the recipe at hand."""
    model = choice.model
    _panel(model)
    points = _points(model)
    mine = _found(points, choice, hand)
    predicted = choice.budget.predicted(hand) if choice.budget and not choice.with_imatrix else None
    name = "this recipe" if n_changed else choice.name
    if not points and predicted is None and mine is None:
        look.finding(words.nothing(model.name))
        _offer(choice, hand, name, n_changed)
        _link()
        return
    n_bytes = padded_bytes(hand)
    look.finding(
        words.standing(name, n_bytes, mine, predicted, points),
        words.how_to_read(bool(points), choice.budget is not None),
        help=words.TERMS,
    )
    star = _star(model, n_bytes, mine, predicted)
    lines: dict[str, list] = {}
    for point in points:
        if point is not mine or point.way != "hand":  # a line has all its marks
            lines.setdefault(point.way, []).append(_mark(model, point))
    corners = choice.budget.corners() if choice.budget else []
    look.show(
        charts.size_against_divergence(
            lines,
            _CALLED,
            [(_bits(model, size), cost) for size, cost in corners if cost > 0],
            star,
            look.current(),
            narrow=look.narrow(),
        ),
        key="mix_divergence",
        alt=f"Size against divergence of {plural(len(points), 'measured mix', 'measured mixes')}.",
        on_select=_clicked,
        selection_mode="points",
    )
    if mine is None:
        _offer(choice, hand, name, n_changed)
    if choice.budget is None:
        _link()
    if points:
        _table(model, points)


def _clicked() -> None:
    """Choose the mix that was clicked."""
    if place := controls.clicked("mix_divergence"):
        way, size = place
        if way == RULES:
            st.session_state.update(by=BY[RULES], mix=size)
        elif way in BY and way != RECIPE:
            st.session_state.update(by=BY[way], budget=size)


def _link() -> None:
    look.note(words.NOT_MEASURED)
    arrow = {"icon": ":material/arrow_forward:", "icon_position": "right", "type": "tertiary"}
    if st.button("Measure each tensor on the page Sensitivity", key="to_sensitivity", **arrow):
        controls.go("sensitivity")


def _points(model: Model) -> list[MixPoint]:
    """Return the mixes that lie beside the shipped model, and those that this session measured."""
    mine = st.session_state.get(_FOUND, {}).get(model.key, [])
    if not bench.is_shipped(model.name):
        return mine
    source, shipped = cache.measured_mixes()
    return [*(shipped if source.fingerprint == model.fingerprint else []), *mine]


def _types(model: Model, plan: Plan) -> dict[str, str]:
    matrices = set(model.quantizable)
    return {tensor.name: tensor.type for tensor in plan.tensors if tensor.name in matrices}


def _found(points: Sequence[MixPoint], choice: Choice, hand: Plan) -> MixPoint | None:
    """Find the point of the recipe at hand: the same types, with the matrix or without."""
    types = _types(choice.model, hand)
    for point in points:
        if point.types == types and point.name.endswith(words.AIDED) == choice.with_imatrix:
            return point
    return None


def _star(
    model: Model, n_bytes: int, mine: MixPoint | None, predicted: float | None
) -> charts.Star | None:
    bits = _bits(model, n_bytes)
    if mine is not None:
        return charts.Star(
            bits=bits, divergence=mine.mean_kl_divergence, low=mine.kl_low, high=mine.kl_high
        )
    return None if not predicted else charts.Star(bits=bits, divergence=predicted)


def _bits(model: Model, n_bytes: int) -> float:
    return 8 * n_bytes / model.n_weights


def _mark(model: Model, point: MixPoint) -> charts.Mark:
    says = words.point(point.name, point.way, _CALLED)
    return charts.Mark(
        name=point.name if point.way == RULES else says,
        bits=_bits(model, point.bytes),
        divergence=point.mean_kl_divergence,
        low=point.kl_low,
        high=point.kl_high,
        carries=(point.way, f"{point.bytes}b" if "bits" in point.name else point.name),
    )


def _table(model: Model, points: Sequence[MixPoint]) -> None:
    with st.expander("Table of measured mixes"):
        tables.show(
            [
                {
                    "mix": words.point(point.name, point.way, _CALLED),
                    "bytes": point.bytes,
                    "bits_per_weight": _bits(model, point.bytes),
                    "kl_nats": point.mean_kl_divergence,
                    "kl_low": point.kl_low,
                    "kl_high": point.kl_high,
                    "predicted_kl": point.predicted_kl_divergence,
                    "perplexity_ratio": point.perplexity_ratio,
                    "same_top_token": point.same_top_token,
                }
                for point in sorted(points, key=lambda p: (p.bytes, p.mean_kl_divergence))
            ],
            words.COLUMNS,
            "mix_points",
            caption=f"Mixes of {model.name} by size",
        )


# ---- measuring the recipe at hand ---------------------------------------------------------------


def _offer(choice: Choice, hand: Plan, name: str, n_changed: int) -> None:
    job = jobs.current()
    busy = job is not None and job.active
    refused = any(tensor.needs_imatrix for tensor in hand.tensors) and not choice.with_imatrix
    if refused or (choice.with_imatrix and choice.model.imatrix is None):
        return
    text = words.text_of(bench.is_shipped(choice.model.name))
    says = f"Quantizes the whole model so, and lets it read {text}, on this machine."
    if st.button("Measure this recipe", key="measure_divergence", disabled=busy, help=says):
        aided = words.AIDED * choice.with_imatrix
        way = "hand" if n_changed or choice.by == RECIPE else choice.by
        size = choice.base.type if choice.by == RULES else f"{_bits_of(choice, hand):.2f} bits"
        mix = Mix(
            name=(size if way != "hand" else f"{size}, changed by hand" * bool(n_changed) or name)
            + aided,
            way=way,
            types=_types(choice.model, hand),
            predicted_kl_divergence=None,
        )
        model = choice.model
        model = model.with_imatrix(model.imatrix) if choice.with_imatrix else model
        words_read = evaluation_text() if bench.is_shipped(model.name) else bench.passage()
        st.session_state[_RUN] = model.key
        jobs.start(TITLE, lambda: _steps(model, mix, words_read))
        st.rerun()


def _bits_of(choice: Choice, hand: Plan) -> float:
    return _bits(choice.model, padded_bytes(hand))


def _steps(model: Model, mix: Mix, text: str) -> Iterator[Progress[dict[int, MixPoint]]]:
    context = measuring.context_for(model, len(model.tokenizer.encode(text)))
    yield Progress(0.0, "reading the text")
    yield from mix_steps(model, [mix], cut(model, text, context))


def _panel(model: Model) -> None:
    """Draw the run of this section while there is one; take its point in when it is done."""
    job = jobs.current()
    if job is None or job.title != TITLE:
        return
    if job.active:
        _watch()
        return
    jobs.forget()
    if job.state == "failed":
        st.error(job.problem)
    elif job.state == "done":
        found = st.session_state.setdefault(_FOUND, {})
        found.setdefault(st.session_state[_RUN], []).append(job.latest.result[0])
    else:
        look.note("Cancelled; nothing was kept of that run.")


@st.fragment(run_every=0.5)
def _watch() -> None:
    job = jobs.current()
    if job is None or not job.active or job.title != TITLE:
        st.rerun()
    with st.container(border=True, key="mix_divergence_panel"):
        step = job.latest
        st.markdown(f"**{step.stage}**" if step else measuring.waiting(jobs.ahead_of(job)))
        st.progress(step.share if step else 0.0)
        st.button("Cancel", key="cancel_recipe", on_click=job.cancel)
