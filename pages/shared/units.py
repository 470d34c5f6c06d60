"""How numbers are worded. Text in, text out; two or three digits, a real minus."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Write two digits that people can read.

    >>> number(0.00931), number(2.6), number(3902.0), number(-0.5), number(2.4e-6)
    ('0.0093', '2.6', '3,902', '−0.50', '2.4 × 10⁻⁶')
    """
    if value == 0 or abs(value) >= 10:
        return real_minus(f"{value:,.0f}")
    if abs(value) >= 1e-3:
        return real_minus(f"{value:#.2g}")
    digits, power = f"{value:.1e}".split("e")
    return real_minus(digits) + " × 10" + str(int(power)).translate(_RAISED)


def exact(value: float, digits: int = 4) -> str:
    """Write a weight or a scale in so many significant digits.

    >>> exact(-0.0586632), exact(-0.0), exact(1234567.0)
    ('−0.05866', '0', '1.235 × 10⁶')
    """
    text = f"{value + 0.0:.{digits}g}"  # + 0.0 turns -0.0 into 0
    if "e" in text:
        digits_, power = text.split("e")
        text = digits_ + " × 10" + str(int(power)).translate(_RAISED)
    return real_minus(text)


def signed(value: float) -> str:
    """Write a change with its sign; nothing is called +0.00.

    >>> signed(1.234), signed(-25.0), signed(0.001)
    ('+1.23', '−25', '0.00')
    """
    text = f"{value:+,.0f}" if abs(value) >= 10 else f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else real_minus(text)


def percent(share: float) -> str:
    r"""Write a share of one in percent, in two digits or more.

    >>> percent(0.0767), percent(0.5), percent(1.0), percent(0.00012)
    ('7.7\u202f%', '50\u202f%', '100\u202f%', '0.012\u202f%')
    """
    value = 100 * share
    text = f"{value:.0f}" if value == 0 or abs(value) >= 10 else f"{value:.2g}"
    return real_minus(f"{value:.5f}".rstrip("0") if "e" in text else text) + "\u202f%"


def one_in(share: float) -> str:
    """Write a share as people say it: rare ones as 1 in n, common ones as n in 100.

    >>> one_in(0.0), one_in(1 / 934), one_in(0.48)
    ('none', '1 in 934', '48 in 100')
    """
    if not share:
        return "none"
    return f"1 in {1 / share:,.0f}" if share < 0.15 else f"{100 * share:.0f} in 100"


def times(ratio: float) -> str:
    """Write a ratio for "... times": one decimal below ten, none above.

    >>> times(7.12), times(18.7), times(3902.4)
    ('7.1', '19', '3,902')
    """
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"


def plural(count: float, word: str, more: str | None = None) -> str:
    """Write count and noun in agreement.

    >>> plural(1, "byte"), plural(1200, "byte"), plural(2, "matrix", "matrices")
    ('1 byte', '1,200 bytes', '2 matrices')
    """
    return f"{count:,.0f} {word if round(count) == 1 else more or word + 's'}"


def megabytes(n_bytes: float) -> str:
    """Write bytes in MB, which are 10⁶.

    >>> megabytes(12_854_272)
    '12.9 MB'
    """
    return f"{n_bytes / 1e6:,.1f} MB"


def gibibytes(n_bytes: float) -> str:
    """Write bytes in GiB, which are 2³⁰, three digits.

    >>> gibibytes(2**34), gibibytes(4.58 * 2**30)
    ('16.0 GiB', '4.58 GiB')
    """
    size = n_bytes / 2**30
    return f"{size:,.{2 if size < 10 else 1 if size < 100 else 0}f} GiB"


def binary(n_bytes: float) -> str:
    """Bytes in the binary unit that fits, three digits: KiB 2¹⁰, MiB 2²⁰, GiB 2³⁰, TiB 2⁴⁰.

    >>> binary(2**34), binary(131_072), binary(100), binary(1023.9 * 2**20)
    ('16.0 GiB', '128 KiB', '100 B', '1.00 GiB')
    """
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= 0.9995 * size:
            value = n_bytes / size
            return f"{value:,.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{n_bytes:.0f} B"


def millions(count: float) -> str:
    """Write counts of weights: thousands, millions, billions in three digits.

    >>> millions(65_536), millions(7_120_000), millions(8.03e9)
    ('65,536', '7.12 million', '8.03 billion')
    """
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if count >= unit:
            return f"{count / unit:.3g} {word}"
    return f"{count:,.0f}"


def spoken(tensor: str) -> str:
    """Name a tensor as a person would, beside its GGUF name in addresses and tables.

    >>> spoken("blk.3.ffn_down.weight"), spoken("token_embd.weight")
    ('layer 3 ffn_down', 'embedding')
    """
    stem = tensor.removesuffix(".weight")
    if stem.startswith("blk."):
        _, layer, role = stem.split(".", 2)
        return f"layer {layer} {role}"
    return {"token_embd": "embedding", "output": "output", "output_norm": "last norm"}.get(
        stem, stem
    )


def real_minus(text: str) -> str:
    """Typeset a hyphen before a number as a minus."""
    return text.replace("-", "−")


def together(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\u202f%")


def three(value: float) -> str:
    """Word a percentage in three digits, so that neighbours can be compared.

    >>> three(7.0512), three(31.04), three(0.0123)
    ('7.05', '31.0', '0.012')
    """
    return (
        f"{value:.2f}" if 0.1 <= value < 10 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"
    )
