"""The tables of the page File: tensors by type and role, one by one, side by side; metadata."""

from collections.abc import Sequence

from pages.file import words
from pages.file.charts import type_colour
from pages.shared import tables
from pages.shared.palette import Look
from pages.shared.units import decimal, percent
from quantcore.evaluate.two_files import TensorPair
from quantcore.formats import FORMATS
from quantcore.io.gguf import GgufFile
from quantcore.recipe.file_sums import TensorSum
from quantcore.recipe.promise import HeldTensor


def show_sums(sums: Sequence[TensorSum], key: str, whole_bytes: int, style: Look) -> None:
    """List sums of tensors by "type" or "role", with their share of all bytes as a bar."""

    def bar(row: tables.Row) -> tuple[float, str]:
        tone = type_colour(row["type"], style) if key == "type" else style.quiet
        return row["bytes"] / max(whole_bytes, 1), tone

    title = "format" if key == "type" else key
    types = [tables.Column(key="types", title="formats", text=True, wide=True)]
    tables.show(
        [
            {
                key: each.name,
                "tensors": each.n_tensors,
                "weights": each.n_weights,
                "bytes": each.bytes,
                "bits_per_weight": each.bits_per_weight,
                "types": ", ".join(each.types),
                "mark": each.name in FORMATS,
            }
            for each in sums
        ],
        [
            tables.Column(key=key, title=title, text=True),
            tables.Column(key="tensors", title="tensors", show="{:,}".format, wide=True),
            tables.Column(key="bits_per_weight", title="bits per weight", show="{:.2f}".format,
                          help="All bits of these tensors divided by the number of their weights."),
            tables.Column(key="bytes", title="size", show=decimal, bar=bar),
            *(types if key == "role" else []),
        ],
        f"file_by_{key}",
        caption=f"Bytes of the file by {title}",
        formats=key == "type",
        csv_keys=[key, "tensors", "weights", "bytes", "bits_per_weight", "types"],
    )  # fmt: skip


def show_tensors(
    tensors: Sequence[HeldTensor], name: str, caption: str, brief: bool = False
) -> None:
    """List tensors with their types and the rules behind them, which a brief list leaves out."""
    why = tables.Column(key="rule", title="why", text=True, wide=True,
                        help="The rule behind the format that the name promises.")  # fmt: skip
    tables.show(
        [_tensor_row(tensor) for tensor in tensors],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(key="type", title="format", text=True),
            tables.Column(key="by_name", title="by its name", text=True,
                          help="What llama-quantize gives this tensor in a file of this type; an "
                          "arrow points to what takes its place where rows do not divide."),
            tables.Column(key="bytes", title="size", show=decimal),
            *([] if brief else [why]),
        ],
        name,
        caption=caption,
        csv_keys=["tensor", "shape", "type", "promised", "fallback_from", "bytes",
                  "bits_per_weight", "rule"],
    )  # fmt: skip


def _tensor_row(tensor: HeldTensor) -> dict:
    planned = tensor.planned
    promised, wanted = (planned.type, planned.fallback) if planned else (None, None)
    return {
        "tensor": tensor.name,
        "shape": " × ".join(map(str, tensor.shape)),
        "type": tensor.type,
        "promised": promised,
        "fallback_from": wanted,
        "by_name": f"{wanted} → {promised}" if wanted else promised,
        "bytes": tensor.bytes,
        "bits_per_weight": tensor.bits_per_weight,
        "rule": planned.rule if planned else "",
    }


def show_metadata(file: GgufFile) -> None:
    """List every metadata entry of a header."""
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


def show_pairs(pairs: Sequence[TensorPair], labels: Sequence[str]) -> None:
    """List the tensors of two files side by side, first those that differ in type."""
    tables.show(
        [
            {
                "tensor": pair.name,
                "type_first": pair.first.type,
                "type_second": pair.second.type,
                "bytes_first": pair.first.bytes,
                "bytes_second": pair.second.bytes,
                "error_first": pair.error_first,
                "error_second": pair.error_second,
            }
            for pair in sorted(pairs, key=lambda pair: pair.same_type)
        ],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="type_first", title=labels[0], text=True),
            tables.Column(key="type_second", title=labels[1], text=True),
            tables.Column(key="bytes_first", title="size", show=decimal, wide=True),
            tables.Column(key="bytes_second", title="size", show=decimal, wide=True),
            tables.Column(key="error_first", title="error", show=percent,
                          help="Root mean square error over the original’s root mean square."),
            tables.Column(key="error_second", title="error", show=percent,
                          help="The same in the second file."),
        ],
        "file_side_by_side",
        caption=f"Tensors of {labels[0]} and {labels[1]}",
    )  # fmt: skip
