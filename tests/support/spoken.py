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
