"""Results of sweeps that the page Sensitivity knows: shipped, kept on disk, uploaded.

A sweep that was measured here is kept in the user's cache under a key of the model's files, the
text and what else decides about its figures, so that one that was stopped goes on from there.
"""

import hashlib
import math
import os
import tempfile
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from pages.shared import (
    bench,
    shipped,
)
from pages.shared.frame import sentence
from quantcore.formats import get_format
from quantcore.io import ModelError
from quantcore.model.source import Model
from quantcore.sensitivity.results import Sensitivity, load

ENDING = ".sensitivity.json"
LISTED = 30  # of the kept files, the newest
_UPLOADED = "_sensitivities"  # of this session, by label
_PROBLEM = "_sensitivity_problem"
_saving = threading.Lock()


@dataclass(frozen=True)
class Known:
    """Results, and what a control calls them."""

    label: str
    results: Sensitivity
    of_model: bool  # whether the model on the bench is theirs
    path: Path | None = None  # where they are kept


@lru_cache(maxsize=4)
def folder(wanted: str | None = None) -> Path:
    """Folder of what is kept: QUANTLAB_RESULTS, else the user's cache; else one for this server."""
    wanted = wanted or os.environ.get("QUANTLAB_RESULTS")
    try:
        place = Path(wanted) if wanted else Path.home() / ".cache" / "quantlab" / "sensitivity"
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return place
    except (OSError, RuntimeError):
        pass
    return Path(tempfile.mkdtemp(prefix="quantlab-"))


def place_of(model: Model, *decisive: object) -> Path:
    """File that keeps a sweep of a model; `decisive` is what else its figures depend on."""
    digest = hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]
    return folder() / f"{model.key}-{digest}{ENDING}"


def save(results: Sensitivity, path: Path) -> None:
    """Write a file whole; one at a time, for two sessions may measure the same."""
    with _saving:
        results.save(path)


def kept(path: Path) -> Sensitivity | None:
    """Read what is kept; None where nothing is, or nothing that can be read."""
    try:
        return load(path)
    except (ModelError, OSError):
        return None


@st.cache_resource(show_spinner=False, max_entries=64)
def _read(path: Path, changed: int) -> Sensitivity | None:
    return kept(path)


def every(model: Model) -> dict[str, Known]:
    """List all results by label, those of the model on the bench first, of these the shipped."""
    found = [(shipped.sensitivity(), bench.is_shipped(model.name), None)]
    for path in sorted(folder().glob(f"*{ENDING}"), key=_changed, reverse=True)[:LISTED]:
        results = _read(path, _changed(path))
        if results is not None and any(e.group != "all" for e in results.effects):
            mine = path.name.startswith(f"{model.key}-") and _fits(results, model)
            found.append((results, mine, path))
    labelled: dict[str, Known] = {}
    for results, mine, path in found:
        label = _unique(label_of(results), labelled)
        labelled[label] = Known(label, results, mine, path)
    for label, results in st.session_state.get(_UPLOADED, {}).items():
        mine = results.source.model == model.name and _fits(results, model)
        labelled[label] = Known(label, results, mine)
    return dict(sorted(labelled.items(), key=lambda item: not item[1].of_model))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # another session has just put a newer one in its place
        return 0


def _fits(results: Sensitivity, model: Model) -> bool:
    return all(e.name in model.quantizable for e in results.effects if e.group == "tensor")


def label_of(results: Sensitivity) -> str:
    """Call results by what they are of."""
    source = results.source
    aided = ", with imatrix" if source.imatrix_digest else ""
    return f"{source.model}, {source.text}, {source.tokens:,} tokens{aided}"


def _unique(label: str, taken: dict) -> str:
    number, found = 2, label
    while found in taken:
        found, number = f"{label} ({number})", number + 1
    return found


def take_upload(key: str) -> None:
    """Take in the file of an uploader, or remember in one sentence why not."""
    file = st.session_state[key]
    if file is None:
        return
    try:
        results = _loaded(file.name, file.getvalue())
        st.session_state.setdefault(_UPLOADED, {})[f"{file.name}: {label_of(results)}"] = results
    except (ValueError, OSError) as problem:
        st.session_state[_PROBLEM] = sentence(problem)


def problem() -> str:
    """Say once what was wrong with the file that was uploaded last."""
    return st.session_state.pop(_PROBLEM, "")


def _loaded(name: str, content: bytes) -> Sensitivity:
    with tempfile.TemporaryDirectory(prefix="quantlab-") as place:
        path = Path(place) / (Path(name).name or "sensitivity.json")
        path.write_bytes(content)
        results = load(path)
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
            raise ValueError(f"{name} has figures of {effect.name[:60]} that are no numbers.")
    for format_name in results.formats:
        get_format(format_name)


def as_json(results: Sensitivity) -> bytes:
    """Write results as the file that `plan --sensitivity` reads."""
    with tempfile.TemporaryDirectory(prefix="quantlab-") as place:
        path = Path(place) / "sensitivity.json"
        results.save(path)
        return path.read_bytes()
