"""What a model consists of, as far as the rules of a mix need to know it."""

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantcore.architectures import RUNNABLE
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io import ModelError
from quantcore.io.gguf import GgufFile
from quantcore.io.gguf_parts import read_parts
from quantcore.io.on_disk import as_named
from quantcore.io.strict_json import read_json_object
from quantcore.model.config import LlamaConfig, runs
from quantcore.model.folder_source import folder_tensors
from quantcore.model.gguf_config import refuse_other_files
from quantcore.model.gguf_source import ROPE_FACTORS
from quantcore.model.names import expected_shapes
from quantcore.model.outliers.folder import is_recipe
from quantcore.model.source import Model, open_model
from quantcore.shape import ModelShape, shape_from_json


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Names and shapes of a model's tensors, and the few sizes that rules ask for."""

    name: str
    architecture: str  # GGUF's: "llama" also for Mistral and Mixtral
    n_layers: int
    n_heads: int
    n_kv_heads: int
    n_experts: int = 0
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)  # (n_rows, n_cols) of each tensor
    types: Mapping[str, str] = field(repr=False, default_factory=dict)  # in the file, if it is one

    @property
    def n_weights(self) -> int:
        """Number of weights, norms and biases included."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def in_order(self) -> list[str]:
        """Names as llama-quantize goes through them: outside the layers first, then by layer."""
        return sorted(self.shapes, key=lambda name: (layer_of(name), name))


@functools.lru_cache(maxsize=65_536)
def layer_of(name: str) -> int:
    """Layer of a tensor, -1 outside the layers.

    >>> layer_of("blk.12.attn_q.weight"), layer_of("output.weight")
    (12, -1)
    """
    match = re.match(r"blk\.(\d+)\.", name)
    return int(match[1]) if match else -1


def contents_of(source: Model | LlamaConfig | Mapping[str, Any], name: str = "model") -> Contents:
    """Take what a plan needs from an opened model, its config, or a parsed config.json.

    Raises
    ------
    ModelError
        For a config that the lab cannot read.
    """
    if isinstance(source, Model):
        types = {name: tensor.dtype for name, tensor in source.tensors.items()}
        in_file = types if source.path.is_file() else {}  # a folder is converted first: F32 vectors
        return _of_config(source.config, source.name, in_file)
    if isinstance(source, LlamaConfig):
        return _of_config(source, name)
    return _of_json(dict(source), name)


def read_contents(place: str | Path | None) -> Contents:
    """Take them from a config.json, the header of a GGUF file, or what `open_model` opens.

    Of a folder, config and headers will do: neither a tokenizer nor a forward pass is needed.

    Raises
    ------
    ModelError
        One sentence that says what is wrong with it.
    """
    path = None if place is None else Path(place).expanduser()
    if path is not None and path.suffix == ".json":
        path = as_named(path)
        return contents_of(read_json_object(path), path.parent.name)
    if path is not None and path.is_file():
        file = read_parts(as_named(path))
        shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
        refuse_other_files(file.metadata, shapes)
        return contents_of_header(file)
    if path is not None and (path / "config.json").is_file() and not is_recipe(path):
        raw = read_json_object(path / "config.json")
        name = as_named(path).name
        return _of_config(folder_tensors(path)[0], name) if runs(raw) else _of_json(raw, name)
    return contents_of(open_model(place))


def _of_config(config: LlamaConfig, name: str, types: Mapping[str, str] | None = None) -> Contents:
    shapes = expected_shapes(config)
    if config.rope_scaling is not None and config.rope_scaling.kind in ("llama3", "factors"):
        shapes[ROPE_FACTORS] = (config.head_size // 2,)
    return Contents(
        name=name,
        architecture=RUNNABLE[config.model_type].name,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        n_kv_heads=config.n_kv_heads,
        shapes=shapes,
        types=types or {},
    )


def _of_json(raw: dict[str, Any], name: str) -> Contents:
    shape = shape_from_json(raw, name)
    if shape.estimated:
        raise ModelError(f"The tensors are not certain: {shape.estimated}.")
    return contents_of_shape(shape)


def contents_of_header(file: GgufFile) -> Contents:
    """Take what a plan needs from a header; what an unknown architecture lacks counts as one."""
    architecture = str(file.metadata.get("general.architecture", ""))
    n_heads = _whole(file.metadata, f"{architecture}.attention.head_count", 1)
    n_layers = 1 + max((layer_of(name) for name in file.tensors), default=-1)
    return Contents(
        name=file.path.name,
        architecture=architecture,
        n_layers=_whole(file.metadata, f"{architecture}.block_count", n_layers),
        n_heads=n_heads,
        n_kv_heads=_whole(file.metadata, f"{architecture}.attention.head_count_kv", n_heads),
        n_experts=_whole(file.metadata, f"{architecture}.expert_count", 0),
        shapes={name: tensor.shape for name, tensor in file.tensors.items()},
        types={name: t.type for name, t in file.tensors.items() if t.type in GGML_TYPES},
    )


def _whole(metadata: Mapping[str, Any], key: str, otherwise: int) -> int:
    """Read a count; where it differs by layer, the first that is not zero."""
    value = metadata.get(key)
    if isinstance(value, np.ndarray):
        value = next((int(one) for one in value if one), None)
    return value if type(value) is int and value > 0 else otherwise


def contents_of_shape(shape: ModelShape, types: Mapping[str, str] | None = None) -> Contents:
    """Take what a plan needs from a model's sizes; `types` of tensors that are not quantized."""
    return Contents(
        name=shape.name,
        architecture=shape.architecture,
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        n_kv_heads=shape.n_kv_heads,
        n_experts=shape.experts.count if shape.experts else 0,
        shapes=shape.tensors,
        types=types or {},
    )
