"""How far restored weights are from the originals: by tensor, by row, by block, in one pass.

Seven sums a block say everything; rows and tensors add up the sums of their blocks.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantcore._jit import kernel
from quantcore.checks import read_only, refuse_lost
from quantcore.evaluate.quantized import Type, applied_format, formats_by_tensor, importances
from quantcore.format import Format, Weights
from quantcore.formats import get_format
from quantcore.model.gguf_source import turned_heads
from quantcore.model.source import Model
from quantcore.pool import over_rows

CHUNK_WEIGHTS = 1 << 21  # quantized at a time, so that memory stays flat for any tensor
PART_WEIGHTS = 1 << 18  # between two looks at whether a run was cancelled
# Of one part, or of several.
Figures = TypeVar("Figures", float, NDArray[np.float64])
SIGNAL, NOISE, RESTORED, PRODUCT, LARGEST, CLIPPED, ZEROED, N_SUMS = range(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightError(Generic[Figures]):
    """Error of restored weights; each field a float, or an array where there are several parts."""

    relative_rmse: Figures
    """Root of the squared errors' sum over the squared weights' sum: 0 is lossless."""
    sqnr_db: Figures
    """Signal to noise, in dB: ``-20 log10(relative_rmse)``; infinite where nothing was lost."""
    max_abs_error: Figures
    cosine: Figures
    """Of the angle between weights and restored weights."""
    clipped_share: Figures
    """Weights beyond the ends of what their block can hold: off by more than half a step."""
    zeroed_share: Figures
    """Weights other than 0 that came back as 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorError(WeightError[float]):
    """Error of one tensor of a model."""

    name: str
    shape: tuple[int, ...]
    layer: int | None
    role: str
    format: str
    bits_per_weight: float


def tensor_error(
    weights: Weights, type: str | Format, importance: Weights | None = None, name: str = ""
) -> WeightError[float]:
    """Error that a format makes in one tensor (n_rows, n_cols), with an importance matrix or not.

    Raises
    ------
    ValueError
        If the format cannot store such a tensor, or such weights; it is called by its `name`.

    Examples
    --------
    INT2_TENSOR knows -scale, 0 and +scale, here -1, 0, 1:

    >>> tensor_error(np.float32([[1, 0.75, -1, 0.25]]), "INT2_TENSOR").max_abs_error
    0.25
    """
    fmt = get_format(type) if isinstance(type, str) else type
    totals = np.zeros((1, N_SUMS))
    for sums in _sums_by_chunk(weights, fmt, weights.shape[1], importance, _named(fmt, name)):
        totals = _added(np.concatenate([totals, sums.reshape(-1, N_SUMS)]), axis=0)[None]
    return _as_error(totals[0], weights.size)


def row_errors(
    weights: Weights, type: str | Format, importance: Weights | None = None
) -> WeightError[NDArray[np.float64]]:
    """Error of each row: fields are arrays (n_rows,)."""
    fmt = get_format(type) if isinstance(type, str) else type
    sums = np.concatenate(list(_sums_by_chunk(weights, fmt, weights.shape[1], importance)))
    return _as_errors(sums[:, 0], weights.shape[1])


def block_errors(weights: Weights, type: str | Format) -> WeightError[NDArray[np.float64]]:
    """Error of each block: fields are arrays (n_rows, n_blocks).

    A block is what the format says, a group of columns that share a scale, the row where one scale
    covers it; for formats without scales, 32 weights.
    """
    fmt = get_format(type) if isinstance(type, str) else type
    size = _block_size(fmt, weights.shape[1])
    return _as_errors(np.concatenate(list(_sums_by_chunk(weights, fmt, size))), size)


def model_errors(model: Model, type: Type) -> Iterator[TensorError]:
    """Error of every quantizable tensor, in the model's order; one tensor in memory at a time.

    `type` is a mix ("Q4_K_M"), one format on every matrix ("Q4_K pure"), or the format of each
    tensor by name. Tensors whose values the lab cannot read (`Model.unreadable`) have none.
    """
    importance, unreadable = importances(model, type), model.unreadable
    for name, format_name in formats_by_tensor(model, type).items():
        if name in unreadable:
            continue
        yield stored_error(model, name, format_name, importance.get(name))


