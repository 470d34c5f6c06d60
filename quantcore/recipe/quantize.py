"""Writing a model as a GGUF file in the types of a plan, one packed tensor in memory at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantcore.checks import refuse_lost
from quantcore.format import Packed
from quantcore.formats import FORMATS
from quantcore.io import ModelError
from quantcore.io.gguf import GgufFile, read_header
from quantcore.io.gguf_parts import read_parts
from quantcore.io.gguf_writer import (
    OutgoingTensor,
    Value,
    data_bytes,
    header_of,
    typed_metadata,
    write_gguf,
)
from quantcore.io.imatrix import Imatrix
from quantcore.model.config import LlamaConfig
from quantcore.model.gguf_config import QUANTIZATION_VERSION, metadata_of
from quantcore.model.gguf_source import ROPE_FACTORS, in_halves, in_neighbours, turned_heads
from quantcore.model.gguf_vocabulary import vocabulary_metadata
from quantcore.model.rope import factors
from quantcore.model.source import Model
from quantcore.pool import over_rows, threads
from quantcore.progress import Progress, result_of
from quantcore.recipe.plan import Plan, TensorPlan
from quantcore.recipe.plan import plan as plan_file
from quantcore.recipe.repack import can_be_repacked, companions, repacked
from quantcore.recipe.rules import role_of, tensor_needs_imatrix

FLOATS = ("F32", "F16", "BF16")
ORDINARY = 1024.0  # no format stores a number beyond float16 for weights up to this
WEIGHTS_AT_ONCE = 1 << 19  # of one worker: as floats they stay in its core's cache


def quantize(
    model: Model,
    plan: Plan | str,
    path: str | Path,
    imatrix: Imatrix | None = None,
    on_progress: Callable[[Progress[Path]], None] | None = None,
) -> Path:
    """Write a model as a GGUF file.

    Parameters
    ----------
    plan
        What `quantcore.plan` made, or a type's name: "Q4_K_M", "Q4_K pure".
    path
        Of the file to come; there must be none yet.
    imatrix
        Importance matrix, from `measure_imatrix`, `read_imatrix` or ``model.imatrix``. Types that
        cannot do without one take the model's own if none is given.
    on_progress
        Called after each tensor; an exception that it raises ends the work, and no file is left.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelError
        If a type cannot be written, the matrix does not fit the model, weights are not finite, or
        the disk is full. No file is left then.
    ValueError
        If there is no such type.
    """
    if isinstance(plan, str):
        plan, imatrix = plan_with_matrix(model, partial(plan_file, model, plan), imatrix)
    return result_of(quantize_steps(model, plan, Path(path), imatrix), on_progress)


def quantize_steps(
    model: Model,
    plan: Plan,
    path: Path,
    imatrix: Imatrix | None = None,
    packed: Mapping[str, Packed] | None = None,
) -> Iterator[Progress[Path]]:
    """Write a model to `path` with each tensor in the type that `plan` gives it; a step a tensor.

    Nothing is written unless the steps are taken, as `quantize` does; closing the iterator before
    its end leaves no file.

    With an importance matrix each tensor is quantized by its own entry, as llama-quantize does: a
    tensor without one goes without, unless its type demands one. A tensor that a GGUF file holds in
    its type already keeps its bytes, and one of a folder in MXFP4 or NVFP4 its codes and scales;
    others are quantized again, for which llama-quantize demands `--allow-requantize`. `packed` are
    bytes (n_rows, row_bytes) that were chosen otherwise, of some tensors, norms and biases among
    them, in the plan's types and with rows as the model has them.

    Raises
    ------
    ModelError
        Before anything is written, if a type cannot be written or the matrix does not fit the
        model; later if the disk is full, or weights are not finite. No file is left then.
    """
    tensors = []
    for planned in plan.tensors:
        importance = (
            None if imatrix is None else importance_of(imatrix, planned.name, planned.shape[-1])
        )
        make: Callable[[], Packed] = partial(_pack, model, planned, importance)
        chosen = None if packed is None else packed.get(planned.name)
        if chosen is not None:
            make = partial(in_neighbours, chosen, turned_heads(planned.name, model.config))
        elif not model.holds(planned.name, planned.type):
            _refuse_unwritable(planned, plan, has_importance=importance is not None)
        tensors.append(OutgoingTensor(planned.name, planned.type, planned.shape, make))
    as_stored = [each for each in plan.tensors if each.name not in (packed or ())]
    tensors += companions(model, as_stored)
    return _write_steps(path, _metadata(model, plan, imatrix), tensors)


def _write_steps(
    path: Path, metadata: Mapping[str, Value], tensors: Sequence[OutgoingTensor]
) -> Iterator[Progress[Path]]:
    done, n_bytes = 0, sum(tensor.n_bytes for tensor in tensors)
    for tensor in write_gguf(path, metadata, tensors):
        done += tensor.n_bytes
        yield Progress(done / n_bytes, f"{tensor.name} as {tensor.type}")
    yield Progress(1.0, "done", path)


def plan_with_matrix(
    model: Model, make: Callable[..., Plan], imatrix: Imatrix | None = None
) -> tuple[Plan, Imatrix | None]:
    """Plan a file, and say which importance matrix it is to be quantized with.

    That is the one which was given, here or to the model; or else the one that lies with the model,
    where a type cannot do without; or none.

    Parameters
    ----------
    make
        Makes the plan, called with ``imatrix=True`` or ``imatrix=False``.
    """
    imatrix = imatrix or model.given
    if imatrix is None and make(imatrix=False).needs_imatrix:
        imatrix = model.imatrix
    return make(imatrix=imatrix is not None), imatrix


def quantized_again(model: Model, plan: Plan) -> list[str]:
    """Name the tensors that are stored quantized, in another type than the plan's.

    Where that is quantized too, errors add up. llama-quantize refuses those of GGUF files without
    `--allow-requantize`.
    """
    source = {name: tensor.dtype for name, tensor in model.tensors.items()}
    return [
        tensor.name
        for tensor in plan.tensors
        if source.get(tensor.name, "F32") not in (*FLOATS, "F64", tensor.type)
        and not can_be_repacked(model, tensor)
    ]


def preview(source: Model | LlamaConfig, plan: Plan, imatrix: Imatrix | None = None) -> GgufFile:
    """Read the header of the file that `quantize` would write; no file is written.

    Of a config alone it lacks the vocabulary. Weights cannot be read from what is returned.
    """
    tensors = [OutgoingTensor(t.name, t.type, t.shape, _refuse) for t in plan.tensors]
    if isinstance(source, Model):
        tensors += companions(source, plan.tensors)
        about = _metadata(source, plan, imatrix)
    else:
        about = metadata_of(source, plan.model, plan.file_type.number)
    header = header_of(about, tensors)
    stem = source.stem if isinstance(source, Model) else plan.model
    path = Path(f"{stem}-{plan.file_type.name}.gguf")
    return read_header(path, BytesIO(header), len(header) + data_bytes(tensors))


def _refuse() -> NDArray[np.uint8]:
    raise ModelError("Of a preview only the header is there.")


def _metadata(model: Model, plan: Plan, imatrix: Imatrix | None) -> dict[str, Value]:
    """Metadata of a folder as llama.cpp's converter writes them, of a file as it has them."""
    made_with = {} if imatrix is None else _about(imatrix)
    if model.files.is_dir():
        about = metadata_of(model.config, model.name, plan.file_type.number)
        about |= vocabulary_metadata(
            model.files, model.config.vocabulary_size, model.tokenizer.adds_bos
        )
        return about | made_with
    metadata = typed_metadata(read_parts(model.files))
    # Tensors are padded to 32 bytes, as by llama-quantize, whatever the source was padded to.
    other = ("split.", "general.alignment")
    kept = {key: value for key, value in metadata.items() if not key.startswith(other)}
    return kept | {
        "general.file_type": np.uint32(plan.file_type.number),
        "general.quantization_version": np.uint32(QUANTIZATION_VERSION),
        **made_with,
    }


