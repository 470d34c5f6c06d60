"""What the name of a GGUF file promises, and what the file holds: tensor by tensor, bit by bit."""

import math
import re
from dataclasses import dataclass

from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES, code_bits_of
from quantcore.io.gguf import GgufFile
from quantcore.recipe.contents import contents_of_header, layer_of
from quantcore.recipe.file_types import ALIASES, FILE_TYPES, FileType
from quantcore.recipe.plan import TensorPlan, plan
from quantcore.recipe.rules import may_quantize

_GUESSED = 1024  # llama.cpp adds this to a file type that it had to guess
_BY_NUMBER = {file_type.number: file_type for file_type in FILE_TYPES.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTensor:
    """One tensor of a file beside what its file type would have given it."""

    name: str
    shape: tuple[int, ...]
    type: str  # ggml's, in the file
    bytes: int
    planned: TensorPlan | None  # None where the file names no type

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def bits_per_weight(self) -> float:
        """All its bits by the number of its weights; 0 where it has none."""
        return 8 * self.bytes / max(self.n_weights, 1)

    @property
    def layer(self) -> int:
        """Its layer, -1 outside the layers."""
        return layer_of(self.name)

    @property
    def role(self) -> str:
        """Name without layer and ending: "ffn_down", "token_embd"."""
        return re.sub(r"^blk\.\d+\.|\.weight$", "", self.name)

    @property
    def differs(self) -> bool:
        """Whether llama-quantize would have given it another type."""
        return self.planned is not None and self.planned.type != self.type

    @property
    def fell_back(self) -> bool:
        """Whether its rows do not divide into the blocks of the type that a rule wanted."""
        return self.planned is not None and self.planned.fallback is not None and not self.differs


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A file's types beside those of llama-quantize for the type that its metadata name."""

    file_type: FileType | None  # of general.file_type, or else of the file's name
    in_name: str | None  # the type that the file's name speaks of, as it is written there
    has_imatrix: bool
    tensors: tuple[HeldTensor, ...]

    @property
    def n_weights(self) -> int:
        """Number of weights, norms and biases included."""
        return sum(tensor.n_weights for tensor in self.tensors)

    @property
    def bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Bits a weight over all tensors, norms too, as llama-quantize counts them."""
        return 8 * self.bytes / max(self.n_weights, 1)


def promise_of(file: GgufFile) -> Promise:
    """Hold a file against its own type; any architecture whose header can be read will do."""
    contents = contents_of_header(file)
    number = file.metadata.get("general.file_type")
    in_name = type_in_name(file.path.name)
    file_type = None if in_name is None else FILE_TYPES.get(ALIASES.get(in_name, in_name))
    if type(number) is int:
        file_type = _BY_NUMBER.get(number & ~_GUESSED, file_type)
    has_imatrix = any(key.startswith("quantize.imatrix") for key in file.metadata)
    planned = {}
    if file_type is not None:
        planned = {t.name: t for t in plan(contents, file_type.name, imatrix=has_imatrix).tensors}
    return Promise(
        file_type=file_type,
        in_name=in_name,
        has_imatrix=has_imatrix,
        tensors=tuple(
            HeldTensor(
                name=name,
                shape=tensor.shape,
                type=tensor.type,
                bytes=tensor.n_bytes,
                planned=planned.get(name),
            )
            for name, tensor in file.tensors.items()
        ),
    )


def type_in_name(name: str) -> str | None:
    """Find the file type that a file's name speaks of; also those that llama-quantize has not.

    >>> type_in_name("Llama-3.1-8B-Instruct-Q4_K_M.gguf"), type_in_name("tiny.gguf")
    ('Q4_K_M', None)
    >>> type_in_name("SmolLM2-135M-UD-Q4_K_XL-00001-of-00002.gguf")
    'Q4_K_XL'
    """
    pattern = r"(?<![A-Z0-9])(?:I?Q\d_[A-Z0-9_]+|TQ\d_0|BF16|F16|F32|MXFP4(?:_MOE)?)(?![A-Z0-9])"
    types = re.findall(pattern, name.upper().removesuffix(".GGUF"))
    return types[-1] if types else None


def same_type(in_name: str, file_type: FileType) -> bool:
    """Whether a name and a file type speak of the same recipe.

    >>> same_type("Q4_K", FILE_TYPES["Q4_K_M"]), same_type("Q4_K_L", FILE_TYPES["Q4_K_M"])
    (True, False)
    """
    return ALIASES.get(in_name, in_name) == file_type.name


def code_bits(type: str) -> int:
    """Bits of one code, without scales: 4 for Q4_K; 0 for a type that nobody knows.

    >>> code_bits("Q4_K"), code_bits("I8"), code_bits("IQ5_KS")
    (4, 8, 5)
    """
    return FORMATS[type].code_bits if type in FORMATS else code_bits_of(type)


def bits_by_cause(promise: Promise) -> dict[str, float]:
    """Take the bits a weight of a file apart that names its type; causes add up to the whole.

    Codes and scales of the type of most; what `rules` raise or lower; `fallbacks`, where rows do
    not divide; `kept`: vectors that stay in F32; `differs`: what is unlike llama-quantize's choice.
    """
    assert promise.file_type is not None
    most = GGML_TYPES[promise.file_type.format].bits_per_weight
    codes = code_bits(promise.file_type.format)
    causes = {"codes": float(codes), "scales": most - codes}
    causes |= dict.fromkeys(("rules", "fallbacks", "kept", "differs"), 0.0)
    for tensor in promise.tensors:
        assert tensor.planned is not None
        planned = GGML_TYPES[tensor.planned.type].bits_per_weight
        wanted = GGML_TYPES[tensor.planned.fallback or tensor.planned.type].bits_per_weight
        share = tensor.n_weights / max(promise.n_weights, 1)
        cause = "rules" if may_quantize(tensor.name, tensor.shape) else "kept"
        causes[cause] += share * (wanted - most)
        causes["fallbacks"] += share * (planned - wanted)
        causes["differs"] += share * (tensor.bits_per_weight - planned)
    return causes
