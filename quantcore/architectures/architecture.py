"""What an architecture is like, as far as sizes, files and llama.cpp's graph differ by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

StateLayers = Literal["none", "all", "by interval", "by heads", "beside attention"]
Mixer = Literal["mamba", "mamba2", "conv", "delta", "wkv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One architecture: what is unlike a plain decoder with grouped queries and a gated part.

    Where a switch is None, config.json decides. What keys of config.json or names of tensors tell
    needs no field: experts, latent attention, how many heads share keys.
    """

    # Names
    name: str  # GGUF's general.architecture
    model_types: tuple[str, ...] = ()  # config.json's; empty where only GGUF files are read

    # How far the lab goes with it
    runs: bool = False  # the forward pass of `quantcore.model`
    mix_rules: bool = True  # `quantcore.recipe` covers it
    caches_known: bool = True  # caches of its GGUF files are certain
    graph_known: bool = True  # llama.cpp's compute buffer was held against llama.cpp's own

    # Sizes that a config.json may leave out
    defaults: Mapping[str, Any] = field(default_factory=dict)  # key: value in transformers' class
    tied: bool = False  # the output is the embedding
    multi_query: bool = False  # config.json's flag of that name stands for one KV head
    shared_experts: int = 0  # beside the routed ones

    # Tensors, by GGUF's names
    norms: tuple[str, ...] = ("attn_norm", "ffn_norm")  # of each layer
    norm_bias: bool = False
    head_norm: Literal["", "head", "width"] = ""  # norms of queries and keys: of a head, or of all
    fused_qkv: bool = False
    gated_queries: bool = False  # a gate beside each query
    not_loaded: tuple[str, ...] = ()  # what configs allow and llama.cpp does not load
    hidden_wide: bool = False  # llama.cpp: queries of all heads together are as wide as the states
    qkv_bias: bool | None = None
    output_bias: bool | None = None  # on the attention's output; None: as on queries
    gate: Literal["split", "fused", "none"] = "split"
    mlp_bias: bool | None = None
    positions: bool = False  # a learned embedding of positions
    sinks: bool = False  # one number a head
    expert_bias: bool = False  # on the router and on every projection
    score_bias: bool = False  # DeepSeek-V3's correction, one number an expert
    shared_gate: bool = False  # the shared expert has a gate of its own
    state_norms: bool = False  # of time step, input and output of a state space
    rope_factors: bool = False  # factors for long and for short contexts
    rotates_neighbours: bool = False  # GGUF's rows of queries and keys: pairs side by side

    # Windows
    full_every: int | None = None  # each so many layers one sees everything; 0: none does
    full_first: bool = False  # the first of those layers, not the last
    window: int = 0  # tokens, where neither a GGUF file nor a config.json says
    windows_in_file: bool = False  # GGUF's key says of each layer whether it has one
    window_layers: int | None = None  # only the model of so many layers has windows
    chunked: bool = False  # chunks in place of sliding windows, always as long as `window`

    # Layers that keep a state
    state_layers: StateLayers = "none"  # "by heads": those without KV heads
    mixer: Mixer | None = None  # what mixes tokens there; None: config.json's layer_types say
    feed_forward_layers: bool = False  # feed-forward parts are layers, with neither state nor keys
    own_caches: int | None = None  # layers in front with a cache of their own, which others use too

    # llama.cpp's graph
    layer_norm: bool = False  # instead of RMS norm, though no bias tells it
    rotated: Literal["all", "windows", "none"] = "all"  # layers that rotate by position
    scaled_queries: bool = False  # layers that do not rotate scale queries by position
    # Weights of the chosen experts: made to add up to one; as the router says; or applied to what
    # experts read in place of what they say, and ranked before they are squashed.
    expert_weights: Literal["normed", "plain", "on input"] = "normed"
    residual_first: Literal["none", "feed-forward", "both"] = "none"  # in sums: may be written over
    # Where the tokens whose logits are wanted are taken from all.
    rows_chosen: Literal["in last layer", "before last norm", "after last norm"] = "in last layer"

    # llama-quantize
    is_70b: Literal["never", "grouped", "always"] = "never"  # with 80 layers; grouped: KV heads

    @property
    def has_windows(self) -> bool:
        """Whether llama.cpp knows of its windows; others get a cache for the whole context."""
        return bool(self.full_every) or self.windows_in_file

    @property
    def only_states(self) -> bool:
        """Whether there is neither attention nor a feed-forward part."""
        return self.state_layers == "all"
