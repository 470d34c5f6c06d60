"""AutoRound: rounding up or down, and the reach of each group, trained by signs of slopes.

Each decoder layer is trained on its own. Its inputs are those of the model that is quantized so
far; what it should give is what the original layer gave. For each of 200 small batches the mean
square of what it misses is taken backward to every matrix, rounding counted as a straight line, and
all that is trained moves by the learning rate against the sign of its slope. The rate falls evenly
from 1 / 200 to 0, so no weight moves by more than half a step. Of all states the one that missed
least is kept, measured against what plain rounding missed in the same batch.

A single matrix is trained by its own output instead, over the whole calibration text at once: its
second moment H says what is missed (D = restored - weights: D H D.T), and the slope is 2 D H.

Integers by row or group also train how far each group reaches (`training.tuned_rounding`); block
formats and small floats keep the scales that they choose themselves (`training.tuned_codes`).

Reference settings are batches of 8 texts of 2,048 tokens. Here a batch is the first 128 tokens of 2
chunks: the shipped model then takes less than a minute on two cores, and in INT3_G128 its
divergence falls from 0.0287 to 0.0061 nats a token; with half as many iterations to 0.0069,
whether of 128 tokens or of 256.

Source: Cheng et al., SignRound, 2023; auto_round/sign_round.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from quantcore.checks import as_float32, refuse_non_finite
from quantcore.format import Format, Weights
from quantcore.formats.integers.integer import IntegerFormat
from quantcore.methods.method import Chosen, LayerInputs, LayerRun, Statistic
from quantcore.methods.training.layer_slopes import LayerSlopes
from quantcore.methods.training.tuned_codes import TunedCodes, check_trainable
from quantcore.methods.training.tuned_rounding import Tuned, TunedRounding
from quantcore.model.blas import one_thread
from quantcore.progress import Progress

SMALLEST = 1e-30  # so that a layer in which plain rounding misses nothing divides by something


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoRound:
    """AutoRound; with 0 iterations it is rounding to nearest."""

    n_iterations: int = 200
    n_chunks: int = 2  # of the calibration text, in a batch
    chunk_tokens: int = 128  # of each, from its beginning
    full_range: bool = False
    seed: int = 0
    name: str = "autoround"
    title: str = "AutoRound"
    source: str = "Cheng et al., SignRound, 2023"
    needs: frozenset[Statistic] = frozenset({"second_moment"})

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored in the format."""
        check_trainable(fmt)
        fmt.check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Train on the output of the matrix alone.

        Raises
        ------
        ValueError
            If the format has no codes to train, weights do not suit it, or the second moment of the
            inputs is missing.
        """
        if inputs.second_moment is None:
            raise ValueError("AutoRound needs the second moment of the inputs; calibrate with it.")
        moment = inputs.second_moment.astype(np.float32)
        training = _Training({"": weights}, {"": fmt}, self)
        for i in range(self.n_iterations):
            restored = training.round()
            missed = restored[""] - weights
            with one_thread():
                slope: Weights = np.matmul(missed, moment)
            training.move(i, float(np.einsum("ij,ij->", slope, missed)), {"": slope})
        return training.chosen()[""]

    def choose_layer(
        self, run: LayerRun, formats: Mapping[str, Format]
    ) -> Iterator[Progress[Mapping[str, Chosen]]]:
        """Train all matrices of a layer together."""
        yield Progress(0.0, "what the layer gives")
        layer, rng = LayerSlopes(run, self.chunk_tokens), np.random.default_rng(self.seed)
        training = _Training({name: layer.weights[name] for name in formats}, formats, self)
        plain = layer.missed(training.round()) if self.n_iterations else np.ones(0)
        for i in range(self.n_iterations):
            chunks = rng.permutation(layer.n_chunks)[: self.n_chunks]
            missed, slopes = layer.slopes(training.round(), chunks)
            training.move(i, missed / max(plain[chunks].mean(), SMALLEST), slopes)
            yield Progress((i + 1) / (self.n_iterations + 1), f"iteration {i + 1}")
        yield Progress(1.0, "done", training.chosen())


class _Training:
    """Matrices that are trained together."""

    def __init__(
        self, weights: Mapping[str, Weights], formats: Mapping[str, Format], method: AutoRound
    ) -> None:
        self._roundings: dict[str, _Rounding] = {}
        for name, each in weights.items():
            method.check(each.shape, formats[name])
            self._roundings[name] = _rounding(each, formats[name], full_range=method.full_range)
        self._now = {name: each.start for name, each in self._roundings.items()}
        self._kept, self._least = dict(self._now), np.inf
        self._rounded: dict[str, Any] = {}
        self._n_iterations = method.n_iterations

    def round(self) -> dict[str, Weights]:
        """Round as trained so far; weights as the model uses them, by name."""
        self._rounded = {n: each.rounded(self._now[n]) for n, each in self._roundings.items()}
        return {n: each.weights_of(self._rounded[n]) for n, each in self._roundings.items()}

    def move(self, i: int, loss: float, slopes: Mapping[str, Weights]) -> None:
        """Keep what was rounded last if it missed least so far, then go down the slopes."""
        if loss < self._least:
            self._kept, self._least = dict(self._now), loss
        rate = np.float32((1 - i / self._n_iterations) / self._n_iterations)
        for name, each in self._roundings.items():
            now = self._now[name]
            by = each.slopes(now, self._rounded[name], slopes[name])
            shifts: Weights = np.subtract(now.shifts, rate * np.sign(by.shifts))
            self._now[name] = Tuned(
                shifts=shifts,
                low=np.clip(now.low - rate * np.sign(by.low), 0, 1),
                high=np.clip(now.high - rate * np.sign(by.high), 0, 1),
            )

    def chosen(self) -> dict[str, Chosen]:
        """Store every matrix as it was when they missed least together."""
        found = {}
        for name, each in self._roundings.items():
            packed = each.stored(self._kept[name], each.rounded(self._kept[name]))
            restored = each.format.dequantize(packed)
            found[name] = Chosen(
                format=each.format,
                packed=packed,
                restored=restored,
                stored_bytes=each.format.stored_bytes(restored.shape),
            )
        return found


class _Rounding(Protocol):
    """`TunedRounding` or `TunedCodes`."""

    @property
    def format(self) -> Format: ...

    @property
    def start(self) -> Tuned: ...

    def rounded(self, tuned: Tuned) -> Any: ...

    def weights_of(self, rounded: Any) -> Weights: ...

    def slopes(self, tuned: Tuned, rounded: Any, slope: Weights) -> Tuned: ...

    def stored(self, tuned: Tuned, rounded: Any) -> Any: ...


def _rounding(weights: Weights, fmt: Format, *, full_range: bool) -> _Rounding:
    weights = as_float32(fmt.name, weights)
    if not np.isfinite(weights).all():
        refuse_non_finite(fmt.name, weights)
    if isinstance(fmt, IntegerFormat) and fmt.span != "tensor":
        return TunedRounding(weights, fmt, full_range=full_range)
    return TunedCodes(weights, fmt)
