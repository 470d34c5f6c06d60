"""One part of the memory that a model takes."""

from dataclasses import dataclass
from typing import Literal

TermKind = Literal["weights", "cache", "compute", "overhead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of the memory, and how its size comes about."""

    kind: TermKind
    name: str
    bytes: int
    formula: str  # with this model's numbers put in
    why: str = ""
