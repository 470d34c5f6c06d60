"""What saved files are called: by what they show, and by the model and the type that it is of."""

import re

import streamlit as st

_PAGE, _OF = "_saved_page", "_saved_of"


def begin(page: str, model: str) -> None:
    """Note the page that is drawn, and the model on the bench. Called once, in ``app.py``."""
    st.session_state[_PAGE] = page
    of(model)


def of(*subject: str) -> None:
    """Note what the figures of this page are of: a model first, then a tensor, a type."""
    st.session_state[_OF] = subject


def stem(name: str) -> str:
    """Name a file without its ending: the lab, what is shown, and what it is of.

    Parameters
    ----------
    name
        What is shown: the key of a chart or a table, such as ``drift_size``.
    """
    parts = ["quantlab", name.replace("_", "-"), *map(in_a_name, st.session_state.get(_OF, ()))]
    return "-".join(parts)


def source() -> str:
    """Say in a saved picture where it comes from, and what it is of."""
    of_what = ", ".join(st.session_state.get(_OF, ()))
    return f"Quantlab, {st.session_state.get(_PAGE, '')}: {of_what}"


def in_a_name(word: str) -> str:
    """Spell a word so that every system takes it in a file name.

    >>> in_a_name("Q4_K pure"), in_a_name("Qwen/Qwen3-8B: Q4_K_M")
    ('Q4_K-pure', 'Qwen-Qwen3-8B-Q4_K_M')
    """
    return re.sub(r"[^\w.+-]+", "-", word).strip("-")