def _about(imatrix: Imatrix) -> dict[str, Value]:
    """Say in the file what it was made with, as llama-quantize does."""
    about: dict[str, Value] = {"quantize.imatrix.file": imatrix.source}
    if imatrix.datasets:
        about["quantize.imatrix.dataset"] = imatrix.datasets[0]
    about["quantize.imatrix.entries_count"] = np.uint32(len(imatrix.sums))
    if imatrix.chunk_count > 0:
        about["quantize.imatrix.chunks_count"] = np.uint32(imatrix.chunk_count)
    return about


def importance_of(imatrix: Imatrix, name: str, n_cols: int) -> NDArray[np.float32] | None:
    """Entry of one tensor, (n_cols,), as llama-quantize takes it; None where there is none.

    The embedding goes without where one does not fit.

    Raises
    ------
    ModelError
        If the entry of another tensor does not fit its rows.
    """
    entry = imatrix.importance(name)
    if entry is None or entry.size == n_cols:
        return entry
    if role_of(name) == "token_embd":
        return None
    raise ModelError(
        f"The importance matrix is of another model: {name} has rows of {n_cols:,} weights, its "
        f"entry {entry.size:,} numbers."
    )


def _refuse_unwritable(planned: TensorPlan, plan: Plan, has_importance: bool) -> None:
    if planned.type not in FORMATS:
        raise ModelError(
            f"The lab cannot write {planned.type} yet, which {planned.name} would get."
        )
    demanded = tensor_needs_imatrix(planned.name, planned.type, plan.file_type.name)
    if not has_importance and (demanded or FORMATS[planned.type].needs_importance):
        raise ModelError(
            f"{planned.name} would get {planned.type}, which makes garbage without its importance "
            "matrix; give one with --imatrix."
        )


