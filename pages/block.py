"""Page: one block under the microscope, from numbers to codes and bytes, and back."""

import numpy as np
import streamlit as st

from pages.shared import cache, controls, frame, hexdump, look, tables
from pages.shared.charts import block as charts
from pages.shared.palette import bits_colour, colour
from pages.shared.units import exact, number, percent, plural, real_minus, signed, times
from quantcore.evaluate.by_hand import best_turn, grid_of
from quantcore.formats import get_format
from quantcore.formats.layout import block_length

frame.enter(__file__)

EXAMPLES = ("From the model", "33 comes back as 32", "One outlier", "All equal")
PERCENTS, SHIFTS = range(40, 161), np.arange(-2, 2.01, 0.25).tolist()
TEXTBOOK_WEIGHT = 20
BOUND = {"bind": "query-params"}


def rms(numbers: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(numbers, dtype=np.float64))))


def example_values(which: str, length: int) -> np.ndarray:
    """Weights of an example that does not come from the model."""
    if which == "All equal":
        return np.full(length, 0.5, np.float32)
    ramp = np.round(np.linspace(-128, 119, 32))
    ramp[TEXTBOOK_WEIGHT] = 33
    return np.resize(ramp, length).astype(np.float32)


def pick_part() -> None:
    """Choose the sub-block that was clicked."""
    if points := st.session_state["block_super"].selection.points:
        clicked = points[0]["customdata"]
        st.session_state["part"] = int(clicked[0] if isinstance(clicked, list) else clicked)


def reset_dials() -> None:
    """Put the dials back to what the format itself does."""
    st.session_state.update(dial_scale=100, dial_zero=0.0)
    st.session_state.pop("dial_bits", None)


def example_chosen() -> None:
    """The textbook's numbers are those of Q4_0: show them in it."""
    reset_dials()
    if st.session_state["example"] == EXAMPLES[1]:
        st.session_state["type"] = "Q4_0"


style = look.current()
st.title("Block microscope", anchor=False)
example = st.segmented_control(
    "Example", EXAMPLES, default=EXAMPLES[0], required=True, key="example",
    on_change=example_chosen, **BOUND,
)  # fmt: skip
from_model = example in ("From the model", "One outlier")
one, two, three, four, five = st.columns([2, 3, 1, 1, 1], vertical_alignment="bottom")
with one:
    fmt = get_format(controls.type_(default="Q4_0", on_change=reset_dials))
