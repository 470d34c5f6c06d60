"""What `--by METHOD` and `--calibration FILE` mean on commands that take a whole model."""

import argparse
import sys
from typing import TYPE_CHECKING

from quantcore.cli.opening import read_text
from quantcore.cli.output import followed

if TYPE_CHECKING:
    from quantcore.evaluate.quantized import StoredByMethod, Type
    from quantcore.model.source import Model


def by_a_method(options: argparse.Namespace) -> bool:
    """Whether a method is to choose codes; `ValueError` for a text that serves none."""
    if options.by is None and options.calibration is not None:
        raise ValueError("--calibration is for a method: name it by --by")
    return options.by is not None


def stored_by(options: argparse.Namespace, model: "Model", type: "Type") -> "StoredByMethod":
    """Store a model by the method of a command."""
    from quantcore.evaluate.whole_by_method import stored_by_steps

    if type == "F32":
        raise ValueError("--by needs a type to store weights in: give --type")
    return followed(stored_by_steps(model, type, options.by, read_text(options.calibration)))


def say_if_it_judges(options: argparse.Namespace, judged_on: str) -> None:
    """Say where the text that figures are of is the one that the method is calibrated on."""
    from quantcore.evaluate.text import calibration_text

    shown = read_text(options.calibration)
    if judged_on == (calibration_text() if shown is None else shown):
        print(
            "The text that judges is the one that the method was calibrated on: on any other, "
            "figures will be worse.",
            file=sys.stderr,
        )


def say_which_are_answered(options: argparse.Namespace) -> None:
    """Say where the text that the method is calibrated on answers questions on skills."""
    from quantcore.evaluate.skills import shipped_questions
    from quantcore.evaluate.text import calibration_text

    shown = read_text(options.calibration)
    shown = calibration_text() if shown is None else shown
    questions = shipped_questions()
    answered = sum(each.prompt + each.answer in shown for each in questions)
    if answered:
        print(
            f"The text that the method was calibrated on answers {answered:,} of the "
            f"{len(questions):,} questions: on others, it may know less.",
            file=sys.stderr,
        )
