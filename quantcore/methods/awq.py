"""AWQ, activation-aware weight quantization: columns with large inputs are made larger first.

    y = (x / s) Q(W * s).T        s = mean |x| ** ratio, over sqrt(greatest s * least s)

A column that is multiplied by s before it is rounded, and divided by s after, loses s times less.
The ratio is searched: 0, 0.05 ... 0.95, by the error of the output of the block that the matrices
feed: attn_q, attn_k and attn_v by attention with attn_output behind it; ffn_gate and ffn_up by the
feed-forward with ffn_down behind it; attn_output, ffn_down and single matrices by their own. At
ratio 0 all scales are 1, and AWQ is plain rounding. Then, in integer formats, the range of every
group is searched as well: 1, 0.95 ... 0.55 of its largest weight, by what the group adds to the
output. Queries and keys keep theirs: attention multiplies them by each other.

The scales go into what stands before (`quantcore.methods.fold`), so they take no storage. Formats
that need an importance matrix get the mean squares of the scaled inputs; others have none.

As in llm-awq, whose groups however span from the least to the greatest weight; here, as in every
INT format of the lab, 0 is in the range, which makes a difference only where all weights of a group
have one sign.

Source: Lin et al., AWQ, 2023; mit-han-lab/llm-awq, auto_scale.py and auto_clip.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from quantcore.format import Format, Weights
from quantcore.formats.integers.integer import IntegerFormat
from quantcore.methods.inputs.layer_blocks import LayerBlocks, Moment, moment_of, output_loss
from quantcore.methods.method import Chosen, LayerInputs, LayerRun, Statistic
from quantcore.model.layer import ENTRIES
from quantcore.progress import Progress

SMALLEST_SCALE = np.float32(1e-4)
CLIP_STEPS, CLIP_STEP = 10, 0.05
SEARCH_TOKENS = (
    2048  # of the calibration text that the blocks of a layer are run on, for each ratio
)
UNCLIPPED = ("attn_q", "attn_k")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaleSearch:
    """What the error of the output was at each ratio."""

    ratios: tuple[float, ...]
    losses: tuple[float, ...]  # mean square of what the output missed, in its own units
    mean_abs: Weights  # (n_cols,), of the inputs

    @property
    def best_ratio(self) -> float:
        """The first ratio of least loss."""
        return self.ratios[int(np.argmin(self.losses))]

    @property
    def scales(self) -> Weights:
        """Scales of the columns at the best ratio, (n_cols,)."""
        return scales_at(self.best_ratio, self.mean_abs)


@dataclass(frozen=True, slots=True, kw_only=True)
class AWQ:
    """AWQ with llm-awq's grid."""

    n_ratios: int = 20
    clip: bool = True
    name: str = "awq"
    title: str = "AWQ"
    source: str = "Lin et al., AWQ, 2023"
    needs: frozenset[Statistic] = frozenset({"second_moment"})

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored in the format."""
        fmt.check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose scales by the output of the matrix alone, then ranges, then codes.

        Raises
        ------
        ValueError
            If weights do not suit the format, or the second moment of the inputs is missing.
        """
        found = self.search(weights, fmt, inputs)
        moment = moment_of(inputs) / np.outer(found.scales, found.scales)
        chosen = self._stored(weights * found.scales, fmt, moment, clips=self.clip)
        return _taken_off(chosen, found.scales, None, f"Ratio {found.best_ratio:.2f}.")

    def search(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> ScaleSearch:
        """Try every ratio on a matrix (n_rows, n_cols) by its own output over the calibration."""
        moment = moment_of(inputs)
        losses = [
            output_loss(_rounded(weights, fmt, inputs, ratio) - weights, moment)
            for ratio in self.ratios
        ]
        return ScaleSearch(ratios=self.ratios, losses=tuple(losses), mean_abs=inputs.mean_abs)

    def choose_layer(
        self, run: LayerRun, formats: Mapping[str, Format]
    ) -> Iterator[Progress[Mapping[str, Chosen]]]:
        """Choose for matrices of a layer: all scales first, each by the block it feeds, then codes.

        Matrices with one input have the same scales; where some of them, or the matrix whose rows
        would be divided, are not among `formats`, the others have none, and say so.
        """
        blocks = LayerBlocks(run, SEARCH_TOKENS)
        searched: dict[int, ScaleSearch] = {}
        unscaled: dict[int, str] = {}
        for place, roles in enumerate(ENTRIES):
            names = [name for name in blocks.names(place) if name in formats]
            unscaled[place] = blocks.why_unscaled(place, formats)
            if not names or unscaled[place]:
                continue
            inputs, loss, losses = blocks.inputs(place), blocks.loss_at(place), []
            for ratio in self.ratios:
                yield Progress((place + ratio) / 8, f"scales of {roles.replace(' ', ', ')}")
                changed = {
                    name: _rounded(blocks.weights[name], formats[name], inputs, ratio)
                    for name in names
                }
                losses.append(loss(changed))
            searched[place] = ScaleSearch(
                ratios=self.ratios, losses=tuple(losses), mean_abs=inputs.mean_abs
            )
        chosen: dict[str, Chosen] = {}
        for i, (name, fmt) in enumerate(formats.items()):
            yield Progress(0.5 + i / (2 * len(formats)), f"codes of {name}")
            place, role = blocks.place_and_role(name)
            found, below = searched.get(place), searched.get(blocks.fed_by_rows(role))
            columns = None if found is None else found.scales
            rows = None if below is None else below.scales
            scaled = blocks.weights[name] if columns is None else blocks.weights[name] * columns
            scaled = scaled if rows is None else scaled / rows[:, None]
            moment = moment_of(blocks.inputs(place))
            moment = moment if columns is None else moment / np.outer(columns, columns)
            stored = self._stored(scaled, fmt, moment, clips=self.clip and role not in UNCLIPPED)
            note = unscaled[place] if found is None else f"Ratio {found.best_ratio:.2f}."
            chosen[name] = _taken_off(stored, columns, rows, note)
        yield Progress(1.0, "done", chosen)

    @property
    def ratios(self) -> tuple[float, ...]:
        """What is tried, from 0 on."""
        return tuple(i / self.n_ratios for i in range(self.n_ratios))

    def _stored(self, weights: Weights, fmt: Format, moment: Moment, *, clips: bool) -> Chosen:
        if clips and isinstance(fmt, IntegerFormat) and fmt.span != "tensor":
            weights = np.clip(weights, *clip_range(weights, fmt, moment))
        matrix = moment.diagonal().astype(np.float32) if fmt.needs_importance else None
        packed = fmt.quantize(weights, matrix)
        return Chosen(
            format=fmt,
            packed=packed,
            restored=fmt.dequantize(packed),
            stored_bytes=fmt.stored_bytes(weights.shape),
        )


def _rounded(weights: Weights, fmt: Format, inputs: LayerInputs, ratio: float) -> Weights:
    """Round weights with the scales of a ratio, and take these off again."""
    scales = scales_at(ratio, inputs.mean_abs)
    matrix = inputs.mean_square / scales**2 if fmt.needs_importance else None
    return fmt.round_trip(weights * scales, importance=matrix) / scales


def scales_at(ratio: float, mean_abs: Weights) -> Weights:
    """Scales of columns (n_cols,) whose inputs are that large on average.

    >>> scales_at(0.5, np.float32([1, 16])).tolist()
    [0.5, 2.0]
    """
    scales: Weights = np.maximum(mean_abs ** np.float32(ratio), SMALLEST_SCALE)
    return scales / np.sqrt(scales.max() * scales.min())


def clip_range(weights: Weights, fmt: IntegerFormat, moment: Moment) -> tuple[Weights, Weights]:
    """Search the largest magnitude of each group; returns bounds (n_rows, n_cols) for np.clip."""
    length = fmt.block_length(weights.shape[1])
    groups = weights.reshape(len(weights), -1, length)
    diagonal = np.arange(groups.shape[1])
    tiles = moment.reshape(len(diagonal), length, -1, length)[diagonal, :, diagonal]
    tiles = tiles.astype(np.float32)
    peaks = np.abs(groups).max(axis=-1, keepdims=True)
    best, least = peaks.copy(), np.full(peaks.shape, np.inf, np.float32)
    for i in range(CLIP_STEPS):
        largest = peaks * np.float32(1 - CLIP_STEP * i)
        clipped = np.clip(groups, -largest, largest).reshape(weights.shape)
        missed = fmt.round_trip(clipped).reshape(groups.shape) - groups
        # Batched by group: (n_groups, n_rows, length) @ (n_groups, length, length).
        by_group = np.ascontiguousarray(missed.swapaxes(0, 1))
        error = np.einsum("gri,gri->rg", by_group @ tiles, by_group)[..., None]
        better = error < least
        best[better], least[better] = largest[better], error[better]
    bounds = np.broadcast_to(best, groups.shape).reshape(weights.shape)
    return -bounds, bounds


def _taken_off(chosen: Chosen, columns: Weights | None, rows: Weights | None, note: str) -> Chosen:
    """Say how the scaled matrix acts between its neighbours, which hold the scales."""
    restored = chosen.restored
    if columns is not None:
        restored = restored / columns
    if rows is not None:
        restored = restored * rows[:, None]
    return replace(chosen, restored=restored, column_scales=columns, row_scales=rows, note=note)
