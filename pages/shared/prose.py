"""HTML between the charts that pages share: the scale of a colour."""

from pages.shared.palette import SANS, Look, harm_colour, signed_colour


def ramp(low: str, high: str, title: str, look: Look, reach: float = 1.0) -> str:
    """Draw the colour scale of harm, up to a share `reach` of it, with words at both ends."""
    return _bar([harm_colour(reach * i / 8, look) for i in range(9)], low, high, title, look)


def signed_ramp(gain: str, loss: str, title: str, look: Look) -> str:
    """Draw the colour scale with two sides; `gain` and `loss` are the words at its ends."""
    return _bar([signed_colour(i / 4, look) for i in range(-4, 5)], gain, loss, title, look)


def _bar(tones: list[str], low: str, high: str, title: str, look: Look) -> str:
    steps = ",".join(tones)
    return (
        f'<div style="font: 400 .85rem/1.4 {SANS}; color: {look.quiet}; display: flex; '
        'gap: .6rem; align-items: center; flex-wrap: wrap">'
        f'<span>{low}</span><span style="width: 9rem; height: .7rem; border-radius: 2px; '
        f'background: linear-gradient(90deg,{steps})"></span><span>{high}</span>'
        f"<span>{title}</span></div>"
    )
