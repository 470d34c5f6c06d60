"""Sentences on what pieces cost: the map, curves over bits, layers and roles."""

from collections.abc import Iterable, Mapping
from statistics import median

from pages.sensitivity.words.figures import short, the, unit_of, wording
from pages.shared.definitions import says
from pages.shared.units import opening, percent, times
from quantcore.sensitivity.costs import DIVERGENCE, TOP_TOKEN, Cost, Measure, cost_of_none_kept
from quantcore.sensitivity.results import Source

TERMS = {
    "divergence": says("divergence"),
    "perplexity": "Relative change of perplexity: the changed model’s divided by the original’s, "
    "minus one. It may fall by luck; divergence is never below zero.",
    "top token": "Share of the tokens at which the changed model’s first choice is another one. "
    "Two near-equal candidates can swap at the slightest change, and there is no interval.",
    "how": "“only this”: this one is quantized and everything else stays as it was (leave one in). "
    "“everything except this”: everything else is quantized and this one stays as it was (leave "
    "one out).",
    "interval": "95 % bootstrap interval over blocks of 32 tokens: another text of this length "
    "and kind would give a figure within it nineteen times in twenty.",
    "sums": "Single effects below zero count as zero, as in `plan --budget`. This chart always "
    "shows divergence, whichever measure is chosen.",
    "rank": "Spearman’s rank correlation: 1 where two orders are the same, 0 where they have "
    "nothing to do with each other, −1 where one is the other backwards.",
    "guides": "Weight error: root of the squared change over the squared weights. Weighted error: "
    "the same, each column counted by its importance. Output error: the same for what comes out of "
    "the matrix on this text. Fisher: squared change times squared gradient, halved, in nats per "
    "token; it takes a backward pass.",
}


def measured_on(source: Source) -> str:
    """Say what the figures were measured on."""
    aided = ", every format with the importance matrix" if source.imatrix_digest else ""
    chosen = f", stored by {source.by}" if source.by else ""
    return (
        f"Measured on {source.tokens:,} tokens of {source.text}, of which {source.tokens_scored:,} "
        f"are scored{aided}{chosen}."
    )


def headline(
    format_name: str, costs: Mapping[str, Cost], measure: Measure, how: str,
    joint: Cost | None, noun: str,
) -> str:  # fmt: skip
    """Say what is worst, how many times the median, and what share of the sum."""
    if how == "kept":
        return kept(format_name, costs, measure, joint)
    worst = max(costs, key=lambda name: costs[name].size)
    cost, sizes = costs[worst], [each.size for each in costs.values()]
    if not cost.size and len(costs) > 1:
        return f"In **{format_name}** none of the {len(costs)} {noun} moves the model at all."
    if not cost.size:
        begin = f"In **{format_name}**, **{the(worst)}** alone does not move the model at all"
        return f"{begin}; nothing else has been measured yet."
    does = wording(measure).does(cost.value)
    said = f"In **{format_name}**, **{the(worst)}** alone {does}"
    if len(costs) < 2:
        return f"{said}; nothing else has been measured yet."
    middle = median(sizes)
    ratio = f"{times(cost.size / middle)} times the median" if middle else "the median is zero"
    share = percent(cost.size / sum(sizes))
    if measure.name == DIVERGENCE:
        ratio += f" and **{share}** of the sum over {every(len(costs))}"
    chance = "; even that may be chance" if measure.signed and cost.by_chance else ""
    return f"{said}: {ratio}{chance}."


def kept(format_name: str, costs: Mapping[str, Cost], measure: Measure, joint: Cost | None) -> str:
    """Say which piece is worth most when it stays as it was, and what that leaves."""
    best = min(costs, key=lambda name: costs[name].value)
    left, most, worded = costs[best], cost_of_none_kept(costs, joint), wording(measure)
    begin = f"With everything else in **{format_name}**, keeping **{the(best)}** as it was "
    if joint is None or most <= 0:
        return f"{begin}leaves least: {worded.figure(left.value)}."
    saved = (most - left.value) / most
    if left.high >= joint.low and measure.name != TOP_TOKEN:
        return (
            f"{begin}leaves {worded.bare(left.value)} of {worded.figure(most)}: the "
            "intervals overlap, so no single one saves the model."
        )
    return (
        f"{begin}leaves {worded.bare(left.value)} of {worded.figure(most)}: it takes "
        f"away **{percent(saved)}**."
    )


