"""What each layer of a GGUF file's model keeps of the tokens that it has read, as llama.cpp has it.

Which layers see a window or keep a state is partly in llama.cpp's code only, and so in the table of
`quantcore.architectures`; sizes of states are n_embd_r and n_embd_s in its llama-hparams.cpp.
"""

from quantcore.architectures import Architecture, by_name
from quantcore.memory.lookup.gguf_keys import Keys
from quantcore.shape.model_shape import CacheKind, LatentAttention, LayerCache


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
        index_size=keys.number("attention.indexer.key_length", 0, least=0),
        index_heads=keys.number("attention.indexer.head_count", 0, least=0),
    )


def caches_of(keys: Keys, n_layers: int, hidden: int, n_heads: int) -> tuple[LayerCache, ...]:
    """Say what each layer keeps."""
    architecture = by_name(keys.architecture)
    heads = keys.by_layer("attention.head_count", n_layers, n_heads)
    kv_heads = keys.by_layer("attention.head_count_kv", n_layers, heads)
    usual = max(hidden // n_heads, 1)
    sizes = [keys.number(f"attention.{part}_length", usual) for part in ("key", "value")]
    in_window = [
        keys.number(f"attention.{part}_length_swa", size)
        for part, size in zip(("key", "value"), sizes, strict=True)
    ]
    latent, windows = latent_of(keys), _windows(keys, architecture, n_layers)
    has_state = _with_state(keys, architecture, kv_heads)
    state_values = _state_values(keys, hidden, n_heads)
    n_own = architecture.own_caches
    if n_own is None:
        n_own = n_layers - keys.number("attention.shared_kv_layers", 0, least=0)
    beside = state_values if architecture.state_layers == "beside attention" else 0
    caches = []
    for layer, (kind, window) in enumerate(windows):
        key, value = (n * kv_heads[layer] for n in (in_window if window else sizes))
        if has_state[layer]:
            caches.append(LayerCache(kind="state", state_values=state_values))
        elif layer >= n_own or not kv_heads[layer]:
            caches.append(LayerCache(kind="none"))
        elif latent:
            caches.append(LayerCache(kind="latent", key_values=latent.cached))
        else:
            caches.append(
                LayerCache(
                    kind=kind,
                    key_values=key,
                    value_values=value,
                    window=window,
                    state_values=beside,
                )
            )
    return tuple(caches)


def _windows(
    keys: Keys, architecture: Architecture, n_layers: int
) -> list[tuple[CacheKind, int | None]]:
    """Say of each layer whether it sees everything, a window, or chunks, and how far."""
    window = keys.number("attention.sliding_window", 0, least=0, most=2**31)
    if "attention.sliding_window" not in keys:
        window = architecture.window
    too_small = architecture.window_layers not in (None, n_layers)
    if not window or too_small or not (architecture.full_every or keys.has_pattern):
        return [("full", None)] * n_layers
    if keys.has_pattern:
        narrow = keys.by_layer("attention.sliding_window_pattern", n_layers)
    else:
        every = keys.number("attention.sliding_window_pattern", architecture.full_every)
        full = 0 if architecture.full_first else every - 1
        narrow = [i % every != full for i in range(n_layers)]
    kind: CacheKind = "window"
    if architecture.chunked:
        kind, window = "chunk", architecture.window
    return [(kind, window) if one else ("full", None) for one in narrow]


def _with_state(keys: Keys, architecture: Architecture, kv_heads: list[int]) -> list[bool]:
    """Say of each layer whether it keeps a state instead of keys and values."""
    n_layers = len(kv_heads)
    match architecture.state_layers:
        case "all":
            return [True] * n_layers
        case "by interval":
            if "attention.recurrent_layers" in keys:
                return [bool(one) for one in keys.by_layer("attention.recurrent_layers", n_layers)]
            every = keys.number("full_attention_interval", 4)
            return [(i + 1) % every != 0 for i in range(n_layers)]
        case "by heads":
            widths = keys.by_layer("feed_forward_length", n_layers, 0)
            alone = architecture.feed_forward_layers
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
