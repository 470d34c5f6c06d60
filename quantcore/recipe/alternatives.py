"""The other types that one tensor could have: by what can be stored, by size."""

from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.model.source import Model

BY_SIZE = tuple(sorted(FORMATS, key=lambda name: -GGML_TYPES[name].bits_per_weight))


def storable_types(model: Model, tensor: str, imatrix: bool = False) -> list[str]:
    """List the types that the lab can give a tensor, largest first.

    Rows that do not divide into a type's blocks count: llama-quantize takes its fallback then.

    Parameters
    ----------
    imatrix
        Whether the model's importance matrix serves; without an entry of this tensor there, types
        that cannot do without are left out.

    Examples
    --------
    >>> from quantcore.model.source import open_model
    >>> "IQ2_XXS" in storable_types(open_model(), "blk.0.attn_q.weight")
    False
    """
    served = imatrix and model.imatrix is not None and tensor in model.imatrix.sums
    return [name for name in BY_SIZE if served or not FORMATS[name].needs_importance]


def fitting_types(model: Model, tensor: str, imatrix: bool = False) -> list[str]:
    """List the types of `storable_types` into whose blocks the rows of the tensor divide."""
    n_cols = model.tensors[tensor].shape[-1]
    able = storable_types(model, tensor, imatrix)
    return [name for name in able if n_cols % FORMATS[name].block_size == 0]


def nearby_types(
    model: Model, tensor: str, type: str, imatrix: bool = False, steps: int = 3
) -> list[str]:
    """List fitting types a few steps larger and smaller than a type, that one included if it fits.

    >>> from quantcore.model.source import open_model
    >>> nearby_types(open_model(), "blk.0.attn_q.weight", "Q6_K", steps=1)
    ['Q8_0', 'Q6_K', 'Q5_1']
    """
    fitting, bits = fitting_types(model, tensor, imatrix), GGML_TYPES[type].bits_per_weight
    larger = sum(GGML_TYPES[name].bits_per_weight > bits for name in fitting)
    at = fitting.index(type) if type in fitting else larger
    return fitting[max(0, at - steps) : at + steps + 1]
