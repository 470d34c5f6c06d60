"""What callers may rely on in every format of all four kinds, without asking which kind it is."""

import inspect

import numpy as np
import pytest

from quantcore.format import Format
from quantcore.formats import DEFAULTS, FORMATS, LATTICE, OUTSIDE_GGUF, get_format

NAMES = [
    *(*FORMATS, *OUTSIDE_GGUF, *LATTICE),
    *(n for n in DEFAULTS if n not in FORMATS),
    *("INT3_G32_ASYM", "INT4_G64_HQQ"),
]
ALL = pytest.mark.parametrize("fmt", [get_format(name) for name in NAMES], ids=NAMES)
METHODS = [n for n, member in vars(Format).items() if inspect.isfunction(member) and n[0] != "_"]
PROPERTIES = {n: p for n, p in vars(Format).items() if isinstance(p, property)}
WEIGHTS = np.random.default_rng(3).standard_t(4, (4, 512)).astype(np.float32)
IMPORTANCE = np.random.default_rng(4).uniform(0.01, 3, 512).astype(np.float32)


def same(a, b):
    """Whether two packed tensors hold the same, whatever they are made of."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if hasattr(a, "__slots__"):
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in a.__slots__)
    return a == b


def quantized(fmt):
    return fmt.quantize(WEIGHTS, IMPORTANCE if fmt.needs_importance else None)


def signature(kind, method):
    """Names of parameters, how each is given, and what it is where it is not given."""
    parameters = inspect.signature(getattr(kind, method)).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters]


def test_one_signature():
    kinds = {type(get_format(name)) for name in NAMES}
    assert len(kinds) == 6
    assert {"quantize", "dequantize", "round_trip", "open_block", "block_length"} < set(METHODS)
    for kind in kinds:
        for method in METHODS:
            assert signature(kind, method) == signature(Format, method), (kind, method)


@ALL
def test_what_is_said_of_it(fmt):
    kinds = {name: inspect.signature(p.fget).return_annotation for name, p in PROPERTIES.items()}
    assert {"name", "code_bits", "family", "needs_importance", "whole_tensor"} < kinds.keys()
    for name, kind in kinds.items():
        value = getattr(fmt, name)
        assert isinstance(value, kind if kind in (bool, int, str) else str), name
    assert fmt.uses_importance or not fmt.needs_importance


@ALL
def test_importance_counts_where_it_is_said_to(fmt):
    """A matrix changes what is stored, or nothing at all."""
    if fmt.needs_importance:
        with pytest.raises(ValueError, match=f"{fmt.name} needs an importance matrix"):
            fmt.quantize(WEIGHTS)
        plain = fmt.quantize(WEIGHTS, np.ones(512, np.float32))
    else:
        plain = fmt.quantize(WEIGHTS)
    assert same(fmt.quantize(WEIGHTS, importance=IMPORTANCE), plain) != fmt.uses_importance


@ALL
def test_importance_is_checked_even_where_it_does_not_count(fmt):
    for importance, problem in (
        (IMPORTANCE[:-1], "shape .511"),
        (np.tile(IMPORTANCE, (4, 1)), "shape .4, 512"),
        (-IMPORTANCE, "negative"),
        (IMPORTANCE * np.float32(np.nan), "not finite"),
    ):
        for work in (fmt.quantize, fmt.round_trip):
            with pytest.raises(ValueError, match=problem):
                work(WEIGHTS, importance=importance)


@ALL
def test_a_round_trip_is_quantizing_and_dequantizing(fmt):
    for importance in (IMPORTANCE,) if fmt.needs_importance else (None, IMPORTANCE):
        wanted = fmt.dequantize(fmt.quantize(WEIGHTS, importance))
        np.testing.assert_array_equal(fmt.round_trip(WEIGHTS, importance=importance), wanted)
        out = np.full_like(WEIGHTS, np.nan)
        assert fmt.round_trip(WEIGHTS, out, importance) is out
        np.testing.assert_array_equal(out, wanted)


@ALL
def test_rows_are_opened_by_the_length_of_their_blocks(fmt):
    packed, length = quantized(fmt), fmt.block_length(512)
    assert 512 % length == 0
    restored = fmt.dequantize(packed).reshape(4, -1, length)
    for row, block in ((0, 0), (3, 512 // length - 1)):
        np.testing.assert_array_equal(
            fmt.open_block(packed, row, block).restored, restored[row, block]
        )
    with pytest.raises(ValueError, match="No block"):
        fmt.open_block(packed, 0, 512 // length)


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("Q4_0", 32),
        ("Q4_K", 256),
        ("INT4_G64", 64),
        ("INT4_ROW", 768),
        ("INT8_TENSOR", 768),
        ("F16", 1),
        ("NVFP4_TENSOR", 16),
        ("FP8_E4M3_ROW", 768),
    ],
)
def test_the_length_of_blocks(name, length):
    assert get_format(name).block_length(768) == length


@ALL
def test_other_rows_count_only_where_it_is_said(fmt):
    """Rows of a whole-tensor format cannot be quantized apart."""
    matrix = IMPORTANCE if fmt.needs_importance else None
    louder = WEIGHTS.copy()
    louder[1:] *= 1000
    first = fmt.round_trip(louder, importance=matrix)[0]
    alone = fmt.round_trip(louder[:1], importance=matrix)[0]
    assert np.array_equal(first, alone) != fmt.whole_tensor
    assert fmt.whole_tensor or fmt.stored_bytes((4, 512)) == 4 * fmt.stored_bytes((1, 512))


@ALL
def test_scale_factors_cover_the_rows(fmt):
    factors = fmt.scale_factors(quantized(fmt))
    if factors.weights_per_scale:
        assert factors.scales.size * factors.weights_per_scale == WEIGHTS.size
    assert factors.scales.dtype == np.float32
