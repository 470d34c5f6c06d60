"""The command that lets versions of a model answer one's own prompts."""

import argparse
from typing import TYPE_CHECKING

from quantcore.cli.opening import read_text
from quantcore.cli.output import followed, print_json

if TYPE_CHECKING:
    from quantcore.trial.report import Row
    from quantcore.trial.trial import Trial


def trial(options: argparse.Namespace) -> None:
    """Print what every version comes to; write all answers where the command says so."""
    from quantcore.io.writing import refuse_existing, write_whole
    from quantcore.model.shipped import shipped_name
    from quantcore.model.source import open_model
    from quantcore.trial.answering import Sampling
    from quantcore.trial.prompts import read_prompts, shipped_prompts
    from quantcore.trial.report import summary, to_csv, to_html
    from quantcore.trial.trial import Asked, trial_steps

    for path in (options.csv, options.html):
        if path is not None:
            refuse_existing(path)
    text = read_text(options.prompts)
    model = open_model(options.model)
    if text is None and not shipped_name((model.base or model).path):
        raise ValueError(
            f"--prompts FILE is needed: the shipped questions are not for {model.name}"
        )
    prompts = shipped_prompts() if text is None else read_prompts(text, options.prompts.name)
    sampling = Sampling(n_tokens=options.tokens, temperature=options.temperature, seed=options.seed)
    by = options.by or "rtn"
    asked = [Asked(type=name, by=by) for name in options.types.split(",")]
    margin = options.margin / 100
    if not 0 < margin < 1:
        raise ValueError(f"--margin must be above 0 and below 100 points, not {options.margin:g}")
    seen = read_text(options.calibration)
    steps = trial_steps(model, prompts, asked, sampling, calibration=seen, in_chat=options.chat)
    found: Trial = followed(steps)
    rows = summary(found, margin)
    for path, write in ((options.csv, to_csv), (options.html, lambda t: to_html(t, margin))):
        if path is not None:
            write_whole(path, write(found))
    if options.json:
        judged = [a.right for a in found.original.answers if a.right is not None]
        head = {
            "model": found.model,
            "prompts": len(found.prompts),
            "judged": len(judged),
            "original_matches": sum(judged) if judged else None,
            "margin": margin,
        }
        print_json(head | {"results": rows})
        return
    _print(found, rows, margin)


def _print(found: "Trial", rows: "list[Row]", margin: float) -> None:
    judged = [a.right for a in found.original.answers if a.right is not None]
    n = len(found.prompts)
    print(f"{found.model} answers {n:,} prompt{'s' * (n != 1)}", end="")
    print(f", {sum(judged):,} of {len(judged):,} rightly." if judged else "; none can be judged.")
    head = ("type", "right", "better", "worse", "p", "points", "95 % interval", "same")
    print("\n{:<24}{:>7}{:>8}{:>7}{:>8}{:>8}{:>17}{:>7}  as good".format(*head))
    for row in rows:
        print(f"{row['type']:<24}" + _counted(row) + f"{row['same_answer']:>7}  " + _as_good(row))
    if judged:
        print(f"\nAs good: at most {100 * margin:g} points worse than the original, tested at 5 %.")


def _counted(row: "Row") -> str:
    if row["matches"] is None:
        return " " * 55
    low, high = 100 * row["difference_low"], 100 * row["difference_high"]
    return (
        f"{row['matches']:>7}{row['better']:>8}{row['worse']:>7}{row['p_value']:>8.3f}"
        f"{100 * row['difference']:>+8.1f}{f'{low:+.1f} to {high:+.1f}':>17}"
    )


def _as_good(row: "Row") -> str:
    if row["as_good"] != "cannot tell yet":
        return row["as_good"] or ""
    more = row["more_prompts"]
    return "cannot tell yet" + (f"; {more:,} more prompts like these would" if more else "")
