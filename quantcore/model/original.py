"""The model that everything is compared with: what it is stored in, and how large that is."""

from dataclasses import dataclass

from quantcore.model.source import Model


@dataclass(frozen=True, kw_only=True)
class Original:
    """A model as it came, before the lab quantized anything."""

    stored_as: str  # type of all its matrices, or "mixed types"
    n_bytes: int  # of all weights
    bits_per_weight: float  # of all weights, norms and biases included


def original_of(model: Model) -> Original:
    """Describe the model's own file: what its matrices are stored in, and how large that is.

    >>> from quantcore import open_model
    >>> original_of(open_model()).stored_as
    'BF16'
    """
    types = {name: model.tensors[name].dtype for name in model.quantizable}
    stored_as = "mixed types" if len(set(types.values())) > 1 else next(iter(types.values()))
    n_bytes = model.stored_bytes(types)
    return Original(
        stored_as=stored_as, n_bytes=n_bytes, bits_per_weight=8 * n_bytes / model.n_weights
    )
