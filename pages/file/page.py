"""Page: what is in a GGUF file, why it is as large as it is, and two files side by side."""

from collections.abc import Callable

import streamlit as st

from pages.file import charts, words
from pages.file import choice as files
from pages.shared import controls, frame, look, tables
from pages.shared.units import binary, percent, plural
from quantcore.formats import FORMATS
from quantcore.recipe.promise import HeldTensor, Promise, bits_by_cause

frame.enter("file")

SMALL_WEIGHTS = 50_000_000  # of a model whose errors are measured unasked
style = look.current()


def groups(promise: Promise, name_of: Callable[[HeldTensor], str], key: str) -> list[dict]:
    """Add tensors up by what `name_of` calls them, the most bytes first."""
    found: dict[str, dict] = {}
    for tensor in promise.tensors:
        name = name_of(tensor)
        row = found.setdefault(name, {key: name, "tensors": 0, "weights": 0, "bytes": 0})
        row["tensors"] += 1
        row["weights"] += tensor.n_weights
        row["bytes"] += tensor.bytes
        row["types"] = {**row.get("types", {}), tensor.type: None}
    for row in found.values():
        row["bits_per_weight"] = 8 * row["bytes"] / row["weights"]
        row["share"] = row["bytes"] / promise.bytes
        row["types"] = ", ".join(row["types"])
        row["mark"] = row[key] in FORMATS
    return sorted(found.values(), key=lambda row: -row["bytes"])


def group_table(rows: list[dict], key: str, title: str) -> None:
    """Draw one of the two tables of groups."""
    tones = {"type": lambda row: charts.type_colour(row["type"], style)}
    tone = tones.get(key, lambda row: style.quiet)
    types = [tables.Column(key="types", title="types", text=True, wide=True)]
    tables.show(
        rows,
        [
            tables.Column(key=key, title=title, text=True),
            tables.Column(key="tensors", title="tensors", show="{:,}".format, wide=True),
            tables.Column(key="bits_per_weight", title="bits a weight", show="{:.2f}".format,
                          help="All bytes of these tensors by the number of their weights."),
            tables.Column(key="bytes", title="size", show=binary,
                          bar=lambda row: (row["share"], tone(row))),
            *(types if key == "role" else []),
        ],
        f"file_by_{key}",
        caption=f"Bytes of the file by {title}",
        formats=key == "type",
        csv_keys=[key, "tensors", "weights", "bytes", "bits_per_weight", "types"],
    )  # fmt: skip


def tensor_row(tensor: HeldTensor) -> dict:
    """Make the row of a tensor in the tables and their CSV."""
    planned = tensor.planned
    wanted = planned.fallback if planned else None
    return {
        "tensor": tensor.name,
        "shape": " × ".join(map(str, tensor.shape)),
        "type": tensor.type,
        "promised": planned.type if planned else None,
        "fallback_from": wanted,
        "by_name": f"{wanted} → {planned.type}" if wanted else planned.type if planned else None,
        "bytes": tensor.bytes,
        "bits_per_weight": 8 * tensor.bytes / tensor.n_weights,
        "rule": words.rule_of(tensor),
    }


def tensor_table(tensors: list[HeldTensor], name: str, caption: str, brief: bool = False) -> None:
    """List tensors with their types and the rules behind them, which a brief one leaves out."""
    why = tables.Column(key="rule", title="why", text=True, wide=True,
                        help="The rule behind the type that the name promises.")  # fmt: skip
    tables.show(
        [tensor_row(tensor) for tensor in tensors],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(key="type", title="type", text=True),
            tables.Column(key="by_name", title="by its name", text=True,
                          help="What llama-quantize gives this tensor in a file of this type; an "
                          "arrow leads to what takes its place where rows do not divide."),
            tables.Column(key="bytes", title="size", show=binary),
            *([] if brief else [why]),
        ],
        name,
        caption=caption,
        csv_keys=["tensor", "shape", "type", "promised", "fallback_from", "bytes",
                  "bits_per_weight", "rule"],
    )  # fmt: skip


# ---- the file -----------------------------------------------------------------------------------

