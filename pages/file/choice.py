"""Which file the page File shows: one among the models, or one that `quantize` would write."""

import contextlib
import re
from dataclasses import dataclass
from functools import cache as once

import streamlit as st

from pages.file import cache
from pages.shared import bench, controls
from pages.shared.units import both_ends
from quantcore.evaluate.file_error import RestoredError
from quantcore.io.gguf import GgufFile
from quantcore.model.config import runs
from quantcore.recipe.file_types import FILE_TYPES, get_file_type
from quantcore.shape import preset_config, preset_ids

PLANNED, PURE, NONE = "as ", " --pure", "nothing"
SMALL_BYTES = 200_000_000
_HELP = (
    "GGUF files in `models/` beside `app.py`, or in the folder that `QUANTLAB_MODELS` names, can "
    "be opened here, also those that the lab cannot run. **as Q4_K_M** is the file that `quantize` "
    "would write for the model on the bench, **Llama-3.1-8B as Q4_K_M** that for a known model; "
    "with `--pure`, every matrix gets the same format. Any mix of llama-quantize can be typed in."
)


@dataclass(frozen=True, kw_only=True)
class ChosenFile:
    """A file among the models, or one of a file type, planned or written of a model."""

    label: str  # in the control
    model_name: str  # on the bench, whose file it would be
    file_name: str | None = None
    file_type: str = ""
    pure: bool = False
    written: bool = False
    known: str = ""  # a known model, of which only the sizes are here

    @property
    def planned(self) -> bool:
        """Whether there is no file: only what would be in it is known."""
        return self.file_name is None and not self.written

    @property
    def title(self) -> str:
        """What sentences call it."""
        planned = f"{self.known} {self.file_type}{PURE if self.pure else ''}".strip()
        return self.file_name or planned

    def header(self) -> cache.Header:
        """Read or make the header; ValueError in one sentence where it cannot be."""
        if self.file_name:
            return cache.header(self.file_name)
        if self.known:
            return cache.known_header(self.known, self.file_type, self.pure)
        planned = cache.planned_header(self.model_name, self.file_type, self.pure)
        if not self.written:
            return planned
        if not small(planned.file):
            raise ValueError(
                f"{self.title} of {self.model_name} is too large to be written only to look at it; "
                "`python -m quantcore quantize` writes files of any size"
            )
        return cache.written_header(self.model_name, self.file_type, self.pure)

    @property
    def unaided(self) -> bool:
        """Whether what is planned needs an importance matrix that is not here."""
        what = self.file_type, self.pure
        if self.known:
            return cache.known_needs_matrix(self.known, *what)
        return self.planned and cache.lacks_matrix(self.model_name, *what)

    def errors(self, original: str) -> list[RestoredError]:
        """Compare its matrices with an original's; ValueError where they cannot be."""
        if self.known:
            raise ValueError(f"Only the sizes of {self.known} are here, not its weights")
        if self.file_name:
            return cache.errors_of_file(self.file_name, original)
        return cache.errors_of_plan(self.model_name, original, self.file_type, self.pure)


def small(file: GgufFile) -> bool:
    """Whether a file may be written on the server just to be looked at."""
    return file.file_bytes <= SMALL_BYTES


def file_of(label: str, model_name: str) -> ChosenFile:
    """Take a label apart; ValueError where there is no such file and no such type.

    `model_name` is the model on the bench, of which a type alone speaks.
    """
    if label in _files():
        return ChosenFile(label=label, model_name=model_name, file_name=label)
    match = re.fullmatch(rf"(written |.+ )?as (\S+)({PURE})?", label)
    of = (match[1] or "").strip() if match else ""
    if match and of in ("", "written", *known_models()):
        written = of == "written"
        return ChosenFile(
            label=label,
            model_name=model_name,
            file_type=get_file_type(match[2]).name,
            pure=bool(match[3]),
            written=written,
            known="" if written else of,
        )
    raise ValueError(
        f"There is no file {label[:60]!r} among the models. Write 'as Q4_K_M' or 'Llama-3.1-8B as "
        "Q4_K_M' for a file that quantize would write"
    )


def choose(model_name: str) -> ChosenFile:
    """Ask for the file: at first the one on the bench, or Q4_K_M of the folder on the bench."""
    default = model_name if model_name in _files() else f"{PLANNED}Q4_K_M"
    _begin_anew("file", default, model_name)
    return file_of(_ask("File", "file", _options(model_name), default), model_name)


def choose_beside(one: ChosenFile) -> ChosenFile | None:
    """Ask for a second file; at first the same type without rules, for a file on the bench none."""
    planned = f"{one.known} {PLANNED}{one.file_type}".strip()
    default = NONE if one.file_name else planned if one.pure else planned + PURE
    _begin_anew("beside_file", default, one.label)
    label = _ask("Compare with", "beside_file", [NONE, *_options(one.model_name)], default)
    return None if label == NONE else file_of(label, one.model_name)


def choose_original(model_name: str) -> str:
    """Ask for the model that errors are measured against: at first the one on the bench."""
    names = bench.names(model_name)
    _begin_anew("original", model_name, model_name)
    return st.selectbox(
        "Original", names, names.index(model_name), key="original", width=320,
        format_func=both_ends(names).__getitem__, **controls.BOUND,
        help="Errors are measured from this model’s weights; it needs the same tensors.",
    )  # fmt: skip


def _begin_anew(key: str, default: str, of: str) -> None:
    """Take the default again where it is about something else than in the last run."""
    if st.session_state.get(f"_{key}_of", of) != of:
        st.session_state[key] = default
    st.session_state[f"_{key}_of"] = of


def _ask(label: str, key: str, options: list[str], default: str) -> str:
    if default not in options:
        options = [*options, default]
    return st.selectbox(
        label, options, options.index(default), key=key, accept_new_options=True, width=420,
        help=_HELP, **controls.BOUND,
    )  # fmt: skip


def _options(model_name: str) -> list[str]:
    planned = [f"{PLANNED}{name}" for name in FILE_TYPES]
    pure = [f"{PLANNED}{name}{PURE}" for name, of in FILE_TYPES.items() if of.is_quantized]
    known = [f"{name} {PLANNED}Q4_K_M" for name in known_models()]
    with contextlib.suppress(ValueError, OSError):
        bench.model(model_name)
        return [*_files(), *planned, *known, *pure]
    return [*_files(), *known]  # nothing can be planned of a model that cannot be opened


@once
def known_models() -> list[str]:
    """Models that the lab can run and knows the sizes of, small ones first."""
    return [model_id.split("/")[1] for model_id in preset_ids() if runs(preset_config(model_id))]


def _files() -> list[str]:
    return [name for name, place in bench.sources().items() if place.suffix == ".gguf"]
