"""How the lab's server sends its files."""

import socket
import sys

import pytest

from pages.shared.serving import send_at_once


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a socket's number")
def test_small_files_need_not_wait_for_an_acknowledgement():
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen()
        send_at_once.clear()
        send_at_once()
        with socket.create_connection(port.getsockname()) as browser:
            answer, _ = port.accept()
            with answer, browser:
                assert answer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
