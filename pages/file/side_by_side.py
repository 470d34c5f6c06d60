"""The lower part of the page File: a second file beside the first, their types and their errors."""

from collections.abc import Sequence

import streamlit as st

from pages.file import charts, lists, words
from pages.file import choice as files
from pages.file.cache import Header
from pages.file.choice import ChosenFile
from pages.shared import controls, frame, look
from pages.shared.palette import Look
from pages.shared.units import plural
from quantcore.evaluate.file_error import RestoredError
from quantcore.evaluate.two_files import TensorPair, pairs
from quantcore.recipe.file_sums import sums_by_type
from quantcore.recipe.promise import Promise

SMALL_WEIGHTS = 50_000_000  # of a model whose errors are measured unasked


def show_two_files(chosen: ChosenFile, header: Header, style: Look) -> None:
    """Ask for a second file, and compare types, sizes and errors of both."""
    look.finding(
        "Two files side by side.",
        "A second file, compared with the one above: types, sizes, and distance from the original.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        beside = files.choose_beside(chosen)
        original = files.choose_original(chosen.model_name)
    if beside is None or beside.label == chosen.label:
        look.note("Choose another file to see which tensors differ, and which file is closer.")
        return
    with st.spinner("Reading the header"):
        promises = header.promise, beside.header().promise
    labels, both = (chosen.title, beside.title), list(pairs(*promises))
    if not both:
        look.note("The two files have no tensor of the same name and shape, so there is nothing to "
                  "compare.")  # fmt: skip
        return
    show_types(labels, promises, len(both), sum(not pair.same_type for pair in both), style)
    errors = measured_errors(chosen, beside, original, promises[0].n_weights)
    if errors:
        both = list(pairs(*promises, errors))
        show_errors(labels, promises, both, errors, style)
    with st.expander(f"Table of {plural(len(both), 'tensor')} side by side"):
        lists.show_pairs(both, labels)


def show_types(
    labels: Sequence[str], promises: Sequence[Promise], n_shared: int, n_differ: int, style: Look
) -> None:
    """Draw the bytes of both files by type."""
    look.finding(
        words.side_by_side(labels, promises, n_shared, n_differ),
        "Bytes of the tensors by format, those of few bits first, on one scale.",
    )
    bytes_by_type = [{each.name: each.bytes for each in sums_by_type(of)} for of in promises]
    look.show(
        charts.types_of(dict(zip(labels, bytes_by_type, strict=True)), style),
        key="file_types",
        alt=f"Bytes by format of {labels[0]} and {labels[1]}.",
    )


def measured_errors(
    chosen: ChosenFile, beside: ChosenFile, original: str, n_weights: int
) -> list[list[RestoredError]]:
    """Measure both files' errors, of a large model when asked to; say why where it cannot be."""
    if sizes_only := chosen.known or beside.known:
        look.note(f"Only the sizes of {sizes_only} are here, so errors cannot be measured.")
        return []
    if n_weights > SMALL_WEIGHTS and not st.toggle(
        "Measure the errors", key="measure_errors", **controls.BOUND,
        help="Reads every weight of both files and of the original.",
    ):  # fmt: skip
        return []
    try:
        return [each.errors(original) for each in (chosen, beside)]
    except ValueError as problem:
        look.note(f"Errors cannot be measured: {frame.sentence(problem)}")
        return []


def show_errors(
    labels: Sequence[str],
    promises: Sequence[Promise],
    both: Sequence[TensorPair],
    errors: Sequence[Sequence[RestoredError]],
    style: Look,
) -> None:
    """Draw each matrix by its error in both files."""
    first, second = (promise.file_type for promise in promises)
    name = first.name if first is not None and first == second else None
    marks = [pair for pair in both if pair.error_first and pair.error_second]
    st.space("small")
    look.finding(words.errors(labels, errors, name) + words.most_apart(marks),
                 words.HOW_TO_READ_PAIRS if marks else "")  # fmt: skip
    if marks:
        look.show(
            charts.error_pairs(marks, labels, style),
            key="file_errors",
            alt=f"Error of {plural(len(marks), 'matrix', 'matrices')} in {labels[0]} against "
            f"{labels[1]}.",
        )
