"""What the page is about: a tensor in a format, and its scales or its minima."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.scales import cache, words
from pages.shared import controls
from quantcore.evaluate.quantized import check_fit
from quantcore.format import Format, ScaleFactors
from quantcore.formats import get_format
from quantcore.formats.k.sub_scale_bits import sub_scale_bits


@dataclass(frozen=True, kw_only=True)
class ChosenTensor:
    """A tensor in a format, and which of its factors are looked at."""

    model_name: str
    tensor: str
    shape: tuple[int, int]  # (n_rows, n_cols)
    fmt: Format
    factors: ScaleFactors
    kind: str  # "scales" or "minima"

    @property
    def sizes(self) -> NDArray:
        """Their sizes (n_rows, n_sub_blocks), signs left out."""
        minimums = self.factors.minimums if self.kind == "minima" else None
        return np.abs(self.factors.scales if minimums is None else minimums)

    @property
    def k_quant(self) -> Format:
        """The format itself if it has sub-scales, else one that shows how they are stored."""
        return self.fmt if sub_scale_bits(self.fmt.name) else get_format("Q4_K")


def choose() -> ChosenTensor:
    """Ask for a format and a tensor, and for scales or minima where there are both."""
    model, columns = controls.model(), st.columns([2, 3, 2], vertical_alignment="bottom")
    with columns[0]:
        fmt = get_format(controls.type_(controls.tensor_to_come()))
    with columns[1]:
        tensor = controls.tensor()
    check_fit(model, tensor, fmt)
    n_rows, n_cols = model.tensors[tensor].shape
    factors, kind = cache.scale_factors(model.name, tensor, fmt.name), "scales"
    if factors.minimums is not None:
        kind = columns[2].segmented_control(
            "Show", ["scales", "minima"], default="scales", required=True, key="factor",
            help=words.SCALE_AND_MINIMUM, **controls.BOUND,
        )  # fmt: skip
    return ChosenTensor(
        model_name=model.name,
        tensor=tensor,
        shape=(n_rows, n_cols),
        fmt=fmt,
        factors=factors,
        kind=kind,
    )
