"""A GGUF file as a model: its config, its tokenizer, and its tensors in Hugging Face's order.

A ``.scale`` beside a ``.weight`` is NVFP4's float32 for the whole tensor, by which llama.cpp
multiplies products; here it multiplies the weights. An ``.input_scale`` is of four-bit activations,
which the lab's forward pass has not.

llama.cpp rotates neighbouring rows of a query or key head where Hugging Face rotates its halves;
files of architecture "llama" hold the rows so, and here they are put back. Rows are packed one by
one, so nothing has to be decoded for that.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantcore.architectures import RUNNABLE
from quantcore.io import ModelError
from quantcore.io.gguf import GgufFile, GgufTensor
from quantcore.io.gguf_parts import read_parts
from quantcore.model.config import LlamaConfig
from quantcore.model.gguf_config import config_of
from quantcore.model.gguf_vocabulary import tokenizer_json
from quantcore.model.names import expected_shapes
from quantcore.model.tokenizer import Tokenizer

ROPE_FACTORS = "rope_freqs.weight"
COMPANIONS = ("scale", "input_scale")  # of an NVFP4 matrix


@dataclass(frozen=True, slots=True)
class StoredInFile:
    """A tensor of a GGUF file; `heads` says how many heads' rows are to be put back in order."""

    tensor: GgufTensor
    heads: int = 0
    factor: np.float32 | None = None  # of the whole tensor, from the one beside it

    @property
    def path(self) -> Path:
        """The file that holds the tensor."""
        return self.tensor.path

    @property
    def dtype(self) -> str:
        """Return ggml's type."""
        return self.tensor.type

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_rows, n_cols), or (n,)."""
        return self.tensor.shape

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes in the file."""
        return self.tensor.n_bytes

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """All values, or rows of whole heads, read-only; quantized ones are decoded."""
        values = self.tensor.read(rows)
        values = in_halves(values, self.heads * len(values) // self.shape[0])
        if self.factor is not None:
            values = values * self.factor
        values.flags.writeable = False
        return values

    def packed(self) -> NDArray[np.uint8]:
        """Return the bytes as stored, (n_rows, row_bytes), rows in Hugging Face's order.

        What they stand for is multiplied by `factor` where there is one.
        """
        return in_halves(self.tensor.packed(), self.heads)

    def row_start(self, row: int) -> int:
        """Return where a row of `packed` begins in the file, in bytes from its start."""
        at = int(in_halves(np.arange(self.shape[0]), self.heads)[row])
        return self.tensor.start_byte + at * (self.tensor.n_bytes // self.shape[0])


def in_halves(rows: NDArray, heads: int) -> NDArray:
    """Put the rows of each head from neighbours into halves; without heads, leave them.

    >>> in_halves(np.arange(8), 2)
    array([0, 2, 1, 3, 4, 6, 5, 7])
    """
    if not heads:
        return rows
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows.shape))


def in_neighbours(rows: NDArray, heads: int) -> NDArray:
    """Undo `in_halves`.

    >>> in_neighbours(in_halves(np.arange(8), 2), 2)
    array([0, 1, 2, 3, 4, 5, 6, 7])
    """
    if not heads:
        return rows
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def turned_heads(name: str, config: LlamaConfig) -> int:
    """Heads whose rows a GGUF file holds as neighbours, 0 where rows stay as they are.

    Qwen's files keep the halves: llama.cpp rotates these architectures as Hugging Face does.
    """
    if not RUNNABLE[config.model_type].rotates_neighbours:
        return 0
    role = name.rpartition(".")[0].rpartition(".")[2]
    return {"attn_q": config.n_heads, "attn_k": config.n_kv_heads}.get(role, 0)


def open_gguf(path: Path) -> tuple[LlamaConfig, Tokenizer, dict[str, StoredInFile]]:
    """Read header, config and tokenizer of a file; the weights stay in it.

    Raises
    ------
    ModelError
        One sentence that says what is wrong with the file.
    """
    file = read_parts(path)
    shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    factors = file.tensors[ROPE_FACTORS].read() if ROPE_FACTORS in file.tensors else None
    config = config_of(file.metadata, shapes, factors)
    return config, Tokenizer(*tokenizer_json(file.metadata)), _tensors(file, config)


def _tensors(file: GgufFile, config: LlamaConfig) -> dict[str, StoredInFile]:
    """Put the tensors in the model's order; refuse what is missing, misshapen or unknown."""
    tensors: dict[str, StoredInFile] = {}
    for name, shape in expected_shapes(config).items():
        tensor = file.tensors.get(name)
        if tensor is None:
            raise ModelError(f"{file.path.name} lacks the tensor {name!r}.")
        if tensor.shape != shape:
            raise ModelError(
                f"{file.path.name} gives {name!r} the shape {list(tensor.shape)}, "
                f"but its metadata ask for {list(shape)}."
            )
        tensors[name] = StoredInFile(tensor, turned_heads(name, config), _factor(file, name))
    for name in file.tensors:
        module, _, part = name.rpartition(".")
        beside = part in COMPANIONS and f"{module}.weight" in tensors
        if name not in tensors and name != ROPE_FACTORS and not beside:
            raise ModelError(f"{file.path.name} holds {name[:80]!r}, which the lab has no use for.")
    return tensors


def companion_name(name: str) -> str:
    """Name the tensor that holds what a matrix is multiplied by.

    >>> companion_name("blk.0.ffn_up.weight")
    'blk.0.ffn_up.scale'
    """
    return f"{name.removesuffix('.weight')}.scale"


def _factor(file: GgufFile, name: str) -> np.float32 | None:
    """Read what a matrix is multiplied by as a whole; None where nothing says so."""
    beside = file.tensors.get(companion_name(name))
    if beside is None or not name.endswith(".weight"):
        return None
    if beside.shape != (1,):
        raise ModelError(
            f"{file.path.name} gives {companion_name(name)!r} the shape {list(beside.shape)}; it "
            "is one number for the whole tensor."
        )
    return np.float32(beside.read()[0])
