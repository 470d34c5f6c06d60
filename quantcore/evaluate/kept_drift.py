"""What drift was measured of a model on a text, and the file that keeps it.

One JSON object, written whole beside its place and renamed. Its fields:

    model, fingerprint   name, and digest of the weights (`Model.fingerprint`)
    text, text_digest    name of the text, and digest of its characters
    context              tokens a chunk
    drifts               by type: the figures of `DriftFigures`
    skills               by type, the original's as F32: rows of `SkillScore`
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from quantcore.evaluate.drift_result import DriftFigures, summary_from, summary_of
from quantcore.evaluate.skills import SkillScore
from quantcore.io import ModelError
from quantcore.io.strict_json import read_json_object
from quantcore.io.writing import write_whole
from quantcore.recipe.types import get_type
from quantcore.scratch import locked

MAX_FILE_BYTES = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDrift:
    """Figures and skills by type, of one model on one text."""

    model: str
    fingerprint: str
    text: str
    text_digest: str
    context: int
    drifts: Mapping[str, DriftFigures] = field(default_factory=dict)
    skills: Mapping[str, Sequence[SkillScore]] = field(default_factory=dict)

    def with_newer(self, newer: "KeptDrift") -> "KeptDrift":
        """Add what was measured later; of a type that both have, the newer counts.

        Nothing of the older is left where that is of other weights, text or chunks.
        """
        mine, its = ((k.fingerprint, k.text_digest, k.context) for k in (self, newer))
        if mine != its:
            return newer
        drifts, skills = {**self.drifts, **newer.drifts}, {**self.skills, **newer.skills}
        return replace(newer, drifts=drifts, skills=skills)

    def save(self, path: Path) -> None:
        """Write the file whole, or leave what is there."""
        content = asdict(replace(self, drifts={}, skills={})) | {
            "drifts": {type: summary_of(drift) for type, drift in self.drifts.items()},
            "skills": {type: [asdict(row) for row in rows] for type, rows in self.skills.items()},
        }
        write_whole(path, json.dumps(content, indent=1) + "\n")


def keep(path: Path, measured: KeptDrift) -> None:
    """Add what was measured to what a file holds by now, and write it whole.

    A file of other weights, of another text, or of no drift at all is replaced.
    """
    with locked(path.parent):
        former = find(path)
        (measured if former is None else former.with_newer(measured)).save(path)


def find(path: Path) -> KeptDrift | None:
    """Read what is kept in a file; None where it holds no drift."""
    try:
        return load(path)
    except (ModelError, OSError):
        return None


def text_digest(text: str) -> str:
    """Tell a text from any other."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load(path: Path) -> KeptDrift:
    """Read a file that `KeptDrift.save` wrote.

    Raises
    ------
    ModelError
        If it is missing, or not such a file.
    """
    raw = read_json_object(path, MAX_FILE_BYTES)
    try:
        drifts = {get_type(type).name: _figures(row) for type, row in raw["drifts"].items()}
        skills = {t: [SkillScore(**row) for row in rows] for t, rows in raw["skills"].items()}
        return KeptDrift(**raw | {"drifts": drifts, "skills": skills})
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ModelError(f"{path.name} holds no drift that was measured.") from problem


def _figures(row: Mapping[str, Any]) -> DriftFigures:
    """Read one type's figures; `ValueError` for what is no number."""
    figures = DriftFigures(**summary_from(row))
    for name in ("perplexity", "base_perplexity", "perplexity_ratio", "mean_kl_divergence",
                 "sure_tokens_changed", "bits_per_weight", "weights_bytes"):  # fmt: skip
        if not math.isfinite(getattr(figures, name)):
            raise ValueError(f"{name} is not a number")
    return figures