def _pack(
    model: Model, planned: TensorPlan, importance: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Read one tensor and pack it, rows in llama.cpp's order; what has its type stays as it is.

    Each worker reads and packs some rows after the other, whole heads where they change places, so
    no tensor is in memory as floats.
    """
    if planned.name == ROPE_FACTORS:
        return factors(model.config).view(np.uint8)
    stored = model.as_stored(planned.name)
    if stored is not None and model.holds(planned.name, planned.type):
        return stored.tensor.packed()
    if can_be_repacked(model, planned):
        heads = turned_heads(planned.name, model.config)
        return in_neighbours(repacked(model, planned), heads)
    fmt, name = FORMATS[planned.type], planned.name
    if len(planned.shape) == 1:
        weights = in_neighbours(model.weights(name), turned_heads(name, model.config))
        vector = fmt.quantize(weights)
        refuse_lost(f"{planned.type} of {name}", weights[None], fmt.dequantize(vector)[None])
        return vector
    n_rows, n_cols = planned.shape
    heads = turned_heads(name, model.config)
    unit = n_rows // heads if heads else 1
    at_once = max(1, WEIGHTS_AT_ONCE // (unit * n_cols)) * unit
    packed = np.empty((n_rows, planned.bytes // n_rows), np.uint8)

    def work(start: int, stop: int) -> None:
        with threads(1):
            for first in range(start * unit, stop * unit, at_once):
                rows = slice(first, min(first + at_once, stop * unit))
                weights = model.weights(name, rows)
                here = heads and len(weights) // unit
                packed[rows] = fmt.quantize(in_neighbours(weights, here), importance)
                if np.abs(weights).max() > ORDINARY:
                    restored = in_halves(fmt.dequantize(packed[rows]), here)
                    refuse_lost(f"{planned.type} of {name}", weights, restored, first)

    over_rows(work, n_rows // unit)
    return packed
