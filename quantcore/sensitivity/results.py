"""The results of a sweep, and the file that keeps them.

One JSON object, written whole beside its place and renamed, so that it is valid at any moment; a
sweep that was stopped goes on from there. Its fields:

    model, fingerprint     name, and digest of the weights (`Model.fingerprint`)
    text, text_digest      name of the text, and digest of the tokens that were used
    context, tokens        tokens a chunk, and of all chunks
    tokens_scored          those of the second half of each chunk, which the figures speak of
    questions              asked of each skill at each level, 0 for none
    imatrix_digest         digest of the importance matrix that served every format, "" if none
    by, calibration_digest the method that chose codes and the tokens that it saw, "" for rounding
    skills                 {"columns": ..., "rows": ...}: skill, level, and the original's answers
    effects                {"columns": names of `Effect`'s fields, "rows": a list for each effect};
                           its skills are a list for each of the rows above
    guides                 {"columns": names of `Guide`'s fields, "rows": a list for each tensor and
                           format}: what is cheaper to compute
"""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from quantcore.io import ModelError
from quantcore.io.strict_json import parse_json_object, read_json_object
from quantcore.io.writing import write_whole
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.scratch import locked
from quantcore.sensitivity.effect import Effect, SkillChange
from quantcore.sensitivity.guides import GUIDES, Guide, rank_correlation
from quantcore.sensitivity.pieces import Group, How, Piece

