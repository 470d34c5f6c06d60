"""Outlier channels in a model's name: how a model is called that is made of another, in no folder.

    fable-7m+inner=16x0.015625~0.25+seed=3

is fable-7m where 16 channels of the feed-forward part are 1/64 of what they were, and the others
spread by 0.25. Places whose channels stay as they are go unnamed, and so does the seed 0.
"""

import re
from typing import Any

from quantcore.io import ModelError
from quantcore.model.outliers.settings import Channels, OutlierSettings

PLACES = ("norms", "values", "inner", "keys")
_SEED = "seed"
_NUMBER = r"\d{1,9}(?:\.\d{1,20})?(?:e[-+]?\d{1,2})?"
_PART = re.compile(
    rf"({'|'.join(PLACES)})=(\d{{1,6}})x({_NUMBER})~({_NUMBER})|{_SEED}=(\d{{1,10}})"
)
_NAME = re.compile(rf"(.+?)((?:\+(?:{'|'.join(PLACES)}|{_SEED})=[^+]*)+)", re.DOTALL)


def spelled(settings: OutlierSettings) -> str:
    """Write settings as what a name ends in.

    Raises
    ------
    ValueError
        If they change nothing, or rotate the states, which takes a direction that no name can hold.

    Examples
    --------
    >>> spelled(OutlierSettings(norms=Channels(n=2, size=8.0, spread=0.2), seed=3))
    '+norms=2x8~0.2+seed=3'
    """
    if settings.rotated:
        raise ValueError("Rotated states need their direction: write the model into a folder.")
    parts = [
        f"+{place}={each.n}x{_number(each.size)}~{_number(each.spread)}"
        for place in PLACES
        if (each := getattr(settings, place)) != Channels()
    ]
    if not parts:
        raise ValueError("These settings change nothing.")
    return "".join(parts) + (f"+{_SEED}={settings.seed}" if settings.seed else "")


def split_name(name: str) -> tuple[str, OutlierSettings] | None:
    """Take a name apart into that of the base and its outlier channels; None where it names none.

    Raises
    ------
    ModelError
        If it names settings that cannot be read; one sentence.

    Examples
    --------
    >>> base, settings = split_name("fable-7m+norms=2x8~0.2+seed=3")
    >>> base, settings.norms.size, settings.seed
    ('fable-7m', 8.0, 3)
    >>> split_name("fable-7m")
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    raw: dict[str, Any] = {}
    for part in found[2].split("+")[1:]:
        said = _PART.fullmatch(part)
        if said is None:
            raise ModelError(
                f"{part[:60]!r} says nothing of outlier channels: write norms=2x8~0.2 (how many, "
                f"how large, the spread of the others; also {', '.join(PLACES[1:])}) or seed=3."
            )
        place, n, size, spread, seed = said.groups()
        if place:
            raw[place] = {"n": int(n), "size": float(size), "spread": float(spread)}
        else:
            raw[_SEED] = int(seed)
    if not raw.keys() - {_SEED}:
        raise ModelError(f"{name[:200]} names a seed but no outlier channels: see norms=2x8~0.2.")
    return found[1], OutlierSettings.read(raw, name[:200])


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")
