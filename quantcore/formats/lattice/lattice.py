"""Formats whose codes are points of eight dimensions: one scale for the tensor, no other.

    restored = scale * (point of the first code + point of the second code / refine)

The scale is the root of the mean square of all weights, divided by `spread`: the size at which a
normal distribution suits the codebook best. So these formats are for weights that have been turned
until they look like one (`quantcore.methods.quip`). Codes lie one after the other, the lowest byte
of the first code first, then the second's.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantcore.checks import (
    as_float32,
    check_not_empty,
    check_place,
    checked_importance,
    checked_out,
    ragged,
    refuse_non_finite,
)
from quantcore.format import (
    Family,
    Field,
    OpenedBlock,
    Packed,
    Part,
    ScaleFactors,
    Weights,
    opened,
)
from quantcore.formats.lattice.codebook import Codebook
from quantcore.formats.lattice.codebooks import N_DIMENSIONS
from quantcore.formats.shared.unweighted import Unweighted
from quantcore.pool import WEIGHTS_PER_THREAD, over_rows

SOURCE = "Tseng et al., QuIP#: Even Better LLM Quantization with Lattice Codebooks, 2024"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatticePacked:
    """A tensor in a `LatticeFormat`."""

    codes: Packed  # (n_rows, n_cols / 8 * bytes of a block)
    scale: np.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticeFormat(Unweighted):
    """Eight weights at once to the nearest point of a codebook, and of a second what is left."""

    name: str
    code_bits: Literal[2, 3, 4]
    codebook: Codebook
    second: Codebook | None = None
    spread: float  # root of the mean square of what is rounded, in the codebook's units
    refine: float = 1.0  # what is left is multiplied by it for the second codebook

    family: Family = "uneven"
    source: str = SOURCE

    @property
    def whole_tensor(self) -> bool:
        """Yes: all weights share the scale."""
        return True

    def block_length(self, n_cols: int) -> int:
        """Eight weights have a code together."""
        return N_DIMENSIONS

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored."""
        check_not_empty(self.name, shape)
        if len(shape) != 2:
            raise ValueError(f"{self.name} needs weights (n_rows, n_cols), got shape {shape}")
        if shape[1] % N_DIMENSIONS:
            raise ValueError(ragged(self.name, N_DIMENSIONS, shape[1]))

    def stored_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that weights of this shape take, the scale included."""
        self.check(shape)
        return math.prod(shape) * self.code_bits // 8 + 4

    def scale_of(self, weights: Weights, spread: float | None = None) -> np.float32:
        """Scale of a tensor; with a `spread` of one's own in place of the format's."""
        mean_square = np.square(weights, dtype=np.float64).mean()
        return np.float32(np.sqrt(mean_square) / (spread or self.spread))

    def nearest(self, vectors: Weights, codes: Packed) -> Weights:
        """Round vectors (n, 8), in units of the scale: the points; fills codes (n, code_bits)."""
        places = np.empty(len(vectors), np.uint16)
        self.codebook.nearest(vectors, places)
        n_bytes = self.codebook.code_bytes
        codes[:, :n_bytes] = self.codebook.packed(places)
        points = self.codebook.points()[places]
        if self.second is not None:
            self.second.nearest((vectors - points) * np.float32(self.refine), places)
            codes[:, n_bytes:] = self.second.packed(places)
            points = points + self.second.points()[places] / np.float32(self.refine)
        return points

    def quantize(self, weights: Weights, importance: Weights | None = None) -> LatticePacked:
        """Encode finite floats ``(n_rows, n_cols)``; anything else raises a `ValueError`.

        An importance ``(n_cols,)`` is checked, and changes nothing.
        """
        weights = as_float32(self.name, weights)
        self.check(weights.shape)
        if importance is not None:
            checked_importance(importance, weights.shape)
        scale = self.scale_of(weights)
        if not np.isfinite(scale):
            refuse_non_finite(self.name, weights)
            raise ValueError(f"{self.name} cannot store weights as large as these: {scale}")
        vectors = weights.reshape(-1, N_DIMENSIONS) / (scale if scale > 0 else np.float32(1))
        codes = np.empty((len(vectors), self.code_bits), np.uint8)

        def work(start: int, stop: int) -> None:
            self.nearest(vectors[start:stop], codes[start:stop])

        over_rows(work, len(vectors), WEIGHTS_PER_THREAD // 32)
        return LatticePacked(codes=codes.reshape(len(weights), -1), scale=scale)

    def dequantize(self, packed: LatticePacked, out: Weights | None = None) -> Weights:
        """Decode to float32 ``(n_rows, n_cols)``, into `out` if given."""
        shape = self._shape(packed)
        out = np.empty(shape, np.float32) if out is None else checked_out(self.name, out, shape)
        points = self._points(packed.codes.reshape(-1, self.code_bits))
        np.multiply(points.reshape(shape), packed.scale, out=out)
        return out

    def scale_factors(self, packed: LatticePacked) -> ScaleFactors:
        """Return the one scale of a packed tensor."""
        shape = self._shape(packed)
        n_weights = math.prod(shape)
        values = np.unique(self._values())
        return ScaleFactors(
            scales=np.full((1, 1), packed.scale, np.float32),
            weights_per_scale=n_weights,
            overhead_bits=8 * self.stored_bytes(shape) / n_weights - self.code_bits,
            widest_step=float(np.diff(values).max()),
        )

    def open_block(self, packed: LatticePacked, row: int, block: int) -> OpenedBlock:
        """Take apart eight weights: what their codes are, and the values each can take."""
        shape = self._shape(packed)
        check_place((shape[0], shape[1] // N_DIMENSIONS), row, block)
        n_bytes = self.code_bits
        here = packed.codes[row, block * n_bytes : (block + 1) * n_bytes]
        scale = packed.scale
        grid = np.unique(self._values() * scale)
        restored = self._points(here[None])[0] * scale
        fields = [
            Field(
                name="codes",
                kind="codes",
                where=slice(0, self.codebook.code_bytes),
                says=f"a point of {self.codebook.name}, all eight weights at once",
            )
        ]
        if self.second is not None:
            fields.append(
                Field(
                    name="second codes",
                    kind="codes",
                    where=slice(self.codebook.code_bytes, n_bytes),
                    says=f"a point of {self.second.name}, divided by {self.refine:g} and added",
                )
            )
        return opened(
            here,
            fields=tuple(fields),
            parts=(
                Part(weights=slice(0, N_DIMENSIONS), scale=float(scale), minimum=0.0, grid=grid),
            ),
            codes=np.searchsorted(grid, restored).astype(np.int32),
            first_code=0,
            code_bytes=(tuple(range(n_bytes)),) * N_DIMENSIONS,
        )

    def _shape(self, packed: LatticePacked) -> tuple[int, int]:
        n_rows, row_bytes = packed.codes.shape
        return n_rows, row_bytes // self.code_bits * N_DIMENSIONS

    def _points(self, codes: Packed) -> Weights:
        """Points of codes (n, code_bits), in units of the scale, as `nearest` returns them."""
        n_bytes = self.codebook.code_bytes
        points = self.codebook.restored(codes[:, :n_bytes])
        if self.second is not None:
            refined = self.second.restored(codes[:, n_bytes:])
            points = points + refined / np.float32(self.refine)
        return points

    def _values(self) -> Weights:
        """Every value that one of the eight can take, in units of the scale."""
        values = np.unique(self.codebook.points())
        if self.second is not None:
            refined = np.unique(self.second.points()) / np.float32(self.refine)
            values = np.add.outer(values, refined).ravel()
        return values
