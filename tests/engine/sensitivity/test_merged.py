"""Sweeps that write to one file at once, threads or processes: nobody loses what others found."""

from dataclasses import replace

import pytest

from quantcore.progress import Progress
from quantcore.sensitivity.measure import Swept, saving
from quantcore.sensitivity.results import Sensitivity, load
from tests.support.at_once import N, at_once
from tests.support.sweep_results import SOURCE, effect, results


def test_sweeps_into_one_file(tmp_path):
    """Each knows what was there when it began, measures its own, and ends when it likes."""
    path = tmp_path / "sensitivity.json"
    results(effect("blk.0.attn_q.weight", 0.1)).save(path)

    def sweep(number):
        mine = load(path)
        mine.add(effect(f"blk.{number}.ffn_up.weight", 0.5))
        for _ in saving(iter([Progress(1.0, "done", Swept(mine))]), path):
            pass

    at_once(sweep)
    names = {each.name for each in load(path).effects}
    assert names == {"blk.0.attn_q.weight", *(f"blk.{i}.ffn_up.weight" for i in range(N))}


def test_what_is_not_of_the_same_is_left_alone(tmp_path):
    path = tmp_path / "sensitivity.json"
    Sensitivity(replace(SOURCE, context=128)).save(path)
    before = path.read_text()
    with pytest.raises(ValueError, match="other tokens"):
        results(effect("blk.0.attn_q.weight", 0.1)).keep(path)
    path.write_text(notes := '{"notes": 1}')
    with pytest.raises(ValueError, match="holds no results"):
        results(effect("blk.0.attn_q.weight", 0.1)).keep(path)
    assert path.read_text() == notes != before
