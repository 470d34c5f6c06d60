"""Charts of Home and Drift: what a reader must be able to see."""

import numpy as np
import pytest

from pages.drift import charts as drift
from pages.home import charts as anatomy
from pages.shared import (
    shipped,
)
from pages.shared.charts import labels
from pages.shared.charts import size as home
from pages.shared.palette import DARK, LIGHT, colour, marker
from quantcore.evaluate.sureness import SureBin
from quantcore.model.original import Original

ORIGINAL = Original(stored_as="BF16", n_bytes=13_600_000, bits_per_weight=16.0)
POINTS = [
    home.Point(type=name, n_bytes=int(850_000 * bits), bits_per_weight=bits, divergence=kl)
    for name, bits, kl in (
        ("Q8_0", 8.5, 1e-4),
        ("Q4_K_M", 4.9, 5e-3),
        ("Q4_K pure", 4.5, 1e-2),
        ("Q2_K", 2.6, 0.4),
    )
]


def _named(figure):
    return {
        trace.customdata[0]: trace for trace in figure.checked.data if trace.customdata is not None
    }


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_each_format_stands_at_its_size_and_divergence(look):
    marks = _named(home.size_against_divergence(POINTS, ORIGINAL, look))
    for point in POINTS:
        mark = marks[point.type]
        assert (mark.x, mark.y) == ((point.bits_per_weight,), (point.divergence,))
        assert mark.marker.color == colour(point.type, look)
        assert mark.marker.symbol == marker(point.type)
        assert point.type in mark.text[0]


def test_a_format_without_divergence_has_no_place_on_a_log_axis():
    still = home.Point(type="F16", n_bytes=13_600_000, bits_per_weight=16.0, divergence=0.0)
    assert "F16" not in _named(home.size_against_divergence([*POINTS, still], ORIGINAL, LIGHT))


def test_the_floor_is_drawn_where_it_is_or_named_at_the_edge():
    near = home.size_against_divergence(POINTS, ORIGINAL, LIGHT, floor=(5e-5, "floor"))
    assert near.checked.layout.shapes[0].y0 == pytest.approx(5e-5)
    far = home.size_against_divergence(POINTS, ORIGINAL, LIGHT, floor=(1e-9, "floor"))
    assert np.log10(far.checked.layout.shapes[0].y0) >= far.checked.layout.yaxis.range[0]
    assert any("1.0 × 10⁻⁹" in note.text for note in far.checked.layout.annotations)


def test_the_published_model_is_laid_beside():
    published = shipped.published()
    figure = home.size_against_divergence(POINTS, ORIGINAL, LIGHT, published=published)
    theirs = next(
        trace for trace in figure.checked.data if len(trace.x) == len(published["formats"])
    )
    assert set(theirs.y) == {row["kl_nats"] for row in published["formats"]}
    assert all(symbol.endswith("-open") for symbol in theirs.marker.symbol)
    assert figure.checked.layout.yaxis.range[0] <= np.log10(min(theirs.y))


def test_anatomy_is_as_wide_as_the_matrices_are():
    n_weights = {"token_embd.weight": 100, "blk.0.attn_q.weight": 30, "blk.0.ffn_up.weight": 60}
    damage = {name: 0.1 * (i + 1) for i, name in enumerate(n_weights)}
    figure = anatomy.anatomy(n_weights, damage, LIGHT, "nats")
    assert {t.customdata[0]: t.x[0] for t in figure.checked.data} == n_weights
    assert [t.y[0] for t in figure.checked.data] == ["embedding", "layer 0", "layer 0"]


def test_damage_by_token_has_a_row_a_format_and_the_tail():
    quantiles = {
        "Q8_0": {50: 0.0, 90: 1e-4, 99: 1e-3, 99.9: 1e-2},
        "Q2_K": {50: 0.05, 90: 0.8, 99: 3.0, 99.9: 6.0},
    }
    figure = drift.damage_by_token(quantiles, {"Q8_0": 2e-4, "Q2_K": 0.4}, "Q2_K", LIGHT)
    rows = {trace.y[0] for trace in figure.checked.data}
    assert rows == {"Q8_0", "Q2_K"}
    places = np.concatenate([np.array(trace.x, float) for trace in figure.checked.data])
    assert (places > 0).all() and places.max() == 6.0


def test_the_course_shows_what_is_there_so_far():
    figure = drift.so_far({"Q8_0": [1e-4], "Q2_K": [0.3, 0.4]}, [2, 4], 40, LIGHT)
    assert [list(trace.x) for trace in figure.checked.data] == [[2], [2, 4]]
    assert {note.text for note in figure.checked.layout.annotations} == {
        "<b>Q8_0</b>",
        "<b>Q2_K</b>",
    }


def test_labels_never_cover_each_other():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(40, 260, 30), rng.uniform(20, 380, 30)
    texts = [f"INT{i}_G128" for i in range(30)]
    chosen = labels.sides(x, y, texts, (300, 400))
    assert 5 < sum(side != "" for side in chosen)
    boxes = [
        labels._box(x[i], y[i], texts[i], labels._SIDES[side])
        for i, side in enumerate(chosen)
        if side
    ]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(labels._touch(a, b) for a, b in pairs)


def _bins(*divergences, tokens=10):
    edges = (0.0, 0.5, 0.9, 1.0)
    return [
        SureBin(
            low=low,
            high=high,
            tokens=tokens * (kl > 0),
            mean_kl_divergence=kl,
            mean_kl_divergence_error=0.0,
            share_of_divergence=0.0,
            changed=0.25,
        )
        for low, high, kl in zip(edges, edges[1:], divergences, strict=False)
    ]


@pytest.mark.parametrize("look", [LIGHT, DARK])
def test_divergence_by_sureness_stands_above_the_noise_floor(look):
    figure = drift.by_sureness(_bins(0.3, 0.2, 0.01), _bins(3e-6, 2e-6, 1e-7), "Q4_0", look).checked
    mark, floor = figure.data
    assert (mark.y, floor.y) == ((0.3, 0.2, 0.01), (3e-6, 2e-6, 1e-7))
    assert (mark.line.color, floor.line.dash) == (colour("Q4_0", look), "dash")
    assert {note.text for note in figure.layout.annotations} == {
        "<b>Q4_0</b>",
        "<b>noise floor</b>",
    }
    assert figure.layout.xaxis.ticktext[1] == "50 to 90 %<br>33\u202f% of tokens"
    low, high = figure.layout.yaxis.range
    assert low < np.log10(1e-7) and high > np.log10(0.3)


def test_on_a_narrow_screen_a_bin_is_named_in_short_lines():
    figure = drift.by_sureness(_bins(0.3, 0.2, 0.01), [], "Q4_0", LIGHT, narrow=True).checked
    lines = [line for text in figure.layout.xaxis.ticktext for line in text.split("<br>")]
    assert max(map(len, lines)) <= 10  # 12 pixels high, in a fifth of 360


def test_a_bin_without_divergence_has_no_mark():
    (mark,) = drift.by_sureness(_bins(0.3, 0.0, 0.01), [], "Q4_0", LIGHT).checked.data
    assert mark.x == (0, 2)
    nothing = drift.by_sureness(_bins(0.0, 0.0, 0.0), [], "F16", LIGHT).checked
    assert not nothing.data[0].x