def how_to_read_map(measure: Measure, how: str, part: str, joint: Cost | None) -> str:
    """Say what the number in a cell is."""
    worded = wording(measure)
    if how == "kept" and joint is not None:
        number_is = (
            f"The number: the share of the joint {worded.figure(joint.value)} that goes away when "
            "only this one stays as it was"
        )
    elif how == "kept":
        number_is = f"The number, in {worded.counted_in(part)}: what is left when only this one "
        number_is += "stays as it was"
    else:
        number_is = f"The number, in {worded.counted_in(part)}: what it costs to quantize only "
        number_is += "this one"
    if measure.signed and how != "kept":
        return (
            f"{number_is}; in parentheses, and pale, where it may be chance. Warm colours mean "
            "worse, cool ones better, stronger ones more. Click a cell."
        )
    return f"{number_is}. A stronger colour means more, on a log scale. Click a cell."


def unit(costs: Iterable[Cost], measure: Measure) -> tuple[float, str]:
    """Choose the parts that the cells of maps count, and their name."""
    return (0.01, "percent") if measure.name == TOP_TOKEN else unit_of(cost.size for cost in costs)


def cells(
    costs: Mapping[str, Cost], measure: Measure, how: str, joint: Cost | None, factor: float
) -> dict[str, str]:
    """Word the cells of the map, in parts of `factor`, in as few letters as will do."""
    if how == "kept" and joint is not None and joint.value > 0:
        saved = {n: (joint.value - cost.value) / joint.value for n, cost in costs.items()}
        return {n: short(100 * s) + " %" for n, s in saved.items()}
    return {name: _cell(cost, factor, measure) for name, cost in costs.items()}


def _cell(cost: Cost, factor: float, measure: Measure) -> str:
    text = ("+" if measure.signed and cost.value > 0 else "") + short(cost.value / factor)
    return f"({text})" if measure.signed and cost.by_chance else text


def tooltip(name: str, cost: Cost, measure: Measure) -> str:
    """Say a figure exactly, with its interval."""
    worded = wording(measure)
    said = f"<b>{name if '.' in name else the(name)}</b><br>{worded.figure(cost.value)}"
    if measure.name == TOP_TOKEN:
        return said
    return f"{said}<br>95 % interval {worded.bare(cost.low)} to {worded.bare(cost.high)}"


def worst(costs: Mapping[str, Cost], how: str, count: int, noun: str) -> str:
    """Say how many pieces carry most of it."""
    if how == "kept":
        return "What is left when only this one stays as it was; the best ones to keep come first."
    ordered = sorted((cost.size for cost in costs.values()), reverse=True)
    total, running, needed = sum(ordered), 0.0, 0
    if len(costs) < 2:
        return f"So far, only one of the {noun} has been measured."
    if not total:
        return f"{every(len(costs)).capitalize()} {noun} cost nothing."
    while needed < len(ordered) and running < 0.9 * total:
        running, needed = running + ordered[needed], needed + 1
    makes = "makes" if needed == 1 else "make"
    begin = (
        f"The {count} of {len(costs)} {noun} that cost most"
        if count < len(costs)
        else f"{every(len(costs)).capitalize()} {noun}, the costliest first"
    )
    return f"{begin}; {needed} {makes} up 90 % of the sum over {every(len(costs))}."


def every(count: int) -> str:
    """Say that all are meant, of two or more.

    >>> every(2), every(57)
    ('both', 'all 57')
    """
    return "both" if count == 2 else f"all {count}"


# ---- curves over bits ----------------------------------------------------------------------------

Curve = Mapping[str, tuple[float, Cost]]  # by format, fewest bits first: bits per weight, cost


