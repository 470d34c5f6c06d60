"""Colours and markers of data. The only module that knows a hex value.

Colour says how many bits a code has, the marker says which family of formats: neither is ever the
only cue. No Streamlit here, so charts can be drawn and tested without it.
"""

from dataclasses import dataclass
from functools import lru_cache

from quantcore.recipe.types import get_type

# Single quotes: these land inside style="..." too.
SANS = "'Source Sans', 'Source Sans 3', 'Segoe UI', system-ui, sans-serif"
MONO = "'Source Code Pro', ui-monospace, Menlo, Consolas, monospace"


@dataclass(frozen=True)
class Look:
    """What one theme looks like; `LIGHT` and `DARK` are the two there are."""

    ink: str  # text and axes that matter
    quiet: str  # secondary text, still 4.5:1 on the page
    line: str  # hairlines
    page: str
    panel: str
    bits: dict[int, str]  # few bits warm and loud, many bits cool and calm
    methods: tuple[str, ...]  # GPTQ, AWQ, HQQ, SmoothQuant: hues outside the family
    harm: tuple[str, ...]  # sequential scale for error, page colour to full
    gain: tuple[str, ...]  # the same for what gets better, where both can be
    fields: dict[str, str]  # by kind of field: the parts of a block's bytes


LIGHT = Look(
    ink="#24242a",
    quiet="#66645e",
    line="#dedbd2",
    page="#fcfbf8",
    panel="#f3f1ea",
    bits={
        1: "#706a2d",
        2: "#e86d0d",
        3: "#bc6447",
        4: "#c43675",
        5: "#803d86",
        6: "#501d9e",
        8: "#07355e",
        16: "#66645e",
    },
    methods=("#046c69", "#599a61", "#0781bb", "#515400"),
    harm=("#f3f1ea", "#f6dcb8", "#f2b877", "#e5873f", "#c2521f", "#7d2b12"),
    gain=("#f3f1ea", "#cfe3e6", "#97c7d0", "#4f9fb3", "#1f6f8c", "#0a4460"),
    fields={"scale": "#0781bb", "minimum": "#046c69", "extra": "#8a6a00", "codes": "#c43675"},
)
DARK = Look(
    ink="#e9e7e2",
    quiet="#a3a09a",
    line="#3a3a42",
    page="#16161a",
    panel="#222228",
    bits={
        1: "#fff0b8",
        2: "#ffcf94",
        3: "#fcaa92",
        4: "#ff8bb3",
        5: "#d380f3",
        6: "#8e73f7",
        8: "#397cc7",
        16: "#a3a09a",
    },
    methods=("#0ad3d6", "#8fc46a", "#1caecf", "#b49e55"),
    harm=("#222228", "#4a2f1e", "#834620", "#c2661f", "#f0984a", "#ffd9a0"),
    gain=("#222228", "#1d3a44", "#1f5b6c", "#2f879b", "#63b8ca", "#c4eef5"),
    fields={"scale": "#4db6e6", "minimum": "#3fc9b5", "extra": "#d9b64a", "codes": "#ff8bb3"},
)

MARKERS = {
    "plain": "circle",
    "offset": "diamond",
    "K": "square",
    "uneven": "triangle-up",
    "ternary": "x",
    "int": "triangle-down",
    "float": "star",
}
FAMILY_WORDS = {
    "plain": "scale only",
    "offset": "scale and minimum",
    "K": "super-blocks",
    "uneven": "uneven grid",
    "ternary": "three values",
    "int": "integers, one scale per tensor, row or group",
    "float": "floating point",
}
SIGNS = {
    "plain": "●",
    "offset": "◆",
    "K": "■",
    "uneven": "▲",
    "ternary": "✕",
    "int": "▼",
    "float": "★",
}


def bits_colour(bits: float, look: Look) -> str:
    """Pick the colour of a code of so many bits: 7 takes that of 8, more take the original's."""
    return next((tone for known, tone in sorted(look.bits.items()) if known >= bits), look.quiet)


def colour(type_name: str, look: Look) -> str:
    """Pick the colour of a format, or of most of a mix: it follows the bits of one code."""
    return bits_colour(get_type(type_name, pure=True).format.code_bits, look)


def family(type_name: str) -> str:
    """Name the family of a format, or of most of a mix."""
    return get_type(type_name, pure=True).format.family


def marker(type_name: str) -> str:
    """Name the plotly symbol of a format, or of most of a mix: it follows the family."""
    return MARKERS[family(type_name)]


def blend(colour_hex: str, page_hex: str, share: float) -> str:
    """Lay `share` of a colour over another.

    >>> blend("#ffffff", "#000000", 0.5)
    '#808080'
    """
    pairs = zip(_channels(colour_hex), _channels(page_hex), strict=True)
    return "#" + "".join(
        f"{round(share * above + (1 - share) * below):02x}" for above, below in pairs
    )


def harm_colour(share: float, look: Look) -> str:
    """Place an error on the sequential scale; `share` from 0 (none) to 1 (worst)."""
    return _on(look.harm, share)


def signed_colour(share: float, look: Look) -> str:
    """Place a change on the scale with two sides, from -1 (gains most) over 0 to 1 (costs most)."""
    return _on(look.harm if share > 0 else look.gain, abs(share))


def signed_scale(look: Look) -> list[list]:
    """Show the scale with two sides as a plotly colour scale, -1 at its beginning."""
    tones = [*look.gain[:0:-1], *look.harm]
    return [[i / (len(tones) - 1), tone] for i, tone in enumerate(tones)]


def _on(tones: tuple[str, ...], share: float) -> str:
    """Blend the two tones that a share lies between."""
    place = min(max(share, 0.0), 1.0) * (len(tones) - 1)
    step = min(int(place), len(tones) - 2)
    return blend(tones[step + 1], tones[step], place - step)


def harm_scale(look: Look) -> list[list]:
    """Show the same scale as a plotly colour scale."""
    return [[i / (len(look.harm) - 1), tone] for i, tone in enumerate(look.harm)]


def contrast(a: str, b: str) -> float:
    """Return the WCAG contrast ratio: 4.5 for text, 3 for marks.

    >>> contrast("#000000", "#ffffff")
    21.0
    """
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=4096)
def ink_on(fill: str) -> str:
    """Choose black or white, whichever reads better on a fill."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, fill))


def _channels(colour_hex: str) -> tuple[int, ...]:
    return tuple(int(colour_hex[i : i + 2], 16) for i in (1, 3, 5))


def _luminance(colour_hex: str) -> float:
    shares = [channel / 255 for channel in _channels(colour_hex)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
