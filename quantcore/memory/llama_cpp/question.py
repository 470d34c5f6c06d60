"""A shape and a set-up as a key: the same buffers are asked for with every type of the weights."""

from dataclasses import dataclass, field

from quantcore.memory.llama_cpp.setup import LlamaCppSetup
from quantcore.shape.model_shape import ModelShape


@dataclass(frozen=True, slots=True)
class Question:
    """Shapes are alike if all that decides about their graph is."""

    own: LlamaCppSetup
    sizes: tuple
    shape: ModelShape = field(compare=False)

    @classmethod
    def of(cls, shape: ModelShape, own: LlamaCppSetup) -> "Question":
        """Ask about a shape."""
        heads = shape.n_heads, shape.n_kv_heads, shape.head_size
        sizes = shape.architecture, heads, shape.caches, shape.experts, shape.latent
        return cls(own, (*sizes, shape.vocabulary_size, tuple(shape.tensors.items())), shape)
