"""Temporary files and locks: what the dead left goes, what the living hold stays."""

import subprocess
import sys
import threading
import time

import pytest

from quantcore import scratch
from tests.support.patience import PATIENCE_S, wait_until
from tests.support.places import ROOT

pytestmark = pytest.mark.skipif(scratch.fcntl is None, reason="no such locks on this system")
LIVES = """
import os, sys, tempfile, time
from pathlib import Path
tempfile.tempdir = sys.argv[1]
from quantcore import scratch
(scratch.own_folder() / "a file").write_text("half")
path, file = scratch.new_part(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Begin a process that has a temporary folder and a file that it writes."""
    command = [sys.executable, "-c", LIVES, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate(timeout=PATIENCE_S)


def test_what_a_killed_process_left_is_removed_and_nothing_of_a_live_one(other, tmp_path):
    (tmp_path / "quantlab-of-somebody").mkdir()
    (tmp_path / ".quantlab-mine.part").write_text("not a name of ours")
    mine, file = scratch.new_part(tmp_path)
    with file:
        before = sorted(tmp_path.rglob("*"))
        scratch.remove_left_behind(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before and len(before) == 6
        other.kill()
        other.wait(PATIENCE_S)
        scratch.remove_left_behind(tmp_path)
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"quantlab-of-somebody", ".quantlab-mine.part", mine.name}


def test_a_link_in_a_files_name_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (tmp_path / "quantlab-run-abc").symlink_to(precious)
    (tmp_path / ".quantlab-0123abcd.part").symlink_to(precious / "file")
    scratch.remove_left_behind(tmp_path)
    assert (precious / "file").read_text() == "x"


def test_one_at_a_time(tmp_path, monkeypatch):
    inside, seen = [], []

    def work():
        with scratch.locked(tmp_path):
            inside.append(1)
            seen.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: not any(thread.is_alive() for thread in threads))
    assert seen == [1] * 6
    monkeypatch.setattr(scratch, "PATIENCE_S", 0.0)
    with (
        scratch.locked(tmp_path),
        pytest.raises(TimeoutError, match=r"keeps .* locked"),
        scratch.locked(tmp_path),
    ):
        pass


def test_no_writer_leaves_anything_half_written():
    """Two kills of each; ``make killed`` does twenty."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed", "--kills", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 kills, nothing half-written") == 9
