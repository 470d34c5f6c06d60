"""Whole models from the Hub, through huggingface_hub's own client, from a Hub on the loopback."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from quantcore import open_model
from quantcore.sensitivity.measure import Settings, sensitivity_steps
from tests.support.mock_hub import REVISION, served
from tests.support.patience import PATIENCE_S, wait_until
from tests.support.places import ROOT
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 12


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "toy")


@pytest.fixture
def hub(folder):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with served({"me/toy": files | {"model.onnx": b"x", "pytorch_model.bin": b"x"}}) as served_hub:
        yield served_hub


def run(hub, home, code, **more):
    """Run code in a fresh process whose Hub is the mock, and read what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(hub, home) | more,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def environment(hub, home):
    """Point huggingface_hub to the mock and to a cache of its own, without any log-in."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return kept | {"HF_HOME": str(home), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "",
                   "HF_TOKEN": "", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip


OPEN = """
from quantcore import open_model
model = open_model("hf://me/toy")
print(model.name, model.address, model.fingerprint, sep="\\n")
"""


def test_a_model_on_the_hub_opens_as_from_its_folder(hub, folder, tmp_path):
    mine = open_model(folder)
    opened = run(hub, tmp_path / "hf", OPEN)
    assert opened == ["toy", f"hf://me/toy@{REVISION}", mine.fingerprint]
    asked = {path.rpartition("/")[2] for path, _ in hub.requests}
    assert not asked & {"model.onnx", "pytorch_model.bin"}
    served_before = hub.bytes_served
    assert run(hub, tmp_path / "hf", OPEN) == opened  # from the cache: only names are compared
    assert hub.bytes_served - served_before < 10_000
    assert run(hub, tmp_path / "hf", OPEN, HF_HUB_OFFLINE="1") == opened


def test_a_download_that_trickles_is_given_up(hub, tmp_path):
    """Each piece comes within any time-out; the whole would take hours."""
    hub.piece_bytes, hub.pause_s = 500, 0.02
    (sentence,) = run(hub, tmp_path / "home", f"""
from quantcore.io import hub
hub.PACE_S, hub.SLOWEST_BYTES = 0.1, 2**20
try:
    {OPEN.strip().splitlines()[0]}
    open_model("hf://me/toy")
except ValueError as problem:
    print(problem)
""")  # fmt: skip
    assert sentence.startswith("The Hub is too slow to send ")


@pytest.mark.parametrize(
    "address", ["hf://me/other", "hf://", "hf://me", "hf://../secret", "hf://me/toy@nowhere"]
)
def test_what_is_not_there_is_one_sentence(hub, tmp_path, address):
    code = (
        "import sys; from quantcore.cli import main;"
        f"sys.stderr = sys.stdout; print(main(['error', {address!r}, '--type', 'Q4_0']))"
    )
    *_, sentence, status = run(hub, tmp_path / "hf", code)
    assert status == "2"
    assert sentence.endswith(".") and address.removeprefix("hf://").partition("@")[0] in sentence


SWEEP = """
import json, sys
from dataclasses import asdict
from quantcore import open_model
from quantcore.sensitivity.measure import Settings, sensitivity_steps
settings = Settings(formats=["Q8_0"], text=sys.stdin.read(), context=64)
*_, last = sensitivity_steps(open_model("hf://me/toy"), settings, scheduler=sys.argv[1])
print(json.dumps([[e.name, e.mean_kl_divergence] for e in last.result.results.effects]))
"""


def test_workers_of_a_cluster_bring_the_model_from_the_hub(hub, folder, tmp_path):
    """Each with a cache of its own, as machines have."""
    settings = Settings(formats=["Q8_0"], text=TEXT, context=64)
    *_, mine = sensitivity_steps(open_model(folder), settings)
    with cluster(hub, tmp_path) as scheduler:
        done = subprocess.run(
            [sys.executable, "-c", SWEEP, scheduler],
            env=environment(hub, tmp_path / "asking"),
            cwd=ROOT,
            input=TEXT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
    divergences = dict(json.loads(done.stdout))
    assert divergences == {e.name: e.mean_kl_divergence for e in mine.result.results.effects}
    assert list((tmp_path / "working").rglob("model.safetensors"))


@contextmanager
def cluster(hub, tmp_path):
    """Start a scheduler and a worker as on two machines, and yield the scheduler's address."""
    file = tmp_path / "scheduler.json"
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    places = {"scheduler": ["--port", "0", "--host", "127.0.0.1"], "worker": ["--nthreads", "1"]}
    running = []
    try:
        for role, options in places.items():
            command = [sys.executable, "-m", "dask", role, *where, *options]
            home = tmp_path / "working"
            running.append(
                subprocess.Popen(
                    command,
                    env=environment(hub, home),
                    cwd=ROOT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            wait_until(file.exists)
        yield json.loads(file.read_text(encoding="utf-8"))["address"]
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(timeout=PATIENCE_S)
