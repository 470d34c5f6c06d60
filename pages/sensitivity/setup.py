"""What a sweep measures: chosen on the page, with what it will take."""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import streamlit as st

import quantcore.sensitivity.results as sensitivity_files
from pages.sensitivity.costs import GROUPS, HOWS
from pages.shared import (
    bench,
    controls,
    look,
    shipped,
)
from pages.shared import sweeps as sensitivity_kept
from quantcore.evaluate.text import calibration_text, context_for, cut
from quantcore.formats import OUTSIDE_GGUF, get_format
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.sensitivity.measure import TOKENS, Settings, read_for
from quantcore.sensitivity.pieces import DEFAULT_FORMATS, checked_formats, pieces_of, storable
from quantcore.sensitivity.reading import first_questions
from quantcore.sensitivity.results import Sensitivity

# Of one core of the machine that docs/sensitivity.md was measured on, for a piece.
SECONDS_PER_WEIGHT_AND_TOKEN = 0.39 / (6.8e6 * 4096)
GUIDE_PIECES = 12  # pieces that take as long as the guides: six passes, and a piece is half a one
TEXTS = ("calibration", "passage", "own")
PLAIN = ("Q8_0", "Q4_0")  # where no usual format fits the rows
ADDRESS = r"(tcp|tls|ws|wss|ucx)://[^\s/:]+:\d+"


