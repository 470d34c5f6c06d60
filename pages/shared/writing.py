"""Writing a GGUF file from a page: a run with progress, a download, and nothing left behind.

A room shares one server, so a file goes into a folder of the session's own, where names cannot
collide, and never into `models/`, which belongs to everybody. The folder goes with the next file,
with the session, or with the server. Room is reserved before the first byte is written.
"""

import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.shared import (
    bench,
    jobs,
    look,
)
from pages.shared.units import megabytes, plural
from quantcore.formats import FORMATS
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model
from quantcore.recipe.file_types import throughout
from quantcore.recipe.plan import Plan
from quantcore.recipe.plan import plan as plan_file
from quantcore.recipe.quantize import quantize_steps, quantized_again
from quantcore.recipe.types import get_type, needs_imatrix

TITLE = "write"
LARGEST_BYTES = 2_000_000_000  # the server holds a download in memory while it is sent
_KEPT = "_written"


class Folder:
    """A temporary folder that is removed with this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="quantlab-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove it now."""
        self._end()


@dataclass(frozen=True)
class Written:
    """The file of this session."""

    folder: Folder
    path: Path
    what: str  # recipe: offered only while the page shows the same one


@dataclass(frozen=True)
class Step:
    """One tensor more is written."""

    share: float
    stage: str
    left_s: float


def steps(model: Model, plan: Plan, path: Path, imatrix: Imatrix | None = None) -> Iterator[Step]:
    """Write a file, and estimate how long the rest takes from what the bytes so far took."""
    begun = time.monotonic()
    for step in quantize_steps(model, plan, path, imatrix):
        spent = time.monotonic() - begun
        yield Step(step.share, step.stage, spent * (1 / step.share - 1))


def file_name(model: Model, plan: Plan) -> str:
    """Name a file as llama.cpp's users do."""
    return f"{model.path.stem}-{plan.type.replace(' ', '-')}.gguf"


def plan_of(model: Model, type_name: str) -> tuple[Plan | None, Imatrix | None]:
    """Plan the file of a mix or of one format throughout, with the importance matrix it needs.

    No plan where no GGUF file holds that.
    """
    meant = get_type(type_name)
    if meant.mix:
        imatrix = model.imatrix if needs_imatrix(model, meant.mix) else None
        return plan_file(model, meant.mix.name, imatrix=imatrix is not None), imatrix
    return (plan_file(model, meant.name) if throughout(meant.format.name) else None), None


def offer(model: Model, plan: Plan, what: str, imatrix: Imatrix | None = None) -> None:
    """Draw the button that writes a plan, the run, and the download when it is done.

    `what` tells recipes apart: a file of another one is not offered.
    """
    job = jobs.current()
    if job is not None and job.title == TITLE and not job.active:
        _take_in(job)
    kept: Written | None = st.session_state.get(_KEPT)
    done = kept is not None and kept.what == what and kept.path.exists()
    unable = _why_not(plan)
    busy = job is not None and job.active
    says = (
        f"Writes {file_name(model, plan)} on the server, about {megabytes(plan.bytes)}, to be "
        "downloaded. It is removed when you leave."
    )
    if st.button("Write the GGUF file", key="write", disabled=busy or bool(unable), help=says):
        _start(model, plan, what, imatrix)
        st.rerun()
    if unable:
        look.note(unable)
    if again := quantized_again(model, plan):
        look.note(
            f"{plural(len(again), 'tensor')} would be quantized a second time, and errors add up: "
            "llama-quantize does that only with `--allow-requantize`."
        )
    if busy and job.title == TITLE:
        _watch()
    if done:
        _hand_over(kept)


def _why_not(plan: Plan) -> str:
    for tensor in plan.tensors:
        if tensor.type not in FORMATS:
            return f"The lab cannot write {tensor.type}, which {tensor.name} would get."
        if tensor.needs_imatrix:
            return f"{tensor.name} as {tensor.type} needs an importance matrix to be written."
    if plan.bytes > LARGEST_BYTES:
        return f"{megabytes(plan.bytes)} is too much for a download: use the command line below."
    return ""


def _start(model: Model, plan: Plan, what: str, imatrix: Imatrix | None) -> None:
    if former := st.session_state.pop(_KEPT, None):
        former.folder.remove()
    folder = Folder()
    path = folder.path / file_name(model, plan)
    jobs.start(TITLE, lambda: steps(model, plan, path, imatrix))
    st.session_state[_KEPT] = Written(folder, path, what)


def _take_in(job: jobs.Job) -> None:
    jobs.forget()
    if job.state == "failed":
        st.error(job.problem)
    elif job.state == "cancelled":
        look.note("Cancelled; nothing is left of that file.")


@st.fragment(run_every=0.5)
def _watch() -> None:
    job = jobs.current()
    if job is None or not job.active:
        st.rerun()
    with st.container(border=True, key="write_panel"):
        step = job.latest
        ahead = jobs.ahead_of(job)
        waiting = f"Waiting: {plural(ahead, 'run')} ahead." if ahead else "Starting."
        left = "" if step is None else f", about {plural(max(1, step.left_s), 'second')} left"
        st.markdown(waiting if step is None else f"**{step.stage}**{left}")
        st.progress(step.share if step else 0.0)
        st.button("Cancel", key="cancel_write", on_click=job.cancel)


def _hand_over(kept: Written) -> None:
    name = kept.path.name
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.download_button(
            f"Download {name}",
            data=kept.path.read_bytes,
            file_name=name,
            mime="application/octet-stream",
            key="download_gguf",
            on_click="ignore",
        )
        look.note(f"{megabytes(kept.path.stat().st_size)}; put it into `{bench.OWN_MODELS.name}/` "
                  "and every page opens it.")  # fmt: skip
    st.code(
        f'llama-cli -m {name} -p "Once upon a time"\n'
        f"echo FROM ./{name} > Modelfile && ollama create my-model -f Modelfile && "
        "ollama run my-model",
        language="bash",
    )
