"""Which outlier channels a model is given: how many, how large, how widely the others spread."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from quantcore.io import ModelError

LARGEST = 2.0**20  # of sizes: beyond it products of float32 would lose their smallest numbers
WIDEST = 4.0  # of spreads


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Factors of the channels at one place; its neighbour is divided by them.

    Every channel has a factor of its own, exp(spread * z) with z from a normal distribution, and in
    a few that were drawn it is `size` times that. All are rounded to powers of two.
    """

    n: int = 0  # how many channels stand out, of each vector at that place
    size: float = 1.0  # by how much; below 1 they shrink, and the weights that read them grow
    spread: float = 0.0  # standard deviation of the others' natural logarithm

    def __post_init__(self) -> None:
        """Refuse what is no number of channels, size or spread."""
        if type(self.n) is not int or self.n < 0:
            raise ValueError(f"The number of outlier channels must be 0 or more, not {self.n!r}.")
        if not _is_number(self.size) or not 1 / LARGEST <= self.size <= LARGEST:
            raise ValueError(
                f"The size of outliers must be between 2^-20 and 2^20, not {self.size!r}."
            )
        if not _is_number(self.spread) or not 0 <= self.spread <= WIDEST:
            raise ValueError(f"The spread must be 0 to {WIDEST:g}, not {self.spread!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierSettings:
    """Which channels get factors. Every place is a pair of tensors between which they cancel out.

    A model computes the same with any settings; `quantcore.model.outliers.changes` says why.
    """

    norms: Channels = field(default_factory=Channels)
    """Of the normed states: gains of attn_norm and ffn_norm, and of output_norm where the output is
    a matrix of its own. The same channels stand out in all layers, as in large models."""
    values: Channels = field(default_factory=Channels)  # of each KV head: attn_v, attn_output
    inner: Channels = field(default_factory=Channels)  # of the feed-forward part: ffn_up, ffn_down
    keys: Channels = field(default_factory=Channels)  # rotary pairs of each KV head: attn_k, attn_q
    rotated: bool = False
    """Whether the states are reflected so that their main direction lies on the first channel: it
    then holds most of what every norm reads. Takes float32, and gives the output its own matrix."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a switch that is none, and a seed that no generator takes."""
        if not isinstance(self.rotated, bool):
            raise ValueError(f"Rotated must be true or false, not {self.rotated!r}.")
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise ValueError(f"The seed must be 0 to 4,294,967,295, not {self.seed!r}.")

    @classmethod
    def everywhere(
        cls, n: int, size: float, spread: float = 0.0, seed: int = 0
    ) -> "OutlierSettings":
        """Give every place the same number, size and spread."""
        same = Channels(n=n, size=size, spread=spread)
        return cls(norms=same, values=same, inner=same, keys=same, seed=seed)

    @classmethod
    def read(cls, raw: Mapping[str, Any], source: str) -> "OutlierSettings":
        """Take settings from parsed JSON, as `written` gives them.

        Raises
        ------
        ModelError
            One sentence that says what in `source` is wrong.
        """
        places = {each.name for each in fields(cls)} - {"rotated", "seed"}
        try:
            given: dict[str, Any] = {
                name: Channels(**value) if name in places else value for name, value in raw.items()
            }
            return cls(**given)
        except (TypeError, ValueError) as problem:
            raise ModelError(f"{source} holds no settings of outliers: {problem}") from problem

    def written(self) -> dict[str, Any]:
        """Say them in what JSON can hold."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# Fitted to the divergence that llama.cpp published of Llama-3-8B, for the lab's own model: a few
# large columns in ffn_down do most of it, as in large models, and the norms' add at two bits.
LLAMA_3_8B = OutlierSettings(
    norms=Channels(n=2, size=8.0, spread=0.2),
    values=Channels(n=2, size=1 / 16, spread=0.2),
    inner=Channels(n=16, size=1 / 64, spread=0.25),
    keys=Channels(n=2, size=8.0, spread=0.25),
)
PRESETS = {
    "none": OutlierSettings(),
    "like Llama-3-8B": LLAMA_3_8B,
    "loud inputs": OutlierSettings(norms=Channels(n=2, size=64.0)),
    "super weights": OutlierSettings(inner=Channels(n=4, size=1 / 256)),
    "loud keys": OutlierSettings(keys=Channels(n=2, size=32.0)),
    "rotated": OutlierSettings(rotated=True),
}
