"""Opening a model: a folder in Hugging Face's layout, a GGUF file, or the shipped model."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantcore.formats import FORMATS, get_format
from quantcore.io import ModelError
from quantcore.io.gguf import MAGIC
from quantcore.io.imatrix import Imatrix, read_imatrix
from quantcore.io.on_disk import FileState, as_named, file_state
from quantcore.layouts.stored_matrix import StoredMatrix
from quantcore.model.config import LlamaConfig
from quantcore.model.folder_source import open_folder
from quantcore.model.gguf_source import StoredInFile, open_gguf
from quantcore.model.names import layer_and_role
from quantcore.model.outliers.changed import Changed, changed, scaled_imatrix
from quantcore.model.outliers.folder import is_recipe, read_recipe
from quantcore.model.outliers.settings import OutlierSettings
from quantcore.model.outliers.spelled import spelled, split_name
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.stamps import imatrix_file, stamp_of
from quantcore.model.tokenizer import Tokenizer

ON_HUB = "hf://"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as stored."""

    name: str  # GGUF's
    shape: tuple[int, ...]  # (n_rows, n_cols), or (n,) for norms and biases
    dtype: str
    """"F32", "F16", "BF16"; in a GGUF file any of ggml's types; in a quantized folder a format's
    name, such as INT4_G128, or one like it."""
    layer: int | None
    role: str  # "attn_q", "ffn_down", "token_embd", ...
    quantizable: bool  # matrices are; norms and biases stay as they are
    n_bytes: int  # in its file, scales included
    layout: str = ""  # whose arrays a quantized folder holds: "GPTQ", "FP8"; "" for all else

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def stored_as(self) -> str:
        """Its type, and whose layout it has: "GPTQ INT4_G128"."""
        known = self.dtype.startswith(self.layout)
        return self.dtype if known else f"{self.layout} {self.dtype}"


