"""A trial of a model in the box, kept beside it, so that a page opens with answers.

`python -m quantcore measure MODEL --trial` writes assets/<model>/measured/trial.json:

    key         digest of the model, the prompts and the settings
    answers     by version, "" for the original: a list for each prompt, see `COLUMNS`

Times are not kept: they belong to the machine that asked.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantcore.evaluate import measured
from quantcore.io import ModelError
from quantcore.io.writing import write_whole
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.source import open_model
from quantcore.progress import Progress
from quantcore.trial.answering import Said, Sampling
from quantcore.trial.prompts import TestPrompt, shipped_prompts, to_json_lines
from quantcore.trial.trial import Answer, Asked, Trial, Version, trial_steps

TYPES = ("Q8_0", "Q4_K_M", "Q2_K")
SAMPLING = Sampling(n_tokens=12)
COLUMNS = ("pieces", "tokens", "ended", "right", "first_difference", "original_log_probability")


def measure_trial_steps(name: str = SHIPPED[0]) -> Iterator[Progress[Path]]:
    """Ask a shipped model the shipped prompts, and write the file at the end."""
    prompts, asked = shipped_prompts(), [Asked(type=each) for each in TYPES]
    for step in trial_steps(open_model(name), prompts, asked, SAMPLING):
        yield Progress(step.share, step.stage)
    found = step.known
    versions = ",\n".join(
        f"  {json.dumps(version.name)}: [\n"
        + ",\n".join(f"   {_row(answer)}" for answer in version.answers)
        + "\n  ]"
        for version in (found.original, *found.versions)
    )
    path = shipped_folder(name) / "measured" / "trial.json"
    head = f' "key": "{_key(name, prompts)}"'
    write_whole(path, f'{{\n{head},\n "answers": {{\n{versions}\n }}\n}}\n')
    yield Progress(1.0, "done", path)


def load_trial(name: str = SHIPPED[0]) -> Trial:
    """Read what a shipped model answered.

    Raises
    ------
    ModelError
        If nothing was kept, or of another model or other prompts.
    """
    prompts = shipped_prompts()
    try:
        path = shipped_folder(name) / "measured" / "trial.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["key"] != _key(name, prompts):
            raise ValueError("The answers are of something else.")
        original, *versions = (
            Version(version, [_answer(row) for row in rows])
            for version, rows in raw["answers"].items()
        )
        return Trial(
            model=name,
            prompts=tuple(prompts),
            sampling=SAMPLING,
            original=original,
            versions=tuple(versions),
        )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            f"No answers of {name} are kept: run python -m quantcore measure {name} --trial."
        ) from problem


def _key(name: str, prompts: list[TestPrompt]) -> str:
    told = f"{measured.key(name)}{to_json_lines(prompts)}{TYPES}{SAMPLING}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _row(answer: Answer) -> str:
    chance = answer.original_log_probability
    row: list[Any] = [
        answer.pieces,
        answer.said.tokens,
        answer.said.ended,
        answer.right,
        answer.first_difference,
        None if chance is None else float(f"{chance:.6g}"),
    ]
    return json.dumps(row, ensure_ascii=False)


def _answer(row: list[Any]) -> Answer:
    known = dict(zip(COLUMNS, row, strict=True))
    return Answer(
        text="".join(known["pieces"]),
        pieces=tuple(known["pieces"]),
        said=Said(tokens=tuple(known["tokens"]), ended=bool(known["ended"])),
        right=known["right"],
        first_difference=known["first_difference"],
        original_log_probability=known["original_log_probability"],
    )
