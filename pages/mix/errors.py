"""Errors of a mix: every tensor in the type that the mix gives it, and all of them together.

Sizes come from the plan at once. An error takes the weights themselves, so it is measured here and
now only where that is quick; else it is a run that the reader begins, in parts and with progress.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import streamlit as st

from pages.mix.words import Recipe
from pages.shared import (
    jobs,
    look,
    plans,
    shipped,
)
from pages.shared.units import plural
from quantcore.evaluate.weight_error import running_error
from quantcore.formats import FORMATS
from quantcore.model.source import Model
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.plan import Plan
from quantcore.recipe.quantize import importance_of

TITLE = "mix"
AT_ONCE = 8_000_000  # weights quantized while a page waits; more is a run with a button
SLOW = ("IQ1", "IQ2", "IQ3", "TQ2")  # search a codebook for every group: a weight counts as ten


class Case(NamedTuple):
    """One tensor in one type, quantized with the model's importance matrix or without."""

    tensor: str
    type: str
    aided: bool


@dataclass
class Known:
    """What was measured of a model so far, shared by all sessions; it only grows."""

    errors: dict[Case, float] = field(default_factory=dict)  # relative RMSE
    squares: dict[str, float] = field(default_factory=dict)  # sum of the squared weights


@dataclass(frozen=True)
class Stock:
    """A file type of llama-quantize as it is, with the importance matrix or without."""

    plan: Plan
    aided: bool
    missing: bool  # it cannot do without a matrix, and none lies with the model


@dataclass(frozen=True)
class Step:
    """A part more is measured."""

    share: float
    stage: str
    left_s: float | None = None


@st.cache_resource(show_spinner=False, max_entries=8)
def _known(model_key: str, model_name: str) -> Known:
    errors = {
        Case(*key): row.relative_rmse for key, row in shipped.known_errors(model_name).items()
    }
    return Known(errors)


def known(model: Model) -> Known:
    """Return what is known of this version of a model."""
    return _known(model.key, model.name)


def cases(model: Model, types: Iterable[tuple[str, str]], aided: bool) -> list[Case]:
    """Name the cases of tensors and their types, norms left out.

    Without the matrix is also what a matrix does not change: types that take no notice of it, and
    tensors that it does not know.
    """
    heard = model.imatrix.sums if aided and model.imatrix else {}
    matrices = set(model.quantizable)
    return [
        Case(name, type, name in heard and type in FORMATS and FORMATS[type].uses_importance)
        for name, type in types
        if name in matrices
    ]


def lacking(model: Model, wanted: Iterable[Case]) -> list[Case]:
    """Keep the cases that can be measured and were not yet."""
    found = known(model)
    return [
        case
        for case in dict.fromkeys(wanted)
        if (case not in found.errors or case.tensor not in found.squares) and _possible(model, case)
    ]


def _possible(model: Model, case: Case) -> bool:
    fmt = FORMATS.get(case.type)
    if fmt is None or model.tensors[case.tensor].shape[-1] % fmt.block_size:
        return False
    return case.aided or not fmt.needs_importance or model.holds(case.tensor, case.type)


def cost(model: Model, wanted: Iterable[Case]) -> float:
    """Weights to quantize, those of slow types counted ten times."""
    return sum(_cost(model, case) for case in wanted)


def _cost(model: Model, case: Case) -> float:
    return model.tensors[case.tensor].n_weights * (10 if case.type.startswith(SLOW) else 1)


def steps(model: Model, found: Known, wanted: list[Case]) -> Iterator[Step]:
    """Measure cases; only some rows of one tensor are in memory at a time."""
    total, done, begun = cost(model, wanted), 0.0, time.monotonic()
    for case in wanted:
        name, type, aided = case
        n_cols = model.tensors[name].shape[-1]
        importance = importance_of(model.imatrix, name, n_cols) if aided else None
        yield Step(done / total, f"{name} as {type}")  # first, for a kernel may have to be compiled
        for part in running_error(model, name, type, importance):
            share = (done + part.share * _cost(model, case)) / total
            left_s = (time.monotonic() - begun) * (1 / share - 1)
            yield Step(min(share, 1.0), f"{name} as {type}", left_s)
        found.squares[name] = part.signal
        found.errors[case] = part.relative_rmse
        done += _cost(model, case)


