"""Keys and values kept in other types: as llama.cpp keeps them, and as TurboQuant does."""

import numpy as np
import pytest

from quantcore import Llama, open_model
from quantcore.memory.kv_cache import cache_bytes
from quantcore.model import turbo_quant
from quantcore.model.cache_types import CACHE_TYPES, IN_LLAMA_CPP, TURBO, CacheTypes, _round
from quantcore.model.config import read_config
from quantcore.model.hadamard import hadamard, rotated
from quantcore.model.llama import KeyValueCache
from quantcore.model.names import expected_shapes
from quantcore.shape import shape_from_config
from tests.support import cache_model
from tests.support.places import GOLDEN
from tests.support.toy_model import CONFIG

NORMAL = np.random.default_rng(0).standard_normal((2000, 128)).astype(np.float32)
BLOCKS = ["Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL"]


def sized(head_size):
    return read_config(CONFIG | {"head_dim": head_size})


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "cache.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def plain():
    """Nothing is rounded."""
    return Llama(cache_model.CONFIG, cache_model.weights())


@pytest.fixture(scope="module")
def like_llama_cpp():
    """Run it as llama.cpp does, which rounds queries beside keys."""
    weights = cache_model.weights()
    return Llama(cache_model.CONFIG, weights, dict.fromkeys(weights, "F32"))


@pytest.mark.parametrize("name", BLOCKS)
def test_rounded_as_by_llama_cpp(name, golden):
    np.testing.assert_array_equal(_round(golden["rows"], name), golden[f"restored/{name}"])


@pytest.mark.parametrize("pair", cache_model.PAIRS, ids="-".join)
@pytest.mark.parametrize("rotation", [True, False], ids=["rotated", "plain"])
def test_logits_are_those_of_llama_cpp(pair, rotation, golden, plain, like_llama_cpp):
    """Near beside what the cache changes, and with the other choice of rotation far.

    Not nearer, for a number that is halfway between two codes goes up here and down there, and what
    is computed from it differs by a step.
    """
    last = slice(-cache_model.N_KEPT, None)
    theirs = golden[cache_model.key(pair, rotation)]
    effect = (theirs - plain.logits(cache_model.TOKENS)[last]).std()
    assert effect > 0.02  # of logits that spread by 1.9
    for mine, low, high in ((rotation, 0, 0.4), (not rotation, 0.9, 3)):
        llama = like_llama_cpp.with_cache(CacheTypes(*pair, rotation=mine))
        missed = (llama.logits(cache_model.TOKENS)[last] - theirs).std()
        assert low * effect <= missed < high * effect


def test_rotated_rounded_and_rotated_back_is_what_llama_cpp_does():
    """Queries and keys stay rotated there, and what attention makes of values is rotated back."""
    rng = np.random.default_rng(2)
    config, kept = cache_model.CONFIG, CacheTypes("Q4_0", "Q4_0")
    queries, keys, values = rng.standard_normal((3, 40, 1, 128)).astype(np.float32)
    pairs = np.arange(128).reshape(2, 64).T.ravel()  # llama.cpp's order: of each pair, both
    turned_queries, turned_keys = (x[..., pairs] @ hadamard(128) for x in (queries, keys))
    theirs = turned_queries[:, 0] @ _round(turned_keys[:, 0], "Q4_0").T
    mine = queries[:, 0] @ kept.round_keys(keys, config)[:, 0].T
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4)
    shares = rng.dirichlet(np.ones(40), 40).astype(np.float32)
    theirs = rotated(shares @ _round(rotated(values, 64)[:, 0], "Q4_0"), 64)
    np.testing.assert_allclose(shares @ kept.round_values(values, config)[:, 0], theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("head_size", "of_keys", "of_values"),
    [(64, 64, 64), (128, 128, 64), (192, 64, 64), (256, 256, 64), (96, 0, 0), (32, 0, 0)],
)
def test_what_llama_cpp_rotates_by(head_size, of_keys, of_values):
    kept = CacheTypes("q8_0", "iq4_nl")
    assert (kept.rotated_keys(head_size), kept.rotated_values(head_size)) == (of_keys, of_values)
    others = [CacheTypes(name, name) for name in ("F32", "F16", "BF16", *TURBO)]
    for kept in [*others, CacheTypes("q8_0", "iq4_nl", rotation=False)]:
        assert not kept.rotated_keys(head_size)
        assert not kept.rotated_values(head_size)