st.title("File", anchor=False)
choices = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
with choices:
    chosen = files.choose()
file = chosen.header()
promise = chosen.promise(file)
label = chosen.title
if chosen.planned and not chosen.known:
    with choices:
        if files.small(file) and st.button(
            "Write it and open it", key="file_write", help="Into a temporary folder of the server."
        ):
            controls.go(file=f"written {chosen.label}")
if chosen.planned:
    look.note(words.not_a_file(chosen.known, controls.model_name()))
else:
    kind = f"GGUF version {file.version}, {'big' if file.big_endian else 'little'}-endian"
    architecture = words.plain(file.metadata.get("general.architecture", "unnamed"))
    look.note(
        f"{binary(file.file_bytes)}; {kind}; architecture {architecture}. {words.tokenizer(file)}"
    )

# ---- what fills it ------------------------------------------------------------------------------

if promise.tensors:
    st.space("small")
    look.finding(words.whole(label, promise, chosen.planned), words.HOW_TO_READ_TREE)
    look.show(
        charts.treemap(promise.tensors, style, 420 if look.narrow() else 460),
        key="file_tree",
        alt=f"{plural(len(promise.tensors), 'tensor')} by bytes, role and type.",
    )
    left, right = st.columns(2, gap="large")
    with left:
        group_table(groups(promise, lambda tensor: tensor.type, "type"), "type", "type")
    with right:
        group_table(groups(promise, charts.group_of, "role"), "role", "role")

# ---- what its name promised ---------------------------------------------------------------------

st.space("medium")
disagree = words.names_disagree(promise)
if promise.tensors and promise.file_type:
    bits = bits_by_cause(promise)
    bits["header"] = 8 * (file.file_bytes - file.tensor_bytes) / promise.n_weights
    named = {words.CAUSES[cause]: value for cause, value in bits.items()}
    texts = {name: words.signed_bits(value) for name, value in named.items()}
    texts[words.CAUSES["codes"]] = f"{bits['codes']:g}"
    left, right = st.columns(2, gap="large")
    with left:
        look.finding(words.causes(promise, bits), words.HOW_TO_READ_CAUSES)
        look.show(
            charts.by_cause(named, texts, "on disk", promise.file_type.format, style),
            key="file_causes",
            alt="Bits a weight by cause, from the codes alone to the whole file.",
        )
    with right:
        look.finding(words.kept_its_promise(promise), disagree)
        differ = [tensor for tensor in promise.tensors if tensor.differs or tensor.fell_back]
        if differ:
            shown = differ[:12]
            tensor_table(shown, "file_differs", "Tensors unlike their name, or fallen back", True)
            if len(differ) > len(shown):
                look.note(f"The first {len(shown)} of {len(differ)}; all are in the table below.")
        else:
            look.note(words.HOW_IT_IS_CHOSEN)
elif disagree:
    look.note(disagree)
if promise.tensors:
    with st.expander(f"Table of all {plural(len(promise.tensors), 'tensor')}"):
        tensor_table(list(promise.tensors), "file_tensors", "All tensors of the file")

# ---- its header ---------------------------------------------------------------------------------

st.space("medium")
parts = words.header_parts(file)
look.finding(
    words.header(file, parts),
    f"{words.HOW_TO_READ_HEADER} {words.tokenizer(file)}",
    help="The weights follow, each tensor at a multiple of 32 bytes or what the file asks for.",
)
look.show(
    charts.parts(parts, style),
    key="file_header",
    alt="One bar: " + ", ".join(f"{name} {binary(size)}" for name, size in parts.items()),
)
with st.expander(f"Table of {plural(len(file.metadata), 'metadata entry', 'metadata entries')}"):
    tables.show(
        [
            {
                "key": key,
                "kind": words.kind_of(file, key),
                "value": words.shortened(value),
                "bytes": file.entry_bytes[key],
            }
            for key, value in file.metadata.items()
        ],
        [
            tables.Column(key="key", title="key", text=True),
            tables.Column(key="kind", title="kind", text=True, wide=True),
            tables.Column(key="value", title="value", text=True),
            tables.Column(key="bytes", title="bytes", show="{:,}".format, wide=True,
                          help="In the header, the key included."),
        ],
        "file_metadata",
        caption="Metadata of the file",
    )  # fmt: skip

