"""The model that everything is compared with: what it is stored in, and how large that is."""

from collections import Counter
from dataclasses import dataclass

from quantcore.model.source import Model


@dataclass(frozen=True, kw_only=True)
class Original:
    """A model as it came, before the lab quantized anything."""

    stored_as: str
    """Type of all its matrices, or "mixed types"; of a quantized folder, two types as well."""
    n_bytes: int  # of all weights
    bits_per_weight: float  # of all weights, norms and biases included


def original_of(model: Model) -> Original:
    """Describe the model's own file: what its matrices are stored in, and how large that is.

    >>> from quantcore import open_model
    >>> original_of(open_model()).stored_as
    'BF16'
    """
    matrices = [model.tensors[name] for name in model.quantizable]
    types = Counter(matrix.stored_as for matrix in matrices)
    most = 2 if any(matrix.layout for matrix in matrices) else 1
    named = " and ".join(name for name, _ in types.most_common(most))
    stored_as = "mixed types" if len(types) > most else named
    n_bytes = sum(
        tensor.n_bytes if tensor.quantizable else 4 * tensor.n_weights
        for tensor in model.tensors.values()
    )
    return Original(
        stored_as=stored_as, n_bytes=n_bytes, bits_per_weight=8 * n_bytes / model.n_weights
    )
