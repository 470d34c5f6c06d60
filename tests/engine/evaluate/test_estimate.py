"""Estimates grow with what there is to do; how right they are, benchmarks and runs tell."""

import pytest

from quantcore import open_model
from quantcore.evaluate.estimate import (
    drift_seconds,
    pass_seconds,
    quantizing_seconds,
    recipes_seconds,
)
from quantcore.evaluate.quantized import formats_by_tensor


@pytest.fixture(scope="module")
def model():
    return open_model()


def test_a_pass_takes_as_long_as_docs_say(model):
    assert pass_seconds(model, 4096) == pytest.approx(0.7, rel=0.01)


def test_more_types_tokens_and_slower_formats_take_longer(model):
    simple, searched, codebook = (
        formats_by_tensor(model, name) for name in ("Q8_0", "Q4_K pure", "IQ3_S pure")
    )
    times = [quantizing_seconds(model, each.items()) for each in (simple, searched, codebook)]
    assert 0 < times[0] < times[1] < times[2]
    assert quantizing_seconds(model, formats_by_tensor(model, "BF16").items()) == 0  # as it is
    one = drift_seconds(model, [simple], 1000)
    assert one < drift_seconds(model, [simple, simple], 1000) < 2 * one
    assert drift_seconds(model, [simple], 2000) > 1.5 * one


def test_more_recipes_and_methods_that_train_take_longer(model):
    plain = recipes_seconds(model, ["rtn"], 20_000, 20_000)
    assert plain < recipes_seconds(model, ["rtn", "rtn"], 20_000, 20_000) < 2 * plain
    assert recipes_seconds(model, ["autoround"], 20_000, 20_000) > 3 * plain
    asked = recipes_seconds(model, ["rtn"], 20_000, 20_000, 30_000)
    assert asked - plain == pytest.approx(pass_seconds(model, 30_000))
