"""Who asks for something: a window, in a browser, at an address."""

from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime import exists, get_instance
from streamlit.runtime.runtime import RuntimeState
from streamlit.runtime.scriptrunner import get_script_run_ctx

_COOKIE = "_streamlit_xsrf"  # one for all windows of a browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A window that is or was open; empty where a script runs without a server."""

    session: str
    browser: str
    address: str

    def is_here(self) -> bool:
        """Whether the window is open and connected."""
        return bool(self.session) and exists() and get_instance().is_active_session(self.session)


SOMEBODY = Visitor(session="", browser="", address="")  # nobody knows who


def server_stops() -> bool:
    """Whether the server has been told to end, as by Ctrl-C."""
    return exists() and get_instance().state in (RuntimeState.STOPPING, RuntimeState.STOPPED)


def present() -> Visitor:
    """Return the visitor for whom this script runs."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not exists():
        return SOMEBODY
    address = st.context.ip_address or "localhost"
    browser = _unmasked(st.context.cookies.get(_COOKIE, "")) or context.session_id
    return Visitor(session=context.session_id, browser=f"{address} {browser}", address=address)


def _unmasked(cookie: str) -> str:
    """Read a browser's token, which Streamlit masks anew in each answer.

    >>> _unmasked("2|0f0f|f0aa|1764500000"), _unmasked("something else")
    ('ffa5', 'something else')
    """
    with suppress(ValueError):
        _, mask, masked, _ = cookie.split("|")
        pad, hidden = bytes.fromhex(mask), bytes.fromhex(masked)
        return bytes(byte ^ pad[i % len(pad)] for i, byte in enumerate(hidden)).hex()
    return cookie
