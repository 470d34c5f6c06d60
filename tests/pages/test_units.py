"""Numbers in sentences: none ends in a dot, and read back they are what they were."""

import math
import re

import pytest

from pages.shared import units

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
EDGES = (1.0, 1.2345, 2.5, 4.0, 9.94, 9.95, 9.96, 9.994, 9.995, 9.996, 9.9996, 9.99999999)
SIZES = [0.0, *(edge * 10.0**power for power in range(-14, 14) for edge in EDGES)]
BOTH_SIGNS = [*SIZES, *(-size for size in SIZES)]


def _read(text):
    """Read the number that a text begins with."""
    number = re.match(r"[+−]?[\d,]*\.?\d*( × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?", text)[0]
    digits, _, power = number.replace("−", "-").replace(",", "").partition(" × 10")
    return float(digits) * 10.0 ** int(power.translate(RAISED) or 0)


def _half_of(digits, value):
    """Half of one in the last of so many significant digits."""
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits) if value else 0.0


# What each writes, of which values, and how far from the value it may lie.
WRITERS = {
    "number": (units.number, BOTH_SIGNS, lambda v: _half_of(2, v)),
    "three": (units.three, BOTH_SIGNS, lambda v: _half_of(3 if abs(v) >= 1 else 2, v)),
    "exact": (units.exact, BOTH_SIGNS, lambda v: _half_of(4, v)),
    "exact, 2 digits": (lambda v: units.exact(v, 2), BOTH_SIGNS, lambda v: _half_of(2, v)),
    "signed": (units.signed, BOTH_SIGNS, lambda v: max(0.005, _half_of(2, v))),
    "percent": (lambda v: units.percent(v / 100), BOTH_SIGNS, lambda v: _half_of(2, v)),
    "times": (units.times, SIZES, lambda v: max(0.05, _half_of(2, v))),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_number_reads_back_within_the_digits_promised(writer):
    write, values, error = WRITERS[writer]
    for value in values:
        text = write(value)
        slack = 1e-9 * abs(value)  # of the last bits of both
        assert abs(_read(text) - value) <= error(value) + slack, f"{value!r} is written {text!r}"


@pytest.mark.parametrize("writer", [*WRITERS, "decimal", "binary", "millions", "one_in", "plural"])
def test_no_number_ends_in_a_dot_or_in_the_spelling_of_python(writer):
    others = {
        "decimal": (units.decimal, SIZES),
        "binary": (units.binary, SIZES),
        "millions": (units.millions, SIZES),
        "one_in": (units.one_in, [size for size in SIZES if 0 <= size <= 1]),
        "plural": (lambda v: units.plural(v, "byte"), SIZES),
    }
    write, values = (WRITERS | others)[writer][:2]
    for value in values:
        text = write(value)
        number = r"[+−]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?( × 10⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"
        worded = rf"({number}|none|1 in {number}|{number} in 100)(\W?%| [A-Za-z]+)?"
        assert re.fullmatch(worded, text), f"{value!r} is written {text!r}"


@pytest.mark.parametrize("unit, size", [("million", 1e6), ("billion", 1e9)])
def test_large_counts_keep_three_digits(unit, size):
    for value in (1.0, 1.234, 9.996, 45.67, 99.96, 123.4, 999.4):
        text = units.millions(value * size)
        assert text.endswith(unit)
        assert _read(text) == pytest.approx(value, rel=5.1e-3)
    assert units.millions(1.2345e12) == "1,234 billion" and units.millions(65_536) == "65,536"


@pytest.mark.parametrize("unit, power", [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)])
def test_binary_units_keep_three_digits(unit, power):
    for value in (1.0, 9.994, 9.996, 99.94, 99.96, 512.0, 1023.0):
        text = units.binary(value * 2**power)
        assert text.endswith(unit)
        assert abs(_read(text) - value) <= _half_of(3, value) + 1e-9


@pytest.mark.parametrize("unit, power", [("kB", 3), ("MB", 6), ("GB", 9)])
def test_decimal_units_keep_one_digit_behind_the_point_or_two(unit, power):
    for value in (1.0, 9.94, 9.96, 99.94, 512.0, 999.9):
        text = units.decimal(value * 10**power)
        assert text.endswith(unit)
        assert abs(_read(text) - value) <= 0.05 + 1e-9


def test_where_rounding_reaches_the_next_power_of_ten():
    assert units.number(9.96) == "10" and units.number(-9.96) == "−10"
    assert units.number(0.000999) == "0.0010"
    assert units.percent(0.0996) == "10\u202f%"
    assert units.percent(4e-8) == "4.0 × 10⁻⁶\u202f%"
    assert units.three(9.996) == "10.0" and units.three(4e-6) == "4.0 × 10⁻⁶"
    assert units.signed(9.996) == "+10" and units.times(9.96) == "10"
    assert units.binary(9.996 * 2**30) == "10.0 GiB"
    assert units.millions(999_900_000) == "1 billion"


@pytest.mark.parametrize("writer", ["number", "three", "exact", "signed", "percent", "times"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_called_so(writer, value):
    assert WRITERS[writer][0](value).lstrip("+").startswith(str(value))
