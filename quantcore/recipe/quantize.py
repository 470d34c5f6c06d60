"""Writing a model as a GGUF file in the types of a plan, one tensor in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
from quantcore.model.config import LlamaConfig
from quantcore.model.gguf_config import QUANTIZATION_VERSION, metadata_of
from quantcore.model.gguf_source import ROPE_FACTORS, in_neighbours, turned_heads
from quantcore.model.gguf_vocabulary import vocabulary_metadata
from quantcore.model.rope import factors
from quantcore.model.source import Model
from quantcore.recipe.plan import Plan, TensorPlan


@dataclass(frozen=True, slots=True)
class QuantizeProgress:
    """One tensor more is written."""

    share: float  # of all bytes
    stage: str  # name and type of the tensor
    path: Path


def quantize(model: Model, plan: Plan, path: Path) -> Iterator[QuantizeProgress]:
    """Write `model` to `path` with each tensor in the type that `plan` gives it.

    Closing the iterator before its end leaves no file.

    Raises
    ------
    ModelError
        Before anything is written, if a type cannot be written; later if the disk is full, or
        weights are not finite. No file is left then.
    """
    tensors = [_outgoing(model, planned) for planned in plan.tensors]
    done = 0
    for tensor in write_gguf(path, _metadata(model, plan), tensors):
        done += tensor.n_bytes
        yield QuantizeProgress(done / plan.bytes, f"{tensor.name} as {tensor.type}", path)


def preview(source: Model | LlamaConfig, plan: Plan) -> GgufFile:
    """Read the header of the file that `quantize` would write; no file is written.

    Of a config alone it lacks the vocabulary. Weights cannot be read from what is returned.
    """
    tensors = [OutgoingTensor(t.name, t.type, t.shape, _refuse) for t in plan.tensors]
    if isinstance(source, Model):
        about = _metadata(source, plan)
    else:
        about = metadata_of(source, plan.model, plan.file_type.number)
    header = header_of(about, tensors)
    path = Path(f"{Path(plan.model).stem}-{plan.file_type.name}.gguf")
    return read_header(path, BytesIO(header), len(header) + data_bytes(tensors))


def _refuse() -> NDArray[np.uint8]:
    raise ModelError("Of a preview only the header is there.")


def _metadata(model: Model, plan: Plan) -> dict[str, Value]:
    """Metadata of a folder as llama.cpp's converter writes them, of a file as it has them."""
    if model.place.is_dir():
        about = metadata_of(model.config, model.name, plan.file_type.number)
        return about | vocabulary_metadata(model.place, model.config.vocabulary_size)
    found = typed_metadata(read_parts(model.place))
    kept = {key: value for key, value in found.items() if not key.startswith("split.")}
    return kept | {
        "general.file_type": np.uint32(plan.file_type.number),
        "general.quantization_version": np.uint32(QUANTIZATION_VERSION),
    }


def _outgoing(model: Model, planned: TensorPlan) -> OutgoingTensor:
    if planned.type not in FORMATS:
        raise ModelError(
            f"The lab cannot write {planned.type} yet, which {planned.name} would get."
        )
    return OutgoingTensor(planned.name, planned.type, planned.shape, partial(_pack, model, planned))


def _pack(model: Model, planned: TensorPlan) -> NDArray[np.uint8]:
    """Read one tensor and pack it, rows in llama.cpp's order; what has its type stays as it is."""
    if planned.name == ROPE_FACTORS:
        return factors(model.config).view(np.uint8)
    stored = model.as_stored(planned.name)
    if stored is not None and stored.dtype == planned.type:
        return stored.tensor.packed()
    weights = in_neighbours(model.weights(planned.name), turned_heads(planned.name, model.config))
    return FORMATS[planned.type].quantize(weights)
