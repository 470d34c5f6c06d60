"""Reads numbers back from sentences as pages typeset them."""

import re

_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_NUMBER = r"−?\d[\d,]*(?:\.\d+)?(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"


def value(text: str) -> float:
    """Read one number: "−1,234", "2.4 × 10⁻⁶"."""
    plain, _, power = text.replace(",", "").replace("−", "-").partition(" × 10")
    return float(plain) * 10.0 ** int(power.translate(_RAISED) or 0)


def numbers(text: str) -> list[float]:
    """Read all numbers of a sentence, in their order."""
    return [value(found) for found in re.findall(_NUMBER, text)]


def match(pattern: str, sentence: str) -> list[float]:
    """Read the numbers that stand where a pattern has "#"; fail where the sentence is another."""
    expression = re.escape(pattern).replace(r"\#", f"({_NUMBER})")
    found = re.search(expression, sentence.replace("\u202f", " ").replace("*", ""))
    assert found, f"{sentence!r} is not {pattern!r}"
    return [value(group) for group in found.groups()]


# What sentences become that count without looking at how many there are, or fill an empty place.
_SLIPS = (
    r"(?<![\w.,])1 (?!(?:is|as|was|has|this|less|its)\b)[a-z]+s\b(?! of)",  # 1 pieces
    r"(?<![\w.,])1 [a-z]+ (?:are|were|have|differ|fit|come)\b",  # 1 piece are
    r"(?<!of )(?<!with )(?<![\w.,])(?:[02-9]|\d\d+) [a-z]+s (?:is|was|has|fits|comes|takes)\b",
    r"\b[Tt]he 1\b|\b[Aa]ll 1\b|\b1 of 1\b",
    r"\b(?:in (?:of|in|as)|of of|the (?:the|a)|a (?:a|the))\b",  # in of a nat
    r" {2,}| [.,;:](?!\.)|,,|\.\.",
    r"\b(?:nan|None|inf)\b",
    r"\ban? (?=IQ|INT|F16|F32|FP8|NF4|NVFP4|MXFP4)(?<!an )",  # a IQ1_S
    r"\ba (?=8-bit|8 |11 |18 )",
)


def slips(sentence: str) -> list[str]:
    """Find what no one would say, in a sentence as a page shows it.

    >>> slips("Cancelled. 1 piece are kept."), slips("The number, in of a nat"), slips("Well.")
    (['1 piece are'], ['in of'], [])
    """
    plain = re.sub(r"[*`\[\]]|:small|:gray", "", sentence)
    return [found for slip in _SLIPS for found in re.findall(slip, plain)]