def stored_error(
    model: Model, name: str, format_name: str, importance: Weights | None = None
) -> TensorError:
    """Error of a model's tensor in a format, with importance (n_cols,) or without.

    A tensor that a file holds in its format already loses nothing more: llama-quantize copies it.

    Raises
    ------
    ValueError
        If the format cannot store the tensor, or needs an importance matrix.
    """
    tensor, fmt = model.tensors[name], get_format(format_name)
    applied = applied_format(model, name, format_name)
    error = tensor_error(model.weights(name), applied, importance, name)
    return TensorError(
        name=name,
        shape=tensor.shape,
        layer=tensor.layer,
        role=tensor.role,
        format=fmt.name,
        bits_per_weight=8 * fmt.stored_bytes(tensor.shape) / tensor.n_weights,
        **{field: getattr(error, field) for field in WeightError.__slots__},
    )


def energies(model: Model) -> dict[str, float]:
    """Sum of the squared weights of each quantizable tensor; one at a time is in memory."""
    found = {}
    for name in model.quantizable:
        weights = model.weights(name).ravel()
        pieces = range(0, weights.size, CHUNK_WEIGHTS)
        squares = (np.square(weights[at : at + CHUNK_WEIGHTS], dtype=np.float64) for at in pieces)
        found[name] = float(sum(each.sum() for each in squares))
    return found


def error_of_all(relative: Mapping[str, float], energy: Mapping[str, float]) -> float:
    """Error of several tensors together: root of all squared errors over all squared weights.

    What `total_error` finds of a mix, and the page File of a file.

    Parameters
    ----------
    relative
        Error of each tensor by its name, as in `WeightError.relative_rmse`.
    energy
        Sum of the squared weights of each, as `energies` finds it.

    Examples
    --------
    >>> round(error_of_all({"a": 0.1, "b": 0.5}, {"a": 99.0, "b": 1.0}), 6)
    0.111355
    """
    noise = sum(error**2 * energy[name] for name, error in relative.items())
    signal = sum(energy[name] for name in relative)
    return math.sqrt(noise / signal) if signal else 0.0


@dataclass(frozen=True, slots=True)
class RunningError:
    """Error of the rows of a tensor that were compared so far."""

    share: float  # of the rows
    noise: float  # sum of the squared errors
    signal: float  # sum of the squared weights

    @property
    def relative_rmse(self) -> float:
        """Root of noise over signal: 0 is lossless."""
        if not self.noise:
            return 0.0
        return math.sqrt(self.noise / self.signal) if self.signal else math.inf


