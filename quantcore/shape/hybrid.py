"""Layers without attention: state spaces, short convolutions, linear attention.

They keep a state of fixed size for each sequence, in float32, whatever the context. Sizes as in
transformers' code of each architecture and llama.cpp's `n_embd_r` (inputs of the convolution that
are still to be seen) and `n_embd_s` (the state itself).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantcore.architectures import Architecture
from quantcore.io import short
from quantcore.io.config_json import ConfigJson
from quantcore.shape.model_shape import LayerCache

Shapes = dict[str, tuple[int, ...]]
_MIXERS = {
    "full_attention": "attention", "sliding_attention": "attention", "attention": "attention",
    "chunked_attention": "attention", "indexed_attention": "attention",
    "linear_attention": "delta", "mamba": "mamba", "conv": "conv",
}  # fmt: skip

_PARTS = {
    "M": "mamba2", "*": "attention", "E": "experts", "-": "feed forward",
    "mamba": "mamba2", "attention": "attention", "moe": "experts", "mlp": "feed forward",
    "linear_attention": "mamba2", "full_attention": "attention",
}  # fmt: skip
WITHOUT_MIXER = ("experts", "feed forward")


def mixers(config: ConfigJson, architecture: Architecture, n_layers: int) -> list[str]:
    """Say of each layer what mixes its tokens: attention, mamba, mamba2, conv or delta.

    Or that it is one of `WITHOUT_MIXER`.

    Raises
    ------
    ModelError
        If config.json names a kind of layer that the lab does not know.
    """
    own = architecture.mixer
    if architecture.only_states:
        assert own is not None
        return [own] * n_layers
    if architecture.feed_forward_layers:  # Nemotron-H
        return _one_part_each(config, n_layers)
    if own == "mamba" and "attn_layer_period" in config:  # Jamba
        period = config.size("attn_layer_period")
        offset = config.size("attn_layer_offset", least=0)
        return ["attention" if i % period == offset else own for i in range(n_layers)]
    if words := config.by_layer(n_layers, "layer_types", "layers_block_type"):
        if unknown := set(words) - set(_MIXERS):
            raise config.error(
                f"has layers of type {short(min(unknown))}, which the lab does not know."
            )
        known = _MIXERS | ({"mamba": own} if own == "mamba2" else {})
        return [known[word] for word in words]
    if "full_attn_idxs" in config:  # LFM2
        full = config.layers("full_attn_idxs")
        return ["attention" if i in full else "conv" for i in range(n_layers)]
    if "full_attention_interval" in config:  # Qwen3-Next
        every = config.size("full_attention_interval")
        return ["delta" if (i + 1) % every else "attention" for i in range(n_layers)]
    return ["attention"] * n_layers


def _one_part_each(config: ConfigJson, n_layers: int) -> list[str]:
    """Read what the only part of each layer is: a mixer, or a feed-forward part."""
    words = config.by_layer(n_layers, "layers_block_type", "layer_types")
    pattern = config.get("hybrid_override_pattern", "") if words is None else words
    if not isinstance(pattern, str | list) or len(pattern) != n_layers:
        raise config.error(
            f"has {n_layers} layers, and a pattern of what they are that has not as many."
        )
    if unknown := {str(part) for part in pattern} - set(_PARTS):
        raise config.error(
            f"has layers of type {short(min(unknown))}, which the lab does not know."
        )
    return [_PARTS[part] for part in pattern]


@dataclass(frozen=True, slots=True)
class _StateSpace:
    """Sizes of a state-space layer."""

    inner: int
    state: int
    kernel: int
    rank: int  # of the time step; heads in Mamba-2
    groups: int


def _state_space(config: ConfigJson, hidden: int, second: bool) -> _StateSpace:
    """Read its sizes; jamba and granite put `mamba_` or `mamba_d_` before the names."""

    def one(default: int, *keys: str) -> int:
        key = next((key for key in keys if key in config), keys[0])
        return config.size(key, default)

    expand = one(2, "mamba_expand", "expand")
    inner = one(expand * hidden, "intermediate_size") if "expand" in config else expand * hidden
    if "mamba_num_heads" in config:  # Nemotron-H
        inner = config.size("mamba_num_heads") * config.size("mamba_head_dim", 64)
    elif "mamba_d_ssm" in config:  # Falcon-H1
        inner = config.size("mamba_d_ssm")
    rank = config.get("mamba_dt_rank", config.get("time_step_rank", "auto"))
    if second:
        rank = one(
            inner // one(64, "mamba_d_head", "head_dim"),
            *("mamba_n_heads", "mamba_num_heads", "num_heads"),
        )
    elif type(rank) is not int:
        rank = -(-hidden // 16)
    return _StateSpace(
        inner,
        one(128 if second else 16, "mamba_d_state", "ssm_state_size", "state_size"),
        one(4, "mamba_d_conv", "conv_kernel"),
        rank,
        one(8 if "mamba_n_groups" not in config else 1, "mamba_n_groups", "n_groups")
        if second
        else 0,
    )


def _delta(config: ConfigJson) -> tuple[int, int, int, int, int]:
    """Key heads, their size, value heads, their size, kernel of Qwen3-Next's linear attention."""
    keys = ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads")
    more = ("linear_value_head_dim", "linear_conv_kernel_dim")
    usual = (16, 128, 32, 128, 4)
    k_heads, k_size, v_heads, v_size, kernel = map(config.size, keys + more, usual)
    return k_heads, k_size, v_heads, v_size, kernel


