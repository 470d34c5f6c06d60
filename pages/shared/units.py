"""How numbers are worded. Text in, text out; two or three digits, a real minus."""

from collections.abc import Sequence
from functools import lru_cache

WEIGHT_ERROR = (
    "The error of weights, here and on every page: root of the squared errors’ sum over the "
    "squared weights’ sum, of a matrix, or of all matrices together."
)
_NAMES = {"token_embd": "embedding", "output": "output", "output_norm": "last norm"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@lru_cache(maxsize=1 << 14)
def number(value: float) -> str:
    """Write two digits that people can read.

    >>> number(0.00931), number(2.6), number(3902.0), number(-0.5), number(2.4e-6), number(9.96)
    ('0.0093', '2.6', '3,902', '−0.50', '2.4 × 10⁻⁶', '10')
    """
    size = abs(_rounded(value, 2))
    if size >= 10 or not size:
        return real_minus(f"{value:,.0f}")
    return real_minus(f"{value:#.2g}") if size >= 1e-3 else _scientific(value, 2)


def three(value: float) -> str:
    """Word a percentage in three digits, so that neighbours can be compared; in two below one.

    >>> three(7.0512), three(31.04), three(0.0123), three(9.996), three(0.000004)
    ('7.05', '31.0', '0.012', '10.0', '4.0 × 10⁻⁶')
    """
    size = abs(_rounded(value, 3))
    if size >= 0.1:
        return real_minus(f"{value:.{2 if size < 10 else 1}f}")
    return real_minus(f"{value:.2g}") if size >= 1e-4 or not size else _scientific(value, 2)


def exact(value: float, digits: int = 4) -> str:
    """Write a weight or a scale in so many significant digits.

    >>> exact(-0.0586632), exact(-0.0), exact(1234567.0)
    ('−0.05866', '0', '1.235 × 10⁶')
    """
    text = f"{value + 0.0:.{digits}g}"  # + 0.0 turns -0.0 into 0
    return _raised(text) if "e" in text else real_minus(text)


def signed(value: float) -> str:
    """Write a change with its sign; nothing is called +0.00.

    >>> signed(1.234), signed(-25.0), signed(0.001), signed(9.999), signed(255235187890.0)
    ('+1.23', '−25', '0.00', '+10', '+2.6 × 10¹¹')
    """
    text = f"{value:+.2f}"
    if abs(float(text)) >= 1e7:
        return ("+" if value > 0 else "") + _scientific(value, 2)
    if abs(float(text)) >= 10:
        text = f"{value:+,.0f}"
    return "0.00" if text in ("+0.00", "-0.00") else real_minus(text)


def perplexity(value: float) -> str:
    """Write a perplexity to three decimals, that of a broken model in four digits.

    >>> perplexity(3.4816), perplexity(2472.477), perplexity(8886342318.278)
    ('3.482', '2472.477', '8.886 × 10⁹')
    """
    return f"{value:.3f}" if value < 1e4 else exact(value)


def percent(share: float) -> str:
    r"""Write a share of one in percent, in two digits or more.

    >>> percent(0.0767), percent(0.5), percent(1.0), percent(0.00012), percent(4e-8)
    ('7.7\u202f%', '50\u202f%', '100\u202f%', '0.012\u202f%', '4.0 × 10⁻⁶\u202f%')
    """
    value = 100 * share
    size = abs(_rounded(value, 2))
    if size >= 10 or not size:
        text = real_minus(f"{value:.0f}")
    else:
        text = real_minus(f"{value:.2g}") if size >= 1e-4 else _scientific(value, 2)
    return text + "\u202f%"


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

    >>> times(7.12), times(18.7), times(3902.4), times(9.96)
    ('7.1', '19', '3,902', '10')
    """
    text = f"{ratio:.1f}"
    return text if float(text) < 10 else f"{ratio:,.0f}"


def plural(count: float, word: str, more: str | None = None) -> str:
    """Write count and noun in agreement.

    >>> plural(1, "byte"), plural(1200, "byte"), plural(2, "matrix", "matrices")
    ('1 byte', '1,200 bytes', '2 matrices')
    """
    return f"{count:,.0f} {word if round(count) == 1 else more or word + 's'}"


def duration(seconds: float) -> str:
    """Write a time roughly, in words.

    >>> duration(1.2), duration(83), duration(400), duration(9000), duration(400_000)
    ('1 second', '80 seconds', '7 minutes', '2.5 hours', '111 hours')
    """
    if seconds < 20:
        return plural(max(1, round(seconds)), "second")
    if seconds < 100:
        return f"{round(seconds, -1):.0f} seconds"
    if seconds < 5400:
        return plural(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours" if seconds < 36_000 else f"{seconds / 3600:,.0f} hours"


def both_ends(names: Sequence[str], at_most: int = 36) -> dict[str, str]:
    """Shorten long names in the middle, so that a list shows what tells them apart.

    >>> list(both_ends(["fable-7m", "SmolLM2-135M-Instruct.Q4_1.gguf"], 20).values())
    ['fable-7m', 'SmolLM2-13…Q4_1.gguf']
    """
    if all(len(name) <= at_most for name in names):
        return {name: name for name in names}
    first = at_most // 2
    last = at_most - 1 - first
    labels = {
        name: name if len(name) <= at_most else f"{name[:first]}…{name[-last:]}" for name in names
    }
    # Names that differ in the middle only take more room.
    return labels if len(set(labels.values())) == len(labels) else both_ends(names, at_most + 6)


def are(count: int) -> str:
    """Return the verb that agrees with a count.

    >>> are(0), are(1), are(2)
    ('are', 'is', 'are')
    """
    return "is" if count == 1 else "are"


def an(name: str) -> str:
    """Put the article before a name that is read letter by letter.

    >>> an("IQ1_S"), an("Q4_K_M"), an("F16"), an("MXFP4"), an("BF16")
    ('an IQ1_S', 'a Q4_K_M', 'an F16', 'an MXFP4', 'a BF16')
    """
    return f"{'an' if name[:1] in 'AEFHILMNORSX' else 'a'} {name}"


def decimal(n_bytes: float) -> str:
    """Write bytes of weights and files, as file managers do: kB 10³, MB 10⁶, GB 10⁹.

    >>> decimal(12_854_272), decimal(31_160), decimal(4_920_734_272), decimal(99)
    ('12.9 MB', '31.2 kB', '4.92 GB', '99 B')
    """
    if n_bytes >= 999.95e6:
        return f"{n_bytes / 1e9:,.2f} GB"
    if n_bytes >= 999.95e3:
        return f"{n_bytes / 1e6:.1f} MB"
    return f"{n_bytes / 1e3:.1f} kB" if n_bytes >= 1e3 else f"{n_bytes:.0f} B"


def binary(n_bytes: float) -> str:
    """Bytes of memory in the unit that fits, three digits: KiB 2¹⁰, MiB 2²⁰, GiB 2³⁰, TiB 2⁴⁰.

    For files see `decimal`.

    >>> binary(2**34), binary(131_072), binary(100), binary(1023.9 * 2**20)
    ('16.0 GiB', '128 KiB', '100 B', '1.00 GiB')
    """
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= 0.9995 * size:
            value = n_bytes / size
            rounded = _rounded(value, 3)
            return f"{value:,.{2 if rounded < 10 else 1 if rounded < 100 else 0}f} {unit}"
    return f"{n_bytes:.0f} B"


def millions(count: float) -> str:
    """Write counts of weights: thousands, millions, billions in three digits.

    >>> millions(65_536), millions(7_120_000), millions(8.03e9), millions(999_900_000)
    ('65,536', '7.12 million', '8.03 billion', '1 billion')
    """
    rounded = _rounded(count, 3)
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if rounded >= unit:
            size = rounded / unit
            return f"{size:.3g} {word}" if size < 1000 else f"{count / unit:,.0f} {word}"
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
    return _NAMES.get(stem, stem)


def the(tensor: str) -> str:
    """Name a tensor within a sentence.

    >>> the("blk.3.ffn_down.weight"), the("token_embd.weight"), the("rope_freqs.weight")
    ('layer 3 ffn_down', 'the embedding', 'rope_freqs')
    """
    name = spoken(tensor)
    if name == "output":
        return "the output matrix"
    return f"the {name}" if name in _NAMES.values() else name


def opening(text: str) -> str:
    """Begin a sentence. Names of files and tensors keep their case.

    >>> opening("layer 3 ffn_down"), opening("the embedding"), opening("attn_q costs most")
    ('Layer 3 ffn_down', 'The embedding', 'attn_q costs most')
    """
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def real_minus(text: str) -> str:
    """Typeset a hyphen before a number as a minus."""
    return text.replace("-", "−")


def together(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\u202f%")


def _rounded(value: float, digits: int) -> float:
    """Round to significant digits: what is to be written decides how, as 9.96 is to be 10."""
    return float(f"{value:.{digits - 1}e}")


def _scientific(value: float, digits: int) -> str:
    """Write significant digits times a power of ten."""
    return _raised(f"{value:.{digits - 1}e}")


def _raised(text: str) -> str:
    """Typeset Python's ``2.4e-06`` as 2.4 × 10⁻⁶."""
    digits, _, power = text.partition("e")
    if not power:  # nan
        return digits
    return real_minus(digits) + " × 10" + str(int(power)).translate(_RAISED)
