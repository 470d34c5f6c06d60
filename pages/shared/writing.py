"""Writing a GGUF file from a page: a run with progress, a download, and nothing left behind.

A room shares one server, so a file goes into a folder of the session's own, where names cannot
collide, and never into `models/`, which belongs to everybody. The folder goes with the next file,
with the session, or with the server. Room is reserved before the first byte is written.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st

from pages.shared import bench, jobs, look
from pages.shared.outside import as_text
from pages.shared.units import decimal, plural
from quantcore import scratch
from quantcore.evaluate.estimate import quantizing_seconds
from quantcore.formats import FORMATS
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model
from quantcore.pool import n_threads
from quantcore.progress import Progress
from quantcore.recipe.file_types import throughout
from quantcore.recipe.plan import Plan
from quantcore.recipe.plan import plan as plan_file
from quantcore.recipe.quantize import (
    FLOATS,
    plan_with_matrix,
    quantize_steps,
    quantized_again,
)
from quantcore.recipe.types import get_type

TITLE = "writing a file"
LARGEST_BYTES = 2_000_000_000  # the server holds a download in memory while it is sent
_KEPT = "_written"


class Folder:
    """A temporary folder that is removed with this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(dir=scratch.own_folder()))
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


def file_name(model: Model, plan: Plan) -> str:
    """Name a file as llama.cpp's users do."""
    return f"{model.stem}-{plan.type.replace(' ', '-')}.gguf"


def plan_of(model: Model, type_name: str) -> tuple[Plan | None, Imatrix | None]:
    """Plan the file of a mix or of one format throughout, with the importance matrix it needs.

    No plan where no GGUF file holds that.
    """
    meant = get_type(type_name)
    if meant.mix:
        return plan_with_matrix(model, partial(plan_file, model, meant.mix.name))
    return (plan_file(model, meant.name) if throughout(meant.format.name) else None), None


def offer(model: Model, plan: Plan, what: str, imatrix: Imatrix | None = None) -> None:
    """Draw the button that writes a plan, the run, and the download when it is done.

    `what` tells recipes apart: a file of another one is not offered.
    """
    unable = _why_not(plan)
    says = as_text(
        f"Writes {file_name(model, plan)} on the server, about {decimal(plan.bytes)}, to be "
        "downloaded. It is removed when you leave."
    )
    made: list[Written] = []

    def begin() -> Iterator[Progress[Path]]:
        folder = Folder()
        made.append(Written(folder, folder.path / file_name(model, plan), what))
        return quantize_steps(model, plan, made[0].path, imatrix)

    if jobs.button(
        "Write the GGUF file",
        key="write",
        title=TITLE,
        begin=begin,
        seconds=None if unable else _seconds(model, plan),
        unable=unable,
        help=says,
    ):
        # The former file goes once the queue has taken the new one, not before.
        if former := st.session_state.get(_KEPT):
            former.folder.remove()
        st.session_state[_KEPT] = made[0]
        st.rerun()
    if again := quantized_again(model, plan):
        types = {each.name: each.type for each in plan.tensors}
        rounded = any(types[name] not in FLOATS for name in again)
        look.note(
            f"{plural(len(again), 'tensor')} would be quantized a second time, and errors add up: "
            "llama-quantize does that only with `--allow-requantize`."
            if rounded
            else f"{plural(len(again), 'tensor')} lost something when the file was made, which "
            "stays lost: llama-quantize does that only with `--allow-requantize`."
        )
    for difference in model.tokenizer.differences:
        look.note(difference)
    job = jobs.panel(TITLE)
    if job is not None and job.state == "cancelled":
        look.note("Cancelled; nothing is left of that file.")
    kept: Written | None = st.session_state.get(_KEPT)
    if kept is not None and kept.what == what and kept.path.exists():
        _hand_over(kept)


def _why_not(plan: Plan) -> str:
    for tensor in plan.tensors:
        if tensor.type not in FORMATS:
            return f"The lab cannot write {tensor.type}, which {tensor.name} would get."
        if tensor.needs_imatrix:
            return f"{tensor.name} needs an importance matrix to be written as {tensor.type}."
    if plan.bytes > LARGEST_BYTES:
        return f"{decimal(plan.bytes)} is too much for a download: use the command line below."
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if plan.bytes > free:
        return f"The file takes {decimal(plan.bytes)}, and the server has {decimal(free)} free."
    return ""


def _seconds(model: Model, plan: Plan) -> float:
    matrices = set(model.quantizable)
    types = ((each.name, each.type) for each in plan.tensors if each.name in matrices)
    return quantizing_seconds(model, types) / n_threads()


def _hand_over(kept: Written) -> None:
    name = kept.path.name
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.download_button(
            as_text(f"Download {name}"),
            data=kept.path.read_bytes,
            file_name=name,
            mime="application/octet-stream",
            key="download_gguf",
            on_click="ignore",
        )
        look.note(f"{decimal(kept.path.stat().st_size)}; put it into `{bench.OWN_MODELS.name}/` "
                  "and every page opens it.")  # fmt: skip
    look.commands(
        f'llama-cli -m {name} -p "Once upon a time"\n'
        f"echo FROM ./{name} > Modelfile && ollama create my-model -f Modelfile && "
        "ollama run my-model"
    )
