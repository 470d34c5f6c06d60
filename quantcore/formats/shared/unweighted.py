"""What formats have in common in which an importance matrix changes nothing."""

from typing import Any, Protocol

from quantcore.format import Weights


class _Stores(Protocol):
    def quantize(self, weights: Weights, importance: Weights | None = None) -> Any: ...

    def dequantize(self, packed: Any, out: Weights | None = None) -> Weights: ...


class Unweighted:
    """A format that rounds to nearest, whatever a column counts."""

    __slots__ = ()

    @property
    def needs_importance(self) -> bool:
        """No: codes are rounded to nearest, whatever a column counts."""
        return False

    @property
    def uses_importance(self) -> bool:
        """No: codes are rounded to nearest, whatever a column counts."""
        return False

    def round_trip(
        self: _Stores,
        weights: Weights,
        out: Weights | None = None,
        importance: Weights | None = None,
    ) -> Weights:
        """Quantize, then dequantize: the weights as a model would use them."""
        return self.dequantize(self.quantize(weights, importance), out)
