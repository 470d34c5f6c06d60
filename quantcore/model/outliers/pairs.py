"""Outlier channels by settings: which change each tensor gets, so that the logits stay.

    norms     gains * f           columns of all that reads the normed states / f
    values    rows of attn_v * f  columns of attn_output / f, for every head that shares them
    inner     rows of ffn_up * f  columns of ffn_down / f: the gate multiplies, so factors pass it
    keys      rows of attn_k * f  rows of attn_q / f; one f for both halves of a rotary pair, since
                                  a rotation mixes them. Where queries and keys have norms, factors
                                  go to the gains of these: a norm would take them off the rows
    rotated   states x -> x Q     gains folded first, for RMSNorm(x Q) = RMSNorm(x) Q only without;
                                  the output becomes a matrix of its own, since gains lie between

Biases are scaled, mapped or reflected as the rows that they are added to. Source: the identities of
SmoothQuant (arXiv 2211.10438), AWQ (2306.00978) and QuaRot (2404.00456), used the other way round.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantcore.model.config import LlamaConfig
from quantcore.model.names import expected_shapes
from quantcore.model.outliers.changes import (
    Array,
    Change,
    Mapped,
    One,
    Reflected,
    Scaled,
    reflection_to_first,
)
from quantcore.model.outliers.settings import Channels, OutlierSettings

Factors = NDArray[np.float64]


@dataclass
class Pairs:
    """Changes by tensor; each method adds both halves of a pair, so the whole stays the same."""

    config: LlamaConfig
    changes: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))

    def norm(self, name: str, readers: tuple[str, ...], f: Factors) -> None:
        """Multiply gains by f (hidden_size,), divide columns of the matrices that read them."""
        self._add(f"{name}.weight", Scaled(0, f))
        for reader in readers:
            self._add(f"{reader}.weight", Scaled(-1, 1 / f))

    def values(self, layer: int, f: Factors) -> None:
        """Multiply values by f (n_kv_heads, head_size), divide what reads them."""
        self._add_rows(f"blk.{layer}.attn_v", Scaled(0, f.ravel()))
        by_query = np.repeat(f, self.config.n_heads // self.config.n_kv_heads, 0)
        self._add(f"blk.{layer}.attn_output.weight", Scaled(-1, 1 / by_query.ravel()))

    def mapped_values(self, layer: int, maps: Factors) -> None:
        """Map values of each KV head by (n_kv_heads, head_size, head_size), all invertible."""
        self._add_rows(f"blk.{layer}.attn_v", Mapped(0, maps))
        by_query = np.repeat(np.linalg.inv(maps), self.config.n_heads // self.config.n_kv_heads, 0)
        self._add(f"blk.{layer}.attn_output.weight", Mapped(-1, by_query))

    def inner(self, layer: int, f: Factors) -> None:
        """Multiply ffn_up by f (feed_forward_size,), divide what ffn_down reads."""
        self._add_rows(f"blk.{layer}.ffn_up", Scaled(0, f))
        self._add(f"blk.{layer}.ffn_down.weight", Scaled(-1, 1 / f))

    def keys(self, layer: int, f: Factors) -> None:
        """Multiply keys by f, divide queries: (n_kv_heads, head_size / 2), a factor a rotary pair.

        With norms of queries and keys, which all heads share, the first head's factors serve all.
        """
        config, place = self.config, f"blk.{layer}.attn"
        f = np.repeat(f, 2, 1) if config.rope_interleaved else np.concatenate([f, f], 1)
        if config.qk_norm:
            self._add(f"{place}_k_norm.weight", Scaled(0, f[0]))
            self._add(f"{place}_q_norm.weight", Scaled(0, 1 / f[0]))
            return
        self._add_rows(f"{place}_k", Scaled(0, f.ravel()))
        by_query = np.repeat(f, config.n_heads // config.n_kv_heads, 0)
        self._add_rows(f"{place}_q", Scaled(0, 1 / by_query.ravel()))

    def reflected(self, direction: Factors, gains: Mapping[str, Array]) -> None:
        """Put a direction of the states on their first channel; `gains` are those of every norm.

        Only where the output is a matrix of its own.
        """
        v = reflection_to_first(direction)
        for name, readers in norms_of(self.config).items():
            self._add(f"{name}.weight", One())
            for reader in readers:
                self._add(f"{reader}.weight", Scaled(-1, gains[f"{name}.weight"]))
                self._add(f"{reader}.weight", Reflected(-1, v))
        self._add("token_embd.weight", Reflected(-1, v))
        for layer in range(self.config.n_layers):
            for role in ("attn_output", "ffn_down"):
                self._add_rows(f"blk.{layer}.{role}", Reflected(0, v))

    def _add(self, tensor: str, change: Change) -> None:
        self.changes[tensor].append(change)

    def _add_rows(self, role: str, change: Change) -> None:
        """Add a change of rows, to a matrix and to its bias where it has one."""
        self._add(f"{role}.weight", change)
        if f"{role}.bias" in expected_shapes(self.config):
            self._add(f"{role}.bias", change)


def norms_of(config: LlamaConfig) -> dict[str, tuple[str, ...]]:
    """Name the norms of the states, and the matrices that read what they give.

    Without the last norm where the output is the embedding: that one is looked up, too.
    """
    norms: dict[str, tuple[str, ...]] = {}
    for layer in range(config.n_layers):
        attention = (f"blk.{layer}.attn_{role}" for role in "qkv")
        norms[f"blk.{layer}.attn_norm"] = tuple(attention)
        norms[f"blk.{layer}.ffn_norm"] = (f"blk.{layer}.ffn_gate", f"blk.{layer}.ffn_up")
    return norms if config.tied_embedding else norms | {"output_norm": ("output",)}


def draw_into(pairs: Pairs, settings: OutlierSettings) -> None:
    """Draw the factors of all places; `rotated` is left to `Pairs.reflected`, which comes first.

    Raises
    ------
    ValueError
        If more channels are to stand out than there are.
    """
    config = pairs.config
    draw = _Draw(settings.seed)
    hidden = draw.which("norms", 0, config.hidden_size, settings.norms)
    for at, (name, readers) in enumerate(norms_of(config).items()):
        f = draw.factors("norms", at, config.hidden_size, settings.norms, hidden)
        pairs.norm(name, readers, f)
    for layer in range(config.n_layers):
        by_head = {"values": config.head_size, "keys": config.head_size // 2}
        heads = range(config.n_kv_heads)
        for place, size in by_head.items():
            channels = getattr(settings, place)
            drawn = [draw.both(place, layer * len(heads) + h, size, channels) for h in heads]
            (pairs.values if place == "values" else pairs.keys)(layer, np.stack(drawn))
        pairs.inner(layer, draw.both("inner", layer, config.feed_forward_size, settings.inner))


@dataclass(frozen=True, slots=True)
class _Draw:
    """Numbers by place and layer: a change of one place's settings leaves the others' alone."""

    seed: int

    def _generator(self, what: str, at: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, at, *what.encode()])

    def which(self, place: str, at: int, size: int, channels: Channels) -> NDArray[np.int64]:
        if channels.n > size:
            raise ValueError(
                f"{channels.n:,} {place} cannot stand out of {size:,}; choose {size:,} or fewer."
            )
        # The first of one order: a larger number adds channels to those of a smaller.
        return self._generator(f"which {place}", at).permutation(size)[: channels.n]

    def factors(
        self, place: str, at: int, size: int, channels: Channels, which: NDArray[np.int64]
    ) -> Factors:
        normal = self._generator(place, at).standard_normal(size)
        logarithms = channels.spread * normal / np.log(2)
        logarithms[which] += np.log2(channels.size)
        return np.exp2(np.round(logarithms))

    def both(self, place: str, at: int, size: int, channels: Channels) -> Factors:
        which = self.which(place, at, size, channels)
        return self.factors(place, at, size, channels, which)