def test_keys_and_values_are_rounded_each_apart(plain):
    positions, states = np.arange(9), np.random.default_rng(1).standard_normal((9, 256))
    heads, angles = {}, plain.angles_to(9)
    for pair in (("F32", "F32"), ("Q4_0", "F32"), ("F32", "Q4_0")):
        layer = plain.with_cache(CacheTypes(*pair)).layers[0]
        heads[pair] = layer.heads(states.astype(np.float32), positions, angles)
    exact, keys, values = heads.values()
    changed = [np.abs(each - exact).max(axis=(0, 2)) > 0.01 for each in (keys, values)]
    assert np.array(changed).tolist() == [[False, False, True, False], [False, False, False, True]]


@pytest.mark.parametrize("pair", [("Q8_0", "Q4_0"), ("TURBO4", "TURBO3"), ("F16", "BF16")])
def test_a_text_read_in_parts_meets_the_same_cache(plain, pair):
    llama, tokens = plain.with_cache(CacheTypes(*pair)), cache_model.TOKENS
    cache = KeyValueCache(llama.config, 1, len(tokens))
    parts = [llama.hidden(part[None], cache)[0] for part in np.split(tokens, [30, 31, 32])]
    whole = llama.hidden(tokens[None])[0]
    exact = plain.hidden(tokens[None])[0]
    parted = np.abs(np.concatenate(parts) - whole).std()
    assert parted < 0.1 * np.abs(exact - whole).std()  # but for numbers between two codes


def test_what_is_rounded_by_default(plain, like_llama_cpp):
    tokens = cache_model.TOKENS
    explicit = like_llama_cpp.with_cache(CacheTypes("f16", "f16")).logits(tokens)
    np.testing.assert_array_equal(like_llama_cpp.logits(tokens), explicit)
    same = plain.with_cache(CacheTypes("f32", "f32")).logits(tokens)
    np.testing.assert_array_equal(plain.logits(tokens), same)
    assert np.abs(explicit - same).max() > 1e-4


@pytest.mark.parametrize("n", [1, 2, 64, 256])
def test_a_hadamard_rotation_is_its_own_inverse(n):
    parity = [[bin(i & j).count("1") % 2 for j in range(n)] for i in range(n)]
    wanted = (1 - 2 * np.float32(parity)) / np.sqrt(np.float32(n))
    np.testing.assert_allclose(hadamard(n), wanted, rtol=1e-6)
    rows = np.random.default_rng(n).standard_normal((3, 512)).astype(np.float32)
    np.testing.assert_allclose(rotated(rotated(rows, n), n), rows, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="power of two"):
        hadamard(3 * n)


@pytest.mark.parametrize(("bits", "error"), [(1, 0.3634), (2, 0.1175), (3, 0.03455), (4, 0.009497)])
def test_turbo_quant_has_the_error_of_lloyd_and_max(bits, error):
    """Theirs for a normal distribution: Max 1960, table I. Outliers do not make it larger."""

    def measured(rows):
        return np.square(turbo_quant.round_trip(rows, bits) - rows).sum() / np.square(rows).sum()

    for spread in (1, 1000):
        assert measured(spread * NORMAL.reshape(-1, 1024)) == pytest.approx(error, rel=0.01)
    outliers = np.ones(128, np.float32)
    outliers[np.random.default_rng(3).choice(128, 24, replace=False)] = 20
    assert 0.5 * error < measured(outliers * NORMAL) < error