@dataclass(frozen=True)
class Plan:
    """How much there is to do."""

    pieces: int
    known: int
    tokens: int
    context: int
    threads: int
    seconds: float  # on this machine, if it is as fast as the one that was measured
    elsewhere: bool  # on a cluster


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was chosen."""

    model: Model
    settings: Settings
    guides: bool
    scheduler: str | None
    is_shipped: bool

    @cached_property
    def path(self) -> Path:
        """File that keeps it."""
        s, text = self.settings, self.settings.text
        digest = hashlib.sha256(text.encode()).hexdigest()
        aided = self.model.given is not None
        return sensitivity_kept.place_of(
            self.model, digest, s.text_name, s.context, s.tokens, aided, s.questions
        )

    def known(self) -> Sensitivity | None:
        """Read what was found before, to be added to: what is kept, else what is shipped."""
        if (kept := sensitivity_kept.kept(self.path)) is not None:
            return kept
        if not self.is_shipped:
            return None
        with suppress(ValueError):
            found = sensitivity_files.shipped()
            found.refuse_other(read_for(self.model, self.settings)[1])
            return found
        return None


def choose(model: Model) -> Sweep:
    """Draw the controls; ValueError in one sentence for what cannot be measured."""
    one, two = st.columns([3, 2], gap="large")
    with one:
        formats = _formats(model)
    with two, st.container(horizontal=True, gap="medium"):
        nouns = st.pills(
            "Pieces", list(GROUPS), selection_mode="multi", default=["tensors"], key="pieces",
            help="All tensors together are measured besides.", **controls.BOUND,
        )  # fmt: skip
        hows = st.pills(
            "Quantized", list(HOWS), selection_mode="multi",
            default=["only this"], key="hows", **controls.BOUND,
        )  # fmt: skip
    # As many as were shipped, so that a new format is added to what is known.
    usual = shipped.sensitivity().source.tokens if bench.is_shipped(model.name) else TOKENS
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        name, text = _text()
        asked = st.number_input(
            "Tokens at most", 1, 1_000_000, usual, 512, key="tokens", width=150,
            help="From the beginning of the text. Half of them are scored.", **controls.BOUND,
        )  # fmt: skip
        guides = st.toggle("Guides too", True, key="with_guides", help=_GUIDES, **controls.BOUND)
        questions = _questions(model)
        model = _aided(model)
    with st.expander("On a cluster"):
        scheduler = _scheduler()
    if not nouns or not hows:
        raise ValueError("choose at least one kind of pieces, and how they are quantized.")
    n = min(asked, n_tokens(model.name, text))
    context = min(context_for(model, n), model.config.context_length)
    cut(model, text, context)  # says in a sentence if the text is too short
    if n < 2 * context:
        raise ValueError(f"{asked:,} tokens are asked for, and it takes {2 * context:,} or more.")
    settings = Settings(
        formats=formats,
        groups=(*(GROUPS[noun] for noun in nouns), "all"),
        hows=tuple(HOWS[how] for how in hows),
        text=text,
        text_name=name,
        context=context,
        tokens=n,
        questions=questions,
    )
    return Sweep(model, settings, guides, scheduler, bench.is_shipped(model.name))


def plan_of(sweep: Sweep) -> Plan:
    """Count what there is to do; ValueError in one sentence for what cannot be measured."""
    model, settings = sweep.model, sweep.settings
    able = checked_formats(model, settings.formats)
    pieces = pieces_of(model, able, settings.groups, settings.hows)
    first = cached_known(sweep, sweep.path)
    n_known = 0 if first is None else sum(first.has(piece) for piece in pieces)
    return Plan(
        pieces=len(pieces),
        known=n_known,
        tokens=settings.tokens // settings.context * settings.context,
        context=settings.context,
        threads=n_threads(),
        seconds=(len(pieces) - n_known + GUIDE_PIECES * sweep.guides * (n_known < len(pieces)))
        * SECONDS_PER_WEIGHT_AND_TOKEN * model.n_weights
        * (settings.tokens + asked_tokens(model.name, settings.questions)),
        elsewhere=sweep.scheduler is not None,
    )  # fmt: skip


def cached_known(sweep: Sweep, path: Path) -> Sensitivity | None:
    """Look up what is known of a sweep, without reading an unchanged file again."""
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _known((str(path), changed), sweep)


@st.cache_resource(show_spinner=False, max_entries=8)
def _known(key: tuple, _sweep: Sweep) -> Sensitivity | None:
    return _sweep.known()


@st.cache_data(show_spinner=False, max_entries=32)
def n_tokens(model_name: str, text: str) -> int:
    """Count the tokens of a text."""
    return len(bench.model(model_name).tokenizer.encode(text))


@st.cache_data(show_spinner=False, max_entries=32)
def asked_tokens(model_name: str, questions: int) -> int:
    """Count the tokens of so many questions of each skill and level."""
    tokenizer = bench.model(model_name).tokenizer
    return sum(len(tokenizer.encode(q.prompt + q.answer)) for q in first_questions(questions))


def _formats(model: Model) -> list[str]:
    fitting = [name for name in DEFAULT_FORMATS if _fits(model, name)]
    asked = [*st.query_params.get_all("formats"), *(st.session_state.get("formats") or [])]
    options = [*controls.ggml_formats(), *OUTSIDE_GGUF, *controls.INTEGERS, *asked]
    chosen = st.multiselect(
        "Formats to measure", list(dict.fromkeys(options)), default=fitting or list(PLAIN),
        key="formats", accept_new_options=True, placeholder="one or more formats",
        help="Each tensor is quantized to each of these. Any INT format can be typed in.",
        **controls.BOUND,
    )  # fmt: skip
    return list(dict.fromkeys(get_format(name).name for name in chosen))


def _fits(model: Model, name: str) -> bool:
    try:
        return bool(storable(model, name))
    except ValueError:
        return False


def _text() -> tuple[str, str]:
    """Ask for the text; its name in the results, and its words."""
    key = st.segmented_control(
        "Text to measure on", TEXTS, default=TEXTS[0], required=True, key="sweep_text",
        help="Calibration: stories of the shipped model’s world. Passage: a page of plain English, "
        "for models from elsewhere. Own: paste a text. Judge a mix on another text than that which "
        "it was chosen by.", **controls.BOUND,
    )  # fmt: skip
    if key == "calibration":
        return "calibration.txt", calibration_text()
    if key == "passage":
        return "passage.txt", bench.passage()
    words = st.text_area(
        "Your text to measure on", bench.passage().split("\n")[0], key="sweep_own",
        persist_state="session", height=100, width=420,
    )  # fmt: skip
    return "own text", words


def _questions(model: Model) -> int:
    """Ask whether the skills are measured too; only the shipped model knows what is asked."""
    if not bench.is_shipped(model.name):
        return 0
    usual = shipped.sensitivity().source.questions
    wanted = st.toggle(
        "Skills too", bool(usual), key="with_questions", **controls.BOUND,
        help="Questions on recall, arithmetic, facts, agreement and chains besides the text.",
    )  # fmt: skip
    return (usual or QUESTIONS) if wanted else 0


def _aided(model: Model) -> Model:
    """Ask whether every format is quantized with the importance matrix, where there is one."""
    if bench.imatrix(model.name) is None:
        return model
    wanted = st.toggle(
        "Imatrix for all", key="sweep_imatrix", **controls.BOUND,
        help="Every format is quantized with the model’s importance matrix, as `--imatrix` does. "
        "Otherwise only those that cannot do without.",
    )  # fmt: skip
    return model.with_imatrix(bench.imatrix(model.name)) if wanted else model


def is_local() -> bool:
    """Whether the visitor sits at the machine that the lab runs on."""
    return st.context.ip_address is None


def _scheduler() -> str | None:
    """Ask for a Dask scheduler; ValueError where the address is none."""
    if not is_local():
        look.note(_ONLY_HERE)
        return None
    typed = st.text_input(
        "Dask scheduler", key="scheduler", placeholder="tcp://10.0.0.5:8786", help=_CLUSTER
    ).strip()
    if not typed:
        return None
    if not re.fullmatch(ADDRESS, typed):
        raise ValueError(f"{typed[:60]!r} is no address of a scheduler: write tcp://HOST:PORT.")
    return typed


QUESTIONS = 8  # of each skill at each level
_GUIDES = (
    "Weight error, weighted error, output error and Fisher, which are cheap beside the "
    "measurement. Takes as long as a dozen pieces, and as much memory again as the weights."
)
_CLUSTER = (
    "`dask scheduler` prints it. The workers find the model at the same path as this machine; "
    "docs/sensitivity.md says what large models take."
)
_ONLY_HERE = (
    "Only a visitor at the machine that the lab runs on can name a Dask scheduler: whoever runs "
    "one can run programs here."
)
