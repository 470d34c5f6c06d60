"""What the page Mix plans: by llama-quantize's rules, by what was measured, or from a file."""

from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.mix import by_hand, cache
from pages.shared import controls, look, plans, sweeps
from pages.shared.frame import sentence
from pages.shared.units import percent
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.source import Model
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.of_types import matrix_types
from quantcore.recipe.plan import Plan
from quantcore.sensitivity.budget import Budget, Budgeted
from quantcore.sensitivity.measure_mixes import SIZES
from quantcore.sensitivity.results import Sensitivity
from quantcore.sensitivity.ways import choice_key, covers, guided_formats, ways_of

RULES, RECIPE = "rules", "recipe"
BY = {
    RULES: "llama-quantize’s rules",
    "measured": "measured divergence",
    "fisher": "Fisher",
    "output_error": "output error",
    "weighted_error": "weighted error",
    "weight_error": "weight error",
    RECIPE: by_hand.BY_RECIPE,
}
_BY_HELP = (
    "The rules know a tensor by its role and place. Measured divergence is what the page "
    "Sensitivity found for each tensor in each format; it gives the best predicted recipe for a "
    "size. The guides are cheaper to compute, and choose by their own sums."
)
_BUDGET_HELP = (
    "As small as a file type (`Q4_K_M`), bits per weight (`4.5bpw`), a size (`3.9MB`), or the "
    "smallest file that is predicted to diverge by at most this many nats per token (`kl:0.002`)."
)
_OUTPUTS = ("any", "Q6_K", "Q8_0")


@dataclass(frozen=True)
class ChosenMix:
    """A plan before changes by hand, and where it comes from."""

    model: Model
    by: str
    base: Plan
    with_imatrix: bool
    pure: bool = False
    budget: Budget | None = None  # of measured divergence, to predict with; None where not measured

    @property
    def name(self) -> str:
        """What a sentence calls the plan."""
        if self.by == RULES:
            return self.base.type
        return BY[RECIPE] if self.by == RECIPE else f"the recipe by {BY[self.by]}"

    @property
    def short_name(self) -> str:
        """What a label beside a mark calls it."""
        return self.base.type if self.by == RULES else "this recipe"

    @property
    def allows_changes(self) -> bool:
        """Whether llama-quantize lets types be asked for by a tensor's name."""
        return self.base.file_type.is_quantized

    @property
    def file_type(self) -> str:
        """What `llama-quantize` calls the file."""
        return self.base.file_type.name

    def asked(self, hand: dict[str, str]) -> dict[str, str]:
        """Types that go to llama-quantize by name: those by hand, and those of a budget."""
        return hand if self.by == RULES else matrix_types(self.model, self.base) | hand

    def plan(self, hand: dict[str, str]) -> Plan:
        """Plan the file with types chosen by hand."""
        asked = tuple(self.asked(hand).items())
        made = plans.planned(self.model.name, self.file_type, self.with_imatrix, self.pure, asked)
        if self.by == RULES:
            return made
        reasons = {t.name: t.rule for t in self.base.tensors if t.name not in hand}
        tensors = (replace(t, rule=reasons.get(t.name, t.rule)) for t in made.tensors)
        return replace(made, tensors=tuple(tensors))


def choose(model: Model) -> ChosenMix:
    """Draw the controls at the top of the page."""
    every = sweeps.every(model).values()
    known = [each for each in every if each.of_model and covers(each.results, model)]
    loaded = by_hand.loaded(model)
    guided = [each for each in known if guided_formats(model, each.results)]
    allowed = {way for each in known for way in ways_of(model, each.results)}
    by_results = [way for way in BY if way in allowed]
    ways = [BY[way] for way in (RULES, *by_results, *([RECIPE] if loaded else []))]
    if st.session_state.get("by", ways[0]) not in ways:
        del st.session_state["by"]
    first, second, third, fourth = st.columns([3, 2, 3, 4], vertical_alignment="bottom")
    called = first.selectbox("Formats by", ways, key="by", help=_BY_HELP, **controls.BOUND)
    by = next(way for way, name in BY.items() if name == called)
    with third.container(horizontal=True, vertical_alignment="bottom"):
        with_imatrix = st.toggle(
            "With imatrix", key="with_imatrix",
            help="Some rules ask whether there is an importance matrix. The file is written, and "
            "its errors measured, with the model’s own; columns that matter little may then change "
            "more, so that an error can rise although the model loses less.",
            **controls.BOUND,
        )  # fmt: skip
        pure = by == RULES and st.toggle(
            "Pure", key="pure", **controls.BOUND,
            help="No rules: every matrix gets the file’s main type, as `--pure` does.",
        )  # fmt: skip
        results: Sensitivity | None = None
        limits: tuple = ()
        if by not in (RULES, RECIPE):
            results, limits = _limits(known if by == "measured" else guided)
    with fourth:
        _by_hand()
    predicting = _budget(model, known[0].results, "measured", ()) if known else None
    if results is not None:
        return _by_results(model, results, by, limits, with_imatrix, second)
    if loaded is None or by == RULES:
        mix = second.selectbox(
            "File type", list(FILE_TYPES), list(FILE_TYPES).index("Q4_K_M"), key="mix",
            help="A mix of `llama-quantize`: its recipe for the whole file.",
            **controls.BOUND,
        )  # fmt: skip
        base = plans.planned(model.name, mix, with_imatrix, pure)
        return ChosenMix(model, by, base, with_imatrix, pure, predicting)
    return ChosenMix(model, by, loaded, with_imatrix, budget=predicting)