def curves(lines: Mapping[str, Curve], measure: Measure) -> str:
    """Say how many bits the costliest tensor needs to cost as little as another does with few."""
    most = max(lines, key=lambda name: max(cost.size for _, cost in lines[name].values()))
    line = lines[most]
    few, many = next(iter(line)), list(line)[-1]
    if few == many:
        return f"**{opening(the(most))}** has been measured in {few} only."
    others = [name for name in lines if name != most and few in lines[name]]
    if others and not measure.signed:
        other = sorted(others, key=lambda name: lines[name][few][1].size)[len(others) // 2]
        aim = lines[other][few][1].size
        enough = next((name for name, (_, cost) in line.items() if cost.size <= aim), None)
        if enough is None:
            return (
                f"Even in {many}, **{the(most)}** costs more than {the(other)} does in "
                f"**{few}**: bits are best spent where they matter."
            )
        if enough != few:
            return (
                f"**{opening(the(most))}** needs **{enough}** to cost as little as "
                f"{the(other)} does in {few}: {line[enough][0]:.3g} bits per weight against "
                f"{line[few][0]:.3g}."
            )
    return _by_bits(most, line, measure)


def _by_bits(name: str, line: Curve, measure: Measure) -> str:
    """Say what more bits do for one tensor."""
    (few, first), (many, last) = next(iter(line.items())), list(line.items())[-1]
    gain, bits = first[1].size / max(last[1].size, 1e-300), last[0] - first[0]
    if measure.signed:
        chance = next((fmt for fmt, (_, cost) in line.items() if cost.by_chance), None)
        does = wording(measure).does(first[1].value)
        begin = f"**{opening(the(name))}** in {few} {does}"
        return f"{begin}; from **{chance}** on it may be chance." if chance else f"{begin}."
    if gain <= 1 or bits <= 0:
        return f"More bits do not make **{the(name)}** cost less here."
    return (
        f"From {few} to {many}, **{the(name)}** comes to cost {times(gain)} times less: each "
        f"extra bit divides the cost by **{gain ** (1 / bits):.1f}**."
    )


# ---- depth and roles -----------------------------------------------------------------------------


def depth(
    layers: Mapping[str, Cost], ends: Mapping[str, Cost], format_name: str, measure: Measure
) -> str:
    """Say which layer costs most, and how the ends compare."""
    top = max(layers, key=lambda name: layers[name].size)
    low = min(layers, key=lambda name: layers[name].size)
    if measure.signed:
        return f"Of the layers, {_most(top, layers, measure, 'layers')}"
    if len(layers) < 2:
        return f"**{opening(the(top))}** is the only layer measured in {format_name}."
    if not layers[top].size:
        return f"In {format_name} no layer costs anything."
    if not layers[low].size:
        return f"In {format_name}, **{the(top)}** costs most of the layers."
    ratio = layers[top].size / layers[low].size
    said = (
        f"Of the layers, **{the(top)}** costs most: **{times(ratio)} times** as much as {the(low)}"
        if ratio > 1.2
        else "All layers cost about the same"
    )
    larger = [name for name, cost in ends.items() if cost.size > layers[top].size]
    if not larger:
        return f"{said}."
    most = max(larger, key=lambda name: ends[name].size)
    more = times(ends[most].size / layers[top].size)
    return f"{said}; {the(most)} costs {more} times as much as {the(top)}."


def roles(costs: Mapping[str, Cost], measure: Measure) -> str:
    """Name the role that costs most, and the one that costs least."""
    top = max(costs, key=lambda name: costs[name].size)
    low = min(costs, key=lambda name: costs[name].size)
    if measure.signed:
        return f"Of the roles, {_most(top, costs, measure, 'roles')}"
    if len(costs) < 2:
        return f"**{opening(the(top))}** is the only role that has been measured."
    if not costs[top].size:
        return "No role costs anything."
    inner = {name: cost for name, cost in costs.items() if name not in ("token_embd", "output")}
    if top in inner or len(inner) < 2:
        return f"Of the roles, **{the(top)}** costs most and {the(low)} least."
    second = max(inner, key=lambda name: inner[name].size)
    return (
        f"Of the roles, **{the(top)}** costs most; within the layers, **{the(second)}** costs most "
        f"and {the(low)} least."
    )


def _most(top: str, costs: Mapping[str, Cost], measure: Measure, noun: str) -> str:
    """Say what the worst one does, and how many may do nothing."""
    does = wording(measure).does(costs[top].value)
    chance = sum(cost.by_chance for cost in costs.values())
    if len(costs) < 2:
        return f"**{the(top)}** {does}{', which may be chance' if chance else ''}."
    return f"**{the(top)}** {does}; {chance} of {len(costs)} {noun} may be chance."


# ---- how to read ---------------------------------------------------------------------------------

HOW_TO_READ_CURVES = (
    "Each tensor quantized alone. Right is larger, down is closer to the original. Colour and "
    "shape show the format; the large marks are the chosen one. Bars: 95 % intervals."
)
HOW_TO_READ_DEPTH = (
    "All matrices of a layer at once; at the ends, the embedding and the output matrix. Bars: 95 % "
    "intervals."
)
HOW_TO_READ_ROLES = "Each role in all layers at once, the costliest first. Bars: 95 % intervals."


def nothing(model_name: str) -> str:
    """Say that a model was never measured."""
    return (
        f"Nothing has been measured for **{model_name}** yet: choose formats and a text, and press "
        "Measure."
    )


def not_measured(noun: str, how: str, format_name: str) -> str:
    """Say that these results lack what was asked for."""
    kind = "quantized alone to" if how == "alone" else "kept as they were with everything else in"
    return (
        f"These results hold no {noun} {kind} **{format_name}**: measure them below, or choose "
        "something else above."
    )


def terms(measure: Measure) -> str:
    """Explain the measure and its interval."""
    about = TERMS.get(measure.name, "Loss of log probability of the right answers of this skill.")
    return about if measure.name == TOP_TOKEN else f"{about} {TERMS['interval']}"
