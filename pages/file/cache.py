"""Cached calls into quantcore on GGUF files and what would be in them, for the page File.

The same rules hold as in `pages.shared.cache`.
"""

import tempfile
from pathlib import Path

import streamlit as st

import quantcore
from pages.shared import (
    bench,
    plans,
)
from quantcore import shape
from quantcore.evaluate import file_error
from quantcore.evaluate.quantized import applied_format
from quantcore.format import Weights
from quantcore.io.gguf import GgufFile
from quantcore.io.gguf_parts import read_parts
from quantcore.model.config import read_config
from quantcore.recipe.contents import contents_of
from quantcore.recipe.promise import Promise, promise_of
from quantcore.recipe.quantize import preview, quantize


@st.cache_resource(show_spinner="Reading the header", max_entries=8)
def header(file_name: str) -> GgufFile:
    """Header of a GGUF file among the models, also of one that the lab cannot run."""
    return read_parts(bench.sources()[file_name])


@st.cache_resource(show_spinner=False, max_entries=64)
def planned_header(model_name: str, file_type: str, pure: bool) -> GgufFile:
    """Header of the file that `quantize` would write."""
    opened = bench.model(model_name)
    return preview(opened, plans.planned(model_name, file_type, False, pure))


@st.cache_resource(show_spinner=False, max_entries=16)
def known_header(name: str, file_type: str, pure: bool) -> GgufFile:
    """Header of what `quantize` would write of a known Llama, but for the vocabulary."""
    config = read_config(shape.preset_config(name))
    return preview(config, quantcore.plan(contents_of(config, name), file_type, pure=pure))


class WrittenFile:
    """A file in a folder of its own, which goes when nobody needs it any more."""

    def __init__(self, opened: "quantcore.Model", file_type: str, pure: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="quantlab-", ignore_cleanup_errors=True)
        self.path = Path(self._folder.name) / f"{opened.place.stem}-{file_type}.gguf"
        quantize(opened, quantcore.plan(opened, file_type, pure=pure), self.path)


@st.cache_resource(show_spinner="Writing the file", max_entries=4)
def written_file(model_name: str, file_type: str, pure: bool) -> WrittenFile:
    """Write a small model as a GGUF file to be looked at."""
    return WrittenFile(bench.model(model_name), file_type, pure)


@st.cache_resource(show_spinner=False, max_entries=8)
def promise(_file: GgufFile, label: str, model_name: str) -> Promise:
    """Hold a header against its file type; `label` and `model_name` say which it is."""
    return promise_of(_file)


@st.cache_data(show_spinner="Comparing the weights", max_entries=64)
def errors_of_file(file_name: str, original: str) -> list[file_error.RestoredError]:
    """Error of a GGUF file's matrices against those of an original."""
    return list(file_error.restored_errors(bench.model(original), bench.model(file_name).weights))


@st.cache_data(show_spinner="Comparing the weights", max_entries=64)
def errors_of_plan(
    model_name: str, file_type: str, pure: bool, original: str
) -> list[file_error.RestoredError]:
    """Error of what `quantize` would make of a model, against an original."""
    opened = bench.model(model_name)
    types = {t.name: t.type for t in plans.planned(model_name, file_type, False, pure).tensors}

    def restored(name: str) -> Weights:
        return applied_format(opened, name, types[name]).round_trip(opened.weights(name))

    return list(file_error.restored_errors(bench.model(original), restored))
