"""Every format that the lab knows, in the order in which pages list them.

`FORMATS` are ggml's, which a GGUF file can hold; `OUTSIDE_GGUF` those of other tools' files;
`LATTICE` those that methods store turned weights in.
"""

from quantcore.checks import did_you_mean
from quantcore.format import Format
from quantcore.formats.block_format import BlockFormat
from quantcore.formats.codebook.iq1_m import IQ1_M
from quantcore.formats.codebook.iq1_s import IQ1_S
from quantcore.formats.codebook.iq2_s import IQ2_S
from quantcore.formats.codebook.iq2_xs import IQ2_XS
from quantcore.formats.codebook.iq2_xxs import IQ2_XXS
from quantcore.formats.codebook.iq3_s import IQ3_S
from quantcore.formats.codebook.iq3_xxs import IQ3_XXS
from quantcore.formats.floats.bf16 import BF16
from quantcore.formats.floats.f16 import F16
from quantcore.formats.floats.f32 import F32
from quantcore.formats.floats.mxfp4 import MXFP4
from quantcore.formats.floats.nvfp4 import NVFP4
from quantcore.formats.integers.float_zero import float_zero_format
from quantcore.formats.integers.integer import integer_format
from quantcore.formats.iq4.iq4_nl import IQ4_NL
from quantcore.formats.iq4.iq4_xs import IQ4_XS
from quantcore.formats.k.q2_k import Q2_K
from quantcore.formats.k.q3_k import Q3_K
from quantcore.formats.k.q4_k import Q4_K
from quantcore.formats.k.q5_k import Q5_K
from quantcore.formats.k.q6_k import Q6_K
from quantcore.formats.lattice.e8p import E8P2, E8P3, E8P4
from quantcore.formats.lattice.lattice import LatticeFormat
from quantcore.formats.outside_gguf.fp8 import (
    FP8_E4M3_ROW,
    FP8_E4M3_TENSOR,
    FP8_E5M2_ROW,
    FP8_E5M2_TENSOR,
)
from quantcore.formats.outside_gguf.mxfp4_ocp import MXFP4_OCP
from quantcore.formats.outside_gguf.nf4 import NF4, NF4_DQ
from quantcore.formats.outside_gguf.nvfp4_tensor import NVFP4_TENSOR
from quantcore.formats.outside_gguf.scaled import ScaledFormat
from quantcore.formats.simple.q4_0 import Q4_0
from quantcore.formats.simple.q4_1 import Q4_1
from quantcore.formats.simple.q5_0 import Q5_0
from quantcore.formats.simple.q5_1 import Q5_1
from quantcore.formats.simple.q8_0 import Q8_0
from quantcore.formats.ternary.tq1_0 import TQ1_0
from quantcore.formats.ternary.tq2_0 import TQ2_0

_ALL = (
    *(F32, F16, BF16, Q8_0, Q6_K, Q5_1, Q5_0, Q5_K, Q4_1, Q4_0, Q4_K),
    *(IQ4_NL, IQ4_XS, NVFP4, MXFP4, Q3_K, IQ3_S, IQ3_XXS),
    *(Q2_K, IQ2_S, IQ2_XS, IQ2_XXS, TQ2_0, TQ1_0, IQ1_M, IQ1_S),
)

_OUTSIDE_GGUF = (
    *(FP8_E4M3_ROW, FP8_E4M3_TENSOR, FP8_E5M2_ROW, FP8_E5M2_TENSOR),
    *(NVFP4_TENSOR, NF4, MXFP4_OCP, NF4_DQ),
)

FORMATS: dict[str, BlockFormat] = {fmt.name: fmt for fmt in _ALL}
OUTSIDE_GGUF: dict[str, ScaledFormat] = {fmt.name: fmt for fmt in _OUTSIDE_GGUF}
LATTICE: dict[str, LatticeFormat] = {fmt.name: fmt for fmt in (E8P4, E8P3, E8P2)}
if len(FORMATS | OUTSIDE_GGUF | LATTICE) != len(_ALL) + len(_OUTSIDE_GGUF) + len(LATTICE):
    raise RuntimeError("Two formats share a name")

# Those that also work without an importance matrix; ggml demands one for the others.
UNAIDED = tuple(name for name, fmt in FORMATS.items() if not fmt.needs_importance)

# What pages show before anything is chosen: few enough to read, each kind of scale among them.
DEFAULTS = (
    *("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q2_K"),
    *("INT8_TENSOR", "INT8_ROW", "INT8_G128", "INT4_TENSOR", "INT4_ROW", "INT4_G128"),
)

ALL_FORMATS = (
    f"There are {', '.join([*FORMATS, *OUTSIDE_GGUF, *LATTICE])}, and INT2 to INT8 followed by "
    "_TENSOR, _ROW or _G with a group size, as in INT4_G128, and by _ASYM for a zero point; with a "
    "group also by _HQQ for a zero point that is a float"
)


def get_format(name: str) -> Format:
    """Find a format by its name, upper or lower case.

    Raises
    ------
    ValueError
        If there is none of this name; the sentence lists what there is.

    Examples
    --------
    >>> get_format("q8_0").block_length(4096)
    32
    >>> get_format("int4_g128").code_bits
    4
    """
    wanted = str(name).strip().upper()
    known: dict[str, Format] = {**FORMATS, **OUTSIDE_GGUF, **LATTICE}
    if fmt := known.get(wanted) or integer_format(wanted) or float_zero_format(wanted):
        return fmt
    meant = did_you_mean(wanted, [*known, *DEFAULTS])
    raise ValueError(f"There is no format called {str(name)[:40]!r}.{meant} {ALL_FORMATS}")