class Stored(Protocol):
    """A tensor in a file, in Hugging Face's order of rows."""

    @property
    def path(self) -> Path:
        """The file that holds the tensor."""

    @property
    def dtype(self) -> str:
        """What its numbers are, as the file spells it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_rows, n_cols), or (n,)."""

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes there, scales included."""

    def read(self, rows: slice = slice(None)) -> NDArray[np.float32]:
        """All values, or some rows, read-only; quantized ones are decoded."""


@dataclass(frozen=True)
class Model:
    """An opened model. Weights are read when asked for, one tensor at a time."""

    name: str
    path: Path  # the folder or the GGUF file
    config: LlamaConfig
    tokenizer: Tokenizer = field(repr=False)
    tensors: dict[str, TensorInfo] = field(repr=False)
    _stored: Mapping[str, Stored] = field(repr=False)
    given: Imatrix | None = field(default=None, repr=False)  # for every tensor: see `with_imatrix`
    base: "Model | None" = field(default=None, repr=False)  # what outlier channels were given to
    hub_address: str = ""  # with the commit, if it is from the Hub
    added: str = ""  # outlier channels of one that lies in no folder, as names spell them
    stamp: str = ""  # of its files when they were opened, see `stamp_of`

    @property
    def address(self) -> str:
        """What `open_model` finds the same model by, on a machine that reaches as much as this."""
        if self.base is not None and self.added:
            return self.base.address + self.added
        return self.hub_address or str(self.path)

    @property
    def stem(self) -> str:
        """What files made of it are named after: its name, without a GGUF file's ending."""
        return (self.path.name if self.path.is_dir() else self.path.stem) + self.added

    def weights(self, name: str, rows: slice = slice(None)) -> NDArray[np.float32]:
        """One tensor, read-only, of the shape that ``tensors[name]`` gives; or some of its rows.

        Of queries and keys, whose rows a file may hold in another order, only whole heads.

        Raises
        ------
        ModelError
            If there is no such tensor, or it holds NaN or infinity.
        """
        if name not in self._stored:
            raise ModelError(f"{self.name} has no tensor {name[:80]!r}.")
        values = self._stored[name].read(rows)
        if not (np.isfinite(values.min()) and np.isfinite(values.max())):  # NaN reaches both
            _refuse_not_finite(name, values, rows.start or 0)
        return values

    def as_stored(self, name: str) -> StoredInFile | None:
        """Return a tensor's place in a GGUF file, where its very bytes lie; None in a folder."""
        stored = self._stored[name]
        return stored if isinstance(stored, StoredInFile) else None

    def packed(self, name: str) -> Any:
        """Return a tensor's own bytes or codes, as the format that it is stored in packs them.

        None where the lab has no such format, or it is stored as floats, or as blocks that a
        number beside them multiplies.
        """
        stored = self._stored[name]
        if isinstance(stored, StoredInFile) and stored.factor is not None:
            return None
        return stored.packed() if isinstance(stored, StoredInFile | StoredMatrix) else None

    def holds(self, name: str, type: str) -> bool:
        """Whether a tensor is stored in a type already: llama-quantize then copies its bytes."""
        return name in self.tensors and self.tensors[name].dtype == type

    def with_imatrix(self, imatrix: Imatrix) -> "Model":
        """Return the model with an importance matrix for every tensor, whatever type it gets.

        One that only lies with the model serves the types that cannot do without.
        """
        return replace(self, given=imatrix)

    def parsing_special(self) -> "Model":
        """Return the model with control tokens in a measured text read as such."""
        return replace(self, tokenizer=self.tokenizer.parsing_special())

    def with_outliers(
        self, settings: OutlierSettings, direction: NDArray[np.float64] | None = None
    ) -> "Model":
        """Return a model with outlier channels: other weights, the same logits.

        Its name tells them, and `open_model` opens it by that; one whose states are rotated has no
        such name.

        Parameters
        ----------
        direction
            The main direction of the states, (hidden_size,), where settings rotate them; see
            `quantcore.model.outliers.direction`.

        Raises
        ------
        ValueError
            If the settings do not suit the model.
        """
        config, stored = changed(self._stored, self.config, settings, direction)
        told = f"{self.stamp}{settings}{None if direction is None else direction.tolist()}"
        named = not settings.rotated and settings != OutlierSettings(seed=settings.seed)
        added = spelled(settings) if named else ""
        return Model(
            self.name + (added or "-rotated" * settings.rotated),
            self.path,
            config,
            self.tokenizer,
            {name: _info(name, tensor) for name, tensor in stored.items()},
            stored,
            base=self,
            added=added,
            stamp=hashlib.sha256(told.encode()).hexdigest()[:12],
        )

    @property
    def files(self) -> Path:
        """Folder or GGUF file with the config and the vocabulary: the base's, where it has one."""
        return self.path if self.base is None else self.base.files

    @property
    def imatrix(self) -> Imatrix | None:
        """Importance matrix that was given or lies with the model, None where there is none.

        It lies as imatrix.gguf in a folder, and as NAME.imatrix.gguf beside a file NAME.gguf.

        Raises
        ------
        ModelError
            If the file is broken.
        """
        if self.given is not None:
            return self.given
        if self.base is not None and self.base.path == self.path:  # lies in no folder
            before = self.base.imatrix
            tensors = {n: s for n, s in self._stored.items() if isinstance(s, Changed)}
            return None if before is None else scaled_imatrix(before, tensors)
        file = imatrix_file(self.path)
        state = file_state(file)
        return _imatrix_of(file, state) if state else None

    @property
    def quantizable(self) -> list[str]:
        """Names of the tensors that a format may store: all matrices, in the model's order."""
        return [name for name, tensor in self.tensors.items() if tensor.quantizable]

    @property
    def unreadable(self) -> dict[str, str]:
        """Tensors whose values the lab cannot read, and what its file stores them as."""
        stored = {name: self.as_stored(name) for name in self._stored}
        return {n: s.dtype for n, s in stored.items() if s is not None and s.dtype not in FORMATS}

    @cached_property
    def n_weights(self) -> int:
        """Number of weights, norms and biases included; a tied output counts once."""
        return sum(tensor.n_weights for tensor in self.tensors.values())

    def stored_bytes(self, formats: str | Mapping[str, str]) -> int:
        """Bytes of all weights with matrices in one format, or each in its own, the rest in F32."""
        if isinstance(formats, str):
            formats = dict.fromkeys(self.quantizable, formats)
        return sum(
            get_format(formats[name]).stored_bytes(tensor.shape)
            if tensor.quantizable
            else 4 * tensor.n_weights
            for name, tensor in self.tensors.items()
        )

    @property
    def key(self) -> str:
        """A name for caches, other for every folder and for every change of its files."""
        return f"{self.name}-{self.stamp}"

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all weights: the same wherever they lie, in a folder or a GGUF file."""
        digest = hashlib.sha256()
        for name, tensor in self.tensors.items():
            digest.update(f"{name} {tensor.shape};".encode())
            digest.update(np.ascontiguousarray(self.weights(name)).data)
        return digest.hexdigest()[:16]


@lru_cache(maxsize=4)
def _imatrix_of(file: Path, _state: FileState) -> Imatrix:
    return read_imatrix(file)


def open_model(source: str | Path | None = None) -> Model:
    """Open a folder, a GGUF file, a shipped model by its name, or without `source` the first one.

    "hf://owner/name", or "hf://owner/name@revision", is downloaded from the Hugging Face Hub into
    the cache of its client, or found there. What ends in outlier channels, such as
    "fable-7m+inner=16x0.015625~0.25", is made of the model that stands before them.

    Raises
    ------
    ModelError
        One sentence that says what is wrong with it.

    Examples
    --------
    >>> open_model("no/such/folder")
    Traceback (most recent call last):
    quantcore.io.ModelError: There is no model folder and no GGUF file 'no/such/folder'.
    """
    if (made := _made_of(source)) is not None:
        return made
    if str(source).startswith(ON_HUB):
        path, name, hub_address = _download(str(source))
    else:
        path, hub_address = shipped_folder() if source is None else _find(source), ""
        name = path.name
    stamp = stamp_of(path)  # before anything is read: what changes meanwhile is noticed
    if path.is_dir() and is_recipe(path):
        return replace(_with_recipe(path), name=name, path=path, added="", stamp=stamp)
    config, tokenizer, stored = open_gguf(path) if path.is_file() else open_folder(path)
    if tokenizer.vocabulary_size > config.vocabulary_size:
        raise ModelError(
            f"The tokenizer of {name} has {tokenizer.vocabulary_size:,} tokens but the "
            f"model only {config.vocabulary_size:,}."
        )
    tensors = {name: _info(name, tensor) for name, tensor in stored.items()}
    return Model(
        name, path, config, tokenizer, tensors, stored, hub_address=hub_address, stamp=stamp
    )


def _download(source: str) -> tuple[Path, str, str]:
    """Find the folder of a model on the Hub, its name, and its address with the commit."""
    from quantcore.io.hub import download  # takes a while, and most models are here
    from quantcore.io.hub_model import is_model_id

    model_id, _, revision = source.removeprefix(ON_HUB).partition("@")
    if not is_model_id(model_id):
        raise ModelError(f"{source[:100]!r} is not a model on the Hub; write hf://owner/name.")
    path = download(model_id, revision or None)
    return path, model_id.rpartition("/")[2], f"{ON_HUB}{model_id}@{path.name}"


def _made_of(source: str | Path | None) -> Model | None:
    """Open a model whose name ends in outlier channels; None if it is no such name."""
    if source is None or _exists(source):  # files made of such a model are called like it
        return None
    split = split_name(str(source))
    if split is None:
        return None
    base, settings = split
    opened = open_model(base)
    if opened.base is not None:
        raise ModelError(f"{opened.name} has outlier channels already: name another base.")
    try:
        return opened.with_outliers(settings)
    except ValueError as problem:
        raise ModelError(f"{str(source)[:200]!r}: {problem}") from problem


def _exists(source: str | Path) -> bool:
    try:
        return Path(source).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # a name too long, a null character, no such user
        return False


def _with_recipe(folder: Path) -> Model:
    """Open the base of a model with outlier channels, and give it them."""
    recipe = read_recipe(folder)
    try:
        return open_model(recipe.base).with_outliers(recipe.settings, recipe.direction)
    except ValueError as problem:
        raise ModelError(f"{folder.name}: {problem}") from problem


def _find(source: str | Path) -> Path:
    path = Path(source).expanduser()
    try:
        if path.is_dir() or (path.is_file() and _is_gguf(path)):
            return as_named(path)
        if str(source) in SHIPPED:
            return shipped_folder(str(source))
    except (OSError, ValueError):  # a name too long, a null character: neither of the two
        pass
    raise ModelError(f"There is no model folder and no GGUF file {str(source)[:200]!r}.")


def _is_gguf(path: Path) -> bool:
    """Whether a file is one by its name or, as those that Ollama keeps, by how it begins."""
    if path.suffix.lower() == ".gguf":
        return True
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _info(name: str, stored: Stored) -> TensorInfo:
    layer, role = layer_and_role(name)
    layout = stored.layout if isinstance(stored, StoredMatrix) else ""
    matrix = len(stored.shape) == 2
    return TensorInfo(name, stored.shape, stored.dtype, layer, role, matrix, stored.n_bytes, layout)


def _refuse_not_finite(name: str, values: NDArray[np.float32], first_row: int) -> None:
    place = np.argwhere(~np.isfinite(values))[0]
    where = ", ".join(str(i) for i in (place[0] + first_row, *place[1:]))
    raise ModelError(f"{name} has {values[tuple(place)]} at [{where}].")
