"""The sentences of the page Try: numbers in, text out."""

from collections.abc import Sequence

from pages.shared.units import are, plural, real_minus
from quantcore.trial.trial import Trial, Version
from quantcore.trial.verdict import Verdict

PURPOSE = (
    "Let smaller versions answer the original’s prompts, to see whether one is as good, or too few "
    "were asked."
)
DEFINED = "token, quantization, format, mix, pure, temperature, equivalence margin".split(", ")
HOW_TO_READ_CHART = (
    "Right answers of each version, less the original’s, in points of 100 prompts, with the 95 % "
    "interval. Dashed: the equivalence margin, how much worse still counts as good. A version is "
    "as good where its 90 % interval, drawn thick, is wholly right of it."
)
HOW_TO_READ_ANSWERS = (
    "The first token that is not the original’s is marked: what follows it goes on from another "
    "text. Under each answer stands whether it is right, where that is known."
)
SHOW_HELP = (
    "A version got worse where the original is right and it is wrong, and better the other way "
    "round. Other answers are those that differ in some token."
)
TYPED_HELP = (
    "A prompt a line. Or JSON lines with `prompt`, and `expected` (what a right answer begins "
    "with) or `pattern` (a regular expression that is found in it); or CSV with these names."
)
MARGIN_HELP = (
    "By how many of 100 prompts a version may be worse and still count as good. A small margin "
    "needs many prompts."
)
TEMPERATURE_HELP = (
    "0 takes the most probable token. Above, tokens are drawn; all versions share the draws, so "
    "that a difference is the version’s and not chance."
)
SEED_HELP = "The same seed draws the same answers again."
CHAT_HELP = "Put each prompt into the template that the model was trained to chat in."
VERSIONS_HELP = (
    "Up to three types that the model is stored in: mixes such as Q4_K_M, formats such as "
    "INT4_G128, or “Q4_K pure”."
)
NOT_YET = "Choose prompts and versions, and let them answer."


def finding(found: Sequence[tuple[Version, Verdict]], margin: float) -> str:
    """Say which versions are as good, which are worse, and of which that cannot be told."""
    points = f"{100 * margin:g} points"
    said = []
    for wanted, says in (
        ("yes", "as good as the original within {points}"),
        ("no", "worse by more than {points}"),
    ):
        names = [version.name for version, verdict in found if verdict.as_good == wanted]
        if names:
            said.append(f"{_listed(names)} {are(len(names))} {says.format(points=points)}")
    names = [v.name for v, verdict in found if verdict.as_good == "cannot tell yet"]
    if names:
        said.append(f"of {_listed(names)} {plural(found[0][1].n, 'prompt')} cannot tell")
    text = "; ".join(said) or "no version has answered yet"
    return f"{text[0].upper()}{text[1:]}."


def same_answers(version: Version) -> int:
    """Count the answers that are the original's, token by token."""
    return sum(answer.first_difference is None for answer in version.answers)


def _listed(names: Sequence[str]) -> str:
    return _and([f"**{name}**" for name in names])


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def alike(trial: Trial) -> str:
    """Say how many answers of each version are the original's."""
    n = len(trial.original.answers)
    counts = [f"{version.name} to **{same_answers(version)}**" for version in trial.versions]
    return f"Of {plural(n, 'prompt')}, the original’s very answer is given by {_and(counts)}."


def verdict(version: Version, found: Verdict) -> str:
    """Say what was counted of one version, and what more prompts would do."""
    gained, lost = plural(found.better, "answer"), plural(found.worse, "answer")
    if not found.better and not found.worse:
        counted = f"no answer got better or worse ({found.matches} of {found.n} are right)"
    else:
        counted = (
            f"{gained} got better, {lost} got worse ({found.matches} of {found.n} are right, "
            f"{found.original_matches} of the original’s); so uneven a split happens by chance "
            f"{_chance(found.p_value)}"
        )
    return f"**{version.name}**: {counted}. {_decided(found)}"


def _chance(p_value: float) -> str:
    if p_value >= 0.995:
        return "as a rule"
    if p_value >= 0.01:
        return f"in {100 * p_value:.0f} of 100 trials"
    if p_value < 1e-6:
        return "less than once in a million trials"
    return f"once in {float(f'{1 / p_value:.2g}'):,.0f} trials"


def _decided(found: Verdict) -> str:
    if found.as_good == "yes":
        return "It is as good within the margin."
    if found.as_good == "no":
        return "It is worse by more than the margin."
    if found.more_prompts is None:
        return "No number of prompts like these would tell: the difference is about the margin."
    more = plural(found.more_prompts, "more prompt")
    return f"It cannot be told yet; about {more} like these would."


def points(share: float) -> str:
    """Write a difference of shares in points.

    >>> points(-0.0317), points(0.0)
    ('−3.2', '+0.0')
    """
    return real_minus(f"{100 * share:+.1f}")


def running(stage: str, so_far: str) -> str:
    """Say what is being answered."""
    return f"{stage}: {so_far.strip()}" if so_far.strip() else stage