tensor, row, at = "", 0, 0
if from_model:
    with two:
        tensor = controls.tensor(on_change=reset_dials)
    n_rows, n_cols = controls.model().tensors[tensor].shape
    fmt.check((n_rows, n_cols))
    length = block_length(fmt, n_cols)
    with three:
        row = controls.row(n_rows, on_change=reset_dials)
    with four:
        at = controls.block(n_cols // length, on_change=reset_dials)
else:
    length = block_length(fmt, 256)

if example == "From the model":
    weights = cache.weights(controls.model_name(), tensor)[row, at * length : (at + 1) * length]
    opened = fmt.open_block(cache.packed(controls.model_name(), tensor, fmt.name), row, at)
else:
    weights = example_values(example, length)
    if example == "One outlier":
        start = at * length
        weights = cache.weights(controls.model_name(), tensor)[row, start : start + length].copy()
        weights[length // 4 + 1] = 8 * np.abs(weights).max()
    opened = fmt.open_block(fmt.quantize(weights[None]), 0, 0)

chosen = 0
if len(opened.parts) > 1:
    with five:
        chosen = controls.part(len(opened.parts), on_change=reset_dials)
part = opened.parts[chosen]
first, last = part.weights.start, part.weights.stop
values, restored = weights[first:last], opened.restored[first:last]
stored_error = rms(restored - values)
size = rms(values) or 1.0
line = st.container()  # drawn once the dials below it are known

# The dials: what the format does, turned by hand.
whole = fmt.code_bits <= 8
rule = grid_of(part, opened.first_code)
if whole:
    st.space("small")
    dials = st.columns([1, 1, 1, 1], vertical_alignment="bottom", gap="medium")
    bits = dials[0].slider(
        "Bits", 2, 8, fmt.code_bits, key="dial_bits",
        help="Fewer bits, fewer values on the line; the range stays.", **BOUND,
    )  # fmt: skip
    turn = dials[1].slider(
        "Scale, %", 40, 160, 100, key="dial_scale",
        help="100 % is what the format’s own rule picks. A smaller scale is finer but cuts off "
        "what lies outside.", **BOUND,
    )  # fmt: skip
    shift = dials[2].slider(
        "Zero point, steps", -4.0, 4.0, 0.0, 0.25, key="dial_zero",
        help="Moves the grid along the line, in steps of the grid.", **BOUND,
    )  # fmt: skip
    moved = (bits, turn, shift) != (fmt.code_bits, 100, 0.0)
    dials[3].button(
        f"Back to {fmt.name}", on_click=reset_dials, disabled=not moved, key="dial_reset"
    )
else:
    bits, turn, shift, moved = fmt.code_bits, 100, 0.0, False

mine = rule.with_bits(bits).turned(turn, shift) if moved else rule
grid = mine.values.astype(np.float32) if moved else part.grid
codes = mine.nearest(values) if moved else opened.codes[first:last]
landed = grid[codes] if moved else restored
error = landed - values
worst = TEXTBOOK_WEIGHT if example == EXAMPLES[1] else int(np.abs(error).argmax())
first_code = -round(mine.zero_point) if moved else opened.first_code
tone = bits_colour(bits, style)
step = float(abs(grid[1] - grid[0])) if grid.size > 1 else 0.0
my_error = rms(error)
code = int(codes[worst]) + first_code

if moved:
    headline = (
        f"By hand, with {plural(bits, 'bit')}, a typical weight moves by "
        f"**{percent(my_error / size)}** of its size; {fmt.name} itself: {percent(stored_error / size)}."
    )
elif example == EXAMPLES[1]:
    headline = (
        f"**{exact(values[worst])}** divided by the scale {exact(part.scale)} is about {real_minus(str(code))}, "
        f"so it comes back as **{exact(landed[worst])}**."
    )
elif example == EXAMPLES[3] and not my_error:
    headline = f"{plural(values.size, 'equal weight')} come back **exactly**: all take the same code."
elif example == EXAMPLES[2]:
    others = np.delete(codes, np.abs(values).argmax())
    headline = (
        f"One weight eight times larger than the rest takes the whole range: the others share "
        f"**{plural(len(np.unique(others)), 'code')}** of {grid.size}."
    )
else:
    stored = fmt.stored_bytes((1, length)) * values.size / length
    headline = (
        f"**{fmt.name}** keeps these {plural(values.size, 'weight')} in {number(stored)} bytes instead of "
        f"{4 * values.size:,}; a typical one moves by **{percent(stored_error / size)}** of its size."
    )
with line:
    st.space("small")
    look.finding(
        headline,
        "Each ring is a weight at its true value. It falls to the nearest mark below: the only values that "
        "this block can hold. Larger dots caught more weights; the bold line is the weight that misses most."
        if example != EXAMPLES[1]
        else "An 8-bit scale has a place for 33; a 4-bit scale of step 16 has 2 × 16 = 32 as its nearest. Each "
        "ring is a weight, each mark below a value that the block can hold; the bold line is 33.",
    )
    look.show(
        charts.number_line(
            values, codes, landed, grid, worst, tone, style, first_code=first_code, first_weight=first
        ),
        key="block_line",
        alt=f"Number line: {values.size} weights above, the {grid.size} values of the grid below, a line from "
        "each weight to where it lands.",
    )

if whole:
    st.space("small")
    left, right = st.columns(2, gap="large")
    with left:
        off = float(abs(error[worst]) / step) if step else 0.0
        if not np.any(error):
            says = "**No weight** moves at all."
        elif off > 0.502 and example != EXAMPLES[1]:
            says = (
                f"Weight {worst + first} lies beyond the grid and is cut off by **{off:.1f} steps**; inside, no "
                "weight can miss by more than half a step."
            )
        else:
            says = (
                f"Weight {worst + first} misses by **{off:.2f} steps**; inside the grid no weight can miss by "
                "more than half a step."
            )
        look.finding(says, "Error of each weight in its place. Dashed: half a step of the grid.")
        look.show(
            charts.weight_errors(error, step / 2, worst, first, tone, style),
            key="block_errors",
            alt=f"Bars of the error of {values.size} weights; the largest is {np.abs(error).max():.3g}.",
        )
    with right:
        turned = rule.with_bits(bits)
        coarse = values.size > 512
        best, best_turned, best_shift = best_turn(
            values, turned, PERCENTS[:: 4 if coarse else 1], SHIFTS[:: 2 if coarse else 1]
        )
        gain = 1 - best / my_error if my_error else 0.0
        whose = "Your dials give" if moved else f"{fmt.name}’s own rule gives"
        if gain > 0.01:
            look.finding(
                f"{whose} an error of **{number(my_error)}**; the best dials **{number(best)}**, "
                f"{percent(gain)} less.",
                f"Best for {plural(bits, 'bit')}: scale {best_turned} %, zero point {signed(best_shift)} steps. "
                "Solid: your zero point; dotted: the best one.",
            )
        else:
            best, best_turned, best_shift = my_error, turn, shift
            look.finding(
                f"{whose} an error of **{number(my_error)}**; no other scale or zero point does better.",
                f"Searched: scale 40 to 160 %, zero point ±2 steps, {plural(bits, 'bit')}.",
            )
        points = {"yours" if moved else fmt.name: (turn, my_error)}
        if gain > 0.01:
            points["best"] = (best_turned, best)
        look.show(
            charts.scale_curve(
                PERCENTS,
                [turned.turned(p, shift).rms_error(values) for p in PERCENTS],
                [turned.turned(p, best_shift).rms_error(values) for p in PERCENTS],
                points,
                tone,
                style,
            ),
            key="block_curve",
            alt=f"Error against scale: now {number(my_error)}, at best {number(best)}.",
        )

if len(opened.parts) > 1:
    st.space("small")
    scales = [abs(each.scale) for each in opened.parts]
    ratio = max(scales) / min(scales) if min(scales) else 0.0
    look.finding(
        f"The super-block’s {len(scales)} sub-blocks have scales that differ by a factor of **{times(ratio)}**."
        if ratio > 1.05
        else f"The super-block’s {len(scales)} sub-blocks all have **nearly the same scale**.",
        "All its weights in their order; each box spans what the grid of its sub-block reaches. "
        "Click a weight to put its sub-block under the microscope.",
    )
    look.show(
        charts.super_block(weights, opened.parts, chosen, colour(fmt.name, style), style),
        key="block_super",
        alt=f"{weights.size} weights in {len(scales)} sub-blocks, each with the range of its grid.",
        on_select=pick_part,
        selection_mode="points",
    )

st.space("small")
stored_code = int(opened.codes[first + worst]) + opened.first_code
sign = str(stored_code) if stored_code >= 0 else f"(−{-stored_code})"
product = f"{exact(part.scale)} × {sign}"
if part.minimum:
    product += f" {'−' if part.minimum > 0 else '+'} {exact(abs(part.minimum))}"
look.finding(
    f"What remains is **{plural(opened.packed.size, 'byte')}** for {plural(length, 'weight')}: "
    f"{8 * fmt.stored_bytes((1, length)) / length:.4g} bits a weight.",
    f"Every byte as it lies in the file. Outlined: weight {worst + first}, code {real_minus(str(stored_code))}, so "
    f"{product} = **{exact(restored[worst])}**; it was {exact(values[worst])}. Hover, focus or tap a byte to read it.",
)
hexdump.show(opened, first + worst, chosen)
with st.expander("Table of the weights"):
    tables.show(
        [
            {
                "weight": first + i,
                "value": float(values[i]),
                "code": int(codes[i]) + first_code,
                "restored": float(landed[i]),
                "error": float(error[i]),
                "error_steps": float(error[i] / step) if step else 0.0,
            }
            for i in range(values.size)
        ],
        [
            tables.Column(key="weight", title="weight", show=str, text=True),
            tables.Column(key="value", title="value", show=exact),
            tables.Column(key="code", title="code", show=lambda c: real_minus(str(c))),
            tables.Column(key="restored", title="comes back as", show=exact),
            tables.Column(key="error", title="error", show=lambda e: exact(e, 2)),
            tables.Column(
                key="error_steps", title="in steps", show=lambda e: real_minus(f"{e:+.2f}"), wide=True,
                help="Beyond half a step, a weight was cut off.",
            ),
        ],
        "block_weights",
        caption="The weights of the block, their codes and errors",
        chosen=first + worst,
    )  # fmt: skip