MAX_FILE_BYTES = 2**24
ASKED = ("skill", "level", "total", "original_correct")  # the same for all effects
CHANGES = ("correct", "log_probability_change", "change_low", "change_high")
Answer = TypeVar("Answer")
PieceKey = tuple[Group, str, How, str]  # group, name, how, format


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was measured on what: results of two sweeps go together only if this is the same."""

    model: str
    fingerprint: str
    text: str
    text_digest: str
    context: int
    tokens: int
    tokens_scored: int
    questions: int
    imatrix_digest: str
    by: str = ""  # the method that chose codes, "" for rounding
    calibration_digest: str = ""  # of the tokens that the method was shown

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Source":
        """Take it from the fields of a file; `KeyError` where one is missing."""
        older = ("by", "calibration_digest")  # not in files from before: all was rounded
        names = [each.name for each in fields(cls) if each.name in raw or each.name not in older]
        return cls(**{name: raw[name] for name in names})


@dataclass(slots=True)
class Sensitivity:
    """Effects and guides of one model and text, as far as they are measured."""

    source: Source
    _effects: dict[PieceKey, Effect] = field(default_factory=dict)
    _guides: dict[tuple[str, str], Guide] = field(default_factory=dict)
    _pieces: dict[tuple[str, Group, How], dict[str, Effect]] = field(default_factory=dict)
    _concluded: dict[Hashable, Any] = field(default_factory=dict, compare=False)

    def add(self, effect: Effect) -> None:
        """Take in one more effect, or a newer one of the same piece."""
        self._effects[effect.group, effect.name, effect.how, effect.format] = effect
        of_kind = (effect.format, effect.group, effect.how)
        self._pieces[of_kind] = self._pieces.get(of_kind, {}) | {effect.name: effect}
        self._concluded = {}

    def add_guide(self, guide: Guide) -> None:
        """Take in what the guides say of one tensor in one format."""
        self._guides[guide.name, guide.format] = guide
        self._concluded = {}

    def concluded(self, question: Hashable, answer: Callable[[], Answer]) -> Answer:
        """Answer a question about these figures once, until another figure comes."""
        kept = self._concluded  # another thread that adds a figure puts a new one in its place
        if question not in kept:
            kept[question] = answer()
        return kept[question]

    def guide(self, name: str, format_name: str) -> Guide | None:
        """Return what the guides say of a tensor in a format, None if that was not computed."""
        return self._guides.get((name, format_name))

    @property
    def guides(self) -> list[Guide]:
        """What the guides say of all tensors."""
        return list(self._guides.values())

    def without_guides(self, tensors: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """List, by format, those of some tensors whose guides are not known; {} if all are."""
        missing = {
            format_name: [name for name in names if (name, format_name) not in self._guides]
            for format_name, names in tensors.items()
        }
        return {format_name: names for format_name, names in missing.items() if names}

    @property
    def effects(self) -> list[Effect]:
        """All effects, in order of arrival."""
        return list(self._effects.values())

    @property
    def formats(self) -> list[str]:
        """Formats of which there is any effect."""
        return list(dict.fromkeys(format_name for format_name, _, _ in self._pieces))

    def has(self, piece: Piece) -> bool:
        """Whether a piece was measured already."""
        return (piece.group, piece.name, piece.how, piece.format) in self._effects

    def effect(
        self, name: str, format_name: str, group: Group = "tensor", how: How = "alone"
    ) -> Effect | None:
        """Return one effect, None if it was not measured."""
        return self._effects.get((group, name, how, format_name))

    def pieces(
        self, format_name: str, group: Group = "tensor", how: How = "alone"
    ) -> dict[str, Effect]:
        """Return the effects of all pieces of a group in a format by their names; not to change."""
        return self._pieces.get((format_name, group, how), {})

    def as_json(self) -> str:
        """Write out what the file holds."""
        content = asdict(self.source) | {
            "skills": _skills_table(self.effects),
            "effects": table(Effect, self.effects),
            "guides": table(Guide, self.guides),
        }
        return as_text(content)

    def save(self, path: Path) -> None:
        """Write the file whole, or leave what is there."""
        write_whole(path, self.as_json())

    def keep(self, path: Path) -> None:
        """Add to what a file holds by now, and write it whole: others may have added meanwhile.

        Raises
        ------
        ValueError
            If there is a file of something else, which stays as it is.
        """
        with locked(path.parent):
            if not path.exists():
                return self.save(path)
            both = load(path)
            both.refuse_other(self.source)
            for effect in self.effects:
                both.add(effect)
            for guide in self.guides:
                both.add_guide(guide)
            both.save(path)

    def refuse_other(self, source: Source) -> None:
        """Refuse, by a `ValueError`, to go on with what was measured on something else."""
        mine = self.source
        self.refuse_other_model(source.model, source.fingerprint)
        if (mine.text_digest, mine.context) != (source.text_digest, source.context):
            raise ValueError(
                f"These results are of other tokens: {mine.tokens:,} of {mine.text} at context "
                f"{mine.context}; write to another file."
            )
        if mine.questions != source.questions:
            raise ValueError(
                f"These results are with {mine.questions} questions per skill and level, not "
                f"{source.questions}: use another file."
            )
        if mine.imatrix_digest != source.imatrix_digest:
            used = "another" if mine.imatrix_digest and source.imatrix_digest else "no such"
            used = "an" if not source.imatrix_digest else used
            raise ValueError(f"These results are with {used} importance matrix: use another file.")
        if mine.by != source.by:
            ways = [
                f"codes chosen by {each}" if each else "rounding" for each in (mine.by, source.by)
            ]
            raise ValueError(f"These results are of {ways[0]}, not {ways[1]}: use another file.")
        if mine.calibration_digest != source.calibration_digest:
            raise ValueError(
                f"These results are by {mine.by} calibrated on another text: use another file."
            )

    def refuse_other_model(self, name: str, fingerprint: str) -> None:
        """Refuse, by a `ValueError`, a model whose weights (`Model.fingerprint`) are others."""
        if self.source.fingerprint != fingerprint:
            raise ValueError(
                f"These results are of {self.source.model} with other weights than those of "
                f"{name}: measure it into a file of its own."
            )


def load(path: Path) -> Sensitivity:
    """Read a file that `Sensitivity.save` wrote.

    Raises
    ------
    ModelError
        If it is missing, or not such a file.
    """
    return _read(read_json_object(path, MAX_FILE_BYTES), path.name)


def parse(content: bytes, name: str) -> Sensitivity:
    """Take results from the bytes of such a file, which a `ModelError` calls by `name`."""
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(f"{name} has more than the {MAX_FILE_BYTES:,} bytes expected.")
    return _read(parse_json_object(content, name), name)


def _read(raw: dict[str, Any], name: str) -> Sensitivity:
    try:
        results = Sensitivity(Source.of(raw))
        for effect in read_rows(Effect, raw["effects"]):
            results.add(replace(effect, skills=_skills(raw["skills"], effect.skills)))
        for guide in read_rows(Guide, raw["guides"]):
            results.add_guide(guide)
    except (KeyError, TypeError, ValueError) as problem:
        raise ModelError(
            f"{name} holds no results of python -m quantcore sensitivity."
        ) from problem
    return results


def guide_ranks(results: Sensitivity, format_name: str | None = None) -> dict[str, float]:
    """Rank correlation of each guide with the measured divergence of tensors, in one format or all.

    Guides that were not computed are left out.
    """
    return results.concluded(
        ("guide_ranks", format_name), lambda: _guide_ranks(results, format_name)
    )


def _guide_ranks(results: Sensitivity, format_name: str | None) -> dict[str, float]:
    pairs = [
        (guide, results.effect(guide.name, guide.format))
        for guide in results.guides
        if format_name in (None, guide.format)
    ]
    ranks = {}
    for name in GUIDES:
        known = [(getattr(g, name), e) for g, e in pairs if e and getattr(g, name) is not None]
        if len(known) > 1:
            values, effects = zip(*known, strict=True)
            ranks[name] = rank_correlation(values, [e.mean_kl_divergence for e in effects])
    return ranks


def shipped(name: str = SHIPPED[0]) -> Sensitivity:
    """Read the results that lie beside a shipped model."""
    return load(shipped_folder(name) / "sensitivity.json")


def table(kind: type, rows: Iterable[Any]) -> dict[str, list]:
    """Put rows of a dataclass into columns and lists; floats keep six digits, of skills three."""
    names = [each.name for each in fields(kind)]
    return {"columns": names, "rows": [[_short(getattr(row, n)) for n in names] for row in rows]}


def _short(value: Any, digits: int = 6) -> Any:
    if isinstance(value, tuple):  # skills
        return [[_short(getattr(each, name), 3) for name in CHANGES] for each in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def _skills_table(effects: Sequence[Effect]) -> dict[str, list]:
    rows = (
        [[getattr(each, name) for name in ASKED] for each in effects[0].skills] if effects else []
    )
    return {"columns": list(ASKED), "rows": rows}


def _skills(asked: dict[str, list], changes: list[list]) -> tuple[SkillChange, ...]:
    if asked["columns"] != list(ASKED):
        raise ValueError(f"Skills by {asked['columns']}")
    return tuple(
        _checked(SkillChange(**dict(zip(ASKED + CHANGES, [*row, *mine], strict=True))))
        for row, mine in zip(asked["rows"], changes, strict=True)
    )


def read_rows(kind: type, rows: dict[str, list]) -> list[Any]:
    """Take rows of a dataclass from what `table` made; `ValueError` for what is no number."""
    names = rows["columns"]
    return [_checked(kind(**dict(zip(names, row, strict=True)))) for row in rows["rows"]]


def _checked(row: Any) -> Any:
    """Refuse a row whose numbers are none."""
    for each in fields(row):
        value = getattr(row, each.name)
        if each.type in (int, float) and (type(value) not in (int, float) or value != value):
            raise ValueError(f"{each.name} is {value!r}")
    return row


def as_text(content: dict[str, Any]) -> str:
    """JSON with a line for each row, so that a difference can be read."""
    parts = []
    for name, value in content.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value["rows"])
            columns = json.dumps(value["columns"])
            parts.append(f' "{name}": {{"columns": {columns}, "rows": [\n{rows}\n ]}}')
        else:
            parts.append(f' "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
