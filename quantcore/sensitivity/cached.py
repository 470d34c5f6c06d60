"""Tensors quantized and restored, kept for the mixes that share them."""

import threading
from collections import OrderedDict

from quantcore.model.llama import Floats
from quantcore.model.source import Model
from quantcore.sensitivity.pieces import restored_as

MOST_BYTES = 1 << 29  # of all that is kept


class RestoredTensors:
    """Each tensor in each format is quantized when it is first asked for; several threads may ask.

    What was used longest ago makes room for what is new.
    """

    def __init__(self, model: Model, most_bytes: int = MOST_BYTES) -> None:
        self._model, self._left = model, most_bytes
        self._kept: OrderedDict[tuple[str, str], Floats] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str, format_name: str) -> Floats:
        """Give a tensor (n_rows, n_cols) as it comes out of a format."""
        key = name, format_name
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        restored = restored_as(self._model, name, format_name)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = restored
                self._left -= restored.nbytes
            while self._left < 0:
                _, oldest = self._kept.popitem(last=False)
                self._left += oldest.nbytes
        return restored
