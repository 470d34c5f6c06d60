"""The section of the page Mix that judges mixes: size against measured divergence."""

from collections.abc import Iterator, Sequence

import streamlit as st

from pages.mix import cache
from pages.mix import divergence_words as words
from pages.mix.charts import divergence as charts
from pages.mix.choice import BY, RECIPE, RULES, ChosenMix
from pages.shared import bench, controls, jobs, look, tables, texts
from pages.shared.units import plural
from quantcore.evaluate.text import context_for, cut
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.file_types import file_of
from quantcore.recipe.of_types import matrix_types, padded_bytes
from quantcore.recipe.plan import Plan
from quantcore.sensitivity.mixes import Mix, MixPoint, find_mix, mix_of, mix_steps

TITLE = "measuring a recipe on the page Mix"
_POINTS = "_mix_points"  # what this session measured, by model
_RUN = "_mix_run"
_CALLED = BY | {RULES: "llama-quantize", "random": "at random", "hand": "", "swapped": "swapped"}


def section(choice: ChosenMix, hand: Plan, n_changed: int) -> None:
    """Draw the chart, what it says, and the run that measures the recipe at hand."""
    model, ended = choice.model, jobs.ended(TITLE)
    _take_in(ended)
    points = _points(model)
    mine = find_mix(points, matrix_types(model, hand), choice.with_imatrix)
    predicted = choice.budget.predicted(hand) if choice.budget and not choice.with_imatrix else None
    name = "this recipe" if n_changed else choice.name
    if not points and predicted is None and mine is None:
        look.finding(words.nothing(model.name))
        _offer(choice, hand, name, n_changed)
        _say_how_it_ended(ended)
        _link()
        return
    n_bytes = padded_bytes(hand)
    look.finding(
        words.verdict(name, n_bytes, mine, predicted, points),
        words.how_to_read(bool(points), choice.budget is not None),
        help=words.terms(texts.called(texts.suited(model.name))),
    )
    star = _star(model, n_bytes, mine, predicted)
    lines: dict[str, list] = {}
    for point in points:
        if point is not mine or point.way != "hand":  # a line has all its marks
            lines.setdefault(point.way, []).append(_mark(model, point))
    corners = choice.budget.corners if choice.budget else []
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
        alt=f"Size against divergence of {plural(len(points), 'measured recipe')}.",
        on_select=_clicked,
        selection_mode="points",
    )
    if mine is None:
        _offer(choice, hand, name, n_changed)
    _say_how_it_ended(ended)
    if choice.budget is None:
        _link()
    if points:
        _table(model, points)


def _clicked() -> None:
    """Choose the mix that was clicked."""
    if place := controls.clicked("mix_divergence"):
        way, size, with_imatrix = place
        if way == RULES:
            file_type, pure = file_of(size)
            st.session_state.update(by=BY[RULES], mix=file_type.name, pure=pure)
        elif way in BY and way != RECIPE:
            st.session_state.update(by=BY[way], budget=size)
        else:
            return
        st.session_state["with_imatrix"] = with_imatrix


def _link() -> None:
    look.note(words.NOT_MEASURED)
    label = "Measure each tensor on the page Sensitivity"
    controls.link("sensitivity", label, "to_sensitivity")


def _points(model: Model) -> list[MixPoint]:
    """Return the mixes that ship with the model, and those that this session measured."""
    mine = st.session_state.get(_POINTS, {}).get(model.key, [])
    known = cache.measured_mixes(model.name) if bench.is_shipped(model.name) else None
    if known is None:
        return mine
    source, shipped = known
    return [*(shipped if source.fingerprint == model.fingerprint else []), *mine]


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
    return charts.Mark(
        name=words.point(point, _CALLED),
        bits=_bits(model, point.bytes),
        divergence=point.mean_kl_divergence,
        low=point.kl_low,
        high=point.kl_high,
        carries=(point.way, point.size_of or f"{point.bytes}b", point.with_imatrix),
    )


def _table(model: Model, points: Sequence[MixPoint]) -> None:
    with st.expander("Table of measured recipes"):
        tables.show(
            [
                {
                    "mix": words.point(point, _CALLED),
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
            caption=f"Recipes of {model.name} by size",
        )


# ---- measuring the recipe at hand ---------------------------------------------------------------


def _offer(choice: ChosenMix, hand: Plan, name: str, n_changed: int) -> None:
    model = choice.model
    imatrix = model.imatrix if choice.with_imatrix else None
    if hand.needs_imatrix or (choice.with_imatrix and imatrix is None):
        return
    key = texts.suited(model.name)
    mix = _mix(choice, hand, name, n_changed)
    aided = model if imatrix is None else model.with_imatrix(imatrix)
    if jobs.button(
        "Measure this recipe",
        key="measure_divergence",
        title=TITLE,
        begin=lambda: _steps(aided, mix, texts.to_judge_on(key)),
        seconds=cache.seconds(model.name, texts.to_judge_on(key), tuple(mix.types.items())),
        help=f"Quantizes the whole model by this recipe and lets it read {texts.called(key)}, "
        "on this machine.",
    ):
        st.session_state[_RUN] = model.key
        st.rerun()
    jobs.watch(TITLE)


def _mix(choice: ChosenMix, hand: Plan, name: str, n_changed: int) -> Mix:
    """Name the recipe, and say what chose its types."""
    bits = f"{_bits(choice.model, padded_bytes(hand)):.2f} bits"
    if n_changed:
        called = choice.base.type if choice.by == RULES else bits
        return mix_of(choice.model, hand, "hand", name=f"{called}, changed by hand")
    if choice.by == RECIPE:
        return mix_of(choice.model, hand, "hand", name=name)
    if choice.by == RULES:
        return mix_of(choice.model, hand, RULES, size_of=choice.base.type)
    return mix_of(choice.model, hand, choice.by, name=bits)


def _steps(model: Model, mix: Mix, text: str) -> Iterator[Progress[dict[int, MixPoint]]]:
    """Begin to measure; ValueError before any work if the text or the recipe does not suit."""
    context = context_for(model, len(model.tokenizer.encode(text)))
    return mix_steps(model, [mix], cut(model, text, context))


def _take_in(job: jobs.Job | None) -> None:
    """Keep what a run of this section found when it is over."""
    if job is not None and job.state == "done":
        points = st.session_state.setdefault(_POINTS, {})
        points.setdefault(st.session_state[_RUN], []).append(job.result[0])


def _say_how_it_ended(job: jobs.Job | None) -> None:
    if job is not None and job.state == "cancelled":
        look.note("Cancelled; nothing of that run was kept.")
    elif job is not None and job.state == "failed":
        look.problem(job.problem)
