r"""Text from outside, drawn as text: names of models, tensors and files, tokens, keys, addresses.

What pages write is Markdown, of which they use bold, italics and code; charts use a few tags. All
else that a browser would make of a text (images, links, colours, formulas, emoji, headings, HTML)
can only come from outside. So it is disarmed where text is drawn, whoever wrote the sentence
around it: `look`, `frame.sentence` and the door to plotly call this, and what calls it twice
changes nothing.
"""

import re

_GAP = "\u200b"  # without width: an address or a name of an emoji is none with it inside
_MARKDOWN = re.compile(
    r"""(?P<kept>\\[!-/:-@\[-`{-~]            # disarmed already
    | (?<!`)`(?!`)[^`]+(?<!`)`(?!`))          # code, in which nothing means anything
    | (?P<sign>[\[\]<$~`&\\])
    | (?P<emoji>:(?=[+-]1:|[\w+/-]*[a-z][\w+/-]*:))  # :tada:, :material/bolt:
    | (?P<directive>:(?=[A-Za-z]))            # :red[
    | (?P<address>(?:https?|ftp|mailto)(?=:)|www(?=\.)|(?<=\S)@(?=[\w-]))
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BREAK = re.compile(r"[ \t]*[\r\n\f\v\u2028\u2029]+[ \t]*")
# What makes of a line a heading, a list, a quote, a table or a rule; of a number the mark after it.
_OPENING = re.compile(r"(\d{1,9}(?=[.)](?:\s|$)))?(?=[#>+=|-]|[*_](?:\s|[*_\s]*$)|(?<=\d)[.)])")
_NO_TAG = re.compile(r"<(?!/?(?:b|i|br|sub|sup|span|extra)\b[^<>]*>)", re.IGNORECASE)


def as_text(text: str) -> str:
    r"""Disarm a sentence in Markdown; its bold, italics and code stay.

    >>> as_text("**![x](http://a.b)** costs `$5`, :red[$x$]")
    '**!\\[x\\](http\u200b://a.b)** costs `$5`, \\:red\\[\\$x\\$\\]'
    """
    text = _MARKDOWN.sub(_disarmed, _BREAK.sub(" ", text).strip(" \t"))
    opening = _OPENING.match(text)
    return f"{text[: opening.end()]}\\{text[opening.end() :]}" if opening else text


def _disarmed(found: re.Match[str]) -> str:
    if found["kept"]:
        return found[0]
    return found[0] + _GAP if found["emoji"] or found["address"] else "\\" + found[0]


def in_chart(text: str) -> str:
    """Disarm words of a chart: of HTML they keep what changes letters and lines.

    >>> in_chart("<b>blk.0</b><br><a href='http://x'>y</a>")
    "<b>blk.0</b><br>&lt;a href='http://x'>y&lt;/a>"
    """
    return _NO_TAG.sub("&lt;", text) if "<" in text else text
