"""SmoothQuant: what makes activations hard to round in 8 bits is moved into the weights.

    y = (x / s) (W * s).T        s = max |x| ** alpha / max |w| ** (1 - alpha), by column

Then weights are rounded, by row in 8 bits as a rule, and inputs by token while the model runs. A
column whose inputs are large is divided, and its weights, which are easy to round, become larger.
The maxima of weights are over all matrices with the same input. Only norms take scales in the
reference, so attn_output and ffn_down are rounded as they are; `everywhere` lets the rows of attn_v
and ffn_up take some, too: inputs of ffn_down are often the hardest to round.

Whatever factor an input column has and its weights lack, s takes up: the result is the same.

Source: Xiao et al., SmoothQuant, 2023; mit-han-lab/smoothquant, smooth.py and fake_quant.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from quantcore.format import Format, Weights
from quantcore.methods.fold import NORM_BEFORE
from quantcore.methods.inputs.layer_blocks import LayerBlocks
from quantcore.methods.method import Chosen, LayerInputs, LayerRun, Statistic
from quantcore.model.layer import ENTRIES
from quantcore.progress import Progress

SMALLEST = np.float32(1e-5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothQuant:
    """SmoothQuant; `alpha` 0 leaves the difficulty with the inputs, 1 puts all into the weights."""

    alpha: float = 0.5
    everywhere: bool = False  # also scale what comes from a matrix, where it can be folded
    name: str = "smoothquant"
    title: str = "SmoothQuant"
    source: str = "Xiao et al., SmoothQuant, 2023"
    needs: frozenset[Statistic] = frozenset()

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` if weights of this shape cannot be stored in the format."""
        fmt.check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Choose scales for a matrix whose input comes from a norm that feeds no other."""
        return self._stored(weights, fmt, self.scales([weights], inputs))

    def choose_layer(
        self, run: LayerRun, formats: Mapping[str, Format]
    ) -> Iterator[Progress[Mapping[str, Chosen]]]:
        """Choose for matrices of a layer; those that share a norm have the same scales."""
        blocks = LayerBlocks(run)
        found: dict[int, Weights] = {}
        for place, roles in enumerate(ENTRIES):
            yield Progress(place / len(ENTRIES), roles.replace(" ", ", "))
            names = [name for name in blocks.names(place) if name in formats]
            takes = place in NORM_BEFORE or self.everywhere
            if takes and names and not blocks.why_unscaled(place, formats):
                matrices = [blocks.weights[name] for name in names]
                found[place] = self.scales(matrices, blocks.inputs(place))
        chosen: dict[str, Chosen] = {}
        for name, fmt in formats.items():
            place, role = blocks.place_and_role(name)
            columns, rows = found.get(place), found.get(blocks.fed_by_rows(role))
            chosen[name] = self._stored(blocks.weights[name], fmt, columns, rows)
        yield Progress(1.0, "done", chosen)

    def scales(self, matrices: list[Weights], inputs: LayerInputs) -> Weights:
        """Scales of the columns of matrices with the same input, (n_cols,)."""
        of_weights = np.max([np.abs(matrix).max(axis=0) for matrix in matrices], axis=0)
        of_weights = np.maximum(of_weights, SMALLEST) ** np.float32(1 - self.alpha)
        scales: Weights = inputs.largest ** np.float32(self.alpha) / of_weights
        return np.maximum(scales, SMALLEST)

    def _stored(
        self, weights: Weights, fmt: Format, columns: Weights | None, rows: Weights | None = None
    ) -> Chosen:
        scaled = weights if columns is None else weights * columns
        packed = fmt.quantize(scaled if rows is None else scaled / rows[:, None])
        restored = fmt.dequantize(packed)
        restored = restored if columns is None else restored / columns
        return Chosen(
            format=fmt,
            packed=packed,
            restored=restored if rows is None else restored * rows[:, None],
            stored_bytes=fmt.stored_bytes(weights.shape),
            column_scales=columns,
            row_scales=rows,
            inputs="INT8_TOKEN",
            note="Inputs are rounded to 8 bits while it runs, with a scale for each token.",
        )
