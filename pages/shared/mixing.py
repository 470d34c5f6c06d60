"""Errors of a mix: every tensor in the type that the mix gives it, and all of them together."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from pages.shared import cache, jobs
from quantcore.evaluate.weight_error import tensor_error
from quantcore.formats import FORMATS, UNAIDED
from quantcore.model.source import Model

TITLE = "mix"
AT_ONCE = 8_000_000  # weights quantized while a page waits; more is a run with a button
Pair = tuple[str, str]  # tensor, type


@dataclass
class Known:
    """What was measured of a model so far, shared by all sessions; it only grows."""

    errors: dict[Pair, float] = field(default_factory=dict)  # relative RMSE
    squares: dict[str, float] = field(default_factory=dict)  # sum of the squared weights


@dataclass(frozen=True)
class Step:
    """One tensor more is measured."""

    share: float
    stage: str


@st.cache_resource(show_spinner=False, max_entries=8)
def _known(model_key: str, model_name: str) -> Known:
    found = Known()
    if cache.is_shipped(model_name) and not cache.measured().stale:
        for rows in cache.measured().errors.values():
            found.errors.update({(row.name, row.format): row.relative_rmse for row in rows})
    return found


def known(model: Model) -> Known:
    """Return what is known of this version of a model."""
    return _known(model.key, model.name)


def lacking(model: Model, pairs: Iterable[Pair]) -> list[Pair]:
    """Keep the pairs that can be measured, without an importance matrix, and were not yet."""
    found, matrices = known(model), set(model.quantizable)
    return [
        pair
        for pair in dict.fromkeys(pairs)
        if pair[0] in matrices
        and pair[1] in UNAIDED
        and model.tensors[pair[0]].shape[-1] % FORMATS[pair[1]].block_size == 0
        and (pair not in found.errors or pair[0] not in found.squares)
    ]


def steps(model: Model, found: Known, pairs: list[Pair]) -> Iterator[Step]:
    """Measure pairs, a tensor in memory at a time."""
    by_tensor: dict[str, list[str]] = {}
    for name, type in pairs:
        by_tensor.setdefault(name, []).append(type)
    done = 0
    for name, types in by_tensor.items():
        weights = model.weights(name)
        found.squares[name] = float(np.square(weights, dtype=np.float64).sum())
        for type in types:
            if (name, type) not in found.errors:
                found.errors[name, type] = tensor_error(weights, type).relative_rmse
            done += 1
            yield Step(done / len(pairs), f"{name} as {type}")


def at_once(model: Model, pairs: list[Pair]) -> bool:
    """Measure pairs here and now where they are few; False where they are too many."""
    found = known(model)
    n_weights = sum(model.tensors[p[0]].n_weights for p in pairs if p not in found.errors)
    alone = sum(model.tensors[name].n_weights for name in {name for name, _ in pairs})
    if n_weights > AT_ONCE or alone > 4 * AT_ONCE:
        return False
    for _ in steps(model, found, pairs):
        pass
    return True


def whole(model: Model, types: Mapping[str, str]) -> float | None:
    """Error of all weights together, relative to their size; None where one is not measured.

    Root of the squared errors' sum over the squared weights' sum; vectors stay as they are.
    """
    found, noise, signal = known(model), 0.0, 0.0
    for name in model.quantizable:
        error = found.errors.get((name, types[name]))
        if error is None or name not in found.squares:
            return None
        noise += error**2 * found.squares[name]
        signal += found.squares[name]
    return math.sqrt(noise / signal) if signal else 0.0


@st.fragment(run_every=0.5)
def watch() -> None:
    """Draw the run that measures, with a way to cancel it."""
    job = jobs.current()
    if job is None or not job.active:
        st.rerun()
    with st.container(border=True, key="mix_panel"):
        st.markdown(f"**{job.latest.stage}**" if job.latest else "Waiting for its turn.")
        st.progress(job.latest.share if job.latest else 0.0)
        st.button("Cancel", key="cancel_mix", on_click=job.cancel)
