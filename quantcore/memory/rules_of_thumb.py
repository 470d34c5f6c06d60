"""What articles count with, beside what comes out, and why the two differ."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from quantcore.memory.estimate import Estimate
from quantcore.memory.sizes import gib

_WITH_DIGITS = re.compile(r"(?:^|[A-Z_])(\d{1,2})")
_BITS = {"GPTQ": 4, "AWQ": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOfThumb:
    """One rule with a model's numbers put in."""

    name: str
    formula: str
    bytes: int
    most_bytes: int | None  # where the rule gives a range
    exact_what: str  # what it stands for: weights, cache, or all
    exact_bytes: int
    why: str  # the difference, in a sentence
    source: str

    @property
    def factor(self) -> float:
        """How many times the exact figure is of the rule's, or of the end of its range."""
        nearest = min(max(self.exact_bytes, self.bytes), self.most_bytes or self.bytes)
        return self.exact_bytes / nearest

    @property
    def is_cache_formula(self) -> bool:
        """Whether it multiplies out the cache, rather than taking a share of the weights."""
        return self.exact_what == "cache" and self.name.startswith("2 ×")


def rules_of_thumb(taken: Estimate) -> tuple[RuleOfThumb, ...]:
    """Apply every rule to an estimate."""
    return tuple(rule(taken) for rule in _RULES)


def nominal_bits(type_name: str) -> int | None:
    """Bits of a weight by the name of a type alone, as the articles count; None if it says none.

    >>> [nominal_bits(n) for n in ("Q4_K_M", "IQ2_XXS", "BF16", "GPTQ_3BIT", "AWQ", "NVFP4")]
    [4, 2, 16, 3, 4, 4]
    """
    name = type_name.upper()
    digits = _WITH_DIGITS.search(name)
    return _BITS.get(name) or (int(digits[1]) if digits else None)


def _bits(taken: Estimate) -> int:
    """Bits by the type's name; of a file that has none, the nearest to what it stores."""
    return nominal_bits(taken.setup.type_name) or round(taken.stored.bits_per_weight)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%"


def _billions(taken: Estimate) -> str:
    return f"{taken.shape.n_weights / 1e9:.3g} billion"


def _plain_bytes(taken: Estimate) -> int:
    return taken.shape.n_weights * _bits(taken) // 8


def _bits_why(taken: Estimate) -> str:
    """Compare bits by name with bits stored."""
    bits, real = _bits(taken), taken.stored.bits_per_weight
    kept = [t for t in taken.stored.tensors if t.format in ("F32", "F16", "BF16", "Q8_0", "Q6_K")]
    share = sum(t.bytes for t in kept) / taken.weights_bytes
    if abs(real - bits) < 0.05:
        return f"{taken.setup.type_name} stores {real:.2f} bits per weight, as its name says"
    why = f"{taken.setup.type_name} stores {real:.2f} bits per weight, not {bits}: scales"
    return why + (
        f", and {_percent(share)} of the bytes are in wider formats" if share > 0.01 else ""
    )


def _cache_why(taken: Estimate) -> str:
    """Say what the cache depends on, which a share of the weights cannot know."""
    share = taken.kv_cache_bytes / taken.weights_bytes
    per_token = gib(taken.kv_bytes_per_token * 1024)
    setup = taken.setup
    filling = " till windows are full" if taken.shape.window else ""
    many = f" of {setup.sequences} sequences" if setup.sequences > 1 else ""
    return (
        f"at {setup.context:,} tokens{many} the cache is {_percent(share)} of the weights; it "
        f"grows by {per_token} every 1,024 tokens{filling}, whatever the bits of the weights"
    )


def _times_bytes(taken: Estimate) -> RuleOfThumb:
    plain = _plain_bytes(taken)
    return RuleOfThumb(
        name="parameters × bytes",
        formula=f"{_billions(taken)} × {_bits(taken)} bits / 8",
        bytes=plain,
        most_bytes=None,
        exact_what="weights",
        exact_bytes=taken.weights_bytes,
        why=_bits_why(taken),
        source='"half a byte for 4 bits": NVIDIA NIM, Troubleshooting GPU memory',
    )


def _times_one_fifth_more(taken: Estimate) -> RuleOfThumb:
    rule = round(1.2 * _plain_bytes(taken))
    added = _percent((taken.total_bytes - taken.weights_bytes) / taken.weights_bytes)
    return RuleOfThumb(
        name="parameters × bytes × 1.2",
        formula=f"{_billions(taken)} × {_bits(taken)} bits / 8 × 1.2",
        bytes=rule,
        most_bytes=None,
        exact_what="all",
        exact_bytes=taken.total_bytes,
        why=f"{_bits_why(taken)}; cache and buffers add {added}, not 20\u202f%",
        source="Modal, How much VRAM do I need for LLM inference?",
    )


