"""Mixes measured side by side: with shared tensors, and by whole models; those that ship."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from quantcore import measure_imatrix, open_model, plan
from quantcore.evaluate.drift import compare
from quantcore.evaluate.text import cut, evaluation_text
from quantcore.io import ModelError
from quantcore.model.shipped import shipped_folder
from quantcore.progress import result_of
from quantcore.recipe.of_types import padded_bytes
from quantcore.sensitivity import cached
from quantcore.sensitivity.guides import GUIDES
from quantcore.sensitivity.measure import source_of
from quantcore.sensitivity.measure_mixes import SEEDS, SIZES, mixes_to_measure
from quantcore.sensitivity.mixes import (
    WAYS,
    Mix,
    find_mix,
    load_mixes,
    mix_of,
    mix_steps,
    save_mixes,
    shipped_mixes,
)
from quantcore.sensitivity.results import Sensitivity, shipped
from quantcore.sensitivity.ways import budget_by, guided_formats
from tests.support.toy_model import CONFIG, write_folder

PATH = shipped_folder() / "measured" / "mixes.json"
AGAIN = [
    ("Q3_K_M", "rules"),
    ("Q3_K_M", "measured"),
    ("Q4_K_M", "output_error"),
    ("Q2_K", "random"),
]
TEXT = "Once upon a time the river ran uphill, and nobody minded at all. " * 20


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy", CONFIG))


@pytest.fixture(scope="module")
def chunks(toy):
    return cut(toy, TEXT, 64)


def test_a_mix_is_measured_as_it_says_or_not_at_all(toy, chunks):
    """With an importance matrix and without it the same types cost something else."""
    mix = mix_of(toy, plan(toy, "Q8_0"), "hand")
    aided = toy.with_imatrix(measure_imatrix(toy, TEXT, 64))
    with pytest.raises(ValueError, match="is with an importance matrix, and none is"):
        mix_steps(toy, [replace(mix, with_imatrix=True)], chunks)
    with pytest.raises(ValueError, match="is without an importance matrix, and one is"):
        mix_steps(aided, [mix], chunks)


@pytest.fixture(scope="module")
def points():
    return shipped_mixes()


def _mixes(toy, n=6):
    rng = np.random.default_rng(4)
    return [
        Mix(name=f"mix {i}", way="hand", types={
            name: str(rng.choice(["Q4_0", "Q5_1", "Q8_0", "F16"])) for name in toy.quantizable
        })
        for i in range(n)
    ]  # fmt: skip


def test_a_mix_is_what_the_whole_model_says(toy, chunks):
    mixes = _mixes(toy)
    steps = list(mix_steps(toy, mixes, chunks))
    assert [step.share for step in steps] == pytest.approx([i / 6 for i in range(7)])
    points = steps[-1].result
    *_, last = compare(toy, {mix.name: mix.types for mix in mixes}, chunks)
    for place, mix in enumerate(mixes):
        point, drift = points[place], last.result.drifts[mix.name]
        assert (point.name, point.way, point.types) == (mix.name, "hand", mix.types)
        assert point.mean_kl_divergence == pytest.approx(drift.mean_kl_divergence, rel=1e-4)
        assert point.kl_low < point.mean_kl_divergence < point.kl_high
        assert point.perplexity == pytest.approx(drift.perplexity, rel=1e-5)
        assert point.perplexity_ratio == pytest.approx(drift.perplexity_ratio, rel=1e-5)
        assert point.ratio_low < point.perplexity_ratio < point.ratio_high
        assert point.bits_per_weight == pytest.approx(drift.bits_per_weight)
        assert drift.weights_bytes <= point.bytes < drift.weights_bytes + 32 * len(toy.tensors)


def test_tensors_make_room_for_each_other(toy, monkeypatch):
    """Only so many bytes are kept; what was used last stays, and nothing else changes."""
    made = []
    restored_as = cached.restored_as
    monkeypatch.setattr(cached, "restored_as", lambda *a: made.append(a[1:]) or restored_as(*a))
    names = toy.quantizable[1:4]  # 64 x 64, 32 x 64 and 32 x 64
    kept = cached.RestoredTensors(toy, most_bytes=4 * 64 * 128)
    for name in (*names, *names):
        np.testing.assert_array_equal(kept.of(name, "Q4_0"), restored_as(toy, name, "Q4_0"))
    assert len(made) == 3
    kept.of(names[1], "Q8_0")
    kept.of(names[2], "Q4_0")
    assert len(made) == 4
    kept.of(names[0], "Q4_0")
    assert made[-1] == (names[0], "Q4_0")


def test_what_does_not_suit_is_refused_before_any_work(toy, chunks):
    (mix,) = _mixes(toy, 1)
    for type, says in (("Q9", "Q9"), ("Q4_K", "Q4_K works on rows")):
        types = mix.types | {toy.quantizable[3]: type}
        with pytest.raises(ValueError, match=says):
            mix_steps(toy, [mix, Mix(name="x", way="hand", types=types)], chunks)


def test_the_file_comes_back_and_a_broken_one_is_refused(toy, chunks, tmp_path):
    points = list(result_of(mix_steps(toy, _mixes(toy, 2), chunks)).values())
    source, path = source_of(toy, chunks, "river"), tmp_path / "mixes.json"
    save_mixes(path, source, points)
    read_source, again = load_mixes(path)
    assert read_source == source
    for mine, other in zip(points, again, strict=True):
        assert (mine.name, mine.types, mine.bytes) == (other.name, other.types, other.bytes)
        assert other.kl_low == pytest.approx(mine.kl_low, rel=1e-5)
    whole = path.read_text(encoding="utf-8")
    for broken in (whole[:-20], "{}", "[]", whole.replace("Q4_0 ", ""), whole.replace(":", ",")):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(ModelError):
            load_mixes(path)
    raw = json.loads(whole)
    raw["mixes"]["rows"][0][2] = "many"
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match="holds no measured mixes"):
        load_mixes(path)


def test_a_mix_says_itself_whether_it_had_the_matrix_and_whose_size_it_keeps(model, tmp_path):
    """Names are for people: nothing is read from them."""
    bare = mix_of(model, plan(model, "Q4_0 pure"), "rules", size_of="Q4_0", name="x, with imatrix")
    aided = mix_of(model, plan(model, "Q4_0 pure", imatrix=True), "hand", name="4.50 bits")
    assert (bare.with_imatrix, bare.size_of) == (False, "Q4_0")
    assert (aided.with_imatrix, aided.size_of) == (True, None)
    assert bare.types == aided.types
    points = [replace(shipped_mixes()[0], **{each.name: getattr(mix, each.name)
                                             for each in fields(mix)})
              for mix in (bare, aided)]  # fmt: skip
    assert find_mix(points, bare.types, with_imatrix=False) is points[0]
    assert find_mix(points, bare.types, with_imatrix=True) is points[1]
    assert find_mix(points[:1], bare.types, with_imatrix=True) is None
    source, path = load_mixes(PATH)[0], tmp_path / "mixes.json"
    save_mixes(path, source, points)
    assert load_mixes(path)[1] == points
    older = json.loads(path.read_text(encoding="utf-8"))
    older["mixes"]["columns"] = older["mixes"]["columns"][:-2]
    older["mixes"]["rows"] = [row[:-2] for row in older["mixes"]["rows"]]
    path.write_text(json.dumps(older), encoding="utf-8")
    assert [(p.size_of, p.with_imatrix) for p in load_mixes(path)[1]] == 2 * [(None, False)]


def test_what_ships_is_of_the_model_and_text_that_ship(model, points):
    source, _ = load_mixes(PATH)
    assert source == source_of(model, cut(model, evaluation_text(), 512), "evaluation.txt")
    assert {point.way for point in points} <= set(WAYS)
    assert PATH.stat().st_size < 100_000


def test_what_ships_was_chosen_by_the_results_that_ship(model, points):
    """By the sum of effects, which is the same for any choice that is as good."""
    mixes = mixes_to_measure(model, shipped())
    assert [(p.name, p.way, p.size_of, p.with_imatrix) for p in points] == [
        (m.name, m.way, m.size_of, m.with_imatrix) for m in mixes
    ]
    for point, mix in zip(points, mixes, strict=True):
        if point.way in ("rules", "measured"):
            assert point.predicted_kl_divergence == pytest.approx(
                mix.predicted_kl_divergence, rel=1e-5
            ), f"{mix.name}: run python -m quantcore measure --mixes"


def test_all_ways_are_there_at_sizes_that_compare(model, points):
    for size in SIZES:
        rules = padded_bytes(plan(model, size))
        mine = [point for point in points if point.size_of == size]
        expected = ["rules", "measured", *GUIDES, *["random"] * len(SEEDS)]
        assert sorted(point.way for point in mine) == sorted(expected)
        assert all(0.995 * rules < point.bytes <= rules for point in mine)


def test_some_of_it_comes_out_again(model, points):
    """By whole models from their first token, on the whole text."""
    again = {
        f"{name} {way}": next(each for each in points if (each.name, each.way) == (name, way))
        for name, way in (("Q3_K_M", "measured"), ("Q2_K", "random"))
    }
    types = {name: point.types for name, point in again.items()}
    *_, last = compare(model, types, cut(model, evaluation_text(), 512))
    for name, point in again.items():
        drift = last.result.drifts[name]
        assert point.mean_kl_divergence == pytest.approx(drift.mean_kl_divergence, rel=2e-3)
        assert point.perplexity == pytest.approx(drift.perplexity, rel=1e-4)
        assert point.bits_per_weight == pytest.approx(drift.bits_per_weight, rel=1e-5)


@pytest.mark.parametrize("size", ["Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M"])
def test_measured_mixes_diverge_a_quarter_less_than_the_rules_on_held_out_text(points, size):
    by_way = {point.way: point for point in points if point.name == size}
    assert by_way["measured"].kl_high < 0.75 * by_way["rules"].kl_low
    chance = [point.mean_kl_divergence for point in points if (point.name, point.way) ==
              (size, "random")]  # fmt: skip
    assert by_way["measured"].mean_kl_divergence < min(chance)


def test_a_way_that_is_none_or_was_not_measured_is_refused(model, toy):
    with pytest.raises(ValueError, match="There is no way 'taste'"):
        budget_by("taste", model, shipped())
    bare = shipped()
    bare._guides.clear()
    with pytest.raises(ValueError, match="hold no guides"):
        budget_by("fisher", model, bare)
    with pytest.raises(ValueError, match="with other weights"):
        budget_by("fisher", toy, shipped())


def _with_guides(wanted):
    """Shipped results with only some of their guides."""
    whole, part = shipped(), Sensitivity(shipped().source)
    for effect in whole.effects:
        part.add(effect)
    for guide in filter(wanted, whole.guides):
        part.add_guide(guide)
    return part


def test_a_guide_chooses_among_formats_whose_guides_are_whole(model):
    first = model.quantizable[0]
    part = _with_guides(lambda guide: guide.format in ("Q4_K", "Q6_K") or guide.name == first)
    assert sorted(guided_formats(model, part)) == ["Q4_K", "Q6_K"]
    chosen = budget_by("fisher", model, part).within(5_000_000).plan
    assert {t.type for t in chosen.tensors if t.name in model.quantizable} == {"Q4_K", "Q6_K"}
    assert budget_by("measured", model, part).formats == budget_by("measured", model,
                                                                   shipped()).formats  # fmt: skip
    with pytest.raises(ValueError, match="The guides of Q8_0 are not known of every tensor"):
        budget_by("fisher", model, part, ["q4_k", "q8_0"])


def test_where_no_format_is_whole_a_guide_is_refused(model):
    part = _with_guides(lambda guide: guide.name == model.quantizable[0])
    assert guided_formats(model, part) == []
    with pytest.raises(ValueError, match="compute the rest by python -m quantcore"):
        budget_by("fisher", model, part)
