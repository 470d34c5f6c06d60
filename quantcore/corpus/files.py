"""The texts beside the shipped model, made from their seeds: evaluation, calibration, skills."""

import json
from pathlib import Path
from random import Random

from quantcore.corpus import log_probabilities, stories
from quantcore.corpus.chooser import Writer
from quantcore.corpus.floor import FILE as FLOOR
from quantcore.corpus.story import tell

N_EVALUATION, N_CALIBRATION = 240, 240  # stories
PROMPTS = 100  # of each skill and level
SKILLS = ["recall", "arithmetic", "facts", "agreement", "chain"]
LEVELS = ["easy", "hard"]


def as_text(lines: list[str]) -> str:
    """One story a line."""
    return "".join(line + "\n" for line in lines)


def floor_table(lines: list[str]) -> str:
    """First character and log-probability of each word of the stories, as tab-separated lines."""
    rows = ["start\tlog_probability"]
    offset = 0
    for line in lines:
        rows += [f"{offset + at}\t{value:.6f}" for at, value in log_probabilities(line)]
        offset += len(line) + 1
    return as_text(rows)


def prompts(seed: str = "skills", n: int = PROMPTS) -> list[dict[str, str]]:
    """Beginnings of stories that have one right next word, `n` of each skill and level."""
    rng = Random(seed)
    rows_by_level: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {
        (skill, level): [] for skill in SKILLS for level in LEVELS
    }
    number = 0
    while any(len(rows) < n for rows in rows_by_level.values()):
        writer = Writer(rng)
        tell(writer)
        number += 1
        for key, rows in rows_by_level.items():
            marks = [mark for mark in writer.marks if mark[:2] == key]
            if marks and len(rows) < n:
                rows.append(marks[number % len(marks)])
    names = ("skill", "level", "prompt", "answer")
    return [dict(zip(names, row, strict=True)) for rows in rows_by_level.values() for row in rows]


def contents() -> dict[str, str]:
    """File name -> text of everything that the generator gives the model folder."""
    evaluation = stories("evaluation", N_EVALUATION)
    return {
        "evaluation.txt": as_text(evaluation),
        FLOOR: floor_table(evaluation),
        "calibration.txt": as_text(stories("calibration", N_CALIBRATION)),
        "skills.json": json.dumps(prompts(), indent=1) + "\n",
    }


def write(folder: Path) -> list[Path]:
    """Write them into `folder`; return the paths."""
    paths = []
    for name, text in contents().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
        paths.append(folder / name)
    return paths
