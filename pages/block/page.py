"""Page: one block under the microscope, from numbers to codes and bytes, and back."""

import contextlib

import numpy as np
import streamlit as st

from pages.block import charts, hexdump, words
from pages.block.specimens import TEXTBOOK_WEIGHT, Specimen, made_up, rms, spoilt
from pages.shared import (
    controls,
    frame,
    look,
    tables,
    tensors,
)
from pages.shared.palette import bits_colour, colour
from pages.shared.units import exact, number, real_minus
from quantcore.evaluate.by_hand import best_turn, grid_of
from quantcore.formats import FORMATS, get_format
from quantcore.recipe.types import get_type

frame.enter("block")

PERCENTS, SHIFTS = range(40, 161), np.arange(-2, 2.01, 0.25).tolist()
style = look.current()


def reset_dials() -> None:
    """Put the dials back to what the format itself does."""
    st.session_state.update(dial_scale=100, dial_zero=0.0)
    with contextlib.suppress(ValueError):  # a name typed wrong: the page says so
        bits = get_type(st.session_state["type"], pure=True).format.code_bits
        st.session_state["dial_bits"] = min(bits, 8)


def example_chosen() -> None:
    """Show the textbook's numbers in Q4_0, whose step they were made for."""
    reset_dials()
    if st.session_state["example"] == words.TEXTBOOK:
        st.session_state.update(type="Q4_0", dial_bits=4)


def take(type_name: str) -> None:
    """Choose a format."""
    st.session_state["type"] = type_name
    reset_dials()


def pick_part() -> None:
    """Choose the sub-block that was clicked."""
    if place := controls.clicked("block_super"):
        st.session_state["part"] = int(place[0])
        reset_dials()


