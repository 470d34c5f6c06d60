"""How the lab's server begins, and how it sends its files."""

import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import streamlit as st
from starlette.responses import FileResponse

from pages.shared import kept
from quantcore import scratch

PIECE_BYTES = 2**20  # of a file, instead of 64 KiB


@st.cache_resource(show_spinner=False)
def tidy() -> None:
    """Remove what killed servers and runs of this user left. Called in ``app.py``."""
    for place in (Path(tempfile.gettempdir()), kept.folder()):
        scratch.remove_left_behind(place)


@st.cache_resource(show_spinner=False)
def send_at_once() -> None:
    """Have the server send its files without waiting. Called in ``app.py``.

    A file is read in pieces by threads, and each piece waits for the interpreter while a script
    runs: the 5 MB that draw charts come sooner in a few large pieces.

    Streamlit opens its port as a socket of protocol 0, which keeps asyncio from setting
    TCP_NODELAY: Nagle's algorithm then waits for the browser's delayed acknowledgement, 40 ms for
    each of the hundred small files of a first visit. Connections inherit what their port has.
    """
    FileResponse.chunk_size = PIECE_BYTES
    with suppress(psutil.Error, OSError):  # where a system does not tell, files are slower
        for connection in psutil.Process().net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.fd >= 0:
                with socket.socket(fileno=os.dup(connection.fd)) as port:
                    port.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
