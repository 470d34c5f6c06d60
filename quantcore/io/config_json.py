"""The one door to a config.json: every value of a stranger's file is checked when it is read."""

import math
from collections.abc import Mapping
from typing import Any

from quantcore.io import ModelError, short

_LARGEST = {  # other sizes go up to 2^24
    "num_hidden_layers": 1_000,
    "hidden_size": 2**17,
    "intermediate_size": 2**20,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "head_dim": 2**12,
    "vocab_size": 2**22,
}
# What some architectures call the sizes that most call by the first name.
_OTHER_NAMES = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv"),
    "intermediate_size": ("n_inner", "ffn_hidden_size", "block_ff_dim"),
    "max_position_embeddings": ("n_positions", "n_ctx", "seq_length"),
    "tie_word_embeddings": ("tie_embedding",),
    "num_experts": ("moe_num_experts",),
    "num_experts_per_tok": ("moe_k",),
    "n_shared_experts": ("moe_num_shared_experts",),
    "first_k_dense_replace": ("moe_layer_start_index",),
    "decoder_sparse_step": ("moe_layer_interval",),
}
_TEXT_PARTS = ("text_config", "llm_config", "language_config")


class ConfigJson:
    """The values of a config.json. What is missing or absurd raises a `ModelError` of one sentence.

    Parameters
    ----------
    values
        The parsed object.
    source
        What the sentences call it.

    Examples
    --------
    >>> ConfigJson({"hidden_size": 0}).size("hidden_size")
    Traceback (most recent call last):
    quantcore.io.ModelError: config.json has hidden_size 0; expected 1 to 131,072.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        source: str = "config.json",
        looked_at: set[str] | None = None,
    ) -> None:
        self.source = source
        self._values = values
        self._looked_at = set() if looked_at is None else looked_at  # keys, by whoever asked

    def __contains__(self, key: str) -> bool:
        self._looked_at.add(key)
        return key in self._values

    def get(self, key: str, default: object = None) -> Any:
        """Return a value as it is, for those who check it themselves."""
        self._looked_at.add(key)
        return self._values.get(key, default)

    def first_of(self, *keys: str) -> str | None:
        """Return the first of the keys whose value is neither missing, zero nor empty."""
        self._looked_at.update(keys)
        return next((key for key in keys if self._values.get(key)), None)

    def not_looked_at(self) -> dict[str, Any]:
        """Return what nobody has asked for, here or in what was made of this."""
        return {key: v for key, v in self._values.items() if key not in self._looked_at}

    def size(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """Read a whole number from `least` to what a model can have; required without a default."""
        value, largest = self._required(key, default), _LARGEST.get(key, 2**24)
        if type(value) is not int or not least <= value <= largest:
            raise self.error(f"has {key} {short(value)}; expected {least} to {largest:,}.")
        return value

    def real(self, key: str, default: float | None = None, *, largest: float) -> float:
        """Read a number above zero, at most `largest`; required without a default."""
        value = self._required(key, default)
        if type(value) not in (int, float) or not 0 < value <= largest or not math.isfinite(value):
            raise self.error(f"has {key} {short(value)}; expected a number up to {largest:g}.")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """Read true or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"has {key} {short(value)}; expected true or false.")
        return value

    def layers(self, key: str) -> list[int]:
        """Read the numbers of some layers; none where there is no such key."""
        value = self.get(key, [])
        if not isinstance(value, list) or any(type(layer) is not int for layer in value):
            raise self.error(f"has {key} {short(value)}; expected a list of layers.")
        return value

    def by_layer(self, n_layers: int, *keys: str) -> list[str] | None:
        """Read a word for each layer; None unless the first key that there is has as many."""
        key = self.first_of(*keys)
        words = self._values[key] if key else None
        if not isinstance(words, list) or len(words) != n_layers:
            return None
        return [str(word) for word in words]

    def part(self, key: str) -> "ConfigJson | None":
        """Return an object inside this one; None where there is none."""
        value = self.get(key)
        return ConfigJson(value, self.source) if isinstance(value, Mapping) else None

    def parts(self, key: str) -> list["ConfigJson"]:
        """Return the objects inside an object inside this one, whatever their names."""
        values = self.get(key)
        objects = values.values() if isinstance(values, Mapping) else ()
        return [ConfigJson(one, self.source) for one in objects if isinstance(one, Mapping)]

    def rope(self) -> "ConfigJson":
        """Return what transformers 5 calls `rope_parameters`, and others `rope_scaling`."""
        values = self._values.get("rope_parameters") or self._values.get("rope_scaling") or {}
        if not isinstance(values, Mapping):
            raise self.error("has rope parameters that are not an object.")
        outer = {
            key: self._values[key]
            for key in ("rope_theta", "partial_rotary_factor")
            if key in self._values
        }
        return ConfigJson({**outer, **values}, self.source)

    def with_defaults(self, defaults: Mapping[str, Any]) -> "ConfigJson":
        """Fill in what is missing."""
        return ConfigJson({**defaults, **self._values}, self.source, self._looked_at)

    def text_model(self) -> "ConfigJson":
        """Take the language model's part, every size under its usual name, nulls left out."""
        values = _without_nulls(self._values)
        for part in _TEXT_PARTS:
            if isinstance(inner := values.get(part), Mapping):
                outer = {key: values[key] for key in ("tie_word_embeddings",) if key in values}
                kind = {"model_type": f"{values.get('model_type')}_text"}
                values = outer | kind | _without_nulls(inner)
        for usual, others in _OTHER_NAMES.items():
            other = next((key for key in others if key in values), None)
            if usual not in values and other is not None:
                values[usual] = values.pop(other)
        return ConfigJson(values, self.source)

    def error(self, says: str) -> ModelError:
        """Make the error of a sentence that goes on after the name of the file."""
        return ModelError(f"{self.source} {says}")

    def _required(self, key: str, default: object) -> Any:
        value = self.get(key)
        if value is None:
            value = default
        if value is None:
            raise self.error(f"lacks {key}.")
        return value


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
