"""The way into a page: always through the frame that ``app.py`` draws.

When a fresh server's first visit is a deep link, Streamlit runs the page file alone, without
``app.py``. `enter` notices, goes to ``app.py`` once, and `go_on` comes back with the address's
parameters.
"""

import logging
import traceback
from collections.abc import Callable

import streamlit as st

from pages.shared import look
from pages.shared.outside import as_text
from quantcore.io.visible import visible

_FRAMED, _TARGET = "_framed", "_target"
_LOG = logging.getLogger("quantlab")


def enter(page: str) -> None:
    """Call first in every page, with its name in the address."""
    if not st.session_state.get(_FRAMED):
        query = {key: st.query_params.get_all(key) for key in st.query_params}
        st.session_state[_TARGET] = (f"pages/{page}.py", query)
        st.switch_page("app.py")


def show(page: str, main: Callable[[], None]) -> None:
    """Draw a page within the frame: all that a file ``pages/<page>.py`` does.

    Parameters
    ----------
    page
        Its name in the address.
    main
        Draws it.
    """
    enter(page)
    main()


def go_on() -> None:
    """Call in ``app.py`` after `st.navigation`: go on to the page that a deep link asked for."""
    st.session_state[_FRAMED] = True
    if target := st.session_state.pop(_TARGET, None):
        page, query = target
        st.switch_page(page, query_params=query)


def run(page) -> None:
    """Run a page; whatever it raises becomes one sentence there.

    That is what the visitor can mend (a broken model, a bad name), or a fault of ours.
    """
    try:
        page.run()
    except (ValueError, OSError) as problem:
        _LOG.warning("page %s: %s", page.title, visible(sentence(problem)))
        look.problem(sentence(problem))
    except Exception as problem:  # Streamlit's own signals, to stop or run again, are none
        look.problem(fault(f"page {page.title}", problem))


def fault(where: str, problem: BaseException) -> str:
    """Write a fault of ours to the server's log; return what the visitor is told."""
    _LOG.error("%s\n%s", where, visible("".join(traceback.format_exception(problem))))
    return "It stopped because of an error; the server's log says where."


def sentence(problem: Exception) -> str:
    """Write what the engine says as a sentence; names that it begins with keep their case.

    >>> sentence(ValueError("notes.json holds no results"))
    'notes.json holds no results.'
    """
    text = str(problem).strip() or "There is not enough memory"
    return as_text(text + ("" if text.endswith((".", "!", "?")) else "."))
