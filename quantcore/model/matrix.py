"""A matrix of the forward pass: where its input can be watched, or rounded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantcore.model.activations import input_type, rounded

Floats = NDArray[np.float32]
Watch = Callable[[tuple[str, ...], Floats], None]
"""Called with names of weights and the rows (n, n_cols) that they are multiplied by, before each
product, from several threads."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights that have the same input, one below the other, and their bias."""

    names: tuple[str, ...]
    weights: Floats  # (n_rows, n_cols)
    bias: Floats | None  # (n_rows,)
    inputs: tuple[tuple[slice, str], ...]  # rows of `weights`, and what their input is rounded to
    watch: Watch | None
    parts: tuple[slice, ...]  # rows of each of the names

    def times(self, rows: Floats, out: Floats | None = None) -> Floats:
        """Return ``rows @ weights.T + bias``: (n, n_cols) -> (n, n_rows)."""
        if self.watch is not None:
            self.watch(self.names, rows)
        if out is None:
            out = np.empty((len(rows), len(self.weights)), np.float32)
        for part, kind in self.inputs:
            np.matmul(rounded(rows, kind), self.weights[part].T, out=out[:, part])
        if self.bias is not None:
            out += self.bias
        return out

    def replaced(self, changed: Mapping[str, Floats]) -> "Matrix":
        """Put other weights (n_rows, n_cols) in the place of those that have the same name."""
        if not changed.keys() & set(self.names):
            return self
        weights = np.empty_like(self.weights) if len(self.names) == 1 else self.weights.copy()
        for name, part in zip(self.names, self.parts, strict=True):
            if name in changed:
                weights[part] = changed[name]
        return replace(self, weights=weights)

    def rounding(self, kinds: Mapping[str, str]) -> "Matrix":
        """Round the input of weights that `kinds` names, as `activations.rounded` does."""
        if not kinds.keys() & set(self.names):
            return self
        parts = [
            (part.stop - part.start, kinds.get(name, "F32"))
            for part, name in zip(self.parts, self.names, strict=True)
        ]
        return replace(self, inputs=_inputs(parts))


def stacked(
    weights: Mapping[str, Floats],
    names: tuple[str, ...],
    types: Mapping[str, str] | None,
    watch: Watch | None,
) -> Matrix:
    """Make one matrix of several; `types` names their ggml types where inputs are rounded."""
    parts = [np.asarray(weights[name], np.float32) for name in names]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    biases = [name.removesuffix("weight") + "bias" for name in names]
    has_bias = biases[0] in weights
    return Matrix(
        names=names,
        weights=parts[0] if len(parts) == 1 else np.concatenate(parts),
        bias=np.concatenate([weights[each] for each in biases]).astype(np.float32, copy=False)
        if has_bias
        else None,
        inputs=_inputs(
            [
                (len(part), "F32" if types is None else input_type(types[name]))
                for part, name in zip(parts, names, strict=True)
            ]
        ),
        watch=watch,
        parts=tuple(slice(end - len(p), end) for end, p in zip(ends, parts, strict=True)),
    )


def _inputs(parts: list[tuple[int, str]]) -> tuple[tuple[slice, str], ...]:
    """Join neighbours whose input is the same: one product for them is faster than several."""
    inputs: list[tuple[slice, str]] = []
    start = 0
    for n_rows, kind in parts:
        if inputs and inputs[-1][1] == kind:
            inputs[-1] = (slice(inputs[-1][0].start, start + n_rows), kind)
        else:
            inputs.append((slice(start, start + n_rows), kind))
        start += n_rows
    return tuple(inputs)