def _by_results(
    model: Model, results: Sensitivity, by: str, limits: tuple, with_imatrix: bool,
    place: DeltaGenerator,
) -> ChosenMix:  # fmt: skip
    """Ask for a size, in `place` and with a slider, and choose the types that are best for it."""
    try:
        budget = _budget(model, results, by, limits)
    except ValueError as problem:  # the limits leave a tensor nothing
        look.problem(sentence(problem))
        limits = ()
        budget = _budget(model, results, by, limits)
    with place:
        made = _within(budget, (choice_key(results), by, limits))
    predicting = _budget(model, results, "measured", ())
    _slide(budget, made)
    return ChosenMix(model, by, made.plan, with_imatrix, budget=predicting)


def _limits(known: list[sweeps.KeptSweep]) -> tuple[Sensitivity, tuple]:
    """Ask which results to choose by, and which types are allowed."""
    with st.popover("Limits"):
        label, labels = known[0].label, [each.label for each in known]
        if st.session_state.get("mix_results", label) not in labels:
            del st.session_state["mix_results"]
        if len(known) > 1:
            label = st.selectbox("By the results of", labels, key="mix_results")
        results = next(each.results for each in known if each.label == label)
        able = [name for name in results.formats if name in GGML_TYPES]
        with st.container(horizontal=True, gap="small"):
            for preset, names in _presets(able).items():
                st.button(preset, key=f"only_{preset}", on_click=_take_only, args=(names,))
        formats = st.multiselect(
            "Only these formats", able, key="only", placeholder="all that were measured",
            help="What your runtime supports or is fast with; the IQ formats are slow on many "
            "processors.", **controls.BOUND,
        )  # fmt: skip
        keep = st.selectbox(
            "Output at least", _OUTPUTS, key="keep_output", **controls.BOUND,
            help="The output matrix, or the embedding where that serves as the output.",
        )  # fmt: skip
        by_layer = st.toggle("One format for all of a layer", key="by_layer", **controls.BOUND)
    return results, (tuple(formats), None if keep == "any" else keep, by_layer)


def _presets(able: list[str]) -> dict[str, list[str]]:
    """List types that runtimes have in common, by what a button says; those that there are."""
    kinds = {
        "All": [],
        "K-quants and Q8_0": [name for name in able if name.endswith("_K") or name == "Q8_0"],
        "No IQ": [name for name in able if not name.startswith("IQ")],
    }
    return {label: names for label, names in kinds.items() if names or label == "All"}


def _take_only(names: list[str]) -> None:
    st.session_state["only"] = names


def _by_hand() -> None:
    asked = [*st.query_params.get_all("set"), *(st.session_state.get("set") or [])]
    st.multiselect(
        "Changed by hand", list(dict.fromkeys(asked)), key="set", accept_new_options=True,
        placeholder="none: click a cell below, or type blk.3.ffn_down=Q6_K", **controls.BOUND,
        help="Takes precedence over the rules, as `--tensor-type` does. Remove one to undo it.",
    )  # fmt: skip


def _budget(model: Model, results: Sensitivity, by: str, limits: tuple) -> Budget:
    formats, keep_output, by_layer = limits or ((), None, False)
    return cache.budget(
        model.name, choice_key(results), by, formats, keep_output, by_layer, _results=results
    )


def _within(budget: Budget, key: tuple) -> Budgeted:
    """Ask for a budget; what cannot be made is said, and the smallest mix taken instead."""
    asked = st.session_state.get("budget") or st.query_params.get("budget") or "Q4_K_M"
    usual = list(dict.fromkeys([*SIZES, asked]))
    wanted = st.selectbox(
        "As large as", usual, usual.index("Q4_K_M"), key="budget",
        accept_new_options=True, help=_BUDGET_HELP, **controls.BOUND,
    )  # fmt: skip
    name = budget.model.name
    try:
        return cache.budgeted(name, key, wanted or asked, _budget=budget)
    except ValueError as problem:
        smallest, _ = budget.corners[0]
        look.problem(sentence(problem))
        return cache.budgeted(name, key, f"{smallest}b", _budget=budget)


def _slide(budget: Budget, made: Budgeted) -> None:
    """Draw the slider that moves along the front, and follows a budget that was typed."""
    corners = budget.corners
    low, high = (_bits_of(budget.model, corners[at][0]) for at in (0, -1))
    st.session_state["bits"] = min(max(_bits_of(budget.model, made.padded_bytes), low), high)
    st.slider(
        "Bits per weight, over all tensors with their padding", low, high, step=0.01, key="bits",
        format="%.2f", on_change=_take_slider,
        help="Each position is the recipe that is best for its size; from one to the next, one "
        "tensor steps up or down.",
    )  # fmt: skip
    if made.gap > 1e-6:
        look.note(f"Within {percent(made.gap)} of the best that is possible.")


def _take_slider() -> None:
    st.session_state["budget"] = f"{st.session_state['bits']:.2f}bpw"


def _bits_of(model: Model, n_bytes: int) -> float:
    """Bits per weight, rounded up to hundredths so that a budget of them holds as many bytes."""
    return -(-8 * n_bytes * 100 // model.n_weights) / 100
