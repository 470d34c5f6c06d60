"""Page: what is in a GGUF file, why it is as large as it is, and two files side by side."""

import streamlit as st

from pages.file import cache, charts, lists, words
from pages.file import choice as files
from pages.file.cache import Header
from pages.file.choice import ChosenFile
from pages.file.side_by_side import show_two_files
from pages.shared import controls, definitions, look, own_grid, saving, stored
from pages.shared.palette import Look
from pages.shared.units import decimal, plural
from quantcore.io.gguf import GgufFile
from quantcore.recipe.file_sums import (
    header_bits_per_weight,
    header_parts,
    sums_by_role,
    sums_by_type,
)
from quantcore.recipe.promise import Promise, bits_by_cause

MOST_SHOWN = 12  # tensors unlike their name; all are in the table below


def main() -> None:
    """Draw the page of the file that is chosen on it."""
    style, model_name = look.current(), controls.model_name()
    definitions.head("File", words.PURPOSE, words.DEFINED)
    chosen, header = show_choice(model_name)
    file, promise = header
    saving.of(*(() if chosen.file_name or chosen.known else (model_name,)), chosen.title)
    if promise.tensors:
        st.space("small")
        show_what_fills_it(chosen, promise, style)
    st.space("medium")
    show_promise(header, style)
    if promise.tensors:
        with st.expander(f"Table of {plural(len(promise.tensors), 'tensor')}"):
            lists.show_tensors(promise.tensors, "file_tensors", "All tensors of the file")
    st.space("medium")
    show_header(file, style)
    st.space("medium")
    show_two_files(chosen, header, style)


def show_choice(model_name: str) -> tuple[ChosenFile, Header]:
    """Ask for a file, and say what kind of file it is, if it is one."""
    choices = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with choices:
        chosen = files.choose(model_name)
    file, promise = chosen.header()
    if chosen.planned and not chosen.known and not chosen.unaided:
        with choices:
            if files.small(file) and st.button(
                "Write it and open it", key="file_write",
                help="Into a temporary folder of the server.",
            ):  # fmt: skip
                controls.go(file=f"written {chosen.label}")
    if chosen.planned:
        look.note(words.not_a_file(chosen.known, model_name, chosen.unaided))
        if not chosen.known:
            stored.note(controls.model())
    else:
        look.note(words.kind_of_file(file))
        if beyond := words.beyond(file):
            look.say(beyond)
    if not chosen.known:
        name = chosen.file_name or model_name
        if on_grid := own_grid.of_file(name, cache.grids(name)):
            look.say(on_grid)
    return chosen, Header(file, promise)


def show_what_fills_it(chosen: ChosenFile, promise: Promise, style: Look) -> None:
    """Draw every tensor by its bytes, and list them by type and by role."""
    look.finding(words.whole(chosen.title, promise, chosen.planned), words.HOW_TO_READ_TREE)
    look.show(
        charts.treemap(promise.tensors, style, 420 if look.narrow() else 460),
        key="file_tree",
        alt=f"{plural(len(promise.tensors), 'tensor')} by bytes, role and format.",
    )
    left, right = st.columns(2, gap="large")
    with left:
        lists.show_sums(sums_by_type(promise), "type", promise.bytes, style)
    with right:
        lists.show_sums(sums_by_role(promise), "role", promise.bytes, style)


def show_promise(header: Header, style: Look) -> None:
    """Draw what the bits per weight are made of, and list the tensors unlike the file's name."""
    file, promise = header
    disagree = words.names_disagree(promise)
    if not (promise.tensors and promise.file_type):
        if disagree:
            look.note(disagree)
        return
    bits = bits_by_cause(promise) | {"header": header_bits_per_weight(file, promise)}
    named = {words.CAUSES[cause]: value for cause, value in bits.items()}
    texts = {name: words.signed_bits(value) for name, value in named.items()}
    texts[words.CAUSES["codes"]] = f"{bits['codes']:g}"
    left, right = st.columns(2, gap="large")
    with left:
        look.finding(words.causes(promise, bits), words.HOW_TO_READ_CAUSES)
        look.show(
            charts.by_cause(named, texts, "on disk", promise.file_type.format, style),
            key="file_causes",
            alt="Bits per weight by cause, from the codes alone to the whole file.",
        )
    with right:
        look.finding(words.kept_its_promise(promise), disagree)
        show_unlike_its_name(promise)


def show_unlike_its_name(promise: Promise) -> None:
    """List the first tensors that are unlike the file's name or fell back, if there are any."""
    unlike = [tensor for tensor in promise.tensors if tensor.differs or tensor.fell_back]
    if not unlike:
        look.note(words.HOW_IT_IS_CHOSEN)
        return
    shown, caption = (
        unlike[:MOST_SHOWN],
        "Tensors that differ from the file’s name, or that fell back",
    )
    lists.show_tensors(shown, "file_differs", caption, brief=True)
    if len(unlike) > len(shown):
        look.note(f"The first {len(shown)} of {len(unlike)}; all are in the table below.")


def show_header(file: GgufFile, style: Look) -> None:
    """Draw what the header's bytes are for, and list its metadata."""
    parts = header_parts(file)
    look.finding(
        words.header(file, parts),
        f"{words.HOW_TO_READ_HEADER} {words.tokenizer(file)}",
        help="The weights follow; each tensor starts at a multiple of 32 bytes, or of what the "
        "file asks for.",
    )
    look.show(
        charts.parts(parts, style),
        key="file_header",
        alt="One bar: " + ", ".join(f"{name} {decimal(size)}" for name, size in parts.items()),
    )
    entries = plural(len(file.metadata), "metadata entry", "metadata entries")
    with st.expander(f"Table of {entries}"):
        lists.show_metadata(file)
