"""Which formats can store rows of a length, and which to take where one cannot."""

from collections.abc import Iterable, Sequence

from quantcore.format import Format
from quantcore.formats import FORMATS, get_format
from quantcore.formats.ggml_types import FALLBACK

# What is proposed: usual formats with short blocks, then integers that store any row.
USUAL = ("Q4_0", "Q5_0", "Q8_0", "INT4_ROW", "INT8_ROW")


def fits(fmt: Format, shape: tuple[int, ...]) -> bool:
    """Return whether a format can store a tensor of this shape."""
    try:
        fmt.check(shape)
    except ValueError:
        return False
    return True


def instead(shapes: Iterable[tuple[int, ...]], at_most: int = 3) -> list[str]:
    """Name usual formats that can store tensors of all these shapes.

    >>> instead([(4, 576)]), instead([(4, 576), (4, 24)])
    (['Q4_0', 'Q5_0', 'Q8_0'], ['INT4_ROW', 'INT8_ROW'])
    """
    every = list(shapes)
    able = [name for name in USUAL if all(fits(get_format(name), shape) for shape in every)]
    return able[:at_most]


def replacement(name: str, shape: tuple[int, ...]) -> str:
    """Name the format that takes the place of one which cannot store a tensor of this shape.

    Of ggml's formats llama-quantize's fallback, if that can; else the first usual one.

    >>> [replacement(name, (4, 576)) for name in ("Q4_K", "INT4_G128")]
    ['Q5_0', 'Q4_0']
    >>> replacement("Q4_K", (4, 24))
    'INT4_ROW'
    """
    fallback = FORMATS.get(FALLBACK.get(name, ""))
    return fallback.name if fallback and fits(fallback, shape) else instead([shape])[0]


def either(choices: Sequence[str]) -> str:
    """Join what can be chosen.

    >>> either(["Q4_0"]), either(["Q4_0", "Q8_0"]), either(["Q4_0", "Q5_0", "Q8_0"])
    ('Q4_0', 'Q4_0 or Q8_0', 'Q4_0, Q5_0 or Q8_0')
    """
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last