def state_cache(mixer: str, config: ConfigJson, sizes: Mapping[str, Any]) -> LayerCache:
    """Count the numbers that such a layer keeps of each sequence."""
    if mixer in WITHOUT_MIXER:
        return LayerCache(kind="none")
    hidden = sizes["hidden_size"]
    if mixer == "conv":
        kept = (config.size("conv_L_cache", 3) - 1) * hidden
    elif mixer == "delta":
        n_keys, key, n_values, value, kernel = _delta(config)
        kept = (kernel - 1) * (2 * n_keys * key + n_values * value) + n_values * key * value
    else:
        s = _state_space(config, hidden, mixer == "mamba2")
        kept = (s.kernel - 1) * (s.inner + 2 * s.groups * s.state) + s.inner * s.state
    return LayerCache(kind="state", state_values=kept)


def mixer_tensors(
    mixer: str, config: ConfigJson, architecture: Architecture, hidden: int
) -> Shapes:
    """Tensors of one layer that stand where others have attention, by GGUF's role."""
    if mixer == "conv":
        kernel = config.size("conv_L_cache", 3)
        return {
            "shortconv.in_proj.weight": (3 * hidden, hidden),
            "shortconv.conv.weight": (hidden, kernel),
            "shortconv.out_proj.weight": (hidden, hidden),
        }
    if mixer == "delta":
        return _delta_tensors(config, hidden)
    if mixer == "mamba2":
        tensors = _mamba2_tensors(_state_space(config, hidden, True), hidden)
        if "mamba_d_ssm" in config and not config.flag("mamba_rms_norm"):  # Falcon-H1
            del tensors["ssm_norm.weight"]
        return tensors
    s = _state_space(config, hidden, False)
    tensors = {
        "ssm_in.weight": (2 * s.inner, hidden),
        "ssm_conv1d.weight": (s.inner, s.kernel),
        "ssm_conv1d.bias": (s.inner,),
        "ssm_x.weight": (s.rank + 2 * s.state, s.inner),
        "ssm_dt.weight": (s.inner, s.rank),
        "ssm_dt.bias": (s.inner,),
        "ssm_a": (s.inner, s.state),
        "ssm_d": (s.inner,),
        "ssm_out.weight": (hidden, s.inner),
    }
    if architecture.state_norms:
        norms = {"ssm_dt_norm": s.rank, "ssm_b_norm": s.state, "ssm_c_norm": s.state}
        tensors |= {f"{role}.weight": (width,) for role, width in norms.items()}
    return tensors


def _mamba2_tensors(s: _StateSpace, hidden: int) -> Shapes:
    channels = s.inner + 2 * s.groups * s.state
    return {
        "ssm_in.weight": (s.inner + channels + s.rank, hidden),
        "ssm_conv1d.weight": (channels, s.kernel),
        "ssm_conv1d.bias": (channels,),
        "ssm_dt.bias": (s.rank,),
        "ssm_a": (s.rank, 1),
        "ssm_d": (s.rank, 1),
        "ssm_norm.weight": (s.groups, s.inner // s.groups),
        "ssm_out.weight": (hidden, s.inner),
    }


def _delta_tensors(config: ConfigJson, hidden: int) -> Shapes:
    n_keys, key, n_values, value, kernel = _delta(config)
    channels = 2 * n_keys * key + n_values * value
    return {
        "attn_qkv.weight": (channels, hidden),
        "attn_gate.weight": (n_values * value, hidden),
        "ssm_conv1d.weight": (channels, kernel),
        "ssm_dt.bias": (n_values,),
        "ssm_a": (n_values,),
        "ssm_ba.weight": (2 * n_values, hidden),
        "ssm_norm.weight": (value,),
        "ssm_out.weight": (hidden, n_values * value),
    }
