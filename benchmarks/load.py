"""How long pages take when a room looks at them at once: ``python -m benchmarks.load``.

Starts a server, and thirty visitors over websockets: each opens page after page, most with other
choices, and reads for 1 to 5 s in between. The first round is the room's first, with nothing kept;
in the second others have looked at the same already; in the third a Drift run goes on beside it.
Prints a Markdown table: page runs a second, seconds a page (median, 95 in 100, longest), CPU
seconds of the server's pages a run, its memory, and what failed.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser.server import running  # noqa: E402

from quantcore import open_model  # noqa: E402

PATIENCE_S = 300.0
THINKS_S = (1.0, 5.0)
TYPES = ("Q4_K", "Q6_K", "Q3_K", "Q2_K", "Q8_0", "IQ4_XS", "Q5_K", "Q4_0", "NVFP4", "INT4_G128")
MIXES = ("Q4_K_M", "Q3_K_S", "Q5_K_M", "Q2_K", "Q6_K", "IQ4_XS", "Q4_0")
MEASURED = ("Q4_K", "Q6_K", "Q3_K")
CONTEXTS = ("4096", "8192", "32768")
Choices = Mapping[str, str]


@dataclass
class Round:
    """What happened to all visitors of a round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)  # by page
    failures: list[str] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def all_seconds(self) -> list[float]:
        """Seconds of every page run, the shortest first."""
        return sorted(each for page in self.seconds.values() for each in page)


class Visitor:
    """One window: a session of its own on the server."""

    def __init__(self, socket: ClientConnection, notes: Round):
        self._socket, self._notes = socket, notes
        self.buttons: dict[str, str] = {}  # label -> widget, of the page that was drawn last

    async def open(self, page: str, choices: Choices, press: str = "") -> None:
        """Ask for a page, press one of its buttons if wanted, and wait until it is drawn."""
        message = BackMsg()
        message.rerun_script.query_string = urlencode(choices)
        message.rerun_script.page_name = page
        if press:
            widget = message.rerun_script.widget_states.widgets.add()
            widget.id, widget.trigger_value = self.buttons[press], True
        start = time.perf_counter()
        await self._socket.send(message.SerializeToString())
        self.buttons.clear()
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(await asyncio.wait_for(self._socket.recv(), PATIENCE_S))
            kind = answer.WhichOneof("type")
            if kind == "delta":
                self._look_at(page, answer.delta.new_element)
            elif (
                kind == "script_finished"
                and answer.script_finished == ForwardMsg.ScriptFinishedStatus.FINISHED_SUCCESSFULLY
            ):
                break
        self._notes.seconds.setdefault(page, []).append(time.perf_counter() - start)

    def _look_at(self, page: str, element) -> None:
        kind = element.WhichOneof("type")
        if kind == "button":
            self.buttons[element.button.label] = element.button.id
        elif kind == "exception":
            self._notes.failures.append(f"{page}: {element.exception.message}")
        elif kind == "alert":
            self._notes.failures.append(f"{page}: {element.alert.body}")


def choices_by_page(chance: random.Random) -> dict[str, Callable[[], Choices]]:
    """Return what a visitor looks at on each page."""
    tensors, pick = open_model().quantizable, chance.choice
    return {
        "": dict,
        "weights": lambda: {"tensor": pick(tensors)},
        "block": lambda: {"tensor": pick(tensors), "type": pick(TYPES), "row": pick("0123456789")},
        "scales": lambda: {"tensor": pick(tensors), "type": pick(TYPES)},
        "imatrix": lambda: {"tensor": pick(tensors)},
        "layer_error": lambda: {"tensor": pick(tensors), "type": pick(TYPES)},
        "sensitivity": lambda: {"type": pick(MEASURED)},
        "drift": lambda: {"type": pick(MIXES)},
        "mix": lambda: {"mix": pick(MIXES)},
        "file": lambda: {"file": f"as {pick(MIXES)}"},
        "memory": lambda: {"stored": pick(MIXES), "context": pick(CONTEXTS)},
    }


