"""Independent pieces: over threads here, and over a real cluster of processes that loses one."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from types import ModuleType, SimpleNamespace

import pytest

from quantcore import open_model, sweep
from quantcore.cli import main
from quantcore.pool import n_threads
from quantcore.sensitivity.measure import Settings, sensitivity_steps
from quantcore.sensitivity.results import Sensitivity, load
from quantcore.sweep import Outcome, Patience, Workers
from tests.support.places import ROOT
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


def endless(piece):
    if piece == 1:
        threading.Event().wait()
    return piece


def test_all_pieces_but_the_poisoned_one_are_done():
    outcomes = {done.piece: done for done in sweep.run(square, range(6))}
    assert {p: done.result for p, done in outcomes.items()} == {
        p: None if p == 3 else p * p for p in range(6)
    }
    assert outcomes[3].problem == "ArithmeticError: three is poisoned"
    assert all(done.problem is None for p, done in outcomes.items() if p != 3)


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


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_wait_that_makes_no_sense_is_refused(seconds, tmp_path, capsys):
    command = ["sensitivity", str(write_folder(tmp_path / "toy")), "--scheduler", "tcp://h:1"]
    command += ["--output", str(tmp_path / "found.json"), "--wait-for-workers", seconds]
    assert main(command) == 2
    assert f"Nobody can wait for {seconds} s" in capsys.readouterr().err


# ---- clusters -----------------------------------------------------------------------------------
# Nothing below measures time: PATIENT is longer than any machine takes, and a short wait is given
# only where nothing can come.
PATIENT = Patience(workers_s=1000, piece_s=1000)


@pytest.fixture
def local_cluster(monkeypatch):
    """Start schedulers here, with workers that are processes under Dask's nannies."""
    import distributed

    # A worker runs the main module's file again; tests of pages leave app.py there.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    monkeypatch.setattr(sweep, "CONNECT_S", 60)
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with ExitStack() as started:

        def start(n_workers):
            cluster = distributed.LocalCluster(n_workers=n_workers, **options)
            return started.enter_context(cluster)

        yield start


@pytest.fixture
def cluster(local_cluster):
    return local_cluster(2)


@pytest.fixture
def scheduler(local_cluster):
    """Start a scheduler without workers, and give its address."""
    return local_cluster(0).scheduler_address


