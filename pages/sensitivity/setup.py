"""What a sweep measures: chosen on the page, with what it will take."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import streamlit as st

from pages.shared import bench, controls, owner, shipped, sweeps, texts
from quantcore.evaluate.text import context_for, cut
from quantcore.formats import OUTSIDE_GGUF, get_format
from quantcore.model.source import Model
from quantcore.sensitivity import results
from quantcore.sensitivity.estimate import SweepEstimate, estimate_sweep
from quantcore.sensitivity.measure import TOKENS, Settings, imatrix_digest, read_for
from quantcore.sensitivity.pieces import DEFAULT_FORMATS, Group, How, storable
from quantcore.sensitivity.reading import question_tokens
from quantcore.sensitivity.results import Sensitivity

GROUPS: dict[str, Group] = {"tensors": "tensor", "layers": "layer", "roles": "role"}
HOWS: dict[str, How] = {"only this": "alone", "everything except this": "kept"}
CALIBRATION, PASSAGE, OWN = "calibration", "passage", "own"
_TEXTS = {
    CALIBRATION: "Calibration: stories of the model’s own world.",
    PASSAGE: "Passage: a page of plain English, for models from elsewhere.",
    OWN: "Own: paste a text.",
}
PLAIN = ("Q8_0", "Q4_0")  # where no usual format fits the rows


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was chosen."""

    model: Model
    settings: Settings
    guides: bool
    scheduler: str | None

    @cached_property
    def path(self) -> Path:
        """File that keeps it."""
        s = self.settings
        digest = hashlib.sha256(s.words.encode()).hexdigest()
        with_imatrix = imatrix_digest(self.model) or False
        return sweeps.path_for(
            self.model, digest, s.text_name, s.context, s.tokens, with_imatrix, s.questions
        )

    def known(self) -> Sensitivity | None:
        """Read what was found before, to be added to: what is kept, else what is shipped."""
        if (kept := sweeps.read(self.path)) is not None:
            return kept
        self.path.unlink(missing_ok=True)  # no results that this lab could read
        return results.shipped(self.model.name) if adds_to_shipped(self) else None


def adds_to_shipped(sweep: Sweep) -> bool:
    """Whether a sweep measures more of what the shipped results are of."""
    name = sweep.model.name
    return shipped.is_swept(name) and _is_of_shipped(name, sweep.path, _sweep=sweep)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=32)
def _is_of_shipped(model_name: str, path: Path, _sweep: Sweep) -> bool:
    """Compare what a sweep reads with what the shipped results are of; the path tells sweeps."""
    try:
        shipped.sensitivity(model_name).refuse_other(read_for(_sweep.model, _sweep.settings)[1])
    except ValueError:
        return False
    return True


def estimate(sweep: Sweep) -> SweepEstimate:
    """Count what there is to do; ValueError in one sentence for what cannot be measured."""
    known = sweeps.cached(sweep.path)
    if known is None and adds_to_shipped(sweep):
        known = shipped.sensitivity(sweep.model.name)
    return estimate_sweep(
        sweep.model,
        sweep.settings,
        known,
        guides=sweep.guides,
        n_question_tokens=asked_tokens(sweep.model.name, sweep.settings.questions),
    )


def choose(model: Model) -> Sweep:
    """Draw the controls; ValueError in one sentence for what cannot be measured."""
    one, two = st.columns([3, 2], gap="large")
    with one:
        formats = _formats(model)
    with two, st.container(horizontal=True, gap="medium"):
        nouns = st.pills(
            "Pieces", list(GROUPS), selection_mode="multi", default=["tensors"], key="pieces",
            help="All tensors together are always measured as well.", **controls.BOUND,
        )  # fmt: skip
        hows = st.pills(
            "Quantize", list(HOWS), selection_mode="multi",
            default=["only this"], key="hows", **controls.BOUND,
        )  # fmt: skip
    # As many as were shipped, so that a new format is added to what is known.
    swept = shipped.is_swept(model.name)
    usual = shipped.sensitivity(model.name).source.tokens if swept else TOKENS
    controls.follow_default("tokens", usual)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        name, text = _text(model)
        asked = st.number_input(
            "Tokens at most", 1, 1_000_000, usual, 512, key="tokens", width=150,
            help="From the beginning of the text. Half of them are scored.", **controls.BOUND,
        )  # fmt: skip
        guides = st.toggle(
            "Also compute guides", True, key="with_guides", help=_GUIDES, **controls.BOUND
        )
        questions = _questions(model)
        model = _with_imatrix(model)
        scheduler = _scheduler()
    if not nouns or not hows:
        raise ValueError("Choose at least one kind of pieces, and how they are quantized.")
    n = min(asked, n_tokens(model.name, text))
    context = min(context_for(model, n), model.config.context_length)
    _refuse_short(model.name, text, context)
    if n < 2 * context:
        raise ValueError(
            f"{asked:,} tokens are asked for; measuring needs at least {2 * context:,}."
        )
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
    return Sweep(model, settings, guides, scheduler)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=32)