def running_error(
    model: Model, name: str, type: str, importance: Weights | None = None
) -> Iterator[RunningError]:
    """`tensor_error` of a model's tensor in one of ggml's types, some rows after the other.

    Only these rows are in memory, so it can be watched and stopped for a tensor of any size.
    """
    fmt, (n_rows, n_cols) = applied_format(model, name, type), model.tensors[name].shape
    heads = turned_heads(name, model.config)  # their rows lie together in a file
    unit = n_rows // heads if heads else 1
    step = max(1, PART_WEIGHTS // (unit * n_cols)) * unit
    noise = signal = 0.0
    for start in range(0, n_rows, step):
        rows = model.weights(name, slice(start, min(start + step, n_rows)))
        for sums in _sums_by_chunk(rows, fmt, n_cols, importance, _named(fmt, name), start):
            noise += float(sums[..., NOISE].sum())
            signal += float(sums[..., SIGNAL].sum())
        yield RunningError(min(start + step, n_rows) / n_rows, noise, signal)


def _block_size(fmt: Format, n_cols: int) -> int:
    if (length := fmt.block_length(n_cols)) > 1:
        return length
    return 32 if n_cols % 32 == 0 else n_cols


def _named(fmt: Format, name: str) -> str:
    return f"{fmt.name} of {name}" if name else fmt.name


def _sums_by_chunk(
    weights: Weights,
    fmt: Format,
    block_size: int,
    importance: Weights | None = None,
    what: str = "",
    first_row: int = 0,
) -> Iterator[NDArray[np.float64]]:
    """Yield sums (n_rows, n_blocks, N_SUMS) of consecutive rows."""
    step = len(weights) if fmt.whole_tensor else max(1, CHUNK_WEIGHTS // weights.shape[1])
    for start in range(0, len(weights), step):
        # One kind of array for the kernel, whoever asks: it is compiled once.
        rows = read_only(np.ascontiguousarray(weights[start : start + step], np.float32))
        packed = fmt.quantize(rows, importance)
        restored = fmt.dequantize(packed)
        refuse_lost(what or fmt.name, rows, restored, first_row + start)
        factors = fmt.scale_factors(packed)
        sums = np.zeros((len(rows), weights.shape[1] // block_size, N_SUMS))
        per_scale = factors.weights_per_scale
        half_steps = np.abs(factors.scales) * (factors.widest_step / 2)
        half_steps = half_steps if per_scale else np.full((1, 1), np.inf)
        half_steps = np.broadcast_to(half_steps, (len(rows), half_steps.shape[1]))
        _add_up(rows, restored, half_steps.astype(np.float32), per_scale or weights.shape[1], sums)
        yield sums


def _add_up(rows, restored, half_steps, per_scale, sums) -> None:
    def work(start: int, stop: int) -> None:
        _fill_sums(
            rows[start:stop],
            restored[start:stop],
            half_steps[start:stop],
            per_scale,
            sums[start:stop],
        )

    over_rows(work, len(rows), min_rows=max(1, (1 << 16) // rows.shape[1]))


@kernel
def _fill_sums(rows, restored, half_steps, per_scale, sums):
    block_size = rows.shape[1] // sums.shape[1]
    for r in range(rows.shape[0]):
        for b in range(sums.shape[1]):
            signal = noise = back = product = largest = 0.0
            clipped = zeroed = 0
            for i in range(b * block_size, (b + 1) * block_size):
                weight, value = np.float64(rows[r, i]), np.float64(restored[r, i])
                error = abs(value - weight)
                signal += weight * weight
                noise += error * error
                back += value * value
                product += weight * value
                largest = max(largest, error)
                # Within the grid no weight is off by more than half a step, but for rounding.
                clipped += error > half_steps[r, i // per_scale] * 1.001
                zeroed += (value == 0) & (weight != 0)
            sums[r, b, 0], sums[r, b, 1], sums[r, b, 2], sums[r, b, 3] = (
                signal,
                noise,
                back,
                product,
            )
            sums[r, b, 4], sums[r, b, 5], sums[r, b, 6] = largest, clipped, zeroed


def _added(sums: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    total = sums.sum(axis=axis)
    total[..., LARGEST] = sums[..., LARGEST].max(axis=axis)
    return total


def _as_error(sums: NDArray[np.float64], n_weights: int) -> WeightError[float]:
    """Turn the sums of one part, (N_SUMS,), into figures."""
    errors = _as_errors(sums, n_weights)
    return WeightError(**{name: float(getattr(errors, name)) for name in WeightError.__slots__})


def _as_errors(sums: NDArray[np.float64], n_weights: int) -> WeightError[NDArray[np.float64]]:
    """Turn the sums of parts of so many weights, (..., N_SUMS), into figures of each, (...)."""
    part = dict(zip(range(N_SUMS), np.moveaxis(sums, -1, 0), strict=False))
    with np.errstate(divide="ignore", invalid="ignore"):
        # All weights zero: nothing to lose where nothing was added.
        relative = np.where(part[NOISE] == 0, 0.0, np.sqrt(part[NOISE] / part[SIGNAL]))
        lengths = np.sqrt(part[SIGNAL] * part[RESTORED])
        cosine = np.where(lengths > 0, part[PRODUCT] / lengths, part[SIGNAL] == part[RESTORED])
        return WeightError(
            relative_rmse=relative,
            sqnr_db=-20 * np.log10(relative),
            max_abs_error=part[LARGEST],
            cosine=np.minimum(cosine, 1.0),
            clipped_share=part[CLIPPED] / n_weights,
            zeroed_share=part[ZEROED] / n_weights,
        )