@pytest.fixture
def start_worker(scheduler):
    """Start workers that nobody brings back, as processes of ours."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler]
    command += ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    workers = []

    def start():
        quiet = subprocess.DEVNULL
        workers.append(subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


def pieces_of(events):
    """Return what became of the pieces, without what is said of the workers."""
    return [event for event in events if isinstance(event, Outcome)]


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_finds_the_same(cluster, tmp_path):
    model = open_model(write_folder(tmp_path / "toy"))
    settings = Settings(formats=["Q4_0", "Q8_0"], text=TEXT, context=64)

    def effects(scheduler=None):
        steps = sensitivity_steps(model, settings, scheduler=scheduler, patience=PATIENT)
        for count, step in enumerate(step for step in steps if step.result.effect):
            assert not step.result.problems
            if scheduler and count == 4:
                os.kill(cluster.workers[0].process.pid, signal.SIGKILL)
        return {(e.name, e.format): asdict(e) for e in step.result.results.effects}

    assert effects(cluster.scheduler_address) == effects()


@pytest.mark.filterwarnings("ignore")
def test_pieces_of_a_lost_worker_are_done_again(cluster, tmp_path):
    address, work = cluster.scheduler_address, partial(slow, tmp_path)
    outcomes = (e for e in sweep.run_on_cluster(work, range(20), address, PATIENT)
                if isinstance(e, Outcome))  # fmt: skip
    done_pieces = [next(outcomes)]
    lost = cluster.workers[1].process.pid
    before = _begun_by(tmp_path, lost)
    while _begun_by(tmp_path, lost) == before:  # it dies in the middle of a piece
        time.sleep(0.01)
    os.kill(lost, signal.SIGKILL)
    done_pieces += outcomes
    assert sorted(done.result for done in done_pieces) == list(range(20))
    assert len(os.listdir(tmp_path)) > 20  # what the lost one had begun was begun again


def _begun_by(folder, pid):
    return [name for name in os.listdir(folder) if name.startswith(f"{pid}-")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("work", "poisoned", "problem"), [(square, 3, "three is poisoned"), (deadly, 2, "Killed")]
)
def test_a_poisoned_piece_does_not_stop_a_cluster(local_cluster, work, poisoned, problem):
    """A nanny whose worker dies before it has heard that it started gives it up for good.

    A piece that kills is handed to the next worker as soon as that one has started, so on a busy
    machine all would be lost. Here each piece may kill one at first, and one when it is tried
    alone: one of two workers then still has its nanny.
    """
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        address = local_cluster(2).scheduler_address
    events = sweep.run_on_cluster(work, range(6), address, PATIENT)
    outcomes = {done.piece: done for done in pieces_of(events)}
    assert set(outcomes) == set(range(6))
    assert problem in outcomes[poisoned].problem
    assert all(done.problem is None for p, done in outcomes.items() if p != poisoned)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_goes_away_is_one_sentence(cluster, tmp_path):
    work = partial(slow, tmp_path)
    events = sweep.run_on_cluster(work, range(200), cluster.scheduler_address, PATIENT)
    assert next(events) == Workers(2)
    next(events)
    cluster.close()
    with pytest.raises(ValueError, match="is gone"):
        list(events)


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_without_workers_ends_in_one_sentence(scheduler, tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    command = ["sensitivity", str(write_folder(tmp_path / "toy")), "--types", "Q4_0"]
    command += ["--text", str(tmp_path / "text.txt"), "--context", "64", "--scheduler", scheduler]
    command += ["--output", str(tmp_path / "found.json"), "--wait-for-workers", "1"]
    assert main(command) == 2
    first, *_, last = capsys.readouterr().err.splitlines()[-2:]
    assert first == "waiting for a worker"
    assert "has had no worker for 1 s" in last and last.endswith(".")
    assert not (tmp_path / "found.json").exists()


@pytest.mark.filterwarnings("ignore")
def test_where_all_workers_are_lost_what_was_found_is_kept(
    scheduler, start_worker, tmp_path, capsys, monkeypatch
):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    model, output = str(write_folder(tmp_path / "toy")), tmp_path / "found.json"
    command = ["sensitivity", model, "--types", "Q4_0", "--context", "64"]
    command += ["--text", str(tmp_path / "text.txt"), "--output", str(output)]
    worker, add = start_worker(), Sensitivity.add

    def add_and_kill(results, effect):
        add(results, effect)
        if len(results.effects) == 3:
            worker.kill()
            worker.wait()

    with monkeypatch.context() as deadly:
        deadly.setattr(Sensitivity, "add", add_and_kill)
        assert main([*command, "--scheduler", scheduler, "--wait-for-workers", "20"]) == 2
    said = capsys.readouterr().err
    assert "1 worker\n" in said and "waiting for a worker\n" in said
    assert "has had no worker for 20 s" in said.splitlines()[-1]
    kept = len(load(output).effects)
    assert kept >= 3
    assert main(command) == 0  # goes on with the rest, here
    assert len(load(output).effects) > kept


class _Deserted:
    """A client that is its own only future: done, and lost with the worker that had it."""

    status, scheduler = "running", SimpleNamespace(identity=None)

    def submit(self, *_, **__):
        return self

    def sync(self, *_, **__):
        return {"n_workers": 0}

    def cancel(self, futures):
        assert futures == [self]

    def add_done_callback(self, tell):
        tell(self)

    def result(self, timeout):
        raise TimeoutError


def test_results_lost_with_their_workers_are_not_waited_for_without_end():
    events = sweep._Cluster(_Deserted(), Patience(workers_s=1)).outcomes(square, [1])
    assert next(events) == Workers(0)
    with pytest.raises(ValueError, match="has had no worker for 1 s"):
        next(events)


@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_comes_back_goes_on(scheduler, start_worker, tmp_path):
    worker, squares, crews = start_worker(), [], []
    for event in sweep.run_on_cluster(partial(slow, tmp_path), range(8), scheduler, PATIENT):
        if isinstance(event, Outcome):
            squares.append(event.result)
            if len(squares) == 2:
                worker.kill()
        else:
            crews.append(event.count)
            if squares and event.count == 0:
                start_worker()
    assert sorted(squares) == list(range(8))
    assert [count for count, _ in itertools.groupby(crews)][-3:] == [1, 0, 1]


@pytest.mark.filterwarnings("ignore")
def test_a_piece_without_an_end_is_given_up(scheduler, start_worker):
    """One worker with one thread: the others are done by the one that hangs."""
    start_worker()
    patience = Patience(workers_s=1000, piece_s=5)
    events = sweep.run_on_cluster(endless, range(6), scheduler, patience)
    outcomes = {done.piece: done for done in pieces_of(events)}
    assert set(outcomes) == set(range(6))
    assert outcomes[1].problem == "no result within 5 s; given up"
    assert all(done.result == piece for piece, done in outcomes.items() if piece != 1)


@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_never_answers_is_one_sentence(scheduler, start_worker):
    worker, patience = start_worker(), Patience(workers_s=1000, piece_s=1000)
    events = sweep.run_on_cluster(square, range(2), scheduler, patience)
    assert pieces_of(events)[0].result == 0
    worker.send_signal(signal.SIGSTOP)
    patience = Patience(workers_s=1, piece_s=1)
    with pytest.raises(ValueError, match="No worker has answered for 2 s"):
        list(sweep.run_on_cluster(square, range(2), scheduler, patience))
