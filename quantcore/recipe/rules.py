"""The rules by which llama-quantize gives one tensor more or fewer bits than the rest.

A rule names the file types that it is for, the type that it gives, a condition and the reason in
words. For each role the first rule that fits decides; where none does, a tensor gets the type of
most. The exceptions for single architectures (Falcon, GLM-5) are left out. Source of the facts:
llama_tensor_get_type_impl in llama.cpp's src/llama-quant.cpp (commit 0c1e57098); tests hold this
table against what llama-quantize answered.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from quantcore.formats.ggml_types import GGML_TYPES

LOWEST = "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M"  # these have rules of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the rules may look at when they decide about one tensor."""

    file_type: str
    role: str  # see `role_of`
    n_cols: int
    number: int  # among the tensors of its kind, in the order of layers
    layer: int  # what the feed-forward rules take for the layer: see `plan.py`
    n_values: int  # attn_v tensors and their like in the file
    n_layers: int
    heads_per_kv_head: int
    n_experts: int
    has_imatrix: bool
    is_70b: bool  # 80 layers with grouped-query attention
    is_stack: bool  # experts, stacked in one tensor


@dataclass(frozen=True, slots=True)
class Rule:
    """`file_types`, separated by spaces, get `format` where `when` holds, because `why`."""

    file_types: str
    format: str
    why: str
    when: Callable[[Place], bool] = lambda place: True

    def fits(self, place: Place) -> bool:
        """Whether the rule decides here."""
        return place.file_type in self.file_types.split() and self.when(place)


def in_eighths(number: int, count: int) -> bool:
    """Whether a layer is in the first or last eighth, or every third between (`use_more_bits`).

    >>> [layer for layer in range(16) if in_eighths(layer, 16)]
    [0, 1, 4, 7, 10, 13, 14, 15]
    """
    eighth = count // 8
    return number < eighth or number >= 7 * count // 8 or (number - eighth) % 3 == 2


def _shared(place: Place) -> bool:
    return place.heads_per_kv_head >= 4


def _eight_experts(place: Place) -> bool:
    return place.n_experts == 8


def _first_eighth(place: Place) -> bool:
    return place.layer < place.n_layers // 8


def _first_sixteenth(place: Place) -> bool:
    return place.layer < place.n_layers // 16


def _middle(place: Place) -> bool:
    return not _first_eighth(place) and place.layer < 7 * place.n_layers // 8


def _down_in_eighths(place: Place) -> bool:
    return in_eighths(place.layer, place.n_layers)


def _value_in_eighths(place: Place) -> bool:
    return in_eighths(place.number, place.n_values)


def _no_imatrix(place: Place) -> bool:
    return not place.has_imatrix


_EIGHTHS = "the first and last eighth of the layers and every third between get more bits"
_SHARED = "four or more heads share each value head, so it is small and matters to all of them"
_VALUES = "values are read by every later token"
_DOWN = "ffn_down carries the outliers of the feed-forward part"
_EARLY_DOWN = "the first eighth of the layers gets more bits in ffn_down"
_EARLY_MINIMUM = "with an importance matrix the first eighth of the layers gets a minimum too"
_OUTPUT_OF_ATTENTION = "attn_output is small and writes to every later layer"
_EIGHT = "with eight experts the attention is a small part of the file"

