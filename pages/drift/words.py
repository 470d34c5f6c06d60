"""Sentences about drift that follow the numbers. Measurements in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.units import number, signed, times
from quantcore.evaluate import skill_loss
from quantcore.evaluate.drift import Drift
from quantcore.evaluate.skills import SkillScore

STALE = "These figures belong to another version of the model: press Measure for new ones."
HOW_TO_READ_TAIL = (
    "Large mark: half of the tokens diverge less. Small marks: 90, 95, 99 and 99.9 % do. Upright "
    "bar: the mean."
)


def missing(names: Sequence[str], text: str) -> str:
    """Say what was not measured yet, and how to."""
    if len(names) > 3:
        return f"{len(names)} of these types are not measured on {text} yet: press Measure."
    verb = "is" if len(names) == 1 else "are"
    return f"{_list(names)} {verb} not measured on {text} yet: press Measure."


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
        f"The same four bits: with one scale for a whole tensor INT4 drifts "
        f"**{times(tensor / group)} times** as far as with one scale for {groups[0][6:]} weights; "
        f"one scale a row lies {_between(row, group, tensor)}."
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
        return f"**{first['type']}** moves nothing; **{last['type']}** moves most."
    ratio = last["mean_kl_nats"] / first["mean_kl_nats"]
    return (
        f"From **{first['type']}** to **{last['type']}** the divergence grows "
        f"**{times(ratio)} times** while the file shrinks "
        f"{times(first['weights_bytes'] / last['weights_bytes'])} times."
    )


def cost(table: Sequence[Mapping], chosen: str) -> str:
    """Say what the chosen type does to perplexity and divergence, beside the best."""
    rows = {row["type"]: row for row in table[1:]}
    if chosen not in rows:
        return f"{chosen} is not measured here yet; {span(table)[0].lower()}{span(table)[1:]}"
    row, best = rows[chosen], table[1]
    before, after = table[0]["perplexity"], row["perplexity"]
    kl, least = row["mean_kl_nats"], best["mean_kl_nats"]
    if kl <= 0:
        return f"**{chosen}** changes nothing: perplexity stays at **{before:.3f}**."
    text = (
        f"**{chosen}** moves perplexity from {before:.3f} to **{after:.3f}** "
        f"({signed(row['perplexity_change_percent'])} %) and diverges **{number(kl)}** nats "
        "per token"
    )
    if row is best:
        return text + (", the least of these types." if len(rows) > 1 else ".")
    if least <= 0:
        return text + "."
    if kl < 1.1 * least:
        return text + f", hardly more than {best['type']}."
    return text + f", {times(kl / least)} times as much as {best['type']}."


def how_ranked(drift: Drift, text: str) -> str:
    """Say how it was measured, and where the floor lies."""
    floor = drift.floor_perplexity
    below = f" No model can bring perplexity below {floor:.3f}, the text’s own." if floor else ""
    return (
        f"Ranked by divergence from the original. {drift.tokens_scored:,} tokens of {text}, the "
        f"second half of chunks of {drift.context}, as llama-perplexity scores them.{below}"
    )


def tail(table: Sequence[Mapping], chosen: str) -> str:
    """Say how unevenly the damage falls on tokens."""
    rows = {row["type"]: row for row in table[1:]}
    name = chosen if chosen in rows else table[-1]["type"]
    median, high = rows[name]["median_kl_nats"], rows[name]["kl_99_9_nats"]
    mean = rows[name]["mean_kl_nats"]
    if high <= 0:
        return f"**{name}** moves no token at all."
    uneven = f"In **{name}** half of the tokens diverge less than {number(median)} nats, but 1 in "
    uneven += f"1,000 more than **{number(high)}**"
    return uneven + (": the mean hides a tail." if mean > 2 * median else ".")


def first_to_break(scores: Mapping[str, Sequence[SkillScore]]) -> str:
    """Say which skill breaks first as bits go down; the original's scores come first."""
    broken, held = skill_loss.breaks(scores), skill_loss.unbroken(scores)
    if not broken:
        return f"No skill loses ten answers in a hundred, not even in {list(scores)[-1]}."
    first, last = broken[0], broken[-1]
    text = (
        f"The first skill to break is **{first.level} {first.skill}**: in {first.type} the right "
        f"answers fall from {100 * first.before:.0f} to **{100 * first.after:.0f} in 100**"
    )
    if held:
        names = _list([f"{level} {skill}" for skill, level in held[:2]])
        more = "" if len(held) <= 2 else f", with {len(held) - 2} more,"
        return f"{text}; of {names}{more} fewer than ten are lost in any type."
    return f"{text}; {last.level} {last.skill} is the last, in {last.type}."


def _list(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