def test_the_values_of_lloyd_and_max():
    """As published: Max 1960, table I."""
    np.testing.assert_allclose(turbo_quant.lloyd_max(1)[1:], [0.7979], atol=5e-5)
    np.testing.assert_allclose(turbo_quant.lloyd_max(2)[2:], [0.4528, 1.510], atol=5e-4)
    wanted = [0.2451, 0.7560, 1.344, 2.152]
    np.testing.assert_allclose(turbo_quant.lloyd_max(3)[4:], wanted, atol=5e-4)
    wanted = [0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733]
    np.testing.assert_allclose(turbo_quant.lloyd_max(4)[8:], wanted, atol=5e-4)


def test_turbo_quant_keeps_length_and_nothing():
    restored = turbo_quant.round_trip(np.zeros((2, 64), np.float32), 2)
    np.testing.assert_array_equal(restored, 0)
    twice = turbo_quant.round_trip(2 * NORMAL, 3)  # float16 has the same digits there
    np.testing.assert_allclose(twice, 2 * turbo_quant.round_trip(NORMAL, 3), rtol=1e-5, atol=1e-6)


def test_bytes_of_a_token_are_those_of_the_memory_calculator():
    shape = shape_from_config(open_model().config, "fable")
    for name in IN_LLAMA_CPP:
        kept = CacheTypes(name, "F16").bytes_per_token(open_model().config)
        assert kept == cache_bytes(shape, 1, key_type=name, value_type="F16")
    # 8 layers of 2 heads of 64: a bit a number, and 2 bytes a head, of keys and of values each.
    for bits in (1, 2, 3, 4):
        turbo = CacheTypes(f"turbo{bits}", f"turbo{bits}")
        assert turbo.bytes_per_token(open_model().config) == 8 * 2 * 2 * (8 * bits + 2)


def test_what_cannot_be_kept_is_refused(plain, like_llama_cpp):
    with pytest.raises(ValueError, match=r"no cache of type q9; there are F32, .*, TURBO1\."):
        CacheTypes("q9", "F16")
    for name in CACHE_TYPES:
        if name in BLOCKS:
            with pytest.raises(ValueError, match=r"heads of a multiple of 32, got 48: choose F16"):
                CacheTypes("F16", name).check(sized(48))
        elif name in TURBO:
            with pytest.raises(ValueError, match=r"a power of two, got 48: choose"):
                CacheTypes("F16", name).check(sized(48))
        else:
            CacheTypes(name, name).check(sized(48))
    with pytest.raises(ValueError, match=r"llama.cpp has no TURBO4 cache"):
        like_llama_cpp.with_cache(CacheTypes("turbo4", "F16"))
    with pytest.raises(ValueError, match=r"got 16"):
        Llama(sized(16), {}, cache_types=CacheTypes("q8_0", "q8_0"))
    broken = cache_model.weights()
    broken["blk.0.attn_k.weight"][:] = np.inf
    llama = Llama(cache_model.CONFIG, broken, cache_types=CacheTypes("q8_0", "F16"))
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=r"cannot keep a NaN"):
        llama.logits(cache_model.TOKENS)


def test_an_architecture_that_has_halves_keeps_its_order():
    """llama.cpp puts rows of a Llama's keys in another order, and leaves Qwen's as they are."""
    qwen = read_config(CONFIG | {"model_type": "qwen3", "head_dim": 64})
    keys = NORMAL[:40, None, :64]
    assert "blk.0.attn_k_norm.weight" in expected_shapes(qwen)
    wanted = _round(rotated(keys[:, 0], 64), "Q4_0")
    kept = CacheTypes("Q4_0", "F16")
    np.testing.assert_array_equal(kept.round_keys(keys, qwen)[:, 0], rotated(wanted, 64))
    assert np.abs(kept.round_keys(keys, sized(64))[:, 0] - rotated(wanted, 64)).max() > 0.01