# ---- two files ----------------------------------------------------------------------------------


def pairs(one: Promise, other: Promise, errors: list) -> list[dict]:
    """Put the tensors that both files have beside each other; errors where they were measured."""
    second = {tensor.name: tensor for tensor in other.tensors}
    lost = [{error.name: error.relative_rmse for error in found} for found in errors]
    rows = []
    for tensor in one.tensors:
        if (twin := second.get(tensor.name)) and twin.shape == tensor.shape:
            row = {"tensor": tensor.name, "type_first": tensor.type, "type_second": twin.type}
            row |= {"bytes_first": tensor.bytes, "bytes_second": twin.bytes}
            for key, found in zip(("error_first", "error_second"), lost, strict=False):
                row[key] = found.get(tensor.name)
            rows.append(row)
    return rows


def sizes(of: Promise) -> dict[str, int]:
    """Bytes by type."""
    return {row["type"]: row["bytes"] for row in groups(of, lambda tensor: tensor.type, "type")}


st.space("medium")
st.header("Two files side by side", anchor=False)
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    beside = files.choose_beside(chosen)
    original = files.choose_original()
if beside is None or beside.label == chosen.label:
    look.note("Choose another file to see which tensors differ, and which lies closer.")
    st.stop()
with st.spinner("Reading the header"):
    other = beside.promise(beside.header())
labels, both = (label, beside.title), (promise, other)
rows = pairs(*both, [])
if not rows:
    look.note("The two files have no tensor of the same name and shape, so there is nothing to "
              "compare.")  # fmt: skip
    st.stop()
n_differ = sum(row["type_first"] != row["type_second"] for row in rows)
look.finding(
    words.side_by_side(labels, both, len(rows), n_differ),
    "Bytes of the tensors by type, few bits first, on one scale.",
)
look.show(
    charts.types_of(dict(zip(labels, map(sizes, both), strict=True)), style),
    key="file_types",
    alt=f"Bytes by type of {label} and {labels[1]}.",
)
large = promise.n_weights > SMALL_WEIGHTS
errors, sizes_only = [], chosen.known or beside.known
if sizes_only:
    look.note(f"Of {sizes_only} only the sizes are here, so that errors cannot be measured.")
elif not large or st.toggle("Measure the errors", key="measure", help="Reads every weight of both "
                          "files and of the original.", **controls.BOUND):  # fmt: skip
    try:
        errors = [each.errors(original) for each in (chosen, beside)]
    except ValueError as problem:
        look.note(f"Errors cannot be measured: {frame.sentence(problem)}")
if errors:
    rows = pairs(*both, errors)
    marks = [row for row in rows if row["error_first"] and row["error_second"]]
    name = promise.file_type.name if promise.file_type == other.file_type is not None else None
    st.space("small")
    look.finding(words.errors(labels, errors, name) + words.most_apart(rows),
                 words.HOW_TO_READ_PAIRS if marks else "")  # fmt: skip
    if marks:
        look.show(
            charts.error_pairs(marks, labels, style),
            key="file_errors",
            alt=f"Error of {plural(len(marks), 'matrix', 'matrices')} in {label} against "
            f"{labels[1]}.",
        )
with st.expander(f"Table of {plural(len(rows), 'tensor')} side by side"):
    tables.show(
        sorted(rows, key=lambda row: row["type_first"] == row["type_second"]),
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="type_first", title=label, text=True),
            tables.Column(key="type_second", title=labels[1], text=True),
            tables.Column(key="bytes_first", title="size", show=binary, wide=True),
            tables.Column(key="bytes_second", title="size", show=binary, wide=True),
            tables.Column(key="error_first", title="error", show=percent,
                          help="Root mean square error over the original’s root mean square."),
            tables.Column(key="error_second", title="error", show=percent,
                          help="The same in the second file."),
        ],
        "file_side_by_side",
        caption=f"Tensors of {label} and {labels[1]}",
    )  # fmt: skip
