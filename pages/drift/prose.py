"""Text that shows numbers: tokens coloured by damage, two continuations side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pages.shared.palette import SANS, Look, contrast, harm_colour, ink_on

REACH = 0.62  # how far up the scale of harm the strongest colour lies: text stays readable on it
_PALE = 0.1  # a smaller share of the damage scale is not coloured
_STOPS = 10  # only the heaviest tokens are stops of the Tab key; arrows lead to every other


@dataclass(frozen=True)
class Token:
    """A piece of running text and what happened to it."""

    text: str  # spaces and line breaks included
    share: float  # damage, 0 to 1
    says: str  # its tooltip, lines separated by newlines
    flipped: bool = False  # underlined: the original was sure, and the other model disagrees


def coloured(tokens: Sequence[Token], look: Look, label: str) -> str:
    """Colour running text by damage; a tooltip opens on hover, focus and tap."""
    ranked = sorted((token.share for token in tokens), reverse=True)
    heavy = max(ranked[min(_STOPS - 1, len(ranked) - 1)], _PALE) if ranked else 1.0
    body = "".join(_span(token, heavy, look) for token in tokens)
    style = f"""<style>
.lab-text {{font: 400 1.06rem/2.05 {SANS}; max-width: 62rem; color: {look.ink};
 overflow-wrap: anywhere}}
.lab-text .w {{padding: .16em 0; border-radius: .2em; position: relative; white-space: pre-wrap;
 box-decoration-break: clone; -webkit-box-decoration-break: clone}}
.lab-text .s {{text-decoration: underline; text-decoration-thickness: 2px;
 text-underline-offset: .28em}}
{_tooltip(look)}
</style>"""
    name = escape(label)
    return f'{style}<p class="lab-text" role="group" aria-label="{name}" data-rove>{body}</p>'


def _tooltip(look: Look) -> str:
    """CSS that opens the text in ``data-t`` below a word."""
    return f""".lab-text .w:hover::after, .lab-text .w:focus::after {{content: attr(data-t);
 position: absolute; left: 0; top: 2em; z-index: 5; white-space: pre-line; width: max-content;
 max-width: 17rem; font: 400 .82rem/1.45 {SANS}; color: {look.ink}; background: {look.panel};
 border: 1px solid {look.line}; border-radius: .35em; padding: .4em .6em; pointer-events: none;
 text-decoration: none; text-align: left}}"""


def _span(token: Token, heavy: float, look: Look) -> str:
    word = token.text.lstrip(" \n")
    space = escape(token.text[: len(token.text) - len(word)]).replace("\n", "<br>")
    if not word:
        space, word = "", "¶" if "\n" in token.text else token.text
    shown = token.share > _PALE
    back = harm_colour(REACH * token.share, look) if shown else "transparent"
    tone = look.ink if not shown or contrast(look.ink, back) >= 4.5 else ink_on(back)
    stop = 0 if token.flipped or token.share >= heavy else -1
    after = "<br>" if "\n" in token.text and not token.text.strip() else ""
    return (
        f'{space}<span class="{"w s" if token.flipped else "w"}" tabindex="{stop}" '
        f'style="background:{back};color:{tone}" data-t="{escape(token.says)}">'
        f"{escape(word)}</span>{after}"
    )


@dataclass(frozen=True)
class Side:
    """One of two continuations."""

    title: str  # HTML
    same: str
    differs: str  # the first token that the other one does not have; empty where there is none
    after: str


def side_by_side(sides: tuple[Side, Side], look: Look) -> str:
    """Two continuations; what they share is quiet, the first difference is boxed."""
    columns = "".join(_column(side) for side in sides)
    return f"""<style>
.lab-two {{display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
 gap: .4rem 2.5rem; font: 400 1.06rem/1.75 {SANS}; color: {look.ink}}}
.lab-two h3 {{font: 600 .95rem/1.4 {SANS}; margin: 0; padding: 0 0 .2rem; color: {look.ink};
 border-bottom: 1px solid {look.line}}}
.lab-two p {{margin: .5rem 0 0; white-space: pre-line; overflow-wrap: anywhere}}
.lab-two .same {{color: {look.quiet}}}
.lab-two mark {{background: {harm_colour(0.45, look)}; color: {look.ink}; padding: .1em .3em;
 border-radius: .2em; font-weight: 600; outline: 1.5px solid {look.ink}}}
</style><div class="lab-two">{columns}</div>"""


def _column(side: Side) -> str:
    body = f'<span class="same">{escape(side.same)}</span>'
    if side.differs:
        lead = side.differs[: len(side.differs) - len(side.differs.lstrip())]
        word = side.differs.strip() or "¶"
        body += f"{escape(lead)}<mark>{escape(word)}</mark>{escape(side.after)}"
    return f"<div><h3>{side.title}</h3><p>{body}</p></div>"
