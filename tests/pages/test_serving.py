"""How the lab's server sends its files."""

import socket
import sys
import tempfile

import pytest
from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_cache import populate_hash_if_needed

from pages.shared import kept
from pages.shared.serving import send_at_once, tidy


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


def test_a_server_begins_by_removing_what_a_killed_one_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "quantlab-run-dead").mkdir()
    (tmp_path / "quantlab-run-dead" / "written.gguf").write_text("half")
    left = kept.folder() / ".quantlab-0123abcd.part"
    left.write_text("half")
    tidy.clear()
    tidy()
    assert not list(tmp_path.iterdir()) and not left.exists()


def test_no_message_is_taken_for_kept_by_the_browser():
    """Of two runs asked for at once, the second would refer to what the browser has dropped."""
    largest, megabytes = ForwardMsg(), int(config.get_option("server.maxMessageSize"))
    largest.delta.new_element.markdown.body = "0" * megabytes * 2**20
    populate_hash_if_needed(largest)
    assert not largest.metadata.cacheable
