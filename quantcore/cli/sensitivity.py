"""The command that measures what each tensor costs in each format."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from quantcore.cli.by_method import by_a_method, say_if_it_judges
from quantcore.cli.opening import opened_model, read_text
from quantcore.cli.output import complain, followed, print_json

if TYPE_CHECKING:
    from quantcore.progress import Progress
    from quantcore.sensitivity.measure import Swept
    from quantcore.sensitivity.results import Sensitivity


def sensitivity(options: argparse.Namespace) -> int:
    """Sweep, keep every result in the file, and print the worst."""
    from quantcore.evaluate.text import calibration_text
    from quantcore.sensitivity.measure import Settings, guide_steps_of, saving, sensitivity_steps
    from quantcore.sensitivity.pieces import DEFAULT_FORMATS
    from quantcore.sensitivity.results import load
    from quantcore.sweep import Patience

    _refuse_place(options.output)
    if by_a_method(options) and options.guides:
        raise ValueError("--guides are of rounding: they do not go with --by")
    model = opened_model(options)
    given = read_text(options.text)
    text = calibration_text() if given is None else given
    if options.by is not None:
        say_if_it_judges(options, text)
    formats = options.types.replace(",", " ").split() if options.types else DEFAULT_FORMATS
    settings = Settings(
        formats=formats,
        groups=options.groups,
        hows=options.hows,
        text=text,
        text_name="calibration.txt" if options.text is None else options.text.name,
        context=options.context,
        tokens=options.tokens,
        questions=options.skills,
        by=options.by or "",
        calibration=read_text(options.calibration),
    )
    known = load(options.output) if options.output.exists() else None
    patience = Patience(workers_s=options.wait_for_workers, piece_s=options.wait_for_piece)
    steps = sensitivity_steps(model, settings, known, options.scheduler, patience)
    swept = followed(saving(_telling_workers(steps), options.output))
    results, problems = swept.results, swept.problems
    if options.guides:
        followed(saving(guide_steps_of(model, results, formats, text), options.output))
    if options.json:
        rows = [asdict(effect) for effect in results.effects]
        guides = [asdict(guide) for guide in results.guides]
        print_json(
            asdict(results.source)
            | {"output": str(options.output), "effects": rows, "guides": guides}
        )
    else:
        _print_worst(results)
    for problem in problems:
        complain(problem, 1)
    return 1 if problems else 0


def _refuse_place(output: Path) -> None:
    if not output.parent.is_dir() or output.is_dir():
        raise ValueError(f"{output} cannot be written: there is no such folder.")


def _telling_workers(steps: "Iterator[Progress[Swept]]") -> "Iterator[Progress[Swept]]":
    """Say how many workers the cluster has, at the beginning and whenever that changes."""
    for step in steps:
        if step.result is not None and step.result.workers is not None:
            complain(step.stage, 0)
        yield step


def _print_worst(results: "Sensitivity") -> None:
    """Print the tensors that cost most, and how well the guides know it."""
    from quantcore.sensitivity.results import guide_ranks

    formats = results.formats
    by_name: dict[str, list] = {}
    for effect in results.effects:
        if (effect.group, effect.how) == ("tensor", "alone"):
            by_name.setdefault(effect.name, []).append(effect.mean_kl_divergence)
    worst = sorted(by_name, key=lambda name: -max(by_name[name]))[:10]
    by = f" by {results.source.by}" if results.source.by else ""
    print(f"nats per token, each tensor alone{by}; the ten that cost most")
    print(f"{'tensor':<28}" + "".join(f"{name:>11}" for name in formats))
    for name in worst:
        effects = [results.effect(name, each) for each in formats]
        cells = [f"{e.mean_kl_divergence:.6f}" if e else "-" for e in effects]
        print(f"{name:<28}" + "".join(f"{cell:>11}" for cell in cells))
    for guide, rank in guide_ranks(results).items():
        print(f"rank correlation of {guide.replace('_', ' ')} with this: {rank:.2f}")
