"""What pictures of methods are made of: the bound, GPTQ half-way, and two columns as a lattice."""

import numpy as np
import pytest

from quantcore.formats import get_format
from quantcore.methods.bound import least_output_error
from quantcore.methods.columns.factor import damped, factored
from quantcore.methods.columns.part_way import course, part_way
from quantcore.methods.columns.pushing import push_through
from quantcore.methods.columns.two_columns import closest_columns, two_columns
from quantcore.methods.gptq import Gptq, prepare
from quantcore.methods.method import LayerInputs


def _moment(n, seed=0, n_tokens=500):
    """Second moment of inputs that go together, some columns larger than others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_tokens, n)) @ rng.normal(size=(n, n)) * rng.lognormal(size=n)
    return x.T @ x / n_tokens


def _weights(n_rows, n_cols, seed=1):
    return np.random.default_rng(seed).normal(size=(n_rows, n_cols)).astype(np.float32)


def _inputs(moment):
    size = np.diagonal(moment).astype(np.float32)
    return LayerInputs(
        n_tokens=500,
        mean_square=size,
        mean_abs=np.sqrt(size),
        largest=3 * np.sqrt(size),
        second_moment=moment,
    )


def _error(weights, restored, moment):
    error = (weights - restored).astype(np.float64)
    return np.sqrt(np.vdot(error @ moment, error) / np.vdot(weights @ moment, weights))


# ---- the bound ----------------------------------------------------------------------------------


def test_the_bound_by_hand():
    """H = 4 and 1: up to half a bit only the large one is coded, then both to one level."""
    moment = np.diag([1.0, 4.0])
    found = least_output_error(moment, np.array([0.0, 0.25, 0.5, 1.5]))
    levels = [4.0, 2.0, 1.0, 0.25]
    wanted = [sum(min(h, level) for h in (4.0, 1.0)) / 5 for level in levels]
    assert found == pytest.approx(np.sqrt(wanted))


def test_the_bound_turns_with_the_inputs_and_knows_dead_directions():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    sizes, bits = np.array([9.0, 4, 1, 0.1, 0, 0]), np.linspace(0, 4, 9)
    turned = least_output_error(turn @ np.diag(sizes) @ turn.T, bits)
    assert turned == pytest.approx(least_output_error(np.diag(sizes), bits), rel=1e-6)
    assert (np.diff(turned) < 0).all()
    with pytest.raises(ValueError, match="calibrate on another one"):
        least_output_error(np.zeros((3, 3)), bits)


def test_no_method_gets_below_the_bound_with_gaussian_weights():
    moment, weights = _moment(64), _weights(200, 64)
    for name in ("INT2_G32", "INT3_G32", "INT4_G32"):
        fmt = get_format(name)
        bits = 8 * fmt.stored_bytes(weights.shape) / weights.size
        (bound,) = least_output_error(moment, np.array([bits]))
        chosen = Gptq().choose(weights, fmt, _inputs(moment))
        plain = _error(weights, fmt.round_trip(weights), moment)
        assert bound < _error(weights, chosen.restored, moment) < plain


# ---- GPTQ half-way ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["natural", "group"])
def test_what_is_rounded_next_is_where_it_has_moved(order):
    moment, weights, fmt = _moment(32), _weights(3, 32), get_format("INT3_G16")
    task = prepare(Gptq(order=order), weights, fmt, _inputs(moment))
    pushed = push_through(task.weights, fmt, factored(task.moment), task.plan)
    lossy = damped(moment, 0.01).moment
    columns, plain = task.plan.order, fmt.round_trip(weights)
    followed = course(weights[1], pushed.restored[1], plain[1], lossy, columns)
    for n_done in range(33):
        at = part_way(weights[1], pushed.restored[1], plain[1], lossy, columns, n_done)
        assert at.rounded.sum() == n_done
        assert followed.pushed[n_done] == pytest.approx(at.output_error, rel=1e-4)
        assert followed.alone[n_done] == pytest.approx(at.rounding_error, rel=1e-6)
        if at.next_column is not None:
            assert at.next_column == columns[n_done]
            aimed = pushed.aimed[1, at.next_column]
            assert at.now[at.next_column] == pytest.approx(aimed, abs=2e-5)
    assert at.now.tolist() == pushed.restored[1].tolist()
    assert at.output_error == pytest.approx(_error(weights[1:2], pushed.restored[1:2], lossy))
    assert at.rounding_error == pytest.approx(_error(weights[1:2], plain[1:2], lossy))


def test_the_rest_moves_so_that_the_error_is_least():
    moment, weights = _moment(12), _weights(1, 12)[0]
    restored = np.rint(weights).astype(np.float32)
    at = part_way(weights, restored, restored, moment, np.arange(12), 5)
    rng = np.random.default_rng(3)
    for _ in range(20):
        other = at.now.copy()
        other[5:] += rng.normal(scale=0.01, size=7).astype(np.float32)
        assert _error(weights[None], other[None], moment) >= at.output_error - 1e-7
    assert at.output_error <= at.rounding_error
    with pytest.raises(ValueError, match="0 to 12"):
        part_way(weights, restored, restored, moment, np.arange(12), 13)


# ---- two columns --------------------------------------------------------------------------------


def test_two_columns_are_what_gptq_does_with_them():
    fmt = get_format("INT4_G2")
    for seed in range(30):
        moment, weights = _moment(2, seed), _weights(1, 2, seed)
        steps = fmt.scale_factors(fmt.quantize(weights)).scales.repeat(2)
        picture = two_columns(weights[0], steps, moment, (0, 1))
        undamped = Gptq(damping=0.0, order="natural", static_scales=True)
        chosen = undamped.choose(weights, fmt, _inputs(moment))
        codes = np.rint(chosen.restored[0] / steps)
        if abs(picture.codes[picture.nearest_plane]).max() <= 7:  # within what INT4 can store
            assert picture.codes[picture.nearest_plane].tolist() == codes.tolist()
        each, plane = (
            picture.distance(picture.nearest_each),
            picture.distance(picture.nearest_plane),
        )
        assert picture.distance(picture.nearest) <= plane <= each + 1e-12
        miss = weights[0] - picture.codes[picture.nearest_each] * steps
        assert each**2 == pytest.approx(miss @ moment @ miss)


def test_columns_that_go_together_are_found():
    moment = _moment(6)
    moment[:, 4] = moment[4] = 0
    moment[1, 3] = moment[3, 1] = 0.999 * np.sqrt(moment[1, 1] * moment[3, 3])
    assert set(closest_columns(moment)) == {1, 3}
    with pytest.raises(ValueError, match="Fewer than two"):
        closest_columns(np.diag([0.0, 1.0]))
