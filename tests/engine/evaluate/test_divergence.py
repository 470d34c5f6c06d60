"""Divergence and drift: equal to their definitions, and the laws between them."""

import tracemalloc

import numpy as np
import pytest

from quantcore import drift_steps, measure_drift, measure_perplexity, open_model, plan
from quantcore.evaluate.divergence import percentiles_of, share_and_error, spread_of
from quantcore.evaluate.drift import summary_of
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.text import cut
from tests.support.toy_model import write_folder

TEXT = "Once upon a time the river ran uphill, and nobody minded. " * 6
CONTEXT = 64
MIX = {"token_embd.weight": "Q4_0", "output.weight": "Q8_0"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return open_model(write_folder(tmp_path_factory.mktemp("models") / "toy"))


@pytest.fixture(scope="module")
def drift(toy):
    return measure_drift(toy, "Q4_0", TEXT, CONTEXT)


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_each_token_equals_the_definition(toy, drift):
    base, quantized = llama_of(toy), llama_of(toy, "Q4_0")
    chunks = cut(toy, TEXT, CONTEXT)
    tokens = drift.per_token
    n = CONTEXT - 1
    for i, (inputs, chunk) in enumerate(zip(chunks.inputs, chunks.tokens, strict=True)):
        p, q = (log_softmax(llama.logits(inputs)[:-1]) for llama in (base, quantized))
        here = slice(i * n, (i + 1) * n)
        rows = np.arange(n)
        close = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(tokens.kl[here], (np.exp(p) * (p - q)).sum(axis=1), **close)
        np.testing.assert_allclose(tokens.nll[here], -q[rows, chunk[1:]], **close)
        np.testing.assert_allclose(tokens.base_nll[here], -p[rows, chunk[1:]], **close)
        np.testing.assert_array_equal(tokens.top_token[here], q.argmax(axis=1))
        np.testing.assert_array_equal(tokens.base_top_token[here], p.argmax(axis=1))
        np.testing.assert_allclose(
            tokens.base_top_probability[here], np.exp(p.max(axis=1)), **close
        )
        np.testing.assert_array_equal(tokens.token[here], chunk[1:])
        np.testing.assert_array_equal(tokens.position[here], i * CONTEXT + 1 + rows)
        pieces = toy.tokenizer.pieces(chunk[1:])
        assert all(
            TEXT.startswith(piece, start)
            for piece, start in zip(pieces, tokens.start[here], strict=True)
        )


def test_the_summary_is_of_the_second_halves(toy, drift):
    tokens = drift.per_token
    second = tokens.position % CONTEXT > CONTEXT // 2
    np.testing.assert_array_equal(tokens.scored, second)
    nll, base, kl = tokens.nll[second], tokens.base_nll[second], tokens.kl[second]
    change = tokens.probability[second] - tokens.base_probability[second]
    n = second.sum()
    assert drift.tokens_scored == n
    assert drift.perplexity == pytest.approx(np.exp(nll.mean(dtype=float)))
    assert drift.base_perplexity == pytest.approx(np.exp(base.mean(dtype=float)))
    assert drift.perplexity_all_targets == pytest.approx(np.exp(tokens.nll.mean(dtype=float)))
    assert drift.perplexity_ratio == pytest.approx(drift.perplexity / drift.base_perplexity)
    error = drift.perplexity_ratio * np.std(nll - base, ddof=1) / np.sqrt(n)
    assert drift.perplexity_ratio_error == pytest.approx(error, rel=1e-4)
    assert drift.mean_kl_divergence == pytest.approx(kl.mean(dtype=float))
    assert drift.median_kl_divergence == pytest.approx(np.median(kl), rel=1e-5)
    assert drift.kl_percentiles[99] == pytest.approx(np.percentile(kl, 99), rel=1e-5)
    assert drift.max_kl_divergence == kl.max()
    assert drift.probability_change.rms == pytest.approx(np.sqrt(np.mean(change**2)), rel=1e-4)
    assert drift.same_top_token == np.mean((tokens.top_token == tokens.base_top_token)[second])
    assert drift.floor_perplexity is None
    assert drift.bits_per_weight == pytest.approx(plan(toy, "Q4_0").bits_per_weight)


def test_agrees_with_perplexity_alone(toy, drift):
    alone = measure_perplexity(toy, "Q4_0", TEXT, CONTEXT)
    assert drift.perplexity == pytest.approx(alone.perplexity, rel=1e-6)
    assert drift.perplexity_error == pytest.approx(alone.perplexity_error, rel=1e-5)
    assert drift.tokens_scored == alone.tokens_scored


def test_nothing_lost_means_no_divergence(toy):
    drift = measure_drift(toy, "f32", TEXT, CONTEXT)
    assert drift.type == "F32"
    assert drift.per_token.kl.max() < 1e-12
    assert drift.same_top_token == 1
    assert drift.perplexity_ratio == 1
    assert drift.probability_change.rms == 0


def test_the_original_by_tensor_is_the_original(toy):
    """Another path to the same weights: each matrix stored as F32 by name, one as Q4_0."""
    mix = dict.fromkeys(toy.quantizable, "F32") | {"blk.0.ffn_up.weight": "Q4_0"}
    drift = measure_drift(toy, mix, TEXT, CONTEXT)
    assert drift.type == "mix"
    assert (
        0 < drift.mean_kl_divergence < measure_drift(toy, "Q4_0", TEXT, CONTEXT).mean_kl_divergence
    )


def test_fewer_bits_drift_more(toy):
    *_, last = drift_steps(toy, ["Q8_0", "INT4_G32", "INT2_G32"], TEXT, CONTEXT)
    kls = [drift.mean_kl_divergence for drift in last.result.drifts.values()]
    assert kls == sorted(kls)
    assert kls[0] > 0
    tops = [drift.same_top_token for drift in last.result.drifts.values()]
    assert tops == sorted(tops, reverse=True)


def test_several_types_at_once_equal_one_at_a_time(toy, drift):
    *_, last = drift_steps(toy, ["Q8_0", "Q4_0"], TEXT, CONTEXT)
    assert list(last.result.drifts) == ["Q8_0", "Q4_0"]
    np.testing.assert_allclose(
        last.result.drifts["Q4_0"].per_token.kl, drift.per_token.kl, atol=1e-6
    )


@pytest.mark.parametrize("seed", range(6))
def test_neither_order_nor_repeats_change_a_number(toy, seed):
    """F32 too, which takes the original's own states rather than run once more."""
    known = ["F32", "Q8_0", "Q4_0", "INT2_G32"]
    alone = {name: summary_of(measure_drift(toy, name, TEXT, CONTEXT)) for name in known}
    asked = [str(name) for name in np.random.default_rng(seed).choice(known, 6)]
    *_, last = drift_steps(toy, asked, TEXT, CONTEXT)
    assert list(last.result.drifts) == list(dict.fromkeys(asked))
    for name, found in last.result.drifts.items():
        assert summary_of(found) == alone[name], asked
        assert last.result.mean_kl[name] == pytest.approx(found.mean_kl_divergence, abs=1e-6)


def test_progress_grows_and_may_be_left(toy):
    shares = [step.share for step in drift_steps(toy, ["Q4_0", "F32"], TEXT, CONTEXT)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[-2] > 0.95
    steps = drift_steps(toy, "Q4_0", TEXT, CONTEXT)
    next(steps)
    steps.close()

    def stop(progress):
        raise InterruptedError(progress.stage)

    with pytest.raises(InterruptedError):
        measure_drift(toy, "Q4_0", TEXT, CONTEXT, on_progress=stop)


def test_memory_does_not_grow_with_the_text(toy):
    """Only some numbers a token are kept, not its 260 logits of 4 bytes."""

    def peak(text):
        tracemalloc.start()
        for _ in drift_steps(toy, "Q4_0", text, CONTEXT):
            pass
        n_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return n_bytes

    short, long = TEXT * 2, TEXT * 16
    peak(short)  # compiles
    n_more = len(toy.tokenizer.encode(long)) - len(toy.tokenizer.encode(short))
    assert peak(long) - peak(short) < 500 * n_more


@pytest.mark.parametrize(
    ("types", "context", "pattern"),
    [
        ("Q9_9", CONTEXT, "Q9_9"),
        ("INT4_G48", CONTEXT, "token_embd.weight: INT4_G48"),
        ("Q4_0", 7000, "4 to 128"),
        (["Q4_0", "Q4_K pure"], CONTEXT, "256"),
        ([MIX, MIX | {"token_embd.weight": "Q5_0"}], CONTEXT, "Two of these mixes have one name"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(toy, types, context, pattern):
    with pytest.raises(ValueError, match=pattern):
        drift_steps(toy, types, TEXT, context)


def test_a_summary_holds_everything_but_the_tokens(drift):
    summary = summary_of(drift)
    assert summary["probability_change"]["rms"] == drift.probability_change.rms
    assert "per_token" not in summary


def test_statistics():
    values = np.arange(101.0)
    assert percentiles_of(values)[90] == pytest.approx(90)
    assert share_and_error(np.array([True, True, False, False])) == pytest.approx((0.5, 0.288675))
    spread = spread_of(np.array([1.0, -1.0]))
    assert (spread.mean, spread.rms, spread.rms_error) == (0, 1, 0)
