"""The error of each weight of the sub-block, and what other scales and zero points would give."""

import numpy as np
import streamlit as st

from pages.block import charts, words
from pages.block.dials import Dials
from pages.block.reading import BlockReading
from pages.shared import look
from pages.shared.palette import Look
from pages.shared.units import exact, number
from quantcore.evaluate.by_hand import best_turn

PERCENTS, SHIFTS = range(40, 161), np.arange(-2, 2.01, 0.25).tolist()
MANY_WEIGHTS = 512  # of more, every fourth percent is searched


def draw_errors_and_search(reading: BlockReading, dials: Dials, tone: str, style: Look) -> None:
    """Draw the errors on an even grid, and beside them the error against the scale."""
    left, right = st.columns(2, gap="large")
    with left:
        look.finding(
            miss(reading), "Error of each weight, in their order. Dashed: half a step of the grid."
        )
        _draw_errors(reading, reading.landing.step / 2, tone, style)
    with right:
        _draw_search(reading, dials, tone, style)


def miss(reading: BlockReading) -> str:
    """Say how large the largest error is."""
    landing = reading.landing
    weight = landing.first_weight + landing.worst
    if reading.is_uneven:
        return words.miss_uneven(weight, float(np.abs(landing.error).max()) / reading.size)
    return words.miss(weight, float(landing.error_steps.max()), int(landing.beyond.sum()))


def draw_uneven_errors(reading: BlockReading, tone: str, style: Look) -> None:
    """Draw the errors on a grid that has no one step."""
    look.finding(miss(reading), "Error of each weight, in their order.")
    _draw_errors(reading, None, tone, style)


def _draw_errors(reading: BlockReading, half_step: float | None, tone: str, style: Look) -> None:
    landing = reading.landing
    error, worst = landing.error, landing.worst
    look.show(
        charts.weight_errors(error, half_step, worst, landing.first_weight, tone, style),
        key="block_errors",
        alt=f"Error of {error.size} weights; the largest is {exact(float(abs(error[worst])), 3)}.",
    )


def _draw_search(reading: BlockReading, dials: Dials, tone: str, style: Look) -> None:
    """Search for the best scale and zero point, and draw the error at the present one and there."""
    values, grid = reading.own.values, reading.ruled_grid
    now, name = reading.landing.rms_error, reading.chosen.fmt.name
    percents = PERCENTS[:: 4 if values.size > MANY_WEIGHTS else 1]
    best, best_percent, best_shift = best_turn(values, grid, percents, SHIFTS)
    gains = best <= 0.99 * now and now > 0
    look.finding(
        words.gain("Your settings give" if dials.moved else f"{name}’s own rule gives", now, best),
        words.how_searched(dials.bits, best_percent, best_shift, gains),
        help="Root mean square of the errors of these weights.",
    )
    points: dict[str, tuple[float, float]] = {
        "yours" if dials.moved else name: (dials.scale_percent, now)
    }
    if gains:
        points["best"] = (best_percent, best)
    else:
        best, best_shift = now, dials.zero_shift
    look.show(
        charts.scale_curve(
            PERCENTS,
            grid.rms_errors(values, PERCENTS, [dials.zero_shift] * len(PERCENTS)).tolist(),
            grid.rms_errors(values, PERCENTS, [best_shift] * len(PERCENTS)).tolist(),
            points,
            tone,
            style,
        ),
        key="block_curve",
        alt=f"Error against scale: {number(now)} now, {number(best)} at best.",
    )
