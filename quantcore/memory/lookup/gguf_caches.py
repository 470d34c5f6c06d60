"""What each layer of a GGUF file's model keeps of the tokens that it has read, as llama.cpp has it.

Which layers see a window is partly in llama.cpp's code only: `_PATTERNS` is taken from
load_arch_hparams in its src/models/*.cpp, and what is said of recurrent layers from there and from
n_embd_r and n_embd_s in llama-hparams.cpp.
"""

from quantcore.memory.lookup.gguf_keys import Keys
from quantcore.shape.model_shape import LatentAttention, LayerCache

# Each so many layers one sees everything: the last of them, or where True stands the first.
_PATTERNS = {
    "gemma2": (2, False), "gemma3": (6, False), "gemma3n": (5, False), "gpt-oss": (2, False),
    "cohere2": (4, False), "cohere2moe": (4, True), "exaone4": (4, False), "afmoe": (4, False),
    "exaone-moe": (4, False), "llama4": (4, False), "olmo2": (4, False), "mellum": (4, False),
    "plamo3": (8, False), "smallthinker": (4, True),
}  # fmt: skip
_WINDOWS = {"gemma2": 4096, "llama4": 8192, "exaone-moe": 128}  # where the file does not say
_RECURRENT = ("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7")
_EVERY_FOURTH = ("qwen3next", "qwen35", "qwen35moe", "minimax-01")  # sees everything
_BY_HEADS = (  # layers without KV heads are recurrent
    "jamba", "granitehybrid", "lfm2", "lfm2moe", "plamo2", "nemotron_h", "nemotron_h_moe",
    "kimi-linear",
)  # fmt: skip
_BOTH = ("falcon-h1",)  # attention and a state in every layer
_LATENT = ("deepseek2", "minicpm3", "plm", "kimi-linear", "mistral4")
WITH_RULES = {*_PATTERNS, *_RECURRENT, *_EVERY_FOURTH, *_BY_HEADS, *_BOTH, *_LATENT}


def latent_of(keys: Keys) -> LatentAttention | None:
    """Read latent attention as llama.cpp runs it; files from before 2025 keep whole keys."""
    if "attention.key_length_mla" not in keys:
        return None
    rope = keys.number("rope.dimension_count")
    return LatentAttention(
        kv_size=keys.number("attention.kv_lora_rank"),
        rope_size=rope,
        query_size=keys.number("attention.q_lora_rank", 0, least=0) or None,
        key_size=max(keys.number("attention.key_length_mla") - rope, 1),
        value_size=keys.number("attention.value_length_mla"),
    )


def caches_of(keys: Keys, n_layers: int, hidden: int, n_heads: int) -> tuple[LayerCache, ...]:
    """Say what each layer keeps."""
    heads = keys.by_layer("attention.head_count", n_layers, n_heads)
    kv_heads = keys.by_layer("attention.head_count_kv", n_layers, heads)
    usual = max(hidden // n_heads, 1)
    sizes = [keys.number(f"attention.{part}_length", usual) for part in ("key", "value")]
    in_window = [
        keys.number(f"attention.{part}_length_swa", size)
        for part, size in zip(("key", "value"), sizes, strict=True)
    ]
    latent, windows = latent_of(keys), _windows(keys, n_layers)
    recurrent, kept = _recurrent(keys, n_layers, kv_heads), _state_values(keys, hidden, n_heads)
    own = _layers_with_own_cache(keys, n_layers)
    found = []
    for layer, (kind, window) in enumerate(windows):
        key, value = (n * kv_heads[layer] for n in (in_window if window else sizes))
        if recurrent[layer]:
            found.append(LayerCache(kind="state", state_values=kept))
        elif layer >= own or not kv_heads[layer]:
            found.append(LayerCache(kind="none"))
        elif latent:
            found.append(LayerCache(kind="latent", key_values=latent.kv_size + latent.rope_size))
        else:
            both = kept if keys.architecture in _BOTH else 0
            found.append(
                LayerCache(
                    kind=kind, key_values=key, value_values=value, window=window, state_values=both
                )
            )
    return tuple(found)


def _layers_with_own_cache(keys: Keys, n_layers: int) -> int:
    """Count the layers before those that use the keys and values of earlier ones."""
    if keys.architecture == "gemma3n":
        return 20
    return n_layers - keys.number("attention.shared_kv_layers", 0, least=0)


def _windows(keys: Keys, n_layers: int) -> list[tuple[str, int | None]]:
    """Say of each layer whether it sees everything, a window, or chunks, and how far."""
    window = keys.number("attention.sliding_window", 0, least=0, most=2**31)
    if "attention.sliding_window" not in keys:
        window = _WINDOWS.get(keys.architecture, 0)
    small = keys.architecture == "exaone4" and n_layers != 64  # only the largest has windows
    if not window or small or (keys.architecture not in _PATTERNS and not keys.has_pattern):
        return [("full", None)] * n_layers
    if keys.has_pattern:
        narrow = keys.by_layer("attention.sliding_window_pattern", n_layers)
    else:
        every, first = _PATTERNS[keys.architecture]
        every = keys.number("attention.sliding_window_pattern", every)
        narrow = [i % every != (0 if first else every - 1) for i in range(n_layers)]
    if keys.architecture == "llama4":
        window = _WINDOWS["llama4"]
    kind = "chunk" if keys.architecture == "llama4" else "window"
    return [(kind, window) if one else ("full", None) for one in narrow]


def _recurrent(keys: Keys, n_layers: int, kv_heads: list[int]) -> list[bool]:
    """Say of each layer whether it keeps a state instead of keys and values."""
    if keys.architecture in _RECURRENT:
        return [True] * n_layers
    if keys.architecture in _EVERY_FOURTH:
        if "attention.recurrent_layers" in keys:
            return [bool(one) for one in keys.by_layer("attention.recurrent_layers", n_layers)]
        every = keys.number("full_attention_interval", 4)
        return [(i + 1) % every != 0 for i in range(n_layers)]
    if keys.architecture in _BY_HEADS:
        widths = keys.by_layer("feed_forward_length", n_layers, 0)
        alone = keys.architecture.startswith("nemotron")  # its feed-forward parts are layers too
        return [not n and not (alone and widths[i]) for i, n in enumerate(kv_heads)]
    return [False] * n_layers


def _state_values(keys: Keys, hidden: int, n_heads: int) -> int:
    """Count the numbers of a recurrent layer: inputs still to be convolved, and its state."""

    def one(key: str, usual: int = 0) -> int:
        return keys.number(key, usual, least=0)

    if head := one("wkv.head_size"):
        return one("token_shift_count", 2) * hidden + hidden * head
    if width := one("shortconv.l_cache"):
        return (width - 1) * hidden
    kernel = max(one("ssm.conv_kernel") - 1, 0)
    if head := one("kda.head_dim"):
        return 3 * kernel * n_heads * head + head * head * n_heads
    inner, state = one("ssm.inner_size"), one("ssm.state_size")
    return kernel * (inner + 2 * one("ssm.group_count") * state) + state * inner
