"""Pieces whose codes a method chooses, such as GPTQ, instead of rounding to nearest.

What a piece quantizes is stored together, as a whole model would be: each matrix sees those before
it as they have become, and all else is the original. So a piece takes a pass over the calibration
text besides, as far as it reaches, and where all but a piece are quantized, a pass over everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantcore.evaluate.text import calibration_tokens
from quantcore.formats import get_format
from quantcore.methods import ROUND_INPUTS, get_method
from quantcore.methods.whole_model import choose_all, why_not
from quantcore.model.llama import Floats, Llama
from quantcore.model.source import Model


@dataclass(frozen=True, slots=True, eq=False)
class Choosing:
    """A method, and what it is shown."""

    by: str  # a name in `quantcore.methods.METHODS`
    tokens: NDArray[np.int32]  # of the calibration text, (n_chunks, context)

    def check(self, model: Model, able: Mapping[str, Iterable[str]]) -> None:
        """Refuse, by a `ValueError`, formats in which the method could choose nothing.

        `able` are the names of tensors that can be stored, by format.
        """
        method = get_method(self.by)
        if method.name in ROUND_INPUTS:
            raise ValueError(
                f"{method.title} rounds inputs too, so that no tensor alone tells what it costs: "
                "choose a method that only stores weights, such as gptq or awq."
            )
        for format_name, names in able.items():
            fmt = get_format(format_name)
            whys = [why_not(model, method, name, fmt) for name in names]
            if all(whys):
                raise ValueError(f"{method.title} can choose nothing in {fmt.name}: {whys[-1]}")

    def restored(
        self, model: Model, names: Iterable[str], format_name: str, llama: Llama
    ) -> dict[str, Floats]:
        """Tensors as they come out of a format; what a file holds in it already stays.

        `llama` is the model as it is, ready to run.
        """
        weights = {name: model.weights(name) for name in names}
        fmt = get_format(format_name)
        formats = {name: fmt for name in weights if not model.holds(name, fmt.name)}
        if formats:
            chosen = choose_all(model, get_method(self.by), formats, self.tokens, llama=llama)
            weights |= {name: each.restored for name, each in chosen.items()}
        return weights


def choosing_of(model: Model, by: str, text: str | None) -> Choosing | None:
    """Name a method and cut the text that it is shown, see `calibration_tokens`; None for none."""
    return Choosing(get_method(by).name, calibration_tokens(model, text)) if by else None