async def visitor(address: str, seed: int, end: float, notes: Round) -> None:
    """Look at page after page until the end."""
    chance = random.Random(seed)
    pages = choices_by_page(chance)
    await asyncio.sleep(chance.uniform(0, THINKS_S[1]))
    async with _session(address) as socket:
        window = Visitor(socket, notes)
        await window.open("", {})
        while time.monotonic() < end:
            page = chance.choice(list(pages))
            await window.open(page, pages[page]())
            await asyncio.sleep(chance.uniform(*THINKS_S))


async def measure_beside(address: str, end: float, notes: Round) -> None:
    """Keep a Drift run going until the end."""
    async with _session(address) as socket:
        window = Visitor(socket, Round(failures=notes.failures))
        while time.monotonic() < end:
            await window.open("drift", {"text": "passage", "types": "Q8_0", "type": "Q8_0"})
            if press := next((label for label in window.buttons if "easure" in label), ""):
                await window.open("drift", {"text": "passage"}, press)
            await asyncio.sleep(1)


def _session(address: str) -> connect:
    there = address.replace("http", "ws", 1) + "/_stcore/stream"
    # A page's charts may be large, and a server that is busy answers no ping.
    return connect(
        there, origin=address, subprotocols=["streamlit"], max_size=None, ping_interval=None
    )


async def watch_memory(server: psutil.Process, notes: Round) -> None:
    """Note the most memory that the server takes."""
    while True:
        notes.peak_bytes = max(notes.peak_bytes, server.memory_info().rss)
        await asyncio.sleep(0.5)


async def play(address: str, seeds: range, seconds: float, *, beside: bool, notes: Round) -> None:
    """Let all visitors look around for so many seconds."""
    server = _server(address)
    watcher = asyncio.create_task(watch_memory(server, notes))
    end = time.monotonic() + seconds
    visits = [visitor(address, seed, end, notes) for seed in seeds]
    visits += [measure_beside(address, end, notes)] if beside else []
    for failed in await asyncio.gather(*visits, return_exceptions=True):
        if failed is not None:
            notes.failures.append(repr(failed))
    watcher.cancel()


def _server(address: str) -> psutil.Process:
    port = address.rsplit(":", 1)[1]
    children = psutil.Process().children()
    return next(child for child in children if f"--server.port={port}" in child.cmdline())


def report(name: str, notes: Round, cpu: float, wall: float) -> None:
    """Print a row of the table."""
    seconds = notes.all_seconds
    late = seconds[int(0.95 * (len(seconds) - 1))]
    print(
        f"| {name} | {len(seconds) / wall:.1f} | {statistics.median(seconds):.2f} | {late:.2f} "
        f"| {seconds[-1]:.2f} | {cpu / len(seconds):.3f} | {notes.peak_bytes / 1e6:.0f} "
        f"| {len(notes.failures)} |",
        flush=True,
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60, help="how long a round takes")
    asked = parser.parse_args()
    print("| round | runs/s | p50, s | p95, s | longest, s | CPU s/run | memory, MB | failures |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    rounds = [("first", False), ("again", False), ("beside a Drift run", True)]
    with running() as address:
        server = _server(address)
        for name, beside in rounds:
            notes, before, start = Round(), sum(server.cpu_times()[:2]), time.monotonic()
            seeds = range(asked.visitors)
            asyncio.run(play(address, seeds, asked.seconds, beside=beside, notes=notes))
            wall = time.monotonic() - start
            report(name, notes, sum(server.cpu_times()[:2]) - before, wall)
            for failure in dict.fromkeys(notes.failures[:5]):
                print(f"    {failure}")
            slowest = {
                page or "home": f"{statistics.median(each):.2f}"
                for page, each in sorted(notes.seconds.items())
            }
            print(f"    median by page: {slowest}", flush=True)


if __name__ == "__main__":
    main()
