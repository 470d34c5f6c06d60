"""The sizes in a GGUF file's metadata, checked one by one."""

from typing import Any

import numpy as np

from quantcore.io import ModelError, short
from quantcore.io.gguf import GgufFile

_LARGEST = 2**24


class Keys:
    """What the metadata say of an architecture: ``llama.block_count`` is asked ``block_count``."""

    def __init__(self, file: GgufFile, architecture: str) -> None:
        self.architecture, self._file = architecture, file.path.name
        self._values = {
            key.removeprefix(f"{architecture}."): value for key, value in file.metadata.items()
        }

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def has_pattern(self) -> bool:
        """Whether the file says of each layer if it has a window."""
        return isinstance(self._values.get("attention.sliding_window_pattern"), np.ndarray)

    def number(
        self, key: str, usual: int | None = None, *, least: int = 1, most: int = _LARGEST
    ) -> int:
        """Read a whole number; of one for each layer, the largest."""
        value = self._values.get(key, usual)
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "iub":
            value = int(value.max())
        if value is None:
            raise ModelError(f"{self._file} lacks {self.architecture}.{key}.")
        return self._checked(key, value, least, most)

    def by_layer(self, key: str, n_layers: int, usual: int | list[int] | None = None) -> list[int]:
        """Read a number for each layer: the file has one for all, or as many as layers."""
        value = self._values.get(key, usual)
        if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
            value = value.tolist()
        if not isinstance(value, list):
            value = [self.number(key, value, least=0)] * n_layers
        if len(value) < n_layers:
            raise ModelError(
                f"{self._file} has {len(value)} numbers in {self.architecture}.{key} for "
                f"{n_layers} layers."
            )
        return [self._checked(key, int(one), 0, _LARGEST) for one in value[:n_layers]]

    def _checked(self, key: str, value: Any, least: int, most: int) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ModelError(
                f"{self._file} has {self.architecture}.{key} {short(value)}; expected {least} to "
                f"{most:,}."
            )
        return value