def at_once(model: Model, wanted: list[Case]) -> None:
    """Measure cases here and now where that is quick."""
    found = known(model)
    unmeasured = [case for case in wanted if case not in found.errors]
    alone = sum(model.tensors[name].n_weights for name in {case.tensor for case in wanted})
    if cost(model, unmeasured) > AT_ONCE or alone > 4 * AT_ONCE:
        return
    for case in wanted:
        if case in found.errors and case.tensor not in found.squares:  # kept beside the model
            *_, last = running_error(model, case.tensor, "F32")
            found.squares[case.tensor] = last.signal
    for _ in steps(model, found, lacking(model, wanted)):
        pass


def whole(model: Model, types: Mapping[str, str], aided: bool) -> float | None:
    """Error of all weights together, relative to their size; None where one is not measured.

    Root of the squared errors' sum over the squared weights' sum; vectors stay as they are.
    """
    found, noise, signal = known(model), 0.0, 0.0
    for case in cases(model, types.items(), aided):
        error = found.errors.get(case)
        if error is None or case.tensor not in found.squares:
            return None
        noise += error**2 * found.squares[case.tensor]
        signal += found.squares[case.tensor]
    return math.sqrt(noise / signal) if signal else 0.0


def types_of(plan: Plan) -> dict[str, str]:
    """Type of each tensor by name."""
    return {tensor.name: tensor.type for tensor in plan.tensors}


def error_of(model: Model, tensor: str, type: str, aided: bool) -> float | None:
    """Error of one tensor in a type, where it is measured; vectors have none."""
    found = cases(model, [(tensor, type)], aided)
    return known(model).errors.get(found[0]) if found else None


def recipe(model: Model, name: str, plan: Plan, aided: bool) -> Recipe:
    """Sum up what a plan costs."""
    error = whole(model, types_of(plan), aided)
    return Recipe(name, plan.bytes, plan.bits_per_weight, error)


def stock(model: Model, aided: bool) -> dict[str, Stock]:
    """Plan llama-quantize's file types, but for floats and that which is for experts only.

    Those that cannot do without an importance matrix are with that which lies with the model.
    """
    found = {}
    for name, each in FILE_TYPES.items():
        planned = plans.planned(model.name, name, aided)
        demands = any(t.needs_imatrix for t in plans.planned(model.name, name, False).tensors)
        if not each.is_quantized or name == "MXFP4_MOE":
            continue
        planned = plans.planned(model.name, name, True) if demands else planned
        found[name] = Stock(planned, aided or demands, demands and model.imatrix is None)
    return found


def offer(model: Model, wanted: list[Case], scope: str, label: str) -> None:
    """Draw a button that measures what is lacking, and the run that it began."""
    job = jobs.current()
    title = f"{TITLE} {scope}"
    mine = job is not None and job.title == title
    if mine and not job.active:
        jobs.forget()
        if job.state == "failed":
            st.error(job.problem)
    if mine and job.active:
        _watch(title)
    elif wanted:
        n_weights = sum(model.tensors[case.tensor].n_weights for case in wanted)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            busy = job is not None and job.active
            if st.button(label, key=f"measure_{scope}", disabled=busy):
                found = known(model)
                jobs.start(title, lambda: steps(model, found, wanted))
                st.rerun()
            look.note(f"{_millions(n_weights)} weights to quantize, on this machine.")


def _left(seconds: float | None) -> str:
    """Word the time that is left.

    >>> _left(1.2), _left(600), _left(None)
    (', about 1 second left', ', about 10 minutes left', '')
    """
    if seconds is None:
        return ""
    amount, unit = (seconds, "second") if seconds < 100 else (seconds / 60, "minute")
    return f", about {plural(max(1, round(amount)), unit)} left"


def _millions(n_weights: int) -> str:
    """Word a number of weights.

    >>> _millions(58_720_256), _millions(8_030_261_248)
    ('59 million', '8.0 billion')
    """
    return (
        f"{n_weights / 1e9:,.1f} billion" if n_weights > 1e9 else f"{n_weights / 1e6:,.0f} million"
    )


@st.fragment(run_every=0.5)
def _watch(title: str) -> None:
    job = jobs.current()
    if job is None or not job.active or job.title != title:
        st.rerun()
    with st.container(border=True, key="mix_panel"):
        step = job.latest
        st.markdown(f"**{step.stage}**{_left(step.left_s)}" if step else "Waiting for its turn.")
        st.progress(step.share if step else 0.0)
        st.button("Cancel", key="cancel_mix", on_click=job.cancel)
