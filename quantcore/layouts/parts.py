"""The arrays of a file that stand for one quantized matrix, and what must be true of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantcore.format import Weights
from quantcore.io import ModelError, short
from quantcore.io.config_json import ConfigJson
from quantcore.io.safetensors import DTYPES, SafetensorsTensor

FP8_TYPES = ("F8_E4M3", "F8_E5M2")


@dataclass(frozen=True, slots=True)
class Parts:
    """Arrays of one linear layer, by the last part of their names."""

    module: str  # as the file calls it: "model.layers.0.mlp.up_proj"
    tensors: Mapping[str, SafetensorsTensor]
    how: ConfigJson  # quantization_config, without any keys where there is none

    def __contains__(self, part: str) -> bool:
        return part in self.tensors

    def find(self, part: str, *dtypes: str) -> SafetensorsTensor:
        """Return an array of one of these types; a `ModelError` where there is none."""
        tensor = self.tensors.get(part)
        if tensor is None:
            has = ", ".join(sorted(self.tensors))
            raise self.error(f"lacks {part}, without which its {has} cannot be read.")
        if tensor.dtype not in dtypes:
            raise self.error(
                f"stores {part} as {tensor.dtype}; the lab reads {' or '.join(dtypes)} there."
            )
        return tensor

    def shaped(self, part: str, shape: tuple[int, ...], *dtypes: str) -> SafetensorsTensor:
        """Find an array that must have this shape."""
        tensor = self.find(part, *dtypes)
        if tensor.shape != shape:
            raise self.error(
                f"has {part} of shape {list(tensor.shape)}, where its weights need {list(shape)}."
            )
        return tensor

    def floats(self, part: str) -> SafetensorsTensor:
        """Find an array of floats of 16 or 32 bits."""
        return self.find(part, *DTYPES)

    def one(self, part: str) -> np.float32:
        """Read a float that the whole matrix shares."""
        tensor = self.floats(part)
        if tensor.shape not in ((), (1,), (1, 1)):
            raise self.error(f"has {part} of shape {list(tensor.shape)}; expected one number.")
        return np.float32(as_floats(tensor).reshape(-1)[0])

    def matrix(self, part: str, *dtypes: str) -> SafetensorsTensor:
        """Find an array of two axes, neither empty."""
        tensor = self.find(part, *dtypes)
        if len(tensor.shape) != 2 or 0 in tensor.shape:
            raise self.error(f"has {part} of shape {list(tensor.shape)}; expected two axes.")
        return tensor

    @property
    def n_bytes(self) -> int:
        """Bytes of all of them."""
        return sum(tensor.n_bytes for tensor in self.tensors.values())

    @property
    def path(self) -> Path:
        """The file that holds the codes."""
        return next(iter(self.tensors.values())).path

    def error(self, says: str) -> ModelError:
        """Make the error of a sentence that goes on after the module's name."""
        return ModelError(f"The weights of {short(self.module)} cannot be read: it {says}")


def as_floats(tensor: SafetensorsTensor) -> Weights:
    """Read scales: floats of 16 or 32 bits, or powers of two in a byte (E8M0)."""
    if tensor.dtype in ("U8", "F8_E8M0"):
        return np.ldexp(np.float32(1), tensor.codes().astype(np.int32) - 127)
    return tensor.read()
