"""LLM.int8: weights in 8 bits by row, inputs in 8 bits by token, but for what is too large.

    y = Q(x) Q(W).T        entries of x of 6 and more are not rounded to 8 bits but to float16

One large entry would make the scale of its token so large that the others round to nothing. In
models of some billion weights a handful of columns holds all of these entries. Weights are the
format INT8_ROW, with scales as float16 where bitsandbytes keeps float32; no input is looked at
beforehand: outliers are found while the model runs, see `quantcore.model.activations`.

Source: Dettmers et al., LLM.int8(), 2022; bitsandbytes/backends/default/ops.py.
"""

from dataclasses import dataclass

import numpy as np

from quantcore.format import Format, Weights
from quantcore.methods.method import Chosen, LayerInputs, Statistic
from quantcore.model.activations import OUTLIER


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMInt8:
    """LLM.int8 with its threshold of 6."""

    name: str = "llm_int8"
    title: str = "LLM.int8"
    source: str = "Dettmers et al., LLM.int8(), 2022"
    needs: frozenset[Statistic] = frozenset()

    def check(self, shape: tuple[int, ...], fmt: Format) -> None:
        """Raise a `ValueError` for any format but INT8_ROW."""
        if fmt.name != "INT8_ROW":
            raise ValueError(f"LLM.int8 stores weights as INT8_ROW; ask for that, not {fmt.name}.")
        fmt.check(shape)

    def choose(self, weights: Weights, fmt: Format, inputs: LayerInputs) -> Chosen:
        """Round weights (n_rows, n_cols); inputs only say how many columns will not be rounded."""
        self.check(np.shape(weights), fmt)
        packed = fmt.quantize(weights)
        n_large = int((inputs.largest >= OUTLIER).sum())
        return Chosen(
            format=fmt,
            packed=packed,
            restored=fmt.dequantize(packed),
            stored_bytes=fmt.stored_bytes(weights.shape),
            inputs="INT8_OUTLIERS",
            note=f"Of {len(inputs.largest):,} input columns {n_large:,} reach 6 somewhere, and "
            "stay float16 there while it runs.",
        )
