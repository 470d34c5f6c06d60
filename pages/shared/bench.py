"""Which models can be put on the bench, and the one that is there, opened once for all sessions."""

import functools
import os
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import quantcore
from quantcore.io.gguf_parts import first_part
from quantcore.io.imatrix import Imatrix
from quantcore.model.outliers.folder import FILE as OUTLIERS
from quantcore.model.outliers.spelled import split_name
from quantcore.model.stamps import state_of

ROOT = Path(__file__).resolve().parent.parent.parent
_SEEN = "_models_seen"  # in this run of the script: what can be opened, its files, what is kept
Cached = TypeVar("Cached", bound=Callable[..., Any])
Found = TypeVar("Found")
# Only folders in here can be opened, never a path from the address bar.
OWN_MODELS = Path(os.environ.get("QUANTLAB_MODELS", ROOT / "models"))


@contextmanager
def looked_at_once() -> Iterator[None]:
    """Look at the files of models, and for what is kept of them, once while a page is drawn."""
    st.session_state[_SEEN] = {}
    try:
        yield
    finally:
        st.session_state.pop(_SEEN, None)


def _hashable(what: object) -> bool:
    try:
        hash(what)
    except TypeError:
        return False
    return True


def _seen(what: Hashable, look: Callable[[], Found]) -> Found:
    """Return what was seen of it in this run; look where nobody has, or outside of any run."""
    in_run = get_script_run_ctx(suppress_warning=True) is not None
    seen = st.session_state.get(_SEEN) if in_run else None
    if seen is None:
        return look()
    if what not in seen:
        seen[what] = look()
    return seen[what]


def sources() -> dict[str, Path]:
    """Folders and GGUF files of the models that can be opened, by name; those shipped first."""
    return _seen("", _sources)


def _sources() -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for folder in (ROOT / "assets", OWN_MODELS):
        for told in sorted([*folder.glob("*/config.json"), *folder.glob(f"*/{OUTLIERS}")]):
            by_name.setdefault(told.parent.name, told.parent)
    for file in sorted(OWN_MODELS.glob("*.gguf")):
        # Of a model in several files, the first stands for all.
        if first_part(file) == file and not file.name.endswith(".imatrix.gguf"):
            by_name.setdefault(file.name, file)
    return by_name


def place(name: str) -> Path:
    """Find the folder or file of a model; of one with outlier channels in its name, its base's.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    places = sources()
    return places[name] if name in places else places[_base_of(name)]


def can_be_made(name: str) -> bool:
    """Whether a name is that of a model here and outlier channels, such as the Outlier lab gives.

    >>> can_be_made("fable-7m+inner=16x0.015625~0.25"), can_be_made("fable-7m"), can_be_made("+")
    (True, False, False)
    """
    try:
        return name not in sources() and _base_of(name) in sources()
    except (KeyError, ValueError):
        return False


def _base_of(name: str) -> str:
    split = split_name(name)
    if split is None:
        raise KeyError(name)
    return split[0]


def names(*others: str) -> list[str]:
    """List the models that can be chosen: all that lie here, then `others` that can be made."""
    return [*sources(), *(name for name in dict.fromkeys(others) if can_be_made(name))]


def stamp(name: str) -> str:
    """Tell the present files of a model from any that lay under the same name before."""
    return _seen(name, lambda: state_of(place(name)))


def per_model(cache: Callable, n_models: int = 1, **options: Any) -> Callable[[Cached], Cached]:
    """Cache a function whose first argument is a model's name, or whose first `n_models` are.

    An entry serves as long as the models' files stay as they are: what was read of a file that has
    been replaced since is never taken for the new one.

    Parameters
    ----------
    cache
        `st.cache_resource` or `st.cache_data`.
    n_models
        How many leading arguments are names of models; they are given by position.
    options
        What Streamlit takes there, such as `max_entries`.
    """

    def decorate(function: Cached) -> Cached:
        @cache(**({"show_spinner": False} | options))
        @functools.wraps(function)  # Streamlit tells cached functions apart by name and source
        def kept(*arguments: Any, files: tuple[str, ...], **named: Any) -> Any:
            return function(*arguments, **named)

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if len(arguments) < n_models:
                raise TypeError(f"{function.__name__} takes the names of models by position")

            def find() -> Any:
                return kept(*arguments, files=tuple(map(stamp, arguments[:n_models])), **named)

            asked = (function, arguments, tuple(named.items()))
            if cache is not st.cache_resource or not _hashable(asked):
                return find()  # a copy each time; or something that Streamlit can tell apart
            return _seen(asked, find)

        return cast(Cached, call)

    return decorate


@per_model(st.cache_resource, show_spinner="Opening the model", max_entries=4)
def model(name: str) -> "quantcore.Model":
    """Open a model: its config, tokenizer and tensor names; weights are read when asked for."""
    added = "" if name in sources() else name.removeprefix(_base_of(name))
    return quantcore.open_model(f"{place(name)}{added}")


def every_shipped() -> list[str]:
    """Name the models that the lab ships: the plain one first, then those made of it."""
    return [name for name in sources() if is_shipped(name)]


def shipped() -> str:
    """Name the model that the lab trained and ships."""
    return every_shipped()[0]


def is_shipped(name: str) -> bool:
    """Whether it is a model that the lab ships, with its evaluation text and questions."""
    return name in sources() and sources()[name].parent == ROOT / "assets"


@st.cache_data
def passage() -> str:
    """Read the hand-written text for models from elsewhere."""
    return (ROOT / "assets" / "passage.txt").read_text(encoding="utf-8")


@st.cache_resource
def measured_imatrices() -> dict[str, Imatrix]:
    """Keep importance matrices that were measured since the server started, by key of the model."""
    return {}


def imatrix(model_name: str) -> Imatrix | None:
    """Find the importance matrix in a model's folder, beside its GGUF file, or measured here."""
    opened = model(model_name)
    return opened.imatrix or measured_imatrices().get(opened.key)