def _refuse_short(model_name: str, text: str, context: int) -> None:
    """Say in a sentence if the text is too short; one that is long enough is not cut again."""
    cut(bench.model(model_name), text, context, at_most=2 * context)


@bench.per_model(st.cache_data, show_spinner=False, max_entries=32)
def n_tokens(model_name: str, text: str) -> int:
    """Count the tokens of a text."""
    return len(bench.model(model_name).tokenizer.encode(text))


@bench.per_model(st.cache_data, show_spinner=False, max_entries=32)
def asked_tokens(model_name: str, questions: int) -> int:
    """Count the tokens of so many questions of each skill and level."""
    return question_tokens(bench.model(model_name), questions)


def _formats(model: Model) -> list[str]:
    start = [name for name in DEFAULT_FORMATS if _fits(model, name)] or list(PLAIN)
    controls.follow_default("formats", start)
    asked = [*st.query_params.get_all("formats"), *(st.session_state.get("formats") or [])]
    options = [*controls.ggml_formats(), *OUTSIDE_GGUF, *controls.INTEGERS, *asked]
    chosen = st.multiselect(
        "Formats to measure", list(dict.fromkeys(options)), default=start,
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


def _text(model: Model) -> tuple[str, str]:
    """Ask for the text; its name in the results, and its words."""
    first = CALIBRATION if texts.suited(model.name) == texts.STORIES else PASSAGE
    keys = list(dict.fromkeys([first, PASSAGE, OWN]))
    controls.follow_default("sweep_text", first)
    key = st.segmented_control(
        "Text to measure on", keys, default=first, required=True, key="sweep_text",
        help=f"{' '.join(_TEXTS[key] for key in keys)} Judge a mix on another text than the one it "
        "was chosen on.", **controls.BOUND,
    )  # fmt: skip
    if key != OWN:
        return texts.to_choose_by(texts.STORIES if key == CALIBRATION else texts.PASSAGE)
    words = st.text_area(
        "Your text to measure on", bench.passage().split("\n")[0], key="sweep_own",
        persist_state="session", height=100, width=420, max_chars=texts.LONGEST,
    )  # fmt: skip
    return "own text", words


def _questions(model: Model) -> int:
    """Ask whether the skills are measured too; only shipped models know what is asked."""
    if not bench.is_shipped(model.name):
        return 0
    swept = shipped.is_swept(model.name)
    usual = shipped.sensitivity(model.name).source.questions if swept else 0
    wanted = st.toggle(
        "Also ask skill questions", bool(usual), key="with_questions", **controls.BOUND,
        help="Questions on recall, arithmetic, facts, agreement and chains, as well as the text.",
    )  # fmt: skip
    return (usual or QUESTIONS) if wanted else 0


def _with_imatrix(model: Model) -> Model:
    """Ask whether every format is quantized with the importance matrix, where there is one."""
    imatrix = bench.imatrix(model.name)
    if imatrix is None:
        return model
    wanted = st.toggle(
        "Use the importance matrix for every format", key="sweep_imatrix", **controls.BOUND,
        help="Every format is quantized with the model’s importance matrix, as `--imatrix` does. "
        "Otherwise only the formats that need one.",
    )  # fmt: skip
    return model.with_imatrix(imatrix) if wanted else model


def _scheduler() -> str | None:
    """Ask whether the sweep runs on the cluster that the server's owner allows; at first not."""
    if (address := owner.cluster()) is None:
        return None
    wanted = st.toggle("On the cluster", key="on_cluster", help=_CLUSTER, **controls.BOUND)
    return address if wanted else None


QUESTIONS = 8  # of each skill at each level
_GUIDES = (
    "Weight error, weighted error, output error and Fisher, which are cheap compared with the "
    "measurement. They take as long as a dozen pieces, and as much memory again as the weights."
)
_CLUSTER = (
    "The pieces are measured by the workers of a Dask cluster, which find the model at the same "
    "path as this server; docs/sensitivity.md says what large models take."
)
