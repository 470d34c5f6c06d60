"""A model that was looked up: its sizes, what its files take as they are, what is odd about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantcore.memory.weights import StoredWeights
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """What the lab knows of a model without its weights."""

    shape: ModelShape
    stored: StoredWeights | None = field(default=None, repr=False)  # as in its files, if they say
    stored_bytes: int | None = None  # of all tensors in its files; None where there are none
    shipped: str = ""  # name of the shipped model that it is; "" for any other, also of its name
    notes: tuple[str, ...] = ()  # what files and sizes disagree about, a sentence each

    @property
    def stored_types(self) -> Mapping[str, str]:
        """Type of each tensor in its files, by GGUF's name; empty where they don't say."""
        return {tensor.name: tensor.format for tensor in self.stored.tensors} if self.stored else {}