def from_model(damaged: bool) -> Specimen:
    """Ask for tensor, row and block; a damaged one has a weight eight times the largest."""
    with choices:
        tensor = controls.tensor(on_change=reset_dials, width=300)
    name, shape = controls.model_name(), controls.model().tensors[tensor].shape
    fmt.check(shape)
    length = fmt.block_length(shape[1])
    with choices:
        row = controls.row(shape[0], on_change=reset_dials, width=140)
        at = controls.block(shape[1] // length, on_change=reset_dials, width=140)
    weights = tensors.weights(name, tensor)[row, at * length : (at + 1) * length]
    if damaged:
        return spoilt(fmt, weights)
    opened = fmt.open_block(tensors.packed(name, tensor, fmt.name), row, at)
    bits = 8 * fmt.stored_bytes(shape) / (shape[0] * shape[1])
    stored = controls.model().as_stored(tensor)
    if stored is None or stored.dtype != fmt.name:
        return Specimen(weights, opened, bits)
    start = stored.row_start(row) + at * opened.packed.size
    turned = stored.tensor.big_endian
    return Specimen(weights, opened, bits, stored.path.name, start, turned)


def stored_type() -> str | None:
    """Type in which a GGUF file holds the chosen tensor; None where it is not quantized there."""
    model = controls.model()
    # Not drawn yet; before its first drawing only the address knows it.
    asked = st.query_params.get("tensor", model.quantizable[0])
    tensor = st.session_state.get("tensor", asked)
    stored = model.as_stored(tensor) if tensor in model.tensors else None
    fmt = FORMATS.get(stored.dtype) if stored else None
    return fmt.name if fmt and fmt.family != "float" else None


# ---- what lies under the microscope -------------------------------------------------------------

st.title("Block microscope", anchor=False)
example = st.segmented_control(
    "Example", words.EXAMPLES, default=words.MODEL, required=True, key="example",
    on_change=example_chosen, **controls.BOUND,
)  # fmt: skip
choices = st.container(horizontal=True, vertical_alignment="bottom")
own = stored_type() if example in (words.MODEL, words.OUTLIER) else None
with choices:
    fmt = get_format(controls.type_(default=own or "Q4_0", on_change=reset_dials, width=210))
if example in (words.MODEL, words.OUTLIER):
    specimen = from_model(damaged=example == words.OUTLIER)
else:
    specimen = made_up(fmt, example)
weights, opened, chosen = specimen.weights, specimen.opened, 0
if len(opened.parts) > 1:
    with choices:
        chosen = controls.part(len(opened.parts), on_change=reset_dials, width=140)
if own and own != fmt.name:
    with choices:
        st.button(f"As stored in the file: {own}", on_click=take, args=[own], key="block_stored")
part = opened.parts[chosen]
first = part.weights.start
values, restored = weights[part.weights], opened.restored[part.weights]
size = rms(values) or 1.0
line = st.container()  # drawn once the dials below it are known

# ---- the dials: what the format does, turned by hand --------------------------------------------

bits, turn, shift, moved = fmt.code_bits, 100, 0.0, False
is_float, is_uneven = fmt.family == "float", fmt.family == "uneven"
has_dials = not (is_float or is_uneven)  # an uneven grid has no step to turn
if has_dials:
    st.space("small")
    dials = st.columns(4, vertical_alignment="bottom", gap="medium")
    bits = dials[0].slider(
        "Bits", 2, 8, fmt.code_bits, key="dial_bits",
        help="Fewer bits, fewer values on the line; the range stays.", **controls.BOUND,
    )  # fmt: skip
    turn = dials[1].slider(
        "Scale, %", 40, 160, 100, key="dial_scale",
        help="100 % is what the format’s own rule picks. A smaller scale is finer, but cuts off "
        "what lies outside.", **controls.BOUND,
    )  # fmt: skip
    shift = dials[2].slider(
        "Zero point, steps", -4.0, 4.0, 0.0, 0.25, key="dial_zero",
        help="Moves the grid along the line, in steps of the grid.", **controls.BOUND,
    )  # fmt: skip
    moved = (bits, turn, shift) != (fmt.code_bits, 100, 0.0)
    back = f"Back to {fmt.name}"
    dials[3].button(back, on_click=reset_dials, disabled=not moved, key="dial_reset")
    rule = grid_of(part, opened.first_code)

codes, landed, grid, first_code = opened.codes[part.weights], restored, part.grid, opened.first_code
if moved:
    mine = rule.with_bits(bits).turned(turn, shift)
    grid, codes = mine.values.astype(np.float32), mine.nearest(values)
    landed, first_code = grid[codes], -round(mine.zero_point)
error = landed - values
worst = TEXTBOOK_WEIGHT if example == words.TEXTBOOK else int(np.abs(error).argmax())
worst = min(worst, values.size - 1)
step = float(abs(grid[1] - grid[0])) if grid.size > 1 and not is_uneven else 0.0
now, tone = rms(error), bits_colour(bits, style)

if moved:
    headline = words.by_hand(bits, now / size, fmt.name, rms(restored - values) / size)
elif example == words.TEXTBOOK:
    code = landed[worst] / part.scale if is_uneven else int(codes[worst]) + first_code
    headline = words.textbook(values[worst], part.scale, code, landed[worst])
elif example == words.EQUAL:
    headline = words.equal(values.size, now / size)
elif example == words.OUTLIER and np.abs(weights).max() in np.abs(values):
    headline = words.outlier(codes, int(np.abs(values).argmax()), grid.size)
elif specimen.file:
    headline = words.as_stored(
        fmt.name, weights.size, opened.packed.size, specimen.file, specimen.start_byte
    )
elif is_float:
    headline = words.kept_float(fmt.name, opened.packed.size, float(values[0]), float(landed[0]))
else:
    n_bytes = specimen.bits_per_weight * values.size / 8
    headline = words.kept(fmt.name, values.size, n_bytes, now / size)
with line:
    st.space("small")
    textbook = example == words.TEXTBOOK and fmt.name == "Q4_0" and not moved
    how = words.HOW_TO_READ_TEXTBOOK if textbook else words.HOW_TO_READ_LINE
    if specimen.file and not moved:
        how = words.AS_STORED + (words.TURNED if specimen.turned else "")
    look.finding(headline, how)
    landing = charts.Landing(
        values=values,
        codes=codes,
        restored=landed,
        grid=grid,
        worst=worst,
        first_code=first_code,
        first_weight=first,
        whole_grid=not is_float,
    )
    look.show(
        charts.number_line(landing, tone, style),
        key="block_line",
        alt=f"Number line: {values.size} weights above, the {grid.size} values of the grid below, "
        "a line from each weight to where it lands.",
    )

# ---- errors, and what other dials would give ----------------------------------------------------

if has_dials:
    st.space("small")
    left, right = st.columns(2, gap="large")
    with left:
        steps = np.abs(error) / step if step else np.zeros(error.size)
        look.finding(
            words.miss(first + worst, float(steps[worst]), int((steps > 0.502).sum())),
            "Error of each weight in its place. Dashed: half a step of the grid.",
        )
        look.show(
            charts.weight_errors(error, step / 2, worst, first, tone, style),
            key="block_errors",
            alt=f"Error of {values.size} weights; the largest is {np.abs(error).max():.3g}.",
        )
    with right:
        stride = 4 if values.size > 512 else 1
        turned = rule.with_bits(bits)
        best, best_turned, best_shift = best_turn(values, turned, PERCENTS[::stride], SHIFTS)
        gains = best <= 0.99 * now and now > 0
        look.finding(
            words.gain("Your dials give" if moved else f"{fmt.name}’s own rule gives", now, best),
            words.how_searched(bits, best_turned, best_shift, gains),
            help="Root mean square of the errors of these weights.",
        )
        best, best_turned, best_shift = (
            (best, best_turned, best_shift) if gains else (now, turn, shift)
        )
        look.show(
            charts.scale_curve(
                PERCENTS,
                [turned.turned(p, shift).rms_error(values) for p in PERCENTS],
                [turned.turned(p, best_shift).rms_error(values) for p in PERCENTS],
                {"yours" if moved else fmt.name: (turn, now)}
                | ({"best": (best_turned, best)} if gains else {}),
                tone,
                style,
            ),
            key="block_curve",
            alt=f"Error against scale: now {number(now)}, at best {number(best)}.",
        )

if is_uneven:
    st.space("small")
    look.finding(words.miss_uneven(first + worst, float(np.abs(error[worst])) / size),
                 "Error of each weight in its place.")  # fmt: skip
    look.show(
        charts.weight_errors(error, None, worst, first, tone, style),
        key="block_errors",
        alt=f"Error of {values.size} weights; the largest is {np.abs(error).max():.3g}.",
    )

# ---- the super-block ----------------------------------------------------------------------------

if len(opened.parts) > 1:
    st.space("small")
    look.finding(
        words.sub_blocks(opened.parts),
        "All its weights in their order; each box spans what the grid of its sub-block reaches. "
        "Click a weight to put its sub-block under the microscope.",
    )
    look.show(
        charts.super_block(weights, opened.parts, chosen, colour(fmt.name, style), style),
        key="block_super",
        alt=f"{weights.size} weights in {len(opened.parts)} sub-blocks, each with its grid.",
        on_select=pick_part,
        selection_mode="points",
    )

# ---- the bytes ----------------------------------------------------------------------------------

st.space("small")
look.finding(
    words.remains(opened, weights.size, specimen.bits_per_weight),
    words.bits_of_float(opened, float(values[0]))
    if is_float
    else words.arithmetic(opened, part, first + worst, float(values[worst]), is_uneven),
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
                **({"error_steps": float(error[i]) / step} if step else {}),
            }
            for i in range(values.size)
        ],
        [
            tables.Column(key="weight", title="weight", text=True),
            tables.Column(key="value", title="value", show=exact),
            tables.Column(key="code", title="code", show=lambda c: real_minus(str(c))),
            tables.Column(key="restored", title="comes back as", show=exact),
            tables.Column(key="error", title="error", show=lambda e: exact(e, 2)),
            *[
                tables.Column(
                    key="error_steps", title="in steps", show=lambda e: real_minus(f"{e:+.2f}"),
                    wide=True, help="Beyond half a step, a weight was cut off.",
                )
            ][: step > 0],
        ],
        "block_weights",
        caption="The weights of the block, their codes and errors",
        chosen=first + worst,
    )  # fmt: skip
