"""What fills a GGUF file: its tensors added up by type or by role, its header by part."""

from collections.abc import Callable
from dataclasses import dataclass

from quantcore.io.gguf import GgufFile
from quantcore.recipe.promise import HeldTensor, Promise

VECTORS = "norms"  # what vectors are together, whatever they do


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSum:
    """Tensors of a file that have something in common, added up."""

    name: str  # what they have in common
    n_tensors: int
    n_weights: int
    bytes: int
    types: tuple[str, ...]  # ggml's, in the order of the file

    @property
    def bits_per_weight(self) -> float:
        """All their bytes by the number of their weights."""
        return 8 * self.bytes / max(self.n_weights, 1)


def sums_by_type(promise: Promise) -> list[TensorSum]:
    """Add the tensors of a file up by ggml's type, the most bytes first."""
    return _sums(promise, lambda tensor: tensor.type)


def sums_by_role(promise: Promise) -> list[TensorSum]:
    """Add the tensors of a file up by what they are for, vectors in one sum, most bytes first."""
    return _sums(promise, counted_as)


def counted_as(tensor: HeldTensor) -> str:
    """Name what a tensor is counted as: its role, such as "ffn_down"; vectors are `VECTORS`."""
    return tensor.role if len(tensor.shape) > 1 else VECTORS


def _sums(promise: Promise, name_of: Callable[[HeldTensor], str]) -> list[TensorSum]:
    groups: dict[str, list[HeldTensor]] = {}
    for tensor in promise.tensors:
        groups.setdefault(name_of(tensor), []).append(tensor)
    sums = [
        TensorSum(
            name=name,
            n_tensors=len(tensors),
            n_weights=sum(tensor.n_weights for tensor in tensors),
            bytes=sum(tensor.bytes for tensor in tensors),
            types=tuple(dict.fromkeys(tensor.type for tensor in tensors)),
        )
        for name, tensors in groups.items()
    ]
    return sorted(sums, key=lambda each: -each.bytes)


def header_parts(file: GgufFile) -> dict[str, int]:
    """Bytes of the header by what they are for; the parts, none of them 0, add up to it."""
    parts = dict.fromkeys(
        ("settings", "vocabulary", "merges", "chat template", "list of tensors"), 0
    )
    for key, n_bytes in file.entry_bytes.items():
        kind = "vocabulary" if key.startswith("tokenizer.") else "settings"
        kind = "merges" if key == "tokenizer.ggml.merges" else kind
        parts["chat template" if key.startswith("tokenizer.chat_template") else kind] += n_bytes
    parts["list of tensors"] = file.header_bytes - sum(parts.values())
    return {part: n_bytes for part, n_bytes in parts.items() if n_bytes}


def header_bits_per_weight(file: GgufFile, promise: Promise) -> float:
    """Bits a weight that header and padding add to those of the tensors."""
    return 8 * (file.file_bytes - file.tensor_bytes) / max(promise.n_weights, 1)
