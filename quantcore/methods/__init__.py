"""How codes are chosen when more is known than the weights: one file a method.

`METHODS` are those that commands and pages offer, with their usual settings, by name.
"""

from quantcore.checks import did_you_mean
from quantcore.methods.autoround import AutoRound
from quantcore.methods.awq import AWQ
from quantcore.methods.fp4_scales import MR_GPTQ, Fp4Scales
from quantcore.methods.gptaq import Gptaq
from quantcore.methods.gptq import Gptq
from quantcore.methods.hqq import HQQ
from quantcore.methods.llm_int8 import LLMInt8
from quantcore.methods.method import Method
from quantcore.methods.own_grid import OwnGrid
from quantcore.methods.qronos import Qronos
from quantcore.methods.quip import Quip
from quantcore.methods.rotation import Rotation
from quantcore.methods.rtn import RoundToNearest
from quantcore.methods.smoothquant import SmoothQuant

_ALL: tuple[Method, ...] = (
    *(RoundToNearest(), Gptq(), Gptaq(), Qronos(), AWQ(), HQQ(), AutoRound()),
    *(SmoothQuant(), LLMInt8(), Rotation(), Quip()),
    Fp4Scales(),
    Fp4Scales(rule="mse", name="mse_scales", title="MSE scales", source=MR_GPTQ),
    OwnGrid(),
)
METHODS: dict[str, Method] = {method.name: method for method in _ALL}
ROUND_INPUTS = ("smoothquant", "llm_int8")  # those that round inputs as well, while a model runs


def get_method(name: str) -> Method:
    """Find a method by its name, upper or lower case.

    Raises
    ------
    ValueError
        If there is none of this name; the sentence lists what there is.

    Examples
    --------
    >>> get_method("GPTQ").title
    'GPTQ'
    >>> get_method("gtpq")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: There is no method called 'gtpq'. Did you mean ...? There are rtn, gptq, ...
    """
    if found := METHODS.get(name.strip().lower()):
        return found
    meant = did_you_mean(name.lower(), [each.upper() for each in METHODS]).lower()
    meant = meant.replace("did", "Did")
    there = ", ".join(METHODS)
    raise ValueError(f"There is no method called {name[:40]!r}.{meant} There are {there}")
