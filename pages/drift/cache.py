"""Whole models ready to run, and what they say of a text."""

import streamlit as st

from pages.shared import bench
from quantcore.evaluate.drift import TokenDrift
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.reading import Continuations, continue_both, read_closely
from quantcore.model.llama import Llama
from quantcore.sensitivity.reading import question_tokens

QUESTIONS = 1000  # of each skill at each level: all that there are


@bench.per_model(st.cache_data, max_entries=4)
def question_tokens_of(model_name: str) -> int:
    """Count the tokens of all questions on skills."""
    return question_tokens(bench.model(model_name), QUESTIONS)


@bench.per_model(st.cache_resource, show_spinner="Quantizing the whole model", max_entries=6)
def llama(model_name: str, type_name: str | None) -> Llama:
    """Make a model ready to run, in a mix or one format, or None: as it is."""
    return llama_of(bench.model(model_name), type_name)


@bench.per_model(st.cache_resource, show_spinner="Reading", max_entries=64)
def reading(model_name: str, type_name: str, text: str) -> TokenDrift:
    """Score every token of a short text by the original and in one type."""
    pair = llama(model_name, None), llama(model_name, type_name)
    return read_closely(bench.model(model_name), *pair, text)


@bench.per_model(st.cache_resource, show_spinner="Writing", max_entries=64)
def continuations(model_name: str, type_name: str, prompt: str, n: int) -> Continuations:
    """Continue a prompt by the original and in one type."""
    pair = llama(model_name, None), llama(model_name, type_name)
    return continue_both(bench.model(model_name), *pair, prompt, n)