def _plus_overhead(taken: Estimate) -> RuleOfThumb:
    plain = _plain_bytes(taken)
    rest = taken.total_bytes - taken.weights_bytes
    return RuleOfThumb(
        name="parameters × bytes + 1 to 2 GB",
        formula=f"{_billions(taken)} × {_bits(taken)} bits / 8 + 1 to 2 GB",
        bytes=plain + 10**9,
        most_bytes=plain + 2 * 10**9,
        exact_what="all",
        exact_bytes=taken.total_bytes,
        why=f"{_bits_why(taken)}; cache and buffers add {gib(rest)} at "
        f"{taken.setup.context:,} tokens",
        source="articles on local models",
    )


def _fifth_for_the_cache(taken: Estimate) -> RuleOfThumb:
    rule = round(0.2 * _plain_bytes(taken))
    return RuleOfThumb(
        name="20\u202f% for the cache",
        formula=f"{_billions(taken)} × {_bits(taken)} bits / 8 × 0.2",
        bytes=rule,
        most_bytes=None,
        exact_what="cache",
        exact_bytes=taken.kv_cache_bytes,
        why=_cache_why(taken),
        source="Modal, How much VRAM do I need for LLM inference?",
    )


def _cache_of_all_heads(taken: Estimate) -> RuleOfThumb:
    shape, n_tokens = taken.shape, _tokens(taken)
    return RuleOfThumb(
        name="2 × layers × hidden size × tokens × 2 bytes",
        formula=f"2 × {shape.n_layers} × {shape.hidden_size:,} × {n_tokens:,} × 2 B",
        bytes=4 * shape.n_layers * shape.hidden_size * n_tokens,
        most_bytes=None,
        exact_what="cache",
        exact_bytes=taken.kv_cache_bytes,
        why=_heads_why(taken, all_heads=True),
        source="articles from before grouped-query attention",
    )


def _cache_of_guessed_heads(taken: Estimate) -> RuleOfThumb:
    shape, n_tokens = taken.shape, _tokens(taken)
    guessed = shape.hidden_size // shape.n_heads
    return RuleOfThumb(
        name="2 × layers × KV heads × hidden / heads × tokens × 2 bytes",
        formula=f"2 × {shape.n_layers} × {shape.n_kv_heads} × {guessed} × {n_tokens:,} × 2 B",
        bytes=4 * shape.n_layers * shape.n_kv_heads * guessed * n_tokens,
        most_bytes=None,
        exact_what="cache",
        exact_bytes=taken.kv_cache_bytes,
        why=_heads_why(taken, all_heads=False),
        source="calculators that read config.json without head_dim and sliding_window",
    )


def _tokens(taken: Estimate) -> int:
    """Tokens of all sequences; llama.cpp's context is theirs together."""
    together = taken.setup.runtime == "llama.cpp"
    return taken.setup.context * (1 if together else taken.setup.sequences)


def _heads_why(taken: Estimate, all_heads: bool) -> str:
    """Name what the formula does not know about this model."""
    shape, setup = taken.shape, taken.setup
    reasons = []
    if shape.latent:
        size = shape.latent.kv_size + shape.latent.rope_size
        reasons.append(f"one latent vector of {size} numbers stands for keys and values")
    elif all_heads and shape.n_kv_heads < shape.n_heads:
        reasons.append(f"{shape.n_kv_heads} KV heads serve {shape.n_heads} heads")
    if not shape.latent and shape.head_size * shape.n_heads != shape.hidden_size:
        guessed = shape.hidden_size / shape.n_heads
        reasons.append(f"heads have {shape.head_size} numbers, not hidden / heads = {guessed:g}")
    n_short = sum(cache.kind in ("window", "chunk") for cache in shape.caches)
    if n_short and setup.context > (shape.window or 0):
        reasons.append(f"{n_short} of {shape.n_layers} layers keep {shape.window:,} tokens at most")
    if n_none := sum(not cache.key_values for cache in shape.caches):
        reasons.append(f"{n_none} of {shape.n_layers} layers keep no keys and values")
    if {setup.key_type.upper(), setup.value_type.upper()} - {"F16", "BF16"}:
        reasons.append(f"the cache is kept in {setup.key_type} and {setup.value_type}")
    if setup.shared_prefix and setup.sequences > 1:
        reasons.append(f"{setup.shared_prefix:,} tokens are kept once for all sequences")
    if not reasons:
        return "it knows all that decides here, so it is right"
    return "; ".join(reasons)


_RULES: tuple[Callable[[Estimate], RuleOfThumb], ...] = (
    _times_bytes,
    _times_one_fifth_more,
    _plus_overhead,
    _fifth_for_the_cache,
    _cache_of_all_heads,
    _cache_of_guessed_heads,
)
