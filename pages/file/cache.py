"""What the page File keeps of GGUF files, and of files that would be written.

Functions take names and give headers: `pages.shared.bench.per_model` tells a file that was replaced
from the one that lay there before.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import streamlit as st

import quantcore
from pages.shared import bench, plans
from quantcore import scratch, shape
from quantcore.evaluate import grid_report
from quantcore.evaluate.file_error import RestoredError, planned_errors, restored_errors
from quantcore.io.gguf import GgufFile
from quantcore.io.gguf_parts import read_parts
from quantcore.io.imatrix import Imatrix
from quantcore.model.config import read_config
from quantcore.recipe.contents import contents_of
from quantcore.recipe.plan import Plan
from quantcore.recipe.promise import Promise, promise_of
from quantcore.recipe.quantize import plan_with_matrix, preview, quantize


class Header(NamedTuple):
    """A file's header, and its tensors beside what its name promises."""

    file: GgufFile
    promise: Promise


def _header(file: GgufFile) -> Header:
    return Header(file, promise_of(file))


@bench.per_model(st.cache_resource, show_spinner="Reading the header", max_entries=8)
def header(file_name: str) -> Header:
    """Header of a GGUF file among the models, also of one that the lab cannot run."""
    return _header(read_parts(bench.sources()[file_name]))


def _plan(model_name: str, file_type: str, pure: bool) -> tuple[Plan, Imatrix | None]:
    """Plan a file as `quantize` does: with the model's matrix where a format needs one."""
    make = partial(plans.planned, model_name, file_type, pure=pure)
    return plan_with_matrix(bench.model(model_name), make)


def lacks_matrix(model_name: str, file_type: str, pure: bool) -> bool:
    """Whether `quantize` would refuse the file: it needs an importance matrix, and has none."""
    plan, imatrix = _plan(model_name, file_type, pure)
    return imatrix is None and plan.needs_imatrix


@bench.per_model(st.cache_resource, max_entries=64)
def planned_header(model_name: str, file_type: str, pure: bool) -> Header:
    """Header of the file that `quantize` would write, or would if it had the matrix it needs."""
    plan, imatrix = _plan(model_name, file_type, pure)
    if lacks_matrix(model_name, file_type, pure):  # with one, some rules differ
        plan = plans.planned(model_name, file_type, imatrix=True, pure=pure)
    return _header(preview(bench.model(model_name), plan, imatrix))


@st.cache_resource(show_spinner=False, max_entries=16)
def known_header(name: str, file_type: str, pure: bool) -> Header:
    """Header of what `quantize` would write of a known model, but for the vocabulary."""
    config = read_config(shape.preset_config(name))
    plan = _known_plan(name, file_type, pure)
    if plan.needs_imatrix:  # without one there is no such file; with one some rules differ
        plan = _known_plan(name, file_type, pure, imatrix=True)
    return _header(preview(config, plan))


def known_needs_matrix(name: str, file_type: str, pure: bool) -> bool:
    """Whether `quantize` would refuse the file of a known model without an importance matrix."""
    return _known_plan(name, file_type, pure).needs_imatrix


@st.cache_resource(show_spinner=False, max_entries=32)
def _known_plan(name: str, file_type: str, pure: bool, imatrix: bool = False) -> Plan:
    contents = contents_of(read_config(shape.preset_config(name)), name)
    return quantcore.plan(contents, file_type, pure=pure, imatrix=imatrix)


@bench.per_model(st.cache_resource, show_spinner="Writing the file", max_entries=8)
def written_header(model_name: str, file_type: str, pure: bool) -> Header:
    """Write a small model as a GGUF file, and read its header; the file does not stay."""
    opened = bench.model(model_name)
    with tempfile.TemporaryDirectory(
        dir=scratch.own_folder(), ignore_cleanup_errors=True
    ) as folder:
        path = Path(folder) / f"{opened.stem}-{file_type}.gguf"
        plan, imatrix = _plan(model_name, file_type, pure)
        quantize(opened, plan, path, imatrix=imatrix)
        return _header(read_parts(path))


@bench.per_model(st.cache_resource, show_spinner="Looking for a grid", max_entries=64)
def grids(name: str) -> grid_report.GridSample:
    """Look for grids in a few matrices of a GGUF file or a model, where floats store them."""
    place = bench.sources().get(name)  # none of a model that is made
    if place is not None and place.suffix == ".gguf":
        stored = header(name).file.tensors.items()
        held = {key: each.read for key, each in stored if _may_be_on_a_grid(each.type, each.shape)}
    else:
        model = bench.model(name)
        held = {
            key: partial(model.weights, key)
            for key, each in model.tensors.items()
            if _may_be_on_a_grid(each.dtype, each.shape)
        }
    return grid_report.sample_grids(held)


def _may_be_on_a_grid(type_name: str, shape: tuple[int, ...]) -> bool:
    return type_name in grid_report.FLOATS and len(shape) == 2


@bench.per_model(st.cache_data, n_models=2, show_spinner="Comparing the weights", max_entries=64)
def errors_of_file(file_name: str, original: str) -> list[RestoredError]:
    """Error of a GGUF file's matrices against those of an original."""
    return list(restored_errors(bench.model(original), bench.model(file_name).weights))


@bench.per_model(st.cache_data, n_models=2, show_spinner="Comparing the weights", max_entries=64)
def errors_of_plan(
    model_name: str, original: str, file_type: str, pure: bool
) -> list[RestoredError]:
    """Error of what `quantize` would make of a model, against an original."""
    plan, imatrix = _plan(model_name, file_type, pure)
    return list(planned_errors(bench.model(original), bench.model(model_name), plan, imatrix))