RULES: dict[str, tuple[Rule, ...]] = {
    "token_embd": (
        Rule("IQ1_S IQ1_M IQ2_XXS IQ2_XS", "Q2_K", "an embedding gets no codebook type"),
        Rule("IQ2_S IQ2_M IQ3_XXS", "IQ3_S", "the embedding gets a step more"),
        Rule("TQ1_0 TQ2_0", "Q4_K", "an embedding is not ternary"),
    ),
    "attn_v": (
        Rule(LOWEST, "Q4_K", _SHARED, _shared),
        Rule(LOWEST, "Q4_K", "values are small beside four or more experts",
             lambda place: place.n_experts >= 4),
        Rule("IQ2_S IQ2_M", "IQ3_S", _VALUES),
        Rule(LOWEST, "Q2_K", _VALUES),
        Rule("Q2_K Q2_K_S IQ3_XXS IQ3_XS IQ3_S", "Q4_K", _SHARED, _shared),
        Rule("Q2_K", "Q3_K", _VALUES),
        Rule("IQ3_XXS", "IQ3_S", "without an importance matrix values get a step more",
             _no_imatrix),
        Rule("IQ3_M", "Q4_K", _VALUES),
        Rule("Q3_K_M", "Q5_K", "the values of the first two layers get two steps more",
             lambda place: place.number < 2),
        Rule("Q3_K_M", "Q4_K", _VALUES),
        Rule("Q3_K_L", "Q5_K", _VALUES),
        Rule("IQ4_NL IQ4_XS", "Q5_K", _SHARED, _shared),
        Rule("Q4_K_M Q5_K_M", "Q6_K", _EIGHTHS, _value_in_eighths),
        Rule("Q4_K_S", "Q5_K", "the values of the first four layers get a step more",
             lambda place: place.number < 4),
    ),
    "attn_k": (
        Rule(LOWEST, "Q4_K", _EIGHT, _eight_experts),
        Rule("IQ3_XS", "IQ3_XXS", "keys get a step less"),
        Rule("IQ3_XXS", "IQ2_S", "keys get a step less"),
    ),
    "attn_q": (
        Rule("IQ3_XS", "IQ3_XXS", "queries get a step less"),
        Rule("IQ3_XXS", "IQ2_S", "queries get a step less"),
    ),
    "attn_output": (
        Rule(f"{LOWEST} Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_NL IQ4_XS",
             "Q5_K", _EIGHT, _eight_experts),
        Rule("IQ1_S IQ1_M", "IQ2_XXS", _OUTPUT_OF_ATTENTION),
        Rule("IQ2_S IQ2_M", "IQ3_S", _OUTPUT_OF_ATTENTION),
        Rule("Q2_K", "Q3_K", _OUTPUT_OF_ATTENTION),
        Rule("IQ3_XXS", "IQ3_S", _OUTPUT_OF_ATTENTION),
        Rule("Q3_K_M IQ3_M", "Q4_K", _OUTPUT_OF_ATTENTION),
        Rule("Q3_K_L", "Q5_K", _OUTPUT_OF_ATTENTION, lambda place: not _eight_experts(place)),
    ),
    "ffn_down": (
        Rule("IQ2_S IQ2_M", "IQ3_S", _EARLY_DOWN,
             lambda place: place.number < place.n_layers // 8),
        Rule(LOWEST, "Q2_K", _EARLY_DOWN, lambda place: place.number < place.n_layers // 8),
        Rule("Q2_K", "Q3_K", _DOWN),
        Rule("Q2_K_S", "Q4_K", _EARLY_DOWN, _first_eighth),
        Rule("IQ3_XXS", "Q4_K", f"{_EARLY_DOWN} where there is no importance matrix",
             lambda place: _no_imatrix(place) and _first_eighth(place)),
        Rule("IQ3_XXS", "Q3_K", "without an importance matrix ffn_down gets a step more",
             _no_imatrix),
        Rule("Q3_K_M", "Q5_K", "the first sixteenth of the layers gets two steps more in ffn_down",
             _first_sixteenth),
        Rule("Q3_K_M", "Q4_K", _DOWN),
        Rule("IQ3_M", "Q4_K", _EARLY_DOWN, _first_eighth),
        Rule("IQ3_M", "Q4_K", _EIGHTHS,
             lambda place: _eight_experts(place) and _down_in_eighths(place)),
        Rule("Q3_K_L", "Q5_K", _DOWN),
        Rule("Q4_K_M Q5_K_M", "Q6_K", _EIGHTHS, _down_in_eighths),
        Rule("IQ4_NL IQ4_XS", "Q5_K", f"{_EARLY_DOWN} where there is no importance matrix",
             lambda place: _no_imatrix(place) and _first_eighth(place)),
        Rule("Q4_K_S", "Q5_K", _EARLY_DOWN, _first_eighth),
        Rule("Q4_0", "Q4_1", _EARLY_MINIMUM,
             lambda place: place.has_imatrix and _first_eighth(place)),
        Rule("Q5_0", "Q5_1", _EARLY_MINIMUM,
             lambda place: place.has_imatrix and _first_eighth(place)),
    ),
    "ffn_gate": (Rule("IQ3_XS", "IQ3_XXS", "the middle layers get a step less", _middle),),
    "ffn_up": (Rule("IQ3_XS", "IQ3_XXS", "the middle layers get a step less", _middle),),
}  # fmt: skip


def decide(place: Place, most: str, tied: bool) -> tuple[str, str]:
    """Type of a tensor and the reason, before its rows are looked at; `most` is the usual type.

    A `tied` embedding is the output too.
    """
    if place.role == "output" or (tied and place.role == "token_embd"):
        return _output(place, most)
    if place.file_type == "MXFP4_MOE":
        if place.is_stack:
            return "MXFP4", "stacks of experts get MXFP4"
        return "Q8_0", "everything but the experts stays close to the original"
    lowest = place.file_type in LOWEST.split()
    if place.role in ("attn_v", "attn_k") and _eight_experts(place) and not lowest:
        return "Q8_0", _EIGHT
    fitting = (rule for rule in RULES.get(place.role, ()) if rule.fits(place))
    rule = next(fitting, None)
    chosen, why = (rule.format, rule.why) if rule else (most, f"most tensors get {most}")
    if place.role == "attn_v" and place.is_70b and chosen in ("Q3_K", "Q4_K") and not lowest:
        return "Q5_K", "with 80 layers and few KV heads, values are small and get a step more"
    return chosen, why


def _output(place: Place, most: str) -> tuple[str, str]:
    what = "the output" if place.role == "output" else "the embedding, which is the output too,"
    if place.file_type == "MXFP4_MOE":
        return "Q8_0", f"{what} stays close to the original"
    if place.n_cols % GGML_TYPES[most].block_size:
        return "Q8_0", f"{what} has rows that {most} does not divide"
    if place.file_type in (*LOWEST.split(), "IQ3_XXS"):
        return "Q5_K", f"{what} decides about every token"
    if most == "Q8_0":
        return most, f"most tensors get {most}"
    return "Q6_K", f"{what} decides about every token"


_ROLES = [  # part of the name, role; the first that is found counts
    ("attn_qkv.weight", "attn_v"),
    ("attn_kv_b.weight", "attn_v"),
    ("attn_v.weight", "attn_v"),
    ("attn_k.weight", "attn_k"),
    ("attn_q.weight", "attn_q"),
    ("attn_output.weight", "attn_output"),
    ("ffn_up", "ffn_up"),
    ("ffn_gate", "ffn_gate"),
    ("ffn_down", "ffn_down"),
]


def role_of(name: str) -> str:
    """Say what the rules take a tensor for.

    A fused attn_qkv and the kv_b of latent attention count as values.

    >>> role_of("blk.3.ffn_down_exps.weight"), role_of("blk.0.attn_qkv.weight")
    ('ffn_down', 'attn_v')
    """
    if name == "output.weight":
        return "output"
    if name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return "token_embd"
    return next((role for part, role in _ROLES if part in name), "other")


_KEPT = re.compile(
    r"_norm\.weight|ffn_gate_inp\.weight|ffn_gate_tid2eid\.weight|altup|laurel"
    r"|per_layer_model_proj|^position_embd\.weight$|^token_types\.weight$|ssm_conv1d"
    r"|shortconv\.conv\.weight|indexer\.[kq]_proj\.weight|attn_rel_b\.weight|\.position_embd"
    r"|sam\.pos_embd|sam\.neck\.|sam\.net_|\.rel_pos|\.patch_embd|\.patch_merger"
    r"|time_mix_(?:first|w[012]|v[012]|a[012]|g[12]|decay_w[12]|lerp_fused)\.weight"
    r"|a\.rvq\.codebook|mm\.a\.code_embd"
)


def may_quantize(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is quantized at all: matrices are, unless they are small and delicate."""
    return len(shape) > 1 and name.endswith("weight") and not _KEPT.search(name)


def tensor_needs_imatrix(name: str, type: str, file_type: str) -> bool:
    """Whether ggml or llama-quantize refuses to store this tensor so without importance matrix."""
    if role_of(name) in ("output", "token_embd"):
        return False
    if type == "Q2_K":
        return file_type == "Q2_K_S"
    return type in ("IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S")
