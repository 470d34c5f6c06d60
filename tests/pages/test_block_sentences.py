"""Each sentence of the page Block, for every format and example, with its numbers computed anew."""

from functools import cache

import numpy as np
import pytest

from pages.block import errors, words
from pages.block.choice import ChosenBlock, _about
from pages.block.dials import Dials
from pages.block.headline import headline, how_to_read
from pages.block.reading import BlockReading
from quantcore import open_model
from quantcore.evaluate import specimens
from quantcore.evaluate.by_hand import best_turn
from quantcore.formats import FORMATS, OUTSIDE_GGUF, get_format
from tests.support import spoken

INTEGERS = ("INT8_TENSOR", "INT4_ROW", "INT4_G32_ASYM", "INT3_G128", "INT2_G16")
NAMES = [*FORMATS, *OUTSIDE_GGUF, *INTEGERS]
TENSOR = "blk.0.attn_q.weight"


ROW = 3


@cache
def _weights():
    return open_model().weights(TENSOR)[: ROW + 1]


def _sound(fmt):
    weights = _weights()
    return weights[ROW, : fmt.block_length(weights.shape[1])]


def _specimen(fmt, example):
    if example == words.TEXTBOOK:
        return specimens.textbook(fmt)
    if example == words.EQUAL:
        return specimens.all_equal(fmt)
    if example == words.OUTLIER:
        return specimens.spoilt(fmt, _sound(fmt))
    weights = _weights()
    importance = np.ones(weights.shape[1], np.float32) if fmt.needs_importance else None
    return specimens.from_tensor(fmt, weights, fmt.quantize(weights, importance), ROW, 0)


@cache
def _readings(name):
    """Every example in a format: the sub-block that it is about, another, and a turned grid."""
    return tuple(_each_reading(get_format(name)))


def _each_reading(fmt):
    for example in words.EXAMPLES:
        found = _specimen(fmt, example)
        about, n_parts = _about(example, found), len(found.opened.parts)
        stored_as = "BF16" if example in (words.MODEL, words.OUTLIER) else "F32"
        own, harm = Dials(fmt.code_bits, 100, 0.0, False), None
        if example == words.OUTLIER:
            harm = specimens.outlier_harm(fmt, _sound(fmt))
        for part in {about or 0, ((about or 0) + 1) % n_parts}:
            bits = {"BF16": 16.0, "F32": 32.0}[stored_as]
            chosen = ChosenBlock(example, fmt, found, part, about, stored_as, harm, bits)
            yield BlockReading(chosen, own if chosen.has_step else None)
            if chosen.has_step:
                yield BlockReading(chosen, Dials(3, 85, 0.5, True))


def _share(values, restored):
    """Error by size: of a typical weight, in percent."""
    values, restored = values.astype(float), restored.astype(float)
    size = np.sqrt(np.mean(values**2)) or 1.0
    return 100 * np.sqrt(np.mean((restored - values) ** 2)) / size


