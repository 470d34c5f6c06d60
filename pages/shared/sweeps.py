"""Results of sweeps that pages know: shipped, kept on this machine, uploaded.

A sweep that was measured here is kept in the user's cache under a key of the model's files, the
text and what else decides about its figures, so that one that was stopped goes on from there.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.shared import (
    bench,
    kept,
    shipped,
)
from pages.shared.frame import sentence
from quantcore.formats import get_format
from quantcore.io import ModelError
from quantcore.model.source import Model
from quantcore.sensitivity.results import Sensitivity, load, parse

ENDING = ".sensitivity.json"
LISTED = 30  # of the kept files, the newest
UPLOADS = 8  # that a visitor can hand over before the first is forgotten
_UPLOADED = "_sensitivities"  # of this session, by label
_PROBLEM = "_sensitivity_problem"


@dataclass(frozen=True)
class KeptSweep:
    """Results of a sweep, and what a control calls them."""

    label: str
    results: Sensitivity
    of_model: bool  # whether the model on the bench is theirs
    path: Path | None = None  # where they are kept


def path_for(model: Model, *decisive: object) -> Path:
    """Name the file that keeps a sweep; `decisive` is what else its figures depend on."""
    return kept.path_for(model, ENDING, *decisive)


def read(path: Path) -> Sensitivity | None:
    """Read what is kept in a file, to be added to; None where it holds no results."""
    try:
        return load(path)
    except (ModelError, OSError):
        return None


def cached(path: Path) -> Sensitivity | None:
    """Look up what is kept in a file, which is read again when it has changed; not to be added to.

    None where it holds no results.
    """
    return _cached(path, kept.changed(path))


@st.cache_resource(show_spinner=False, max_entries=64)
def _cached(path: Path, changed: tuple[int, int, int]) -> Sensitivity | None:
    return read(path)


def every(model: Model) -> dict[str, KeptSweep]:
    """List all results by label, those of the model on the bench first, of these the shipped."""
    ours = bench.is_shipped(model.name)
    of_files: list[tuple[Sensitivity, bool, Path | None]] = [
        (known, ours and _is_of(known, model), None) for known in shipped.every_sensitivity()
    ]
    for path in sorted(kept.folder().glob(f"*{ENDING}"), key=kept.changed, reverse=True)[:LISTED]:
        results = cached(path)
        if results is not None and any(e.group != "all" for e in results.effects):
            mine = path.name.startswith(kept.prefix(model)) and _fits(results, model)
            of_files.append((results, mine, path))
    labelled: dict[str, KeptSweep] = {}
    for results, mine, file in of_files:
        label = _unique(label_of(results), labelled)
        labelled[label] = KeptSweep(label, results, mine, file)
    for label, results in st.session_state.get(_UPLOADED, {}).items():
        mine = _fits(results, model) and _is_of(results, model)
        labelled[label] = KeptSweep(label, results, mine)
    return dict(sorted(labelled.items(), key=lambda item: not item[1].of_model))


def _fits(results: Sensitivity, model: Model) -> bool:
    """Whether a model has the tensors that results speak of, which is known without its weights."""
    return all(e.name in model.quantizable for e in results.effects if e.group == "tensor")


def _is_of(results: Sensitivity, model: Model) -> bool:
    return results.source.fingerprint == model.fingerprint


def label_of(results: Sensitivity) -> str:
    """Call results by what they are of."""
    source = results.source
    aided = ", with imatrix" if source.imatrix_digest else ""
    chosen = f", by {source.by}" if source.by else ""
    return f"{source.model}, {source.text}, {source.tokens:,} tokens{aided}{chosen}"


def _unique(label: str, taken: dict) -> str:
    number, unique = 2, label
    while unique in taken:
        unique, number = f"{label} ({number})", number + 1
    return unique


def take_upload(key: str) -> None:
    """Take in the file of an uploader, or remember in one sentence why not."""
    file = st.session_state[key]
    if file is None:
        return
    try:
        results = _loaded(file.name, file.getvalue())
        former = st.session_state.get(_UPLOADED, {})
        taken = former | {f"{file.name}: {label_of(results)}": results}
        st.session_state[_UPLOADED] = dict(list(taken.items())[-UPLOADS:])
    except (ValueError, OSError) as problem:
        st.session_state[_PROBLEM] = sentence(problem)


def problem() -> str:
    """Say once what was wrong with the file that was uploaded last."""
    return st.session_state.pop(_PROBLEM, "")


def _loaded(name: str, content: bytes) -> Sensitivity:
    results = parse(content, name)
    check(results, name)
    return results


def check(results: Sensitivity, name: str) -> None:
    """Refuse results that cannot be drawn: none, numbers without end, formats that do not exist."""
    if not results.effects:
        raise ValueError(f"{name} holds no effect: its sweep was stopped before the first one.")
    for effect in results.effects:
        figures = (effect.mean_kl_divergence, effect.kl_low, effect.kl_high, effect.same_top_token,
                   effect.perplexity_ratio, effect.ratio_low, effect.ratio_high)  # fmt: skip
        if not all(map(math.isfinite, figures)) or effect.bytes < 1:
            raise ValueError(f"{name} has figures of {effect.name[:60]} that are not numbers.")
    for format_name in results.formats:
        get_format(format_name)
