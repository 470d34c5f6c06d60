"""Independent pieces: over threads here, and over a real cluster of processes that loses one."""

import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from functools import partial
from types import ModuleType

import pytest

from quantcore import open_model, sweep
from quantcore.cli import main
from quantcore.pool import n_threads
from quantcore.sensitivity.measure import Settings, sensitivity_steps
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 12


def square(piece):
    if piece == 3:
        raise ArithmeticError("three is poisoned")
    return piece * piece


def slow(folder, piece):
    """Leave a note of who worked, so that the test can tell when to kill."""
    (folder / f"{os.getpid()}-{piece}").touch()
    time.sleep(0.3)
    return piece


def deadly(piece):
    if piece == 2:
        os._exit(1)
    return piece


def test_all_pieces_but_the_poisoned_one_are_done():
    found = {done.piece: done for done in sweep.run(square, range(6))}
    assert {p: done.result for p, done in found.items()} == {
        p: None if p == 3 else p * p for p in range(6)
    }
    assert found[3].problem == "ArithmeticError: three is poisoned"
    assert all(done.problem is None for p, done in found.items() if p != 3)


def test_a_piece_has_one_thread_to_itself():
    assert {done.result for done in sweep.run(lambda piece: n_threads(), range(4))} == {1}


def test_who_stops_listening_stops_the_work():
    begun = []

    def work(piece):
        begun.append(piece)
        time.sleep(0.05)

    outcomes = sweep.run(work, range(100))
    next(outcomes)
    outcomes.close()
    assert len(begun) <= 2 * n_threads() + 1
    assert not [t for t in threading.enumerate() if t.name.startswith("sweep")]


def test_without_dask_or_scheduler_it_is_one_sentence(tmp_path, capsys):
    """Dask may be missing here; then that is the sentence."""
    toy = str(write_folder(tmp_path / "toy"))
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    command = ["sensitivity", toy, "--text", str(tmp_path / "text.txt"), "--context", "64"]
    command += ["--types", "Q4_0", "--output", str(tmp_path / "found.json")]
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        assert main([*command, "--scheduler", address]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert "Dask" in said
        assert said.endswith(".")
    assert not (tmp_path / "found.json").exists()


@pytest.fixture
def cluster(monkeypatch):
    import distributed

    # A worker runs the main module's file again; tests of pages leave app.py there.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setattr(sweep, "CONNECT_S", 60)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as found:
        yield found


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_finds_the_same(cluster, tmp_path):
    model = open_model(write_folder(tmp_path / "toy"))
    settings = Settings(formats=["Q4_0", "Q8_0"], text=TEXT, context=64)

    def found(scheduler=None):
        steps = sensitivity_steps(model, settings, scheduler=scheduler)
        for count, step in enumerate(step for step in steps if step.result.effect):
            assert not step.result.problems
            if scheduler and count == 4:
                os.kill(cluster.workers[0].process.pid, signal.SIGKILL)
        return {(e.name, e.format): asdict(e) for e in step.result.results.effects}

    assert found(cluster.scheduler_address) == found()


@pytest.mark.filterwarnings("ignore")
def test_pieces_of_a_lost_worker_are_done_again(cluster, tmp_path):
    outcomes = sweep.run(partial(slow, tmp_path), range(20), cluster.scheduler_address)
    found = [next(outcomes)]
    lost = cluster.workers[1].process.pid
    before = _begun_by(tmp_path, lost)
    while _begun_by(tmp_path, lost) == before:  # it dies in the middle of a piece
        time.sleep(0.01)
    os.kill(lost, signal.SIGKILL)
    found += outcomes
    assert sorted(done.result for done in found) == list(range(20))
    assert len(os.listdir(tmp_path)) > 20  # what the lost one had begun was begun again


def _begun_by(folder, pid):
    return [name for name in os.listdir(folder) if name.startswith(f"{pid}-")]


@pytest.mark.filterwarnings("ignore")
def test_a_poisoned_piece_does_not_stop_a_cluster(cluster):
    for work, poisoned, problem in ((square, 3, "three is poisoned"), (deadly, 2, "Killed")):
        found = {done.piece: done for done in sweep.run(work, range(6), cluster.scheduler_address)}
        assert set(found) == set(range(6))
        assert problem in found[poisoned].problem
        assert all(done.problem is None for p, done in found.items() if p != poisoned)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_goes_away_is_one_sentence(cluster, tmp_path):
    outcomes = sweep.run(partial(slow, tmp_path), range(200), cluster.scheduler_address)
    next(outcomes)
    cluster.close()
    with pytest.raises(ValueError, match="is gone"):
        list(outcomes)