def _close(said, true):
    """Whether a number is the true one in two digits or more."""
    assert said == pytest.approx(true, rel=0.051, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_headline_says_what_happens(name):
    for reading in _readings(name):
        assert not spoken.slips(headline(reading) + " " + how_to_read(reading))
        _check_headline(reading, headline(reading))


def _check_headline(reading, says):
    example, fmt = reading.chosen.example, reading.chosen.fmt
    landing, n = reading.landing, reading.own.values.size
    share = _share(landing.values, landing.restored)
    if reading.moved:
        bits, said, own = spoken.match(
            f"With your settings (# bits) a typical weight is off by # % of its size; with "
            f"{fmt.name} itself, by # %",
            says,
        )
        assert bits == reading.dials.bits
        _close(said, share)
        _close(own, _share(reading.own.values, reading.own.restored))
    elif fmt.family == "float":
        assert "stores this weight" in says
    elif example == words.TEXTBOOK and 33 in landing.values:
        _check_textbook(reading, says)
    elif example == words.EQUAL:
        different = np.unique(landing.restored).size
        exactly = np.array_equal(landing.restored, landing.values)
        assert ("exactly" in says) == exactly
        assert ("different values" in says) == (different > 1)
        if different > 1:
            assert spoken.match("come back as # different values", says) == [different]
        if not exactly:
            _close(
                spoken.match("is off by # %" if different > 1 else "the same # %", says)[0], share
            )
    elif example == words.OUTLIER and reading.chosen.part == reading.chosen.about:
        largest = int(np.abs(landing.values).argmax())
        others = np.unique(np.delete(landing.codes, largest)).size
        code = "code" if others == 1 else "codes"
        assert spoken.match(f"share # {code} of #", says) == [others, landing.grid.size]
        if len(reading.opened.parts) > 1:
            n_near, n_far = spoken.match("its # other weights share", says), n - 1
            assert n_near == [n_far]
            assert spoken.match("of sub-block #", says) == [reading.chosen.part]
    else:
        before = reading.chosen.stored_as
        n_weights, n_bytes, former, said = spoken.match(
            f"stores these # weights in # bytes instead of # in {before}; a typical one is off by "
            "# % of its size",
            says,
        )
        assert n_weights == n
        _close(n_bytes, n * reading.specimen.bits_per_weight / 8)
        _close(former, n * {"BF16": 2, "F32": 4}[before])
        _close(said, share)
        if example != words.MODEL:
            assert spoken.match("in sub-block #", says) == [reading.chosen.about]


@pytest.mark.parametrize("name", NAMES)
def test_an_outlier_is_said_to_harm_what_it_harms(name):
    """Each error is measured again, with the outlier and without it; it is in none of them."""
    fmt = get_format(name)
    sound = _sound(fmt)
    spoilt = specimens.spoilt(fmt, sound)
    outlier = np.flatnonzero(spoilt.weights != sound)
    parts = spoilt.opened.parts
    harm = specimens.outlier_harm(fmt, sound)
    if len(parts) == 1:
        assert harm is None
        return
    (here,) = (i for i, p in enumerate(parts) if p.weights.start <= outlier[0] < p.weights.stop)
    places = [np.arange(p.weights.start, p.weights.stop) for p in parts]
    near = np.setdiff1d(places[here], outlier)
    far = np.concatenate([place for i, place in enumerate(places) if i != here])
    stored = [specimens.alone(fmt, w).opened.restored for w in (sound, spoilt.weights)]
    beside = [_share(sound[near], restored[near]) for restored in stored]
    away = [_share(sound[far], restored[far]) for restored in stored]
    says = words.outlier_harm(harm)
    grown, n_others = away[1] / away[0], len(parts) - 1
    number, with_it, without, *others = spoken.match(
        "Beside the outlier, in sub-block #, a typical weight is off by # % of its size, without "
        f"it by # %; in the other {n_others} sub-blocks by # %"
        + (", without it by # %." if grown > 1.02 else " either way."),
        says,
    )
    assert number == here
    measured = [*beside[::-1], *away[::-1]][: 2 + len(others)]
    for said, true in zip([with_it, without, *others], measured, strict=True):
        _close(said, true)
    headline_ = words.outlier(spoilt.opened.codes[places[here]], 0, 16, harm)
    verb = "suffer too" if grown > 1.25 else "hardly suffer" if grown > 1.02 else "are unharmed"
    assert headline_.endswith(f"; the {n_others} other sub-blocks {verb}.")
    assert not spoken.slips(says + " " + headline_)


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_said_to_run_backwards_where_they_do(name):
    for reading in _readings(name):
        says, landing = how_to_read(reading), reading.landing
        backwards = landing.grid.size > 1 and landing.grid[0] > landing.grid[-1]
        assert ("The scale is negative here" in says) == (backwards and reading.part.scale < 0)
        if "The scale is negative here" not in says:
            continue
        left, right = spoken.match("from # on the left to # on the right", says)
        codes = landing.codes + landing.first_code
        assert left == landing.first_code + landing.grid.size - 1 and right == landing.first_code
        assert landing.grid.argmin() + landing.first_code == left
        if "reaches furthest" in says:
            code, weight = spoken.match("gives #, the code that reaches furthest, to the largest "
                                        "weight, #.", says)  # fmt: skip
            largest = np.abs(landing.values).argmax()
            assert codes[largest] == code
            assert weight == pytest.approx(float(landing.values[largest]), rel=1e-3)
            assert abs(landing.grid[landing.codes[largest]]) == np.abs(landing.grid).max()


def test_a_negative_scale_is_explained_for_the_formats_that_have_one():
    explained = {
        name
        for name in NAMES
        if any("scale is negative" in how_to_read(each) for each in _readings(name))
    }
    assert {"Q4_0", "Q5_0", "Q6_K", "Q3_K", "IQ4_NL"} <= explained
    assert not explained & {"Q8_0", "Q4_1", "Q4_K", "F16", "MXFP4", "INT4_ROW"}


def _check_textbook(reading, says):
    """Go the way that is printed: from 33 to what is stored, and on to what comes back."""
    landing, part = reading.landing, reading.part
    at = int(np.flatnonzero(landing.values == 33)[0])
    there, back = says.split("stored as")
    plain = back.replace("*", "").replace("(", "").replace(")", "")
    low, taken = 0.0, 0.0
    if part.minimum:
        divided = "33 plus the minimum #, divided by the scale #, is #"
        low, scale, quotient = spoken.match(divided, there)
        back = "#, it comes back as # × # − # = #"
        meant, again, factor, taken, restored = spoken.match(back, plain)
    else:
        scale, quotient = spoken.match("33 divided by the scale # is #", there)
        meant, again, factor, restored = spoken.match("#, it comes back as # × # = #", plain)
    assert taken == low
    assert (again, factor) == (scale, meant)
    assert quotient == pytest.approx((33 + low) / scale, rel=0.006)
    assert float(f"{scale * meant - low:.4g}") == restored
    assert restored == pytest.approx(float(landing.restored[at]), rel=6e-4)
    if not reading.is_uneven:
        assert meant == landing.codes[at] + landing.first_code


@pytest.mark.parametrize("name", NAMES)
def test_how_to_read_the_line_says_where_weights_land_and_which_is_bold(name):
    for reading in _readings(name):
        says, landing = how_to_read(reading), reading.landing
        gaps = np.abs(landing.grid[None].astype(float) - landing.values[:, None]).min(axis=1)
        missed = np.abs(landing.restored.astype(float) - landing.values)
        room = landing.step or np.ptp(landing.grid)
        nearest = (missed <= gaps + 0.003 * room).all()
        assert ("is rounded to the nearest mark" in says) == nearest
        if "the bold line is 33" in says:
            assert landing.values[reading.bold] == 33
        else:
            assert "the bold line is the weight with the largest error" in says
            assert missed[reading.bold] == missed.max()


@pytest.mark.parametrize("name", [n for n in NAMES if get_format(n).family != "float"])
def test_the_largest_miss_is_the_largest(name):
    for reading in _readings(name):
        says, landing = errors.miss(reading), reading.landing
        missed = np.abs(landing.restored - landing.values)
        if not missed.max():
            assert says == "**No weight** changes at all."
            continue
        weight = landing.first_weight + int(missed.argmax())
        if reading.is_uneven:
            which, share = spoken.match("Weight # has the largest error: # % of the size", says)
            _close(share, 100 * missed.max() / np.sqrt(np.mean(landing.values.astype(float) ** 2)))
        else:
            step = abs(float(landing.grid[1] - landing.grid[0]))
            outside = np.maximum(landing.grid.min() - landing.values,
                                 landing.values - landing.grid.max())  # fmt: skip
            n_cut = int((outside > 0.502 * step).sum())
            assert ("cut off" in says) == bool(n_cut)
            inside = missed[outside <= 0.502 * step]
            assert ("a little more than half" in says) == (
                not n_cut and inside.max() > 0.502 * step
            )
            pattern = "weight # by # " if n_cut else "Weight # has the largest error, # "
            unit = "of a step" if "of a step" in says else "steps"
            which, steps = spoken.match(pattern + unit, says)
            assert steps == pytest.approx(float(missed.max()) / step, abs=0.006)
        assert which == weight


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_is_counted_and_restored_as_printed(name):
    for reading in _readings(name):
        opened, n = reading.opened, reading.specimen.weights.size
        says = words.remains(opened, n, reading.specimen.bits_per_weight)
        unit = "weight" if n == 1 else "weights"
        n_bytes, n_weights, bits = spoken.match(
            f"What is stored: # bytes for # {unit}; # bits", says
        )
        assert (n_bytes, n_weights) == (opened.packed.size, n)
        assert ("whole tensor" in says) == (abs(bits - 8 * n_bytes / n) > 1e-3 * bits)
        if reading.is_float:
            continue
        bold, part = reading.bold_in_block, reading.part
        true = float(reading.specimen.weights[bold])
        line = words.arithmetic(opened, part, bold, true, reading.is_uneven)
        plain = line.replace("*", "").replace("(", "").replace(")", "")
        sign = "" if not part.minimum else " − #" if part.minimum > 0 else " + #"
        *factors, result = spoken.match(f"so # × #{sign} = #", plain)
        low = factors[2] if part.minimum else 0.0
        restored = factors[0] * factors[1] - (low if part.minimum > 0 else -low)
        assert float(f"{restored:.4g}") == result == float(f"{opened.restored[bold]:.4g}")


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q2_K", "Q8_0", "TQ2_0", "INT4_G32_ASYM"])
def test_the_best_setting_is_the_best_of_the_search(name):
    for reading in (each for each in _readings(name) if each.dials):
        values, now = reading.own.values, reading.landing.rms_error
        own = reading.ruled_grid.turned(100, 0).rms_error(values)
        if not reading.moved:  # the dials begin where the format's rule ends
            assert own == pytest.approx(now, rel=0.2, abs=1e-3 * reading.size)
        best, percent, shift = best_turn(values, reading.ruled_grid, range(40, 161), (-1, 0, 1))
        turned = reading.ruled_grid.turned(percent, shift)
        assert best == pytest.approx(turned.rms_error(values))
        says = words.gain("The rule gives", now, best)
        if now and best <= 0.99 * now:
            said_now, said_best, less = spoken.match(
                "an error of #; the best setting of the sliders gives #, # % less", says
            )
            _close(said_now, now)
            _close(said_best, best)
            assert less == pytest.approx(100 * (1 - best / now), abs=0.51)
        else:
            assert "no other scale or zero point does better" in says
