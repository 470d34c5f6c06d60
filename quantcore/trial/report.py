"""A trial as rows, as CSV, and as one page of HTML that needs no network."""

import csv
import io
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from quantcore.trial.trial import Answer, Trial, Version
from quantcore.trial.verdict import Verdict

Row = dict[str, Any]
COUNTED = (
    *("matches", "better", "worse", "p_value", "difference", "difference_low", "difference_high"),
    *("as_good", "more_prompts"),
)


def summary(trial: Trial, margin: float) -> list[Row]:
    """Sum every version up in a row.

    Keys: type; matches, better, worse, p_value, difference, difference_low, difference_high,
    as_good, more_prompts (None where no answer can be judged); same_answer, how many answers are
    the original's token by token; first_difference_median, the place of the first other token
    where there is one, from 0; original_answer_log_probability, of a token of the original's
    answers; medians of length and times.
    """
    return [_summed(trial, version, margin) for version in trial.versions]


def _summed(trial: Trial, version: Version, margin: float) -> Row:
    found = trial.verdict(version, margin)
    places = [a.first_difference for a in version.answers if a.first_difference is not None]
    return (
        {"type": version.name}
        | {name: getattr(found, name, None) for name in COUNTED}
        | {
            "same_answer": sum(a.first_difference is None for a in version.answers),
            "first_difference_median": float(np.median(places)) if places else None,
            "original_answer_log_probability": mean_log_probability(version),
            "tokens_median": _median([len(a.said.tokens) for a in version.answers]),
            "seconds_to_first_median": _median([a.said.first_seconds for a in version.answers]),
            "seconds_per_token_median": _median(
                [a.said.seconds_per_token for a in version.answers]
            ),
        }
    )


def mean_log_probability(version: Version) -> float | None:
    """Natural logarithm of the probability of a token of the original's answers, in the mean."""
    known = [
        a.original_log_probability
        for a in version.answers
        if a.original_log_probability is not None
    ]
    return float(np.mean(known)) if known else None


def _median(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def answers(trial: Trial) -> list[Row]:
    """Every answer of every version, a row each; the original's type is "original"."""
    return [
        {
            "prompt": prompt.prompt,
            "expected": prompt.expected,
            "pattern": prompt.pattern,
            "type": version.name or "original",
            "answer": answer.text,
            "right": answer.right,
            "first_difference": answer.first_difference,
            "original_answer_log_probability": answer.original_log_probability,
            "tokens": len(answer.said.tokens),
            "seconds_to_first": answer.said.first_seconds,
            "seconds_per_token": answer.said.seconds_per_token,
        }
        for i, prompt in enumerate(trial.prompts)
        for version in (trial.original, *trial.versions)
        for answer in version.answers[i : i + 1]
    ]


def to_csv(trial: Trial) -> str:
    """Write every answer as CSV; cells that a spreadsheet would run begin with an apostrophe."""
    rows = answers(trial)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["prompt"], lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return f"{value:.6g}" if isinstance(value, float) else value


def to_html(trial: Trial, margin: float) -> str:
    """Write one page: verdicts, and all answers side by side."""
    rows = summary(trial, margin)
    heads = [version.name for version in (*trial.versions,)]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("prompt", "original", *heads))
    body = "".join(_answers_row(trial, i) for i in range(len(trial.original.answers)))
    settings = trial.sampling
    how = "greedy" if not settings.temperature else f"temperature {settings.temperature:g}"
    return _PAGE.format(
        title=escape(f"{trial.model}: {len(trial.prompts):,} prompts"),
        about=escape(
            f"Answers of up to {settings.n_tokens} tokens, {how}, seed {settings.seed}. A version "
            f"is as good if it is right on at most {100 * margin:g} points fewer prompts, at 5 %."
        ),
        verdicts=_verdicts(trial, rows, margin),
        head=head,
        body=body,
    )


def _verdicts(trial: Trial, rows: list[Row], margin: float) -> str:
    names: tuple[str, ...] = (
        "type",
        "right",
        "better",
        "worse",
        "p",
        "difference, 95 %",
        "as good",
        "same answer",
    )
    if not any(row["matches"] is not None for row in rows):
        names = (names[0], names[-1])
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = []
    for row, version in zip(rows, trial.versions, strict=True):
        cells = _verdict_cells(row, trial.verdict(version, margin))
        same = f"{row['same_answer']} of {len(version.answers)}"
        whole = (row["type"], *cells, same)
        lines.append("<tr>" + "".join(f"<td>{escape(str(c))}</td>" for c in whole) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _verdict_cells(row: Mapping[str, Any], found: Verdict | None) -> tuple[str, ...]:
    if found is None:
        return ()
    low, high = 100 * found.difference_low, 100 * found.difference_high
    return (
        f"{found.matches} of {found.n} (original {found.original_matches})",
        str(found.better),
        str(found.worse),
        f"{found.p_value:.3g}",
        f"{100 * found.difference:+.1f} points ({low:+.1f} to {high:+.1f})",
        found.as_good,
    )


def _answers_row(trial: Trial, i: int) -> str:
    said = [v.answers[i] for v in (trial.original, *trial.versions) if i < len(v.answers)]
    prompt = escape(trial.prompts[i].prompt)
    return f"<tr><td>{prompt}</td>{''.join(map(_answer_cell, said))}</tr>"


def _answer_cell(answer: Answer) -> str:
    mark = {True: "right", False: "wrong", None: ""}[answer.right]
    return f'<td class="{mark}">{marked(answer).lstrip()}</td>'


def marked(answer: Answer) -> str:
    """Write an answer as HTML; the first token that is not the original's is marked."""
    place = answer.first_difference
    if place is None:
        return escape(answer.text)
    before, at, after = (
        escape("".join(answer.pieces[part]))
        for part in (slice(place), slice(place, place + 1), slice(place + 1, None))
    )
    marked_text = at.lstrip(" ") or "∅"
    return f"{before}{' ' * at.startswith(' ')}<mark>{marked_text}</mark>{after}"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
  color: #222; background: #fffdf9 }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; margin: 1.5rem 0 }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .6rem; border-top: 1px solid #ddd;
  overflow-wrap: anywhere; white-space: pre-wrap; min-width: 8rem }}
mark {{ background: #f3c6d4 }} .right {{ border-left: 3px solid #2e7d4f }}
.wrong {{ border-left: 3px solid #b3261e }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #17171b }}
  th, td {{ border-color: #444 }} mark {{ background: #7a2e48; color: inherit }} }}
</style>
<h1>{title}</h1><p>{about}</p>
{verdicts}
<h2>Answers</h2>
<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
</html>
"""
