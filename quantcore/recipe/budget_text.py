"""What a person writes as a budget: a size of a file, or a divergence."""

import math
import re

from quantcore.model.source import Model
from quantcore.recipe.contents import contents_of
from quantcore.recipe.file_types import ALIASES, FILE_TYPES
from quantcore.recipe.of_types import padded_bytes
from quantcore.recipe.plan import plan

_UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"


def read_budget(model: Model, text: str) -> int:
    """Read a budget: "4.5bpw", "Q4_K_M" (its size by llama-quantize's rules), or "3.9MB".

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if divergence_asked(text) is not None:
        raise ValueError(f"{text.strip()[:40]} bounds a divergence: give a size as the budget")
    wanted = text.strip()
    n_weights = contents_of(model).n_weights
    if bits := re.fullmatch(rf"{_NUMBER} ?bpw", wanted, re.IGNORECASE):
        return _whole(float(bits[1]) * n_weights / 8)
    if ALIASES.get(wanted.upper(), wanted.upper()) in FILE_TYPES:
        return padded_bytes(plan(model, wanted))
    size = re.fullmatch(rf"{_NUMBER} ?([kmg]?i?b?)", wanted, re.IGNORECASE)
    if not size or size[2].lower() not in _UNITS:
        raise ValueError(
            f"{text[:40]!r} is not a budget: write bits per weight (4.5bpw), a size (3.9MB), "
            "or a file type whose size is meant, as Q4_K_M"
        )
    return _whole(float(size[1]) * _UNITS[size[2].lower()])


def divergence_asked(text: str) -> float | None:
    """Read a divergence, "kl:0.002" in nats a token; None for another budget.

    >>> divergence_asked("KL: 0.002"), divergence_asked("4.5bpw")
    (0.002, None)
    """
    wanted = text.strip().lower()
    if not wanted.startswith("kl:"):
        return None
    try:
        value = float(wanted[3:])
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ValueError(f"{wanted[:43]} is not a divergence: write nats per token, as in kl:0.002")
    return value


def _whole(n_bytes: float) -> int:
    return int(min(n_bytes, 2.0**62))  # a number of hundreds of digits is infinite
