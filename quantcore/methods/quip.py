"""QuIP#: weights turned until no one stands out, then points of a lattice, with feedback of errors.

It minimizes tr(dW H dW.T), the squared error of the output, in four steps:

    turn        W~ = H_m S_V W S_U H_n.T and H~ likewise (`quantcore.methods.rotations.incoherence`)
    damp        H~ / mean of its diagonal + 0.01 I
    round       blocks of eight columns to E8P, the last first, errors passed on (`ldlq`)
    retune      each block again with all others as they are, until the loss falls no more

Nothing is folded into other matrices: signs of both sides are stored, in float16 as in the files of
QuIP#, where training may change them later. Its training of signs and norms is left out.

Source: Tseng et al., QuIP#: Even Better LLM Quantization with Hadamard Incoherence and Lattice
Codebooks, 2024.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from quantcore.format import Format, Weights
from quantcore.formats import LATTICE
from quantcore.formats.lattice.codebooks import N_DIMENSIONS
from quantcore.formats.lattice.lattice import LatticeFormat, LatticePacked
from quantcore.methods.columns.ldlq import Moment, ldlq, proxy_loss, retune
from quantcore.methods.method import Chosen, LayerInputs, Statistic
from quantcore.methods.rotation import note_on_runs
from quantcore.methods.rotations.incoherence import Incoherence
from quantcore.pool import over_rows

VECTORS_PER_THREAD = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Quip:
    """QuIP# onto E8P2, E8P3 or E8P4; for other formats onto the one of as many bits a code."""

    seed: int = 0  # of the signs
    damping: float = 0.01  # of the mean of H's diagonal
    most_retunings: int = 10
    narrower: float = 0.95  # of the spread of the format: errors that are passed on need room

    name: ClassVar[str] = "quip"
    title: ClassVar[str] = "QuIP#"
    source: ClassVar[str] = "Tseng et al., QuIP#, 2024, arXiv 2402.04396"
    needs: ClassVar[frozenset[Statistic]] = frozenset({"second_moment"})

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if there is no E8P of so many bits, or rows do not divide by 8."""
        lattice_format(fmt).check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose codes for weights (n_rows, n_cols); `Chosen.format` is the lattice format."""
        lattice = lattice_format(fmt)
        lattice.check(weights.shape)
        rotation = Incoherence.drawn(weights.shape, self.seed)
        packed = self._pack(
            rotation.rotate(weights), self._moment(inputs, rotation, weights.shape[1]), lattice
        )
        return Chosen(
            format=lattice,
            packed=packed,
            restored=rotation.rotate_back(lattice.dequantize(packed)),
            stored_bytes=lattice.stored_bytes(weights.shape) + 2 * rotation.n_signs,
            rotation=rotation,
            note=" ".join(filter(None, (_note(fmt, lattice), note_on_runs(weights.shape)))),
        )

    def _moment(self, inputs: LayerInputs, rotation: Incoherence, n_cols: int) -> Moment:
        """Turn and damp the second moment; inputs that are all 0 make all columns equal."""
        given = inputs.second_moment
        if given is None or given.shape != (n_cols, n_cols):
            shape = None if given is None else given.shape
            raise ValueError(
                f"QuIP# needs the second moment of the inputs ({n_cols}, {n_cols}), got {shape}."
            )
        if not np.isfinite(given).all():
            raise ValueError(
                "The second moment of the inputs holds a NaN or an infinity: calibrate with a text "
                "that the model can read."
            )
        moment = rotation.rotate_moment(np.asarray(given, np.float64))
        mean = moment.trace() / n_cols
        damping = self.damping * np.eye(n_cols)
        return moment / mean + damping if mean > 0 else np.eye(n_cols)

    def _pack(self, weights: Weights, moment: Moment, lattice: LatticeFormat) -> LatticePacked:
        scale = lattice.scale_of(weights, self.narrower * lattice.spread)
        if scale == 0:
            return lattice.quantize(weights)  # all are 0
        rounder = _Rounder(lattice, scale, weights.shape)
        restored = ldlq(weights, moment, rounder.round, N_DIMENSIONS)
        loss, codes = proxy_loss(weights - restored, moment), rounder.codes.copy()
        for _ in range(self.most_retunings):
            restored = retune(weights, restored, moment, rounder.round, N_DIMENSIONS)
            after = proxy_loss(weights - restored, moment)
            if after >= loss:
                break
            loss, codes = after, rounder.codes.copy()
        return LatticePacked(codes=codes.reshape(len(weights), -1), scale=scale)


class _Rounder:
    """Rounds blocks of eight columns, and keeps their codes."""

    def __init__(self, lattice: LatticeFormat, scale: np.float32, shape: tuple[int, ...]) -> None:
        self._lattice, self._scale = lattice, scale
        blocks = shape[1] // N_DIMENSIONS
        self.codes = np.empty((shape[0], blocks, lattice.code_bits), np.uint8)

    def round(self, columns: Weights, block: int) -> Weights:
        vectors = columns / self._scale
        points = np.empty_like(vectors)

        def work(start: int, stop: int) -> None:
            codes = self.codes[start:stop, block]
            points[start:stop] = self._lattice.nearest(vectors[start:stop], codes)

        over_rows(work, len(vectors), VECTORS_PER_THREAD)
        restored: Weights = points * self._scale
        return restored


def lattice_format(fmt: Format) -> LatticeFormat:
    """Find the lattice format of as many bits a code as a format has.

    >>> from quantcore.formats import get_format
    >>> lattice_format(get_format("Q2_K")).name
    'E8P2'

    Raises
    ------
    ValueError
        If there is none.
    """
    for lattice in LATTICE.values():
        if lattice.code_bits == fmt.code_bits:
            return lattice
    raise ValueError(
        f"QuIP# stores two, three or four bits per weight, and {fmt.name} has {fmt.code_bits}: "
        "take E8P2, E8P3 or E8P4."
    )


def _note(asked: Format, lattice: LatticeFormat) -> str:
    """Say that another format was taken than the one asked for."""
    if asked.name == lattice.name:
        return ""
    return f"QuIP# has a codebook of its own: {lattice.name} in place of {asked.name}."
