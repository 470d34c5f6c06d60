"""Sentences about drift that follow the numbers. Measurements in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.units import number, plural, signed, times
from quantcore.evaluate import skill_loss
from quantcore.evaluate.drift_result import DriftFigures
from quantcore.evaluate.skills import SkillScore

PURPOSE = (
    "Quantize the whole model, let it read the same text as the original, and compare what "
    "each of them predicts for every next token."
)
DEFINED = (
    "token, tensor, embedding, quantization, code, scale, grid, block, super-block, format, "
    "method, mix, pure, importance matrix, bits per weight, divergence, noise floor, nat, "
    "perplexity, sure tokens"
).split(", ")

STALE = "These figures belong to another version of the model. Press Measure for new ones."
HOW_TO_READ_TAIL = (
    "Large mark: half of the tokens diverge less. Small marks: 90, 95, 99 and 99.9 % of them "
    "do. Upright bar: the mean."
)


def missing(names: Sequence[str], text: str, what: str = "types", button: str = "Measure") -> str:
    """Say what was not measured yet, and how to."""
    if len(names) > 3:
        which = f"{len(names)} of these {what}"
    else:
        which = _list(names)
    verb = "has" if len(names) == 1 else "have"
    return f"{which} {verb} not been measured on {text} yet. Press {button}."


def too_short(text: str, n_tokens: int, needed: int) -> str:
    """Say that a text is too short to measure on.

    >>> too_short("your text", 1, 128)
    'Your text has 1 token; measuring needs at least 128. Paste a few hundred words.'
    """
    return (
        f"{text[:1].upper()}{text[1:]} has {plural(n_tokens, 'token')}; measuring needs at least "
        f"{needed:,}. Paste a few hundred words."
    )


def granularity(table: Sequence[Mapping]) -> str | None:
    """Compare INT4 by tensor, by row and by group, where all three were measured."""
    kl = {row["type"]: row["mean_kl_nats"] for row in table}
    groups = sorted(name for name in kl if name.startswith("INT4_G") and "ASYM" not in name)
    if not groups or "INT4_TENSOR" not in kl or "INT4_ROW" not in kl:
        return None
    tensor, row, group = kl["INT4_TENSOR"], kl["INT4_ROW"], kl[groups[0]]
    if min(tensor, row, group) <= 0 or tensor <= 1.2 * group:
        return "For this model it hardly matters how many weights share a scale in INT4."
    return (
        f"The same four bits: with one scale for the whole tensor, INT4 drifts "
        f"**{times(tensor / group)} times** as far as with one scale per {groups[0][6:]} weights; "
        f"one scale per row is {_between(row, group, tensor)}."
    )


def _between(row: float, group: float, tensor: float) -> str:
    if row > tensor:
        return f"even further off, at {times(row / group)} times"
    return (
        f"between, at {times(row / group)} times" if row > group else "no further off than groups"
    )


def span(table: Sequence[Mapping]) -> str:
    """Compare the gentlest type with the harshest."""
    first, last = table[1], table[-1]
    if len(table) == 2:
        return f"**{first['type']}** diverges **{number(first['mean_kl_nats'])}** nats per token."
    if first["mean_kl_nats"] <= 0:
        return f"**{first['type']}** changes nothing; **{last['type']}** drifts most."
    ratio = last["mean_kl_nats"] / first["mean_kl_nats"]
    return (
        f"From **{first['type']}** to **{last['type']}** the divergence becomes "
        f"**{times(ratio)} times** as large, and the file "
        f"{times(first['weights_bytes'] / last['weights_bytes'])} times smaller."
    )


def cost(table: Sequence[Mapping], chosen: str) -> str:
    """Say what the chosen type does to perplexity and divergence, compared with the best."""
    rows = {row["type"]: row for row in table[1:]}
    if chosen not in rows:
        return f"{chosen} has not been measured here yet. {span(table)}"
    row, best = rows[chosen], table[1]
    before, after = table[0]["perplexity"], row["perplexity"]
    kl, least = row["mean_kl_nats"], best["mean_kl_nats"]
    if kl <= 0:
        return f"**{chosen}** changes nothing: perplexity stays at **{before:.3f}**."
    text = (
        f"**{chosen}** {_turns(before, after)} "
        f"({signed(row['perplexity_change_percent'])} %) and diverges by **{number(kl)}** nats "
        "per token"
    )
    if row is best:
        return text + (", the least of these types." if len(rows) > 1 else ".")
    if least <= 0:
        return text + "."
    if kl < 1.1 * least:
        return text + f", hardly more than {best['type']}."
    return text + f", {times(kl / least)} times as much as {best['type']}."


def _turns(before: float, after: float) -> str:
    """Say what becomes of perplexity, as it is printed."""
    if f"{before:.3f}" == f"{after:.3f}":
        return f"leaves perplexity at **{after:.3f}**"
    verb = "raises" if after > before else "lowers"
    return f"{verb} perplexity from {before:.3f} to **{after:.3f}**"


def how_ranked(drift: DriftFigures, text: str) -> str:
    """Say how it was measured, and where the floor is."""
    floor = drift.floor_perplexity
    below = (
        f" A model that knew the true probability of every next word would reach {floor:.3f}."
        if floor
        else ""
    )
    return (
        f"Ranked by divergence from the original, over {drift.tokens_scored:,} tokens of {text}: "
        f"the second half of each chunk of {drift.context} tokens, as in llama-perplexity.{below}"
    )


def tail(table: Sequence[Mapping], chosen: str) -> str:
    """Say how unevenly the damage falls on tokens."""
    rows = {row["type"]: row for row in table[1:]}
    name = chosen if chosen in rows else table[-1]["type"]
    median, high = rows[name]["median_kl_nats"], rows[name]["kl_99_9_nats"]
    mean = rows[name]["mean_kl_nats"]
    if high <= 0:
        return f"**{name}** changes no prediction at all."
    uneven = f"In **{name}**, half of the tokens diverge by less than {number(median)} nats, but 1 "
    uneven += f"in 1,000 by more than **{number(high)}**"
    return uneven + (": the mean hides a tail." if mean > 2 * median else ".")


def what_breaks(scores: Mapping[str, Sequence[SkillScore]]) -> str | None:
    """Say which types take skills away; None where none does. The original's scores come first."""
    if len(scores) < 2:  # nobody has been asked
        return None
    losses, nothing = skill_loss.worst_losses(scores), skill_loss.nothing_left(scores)
    if not losses:
        return None
    gone = ""
    if nothing:
        gone = f"{_list(nothing)} {'leaves' if len(nothing) == 1 else 'leave'} nothing"
    gentler = list(scores).index(losses[0].type) > 1
    rest = "; types that drift less break no skill." if gentler else "."
    some = [loss for loss in losses if loss.type not in nothing]
    if not some:
        return f"**{gone}**{rest}"
    first, last = some[0], some[-1]
    text = (
        f"**{first.type}** takes {first.level} {first.skill} from {100 * first.before:.0f} to "
        f"**{100 * first.after:.0f} right answers in 100**"
    )
    if last is not first:
        harsher = f"{last.type} takes {last.level} {last.skill} from {100 * last.before:.0f} to "
        text += f"{',' if nothing else ' and'} {harsher}{100 * last.after:.0f}"
    return text + (f", and {gone}" if gone else "") + rest


def first_to_break(scores: Mapping[str, Sequence[SkillScore]]) -> str:
    """Say which skill breaks first as bits go down; the original's scores come first."""
    broken, held = skill_loss.breaks(scores), skill_loss.unbroken(scores)
    if not broken:
        return f"No skill loses as many as ten answers in 100, not even in {list(scores)[-1]}."
    first, last = broken[0], broken[-1]
    text = (
        f"The first skill to break is **{first.level} {first.skill}**: in {first.type}, the right "
        f"answers fall from {100 * first.before:.0f} to **{100 * first.after:.0f} in 100**"
    )
    if held:
        names = [f"{level} {skill}" for skill, level in held[:2]]
        more = [plural(len(held) - 2, "other")] if len(held) > 2 else []
        return f"{text}. In {_list([*names, *more])}, no type loses as many as ten."
    n_last = sum(each.type == last.type for each in broken)
    if first.type == last.type:
        return text + (f", and {n_last - 1} more break in it." if n_last > 1 else ".")
    if n_last > 1:
        return f"{text}; {n_last} skills hold out until {last.type}."
    return f"{text}; {last.level} {last.skill} is the last, in {last.type}."


def _list(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
