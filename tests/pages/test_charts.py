"""Figures of Weights, Block, Scales, Error by layer and Memory: what a reader can see in them."""

import numpy as np
import pytest

from pages.block import charts as block
from pages.layer_error import charts as layer_error
from pages.scales.charts import scales
from pages.scales.charts import super_block as sub_scales
from pages.sensitivity.charts import dots
from pages.shared.charts import layer_map
from pages.shared.charts.figure import grid
from pages.shared.palette import DARK, LIGHT, colour, marker, signed_colour, signed_scale
from pages.weights import charts as weights
from quantcore.evaluate import statistics as st
from quantcore.evaluate.landing import Landing, as_stored
from quantcore.formats import get_format
from quantcore.formats.k.sub_scale_bits import sub_scale_bits
from tests.support.app import words_in

TENSORS = ["token_embd.weight"] + [
    f"blk.{i}.{role}.weight" for i in range(3) for role in ("attn_q", "attn_v", "ffn_down")
]
VALUES = {name: 1.0 + i for i, name in enumerate(TENSORS)}
TEXTS = {name: f"{value:.1f}" for name, value in VALUES.items()}
both_looks = pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])


def _normal(shape=(300, 64), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _texts(figure):
    return words_in(figure.checked.to_dict())


def _points(figure):
    return sum(len(trace.x) for trace in figure.checked.data if trace.x is not None)


def _distribution(look=LIGHT, log=False, values=None):
    values = _normal() if values is None else values
    counts, edges = st.histogram(values, 201)
    statistics = st.tensor_statistics(values)
    grid = np.linspace(-statistics.largest, statistics.largest, 15)
    moments = statistics.mean, statistics.standard_deviation
    tone = look.bits[4]
    return weights.distribution(counts, edges, *moments, look, log=log, grid=grid, grid_colour=tone)


@both_looks
@pytest.mark.parametrize("log", [False, True])
def test_the_histogram_is_binned_and_shows_its_grid(look, log):
    figure = _distribution(look, log)
    bars = figure.checked.data[0]
    assert bars.y.sum() == 300 * 64
    assert _points(figure) < 1000
    assert figure.checked.layout.yaxis.type == ("log" if log else None)
    zeroed = set(bars.marker.color[95:106])
    assert len(zeroed) == 1 and zeroed != {bars.marker.color[0]}
    assert any(trace.yaxis == "y2" and len(trace.x) == 15 for trace in figure.checked.data)


def test_a_histogram_of_equal_weights_is_drawn():
    assert _distribution(values=np.zeros((4, 4), np.float32)).checked.data[0].y.sum() == 16


def test_the_normal_curve_holds_as_many_weights():
    figure = _distribution()
    line = figure.checked.data[1]
    width = figure.checked.data[0].width
    assert np.trapezoid(line.y, line.x) / width == pytest.approx(300 * 64, rel=0.01)


def test_tails_stop_where_there_are_no_weights():
    values = _normal()
    sigmas = np.linspace(0, 8, 81)
    shares = st.tail_shares(values, sigmas)
    figure = weights.tails(sigmas, shares, st.normal_tail_shares(sigmas), values.size, LIGHT)
    normal, mine = figure.checked.data[:2]
    assert mine.y[0] == 1 and min(mine.y) >= 1 / values.size
    assert "standard deviations" in figure.checked.layout.xaxis.title.text
    assert {"normal", "these weights"} <= set(_texts(figure))
    assert normal.line.dash == "dash"


def test_extremes_name_the_widest_row_and_column():
    values = _normal() / 10
    values[123, 7] = 9.0
    ranges = st.ranges(values, 0), st.ranges(values, 1)
    texts = _texts(weights.extremes(*ranges, 9.0, LIGHT))
    assert "row 123: 9.0" in texts and "column 7: 9.0" in texts

    merged = st.ranges(values, 0, at_most=7), ranges[1]
    figure = weights.extremes(*merged, 9.0, LIGHT)
    assert "row 123: 9.0" in _texts(figure)
    tips = [trace.text for trace in figure.checked.data if trace.text]
    assert tips[0][:2] == ("0 to 42", "43 to 85") and tips[0][-1] == f"258 to {len(values) - 1}"
    assert tips[1][7] == "7"


@both_looks
def test_the_map_has_a_cell_a_matrix_and_frames_the_chosen_one(look):
    chosen = "blk.1.attn_v.weight"
    figure = layer_map.layer_map(VALUES, TEXTS, chosen, look)
    assert np.array(figure.checked.data[0].z).shape == (4, 3)
    assert set(figure.checked.data[1].customdata) == set(TENSORS)
    assert set(TEXTS.values()) - {TEXTS[chosen]} <= set(_texts(figure))
    assert f"<b>{TEXTS[chosen]}</b>" in _texts(figure)
    frames = [shape for shape in figure.checked.layout.shapes if shape.line.color == look.ink]
    assert [(frame.x0 + frame.x1, frame.y0 + frame.y1) for frame in frames] == [(2, 4)]
    assert {"attention", "feed-forward"} <= set(_texts(figure))


def test_a_map_of_equal_values_is_drawn():
    assert layer_map.layer_map(dict.fromkeys(TENSORS, 2.0), TEXTS, TENSORS[0], LIGHT).checked.data


def _opened(name, values):
    fmt = get_format(name)
    return fmt.open_block(fmt.quantize(values[None]), 0, 0)


def _line(name, values, look=LIGHT):
    landing = as_stored(values, _opened(name, values), 0)
    return block.number_line(landing, 3, look.bits[4], look)


@pytest.mark.parametrize("name, codes", [("Q4_0", range(-8, 8)), ("Q4_1", range(16))])
def test_the_number_line_labels_every_code_of_four_bits(name, codes):
    texts = _texts(_line(name, _normal((32,))))
    assert {str(code).replace("-", "−") for code in codes} <= set(texts)


@pytest.mark.parametrize("name", ["FP8_E4M3_ROW", "FP8_E5M2_TENSOR"])
def test_the_number_line_of_a_float_names_codes_that_have_room(name):
    """Codes crowd around zero; each name stands under its own mark, none over another."""
    figure = _line(name, _normal((256,)))
    named = {
        float(note.x): note.text for note in figure.checked.layout.annotations if note.yshift == -22
    }
    places, grid = np.sort(list(named)), _opened(name, _normal((256,))).parts[0].grid
    assert set(places) <= set(grid.tolist()) and named[0.0] == "0"
    assert len(places) > 15 and np.diff(places).min() >= 0.03 * np.ptp(grid)


def test_the_number_line_draws_every_weight_and_the_whole_grid():
    figure = _line("Q8_0", _normal((32,)))
    assert sorted(len(trace.x) for trace in figure.checked.data)[-2:] == [96, 256]
    rings = figure.checked.data[-1]
    assert len(rings.x) == 32 and "weight" in rings.hovertemplate


def test_what_lies_beyond_the_grid_is_marked():
    values = _normal((32,))
    grid = np.linspace(-0.5, 0.5, 16, dtype=np.float32)
    codes = np.abs(values[:, None] - grid).argmin(axis=1)
    landing = Landing(values=values, codes=codes, restored=grid[codes], grid=grid)
    figure = block.number_line(landing, 0, "#123456", LIGHT)
    assert "cut off" in _texts(figure)
    assert "cut off" not in _texts(_line("Q8_0", values))


def test_errors_show_half_a_step():
    figure = block.weight_errors(_normal((32,)) / 10, 0.25, 5, 64, LIGHT.bits[4], LIGHT)
    assert figure.checked.data[0].x[0] == 64
    assert figure.checked.data[0].marker.color[5] == LIGHT.ink
    assert {shape.y0 for shape in figure.checked.layout.shapes} == {-0.25, 0.25}


def test_the_curve_labels_now_and_best():
    points = {"Q4_0": (100, 0.2), "best": (80, 0.1)}
    curve = [0.3] * 5
    figure = block.scale_curve(range(5), curve, curve, points, LIGHT.bits[4], LIGHT)
    assert {"Q4_0", "best"} <= set(_texts(figure))
    assert figure.checked.layout.yaxis.range[1] > 0.2


def test_a_super_block_shows_the_reach_of_each_sub_block():
    values = _normal((256,))
    opened = _opened("Q4_K", values)
    figure = block.super_block(values, opened.parts, 2, LIGHT.bits[4], LIGHT)
    assert len(figure.checked.layout.shapes) == 8
    assert list(figure.checked.data[0].customdata[[0, 31, 32, 255]]) == [0, 0, 1, 7]
    assert "<b>2</b>" in _texts(figure)


def test_the_bit_picture_shows_the_bytes_and_marks_one_sub_block():
    opened, layout = _opened("Q4_K", _normal((256,))), sub_scale_bits("Q4_K")
    figure = sub_scales.bit_picture(opened.packed, layout, 5, LIGHT)
    assert list(figure.checked.layout.xaxis.ticktext) == [
        f"{byte:02x}" for byte in opened.packed[4:16]
    ]
    assert len(figure.checked.layout.shapes) == 12  # six bits of scale, six of minimum
    cells = figure.checked.data[0].text
    bits = np.vectorize(lambda text: int(text.strip("</b>")))(cells)
    assert np.packbits(bits, axis=0, bitorder="little")[0].tolist() == opened.packed[4:16].tolist()
    assert np.char.startswith(cells.astype(str), "<b>").sum() == 12


def test_stored_sub_scales_are_labelled():
    opened = _opened("Q3_K", _normal((256,)))
    figure = sub_scales.stored_numbers(opened.parts, 0, "scale", LIGHT)
    said = [int(text.replace("−", "-")) for text in figure.checked.data[0].text]
    assert said == [part.scale_code for part in opened.parts]


def test_the_scale_map_carries_row_and_scale():
    sizes = np.abs(_normal((20, 8)))
    figure = scales.scale_map(sizes, range(0, 40, 2), range(8), LIGHT.bits[4], LIGHT)
    ring = figure.checked.data[2]
    assert sizes[ring.y[0], ring.x[0]] == sizes.max()
    assert figure.checked.data[1].customdata[8].tolist() == [2, 0]


def test_cost_joins_plain_integers_only():
    bits = {"INT4_TENSOR": 0.0, "INT4_ROW": 0.1, "INT4_G32": 0.5, "Q4_0": 0.5, "Q4_K": 0.5}
    errors = {"INT4_TENSOR": 0.5, "INT4_ROW": 0.3, "INT4_G32": 0.1, "Q4_0": 0.09, "Q4_K": 0.08}
    figure = scales.cost(bits, errors, "Q4_K", LIGHT)
    assert list(figure.checked.data[0].x) == [0.0, 0.1, 0.5]
    labels = [trace.text[0] for trace in figure.checked.data[1:] if trace.text]
    assert "<b>Q4_K</b>" in labels and "INT4_TENSOR" in labels


def test_spread_marks_the_median():
    counts, edges = np.histogram(np.abs(_normal((500,))), 20)
    marks = {"median": 0.5, "largest": 3.0}
    figure = scales.spread(counts, edges, marks, "scale", LIGHT.bits[4], LIGHT)
    assert figure.checked.data[0].y.sum() == 500
    assert "median 0.5" in _texts(figure)


def test_worst_tensors_come_first():
    figure = layer_error.worst_tensors(VALUES, 4, TENSORS[-1], LIGHT)
    assert list(figure.checked.data[0].customdata) == TENSORS[:-5:-1]
    assert figure.checked.data[0].marker.line.width[0] > 2
    assert "%" in figure.checked.data[0].text[0]


def test_matrices_that_are_alike_look_alike():
    """Errors of 6.97 to 7.55 % are no reason for the palest and the strongest colour."""
    alike = {name: 6.97 + 0.58 * i / len(TENSORS) for i, name in enumerate(TENSORS)}
    ends = layer_error.twice_the_best(alike)
    assert max(layer_map.shares(alike, ends).values()) < 0.1
    far = {name: 1.0 + i for i, name in enumerate(TENSORS)}
    assert layer_map.shares(far, layer_error.twice_the_best(far))[TENSORS[-1]] == 1


def test_small_maps_share_one_scale():
    every = {"Q8_0": VALUES, "Q2_K": {name: 10 * value for name, value in VALUES.items()}}
    figure = layer_error.small_maps(every, {"Q8_0": 5.5, "Q2_K": 55.0}, LIGHT)
    assert {trace.zmax for trace in figure.checked.data} == {100.0}
    assert _texts(figure)[0] == "<b>Q8_0</b>  5.50\u202f%"


def test_the_worst_of_a_mix_name_their_formats():
    percent, formats = {"output.weight": 2.0, "blk.0.attn_q.weight": 5.0}, {}
    figure = layer_error.worst_tensors(percent, 2, "output.weight", LIGHT, formats)
    assert list(figure.checked.data[0].y) == ["layer 0 attn_q", "output"]
    formats = {"output.weight": "Q6_K", "blk.0.attn_q.weight": "Q4_K"}
    figure = layer_error.worst_tensors(percent, 2, "output.weight", LIGHT, formats)
    assert list(figure.checked.data[0].y) == ["layer 0 attn_q, Q4_K", "output, Q6_K"]


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_a_mix_looks_like_the_format_of_most(look):
    for mix, format_name in (("Q4_K_M", "Q4_K"), ("Q3_K_L", "Q3_K"), ("Q4_K pure", "Q4_K")):
        assert colour(mix, look) == colour(format_name, look) == look.bits[int(format_name[1])]
        assert marker(mix) == marker(format_name) == "square"
    assert (marker("IQ4_XS"), marker("Q5_1")) == ("triangle-up", "diamond")


def test_the_profile_joins_what_nothing_beats():
    percent = {"Q8_0": 0.5, "Q4_0": 9.0, "Q4_K": 7.0, "Q4_1": 8.0, "Q2_K": 30.0}
    bits = {"Q8_0": 8.5, "Q4_0": 4.5, "Q4_K": 4.5, "Q4_1": 5.0, "Q2_K": 2.6}
    figure = layer_error.profile(percent, bits, "Q4_K", LIGHT)
    assert list(figure.checked.data[0].x) == [2.6, 4.5, 8.5]
    assert figure.checked.layout.yaxis.type == "log"


def test_rows_ring_the_chosen_one():
    percent = np.abs(_normal((100,))) + 5
    figure = layer_error.error_by_row(range(0, 200, 2), percent, 41, 5.5, LIGHT.bits[4], LIGHT)
    assert figure.checked.data[1].x[0] == 40
    assert "row 41" in _texts(figure)


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_gains_and_losses_have_colours_of_their_own(look):
    """A gain is never as dark as a loss of the same size is warm, and chance has no colour."""
    assert signed_colour(0.0, look) == look.harm[0] == look.gain[0]
    for share in (0.15, 0.5, 1.0):
        loss, gain = signed_colour(share, look), signed_colour(-share, look)
        red, blue = (int(tone[1:3], 16) - int(tone[5:7], 16) for tone in (loss, gain))
        assert red > 0 > blue, (loss, gain)
    scale = signed_scale(look)
    assert [scale[0], scale[5], scale[-1]] == [
        [0.0, look.gain[-1]], [0.5, look.harm[0]], [1.0, look.harm[-1]],
    ]  # fmt: skip


def test_a_map_of_skills_shows_the_sign_of_what_is_certain():
    lost = {"facts": {"a": 400.0, "b": 0.0}, "recall": {"a": -2360.0, "b": 3.0}}
    texts = {skill: {n: str(v) for n, v in column.items()} for skill, column in lost.items()}
    figure = dots.group_map(lost, texts, texts, "facts", LIGHT, one_scale=True, signed=True)
    (a_facts, a_recall), (b_facts, b_recall) = figure.checked.data[0].z
    assert a_recall == -1 and 0 < b_recall < a_facts < 1 and b_facts == 0
    assert (figure.checked.data[0].zmin, figure.checked.data[0].zmax) == (-1, 1)


def test_a_map_of_changes_shows_their_sign():
    changes = {name: (-1) ** i * 0.01 * (1 + i) for i, name in enumerate(TENSORS)}
    figure = layer_map.layer_map(
        changes, TEXTS, TENSORS[0], LIGHT, scale=layer_map.Scale(signed=True)
    )
    drawn = [value for row in figure.checked.data[0].z for value in row if value == value]
    assert min(drawn) < 0 < max(drawn) and figure.checked.data[0].zmin == -1


def test_axes_of_a_row_or_a_column_are_set_alone():
    figure = grid(2, 2)
    figure.update_yaxes(title="left", col=1)
    figure.update_xaxes(nticks=3, row=2)
    layout = figure.checked.layout
    assert [layout[f"yaxis{n}"].title.text for n in ("", 2, 3, 4)] == ["left", None, "left", None]
    assert [layout[f"xaxis{n}"].nticks for n in ("", 2, 3, 4)] == [None, None, 3, 3]
