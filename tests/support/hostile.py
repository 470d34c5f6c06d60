"""Text that would draw an image, a link, a formula and an emoji, and whether a page draws any."""

import re

WORDS = "![zq](zq.png) <img src=zq> $zq$ :tada: :red[zq] <a href=zq>"  # also a file's name
TEXT = f"{WORDS} http://zq.example/x www.zq.example"
# What Streamlit reads as Markdown; options of lists and typed values are drawn as they are.
_MARKDOWN = {"body", "label", "help", "text", "content", "caption"}
_ALIVE = re.compile(
    r"(?<!\\)\[zq|(?<!\\)<(?:img|a)\b|(?<!\\)\$zq|:tada:|(?<!\\):red|https?://zq|www\.zq", re.I
)
_CODE = re.compile(r"(?<![\\`])`[^`]+`(?!`)")  # in which nothing means anything
_TAG = re.compile(r"<(?:img|a)\b", re.I)


def alive(app):
    """Return the strings of a page in which the hostile text would be more than text."""
    found = []
    for element in (*app.main, *app.sidebar):
        kind = getattr(element, "type", "")
        if (proto := getattr(element, "proto", None)) is None:
            continue
        if kind in ("html", "plotly_chart"):
            shown = proto.body if kind == "html" else proto.spec
            found += [shown] if _TAG.search(shown) else []
        else:
            found += [text for text in _markdown(proto) if _ALIVE.search(_CODE.sub("", text))]
    return found


def _markdown(proto):
    """Yield the strings of a message that are Markdown, at any depth."""
    for field, value in proto.ListFields():
        values = value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]
        for each in values:
            if isinstance(each, str):
                if field.name in _MARKDOWN:
                    yield each
            elif hasattr(each, "ListFields"):
                yield from _markdown(each)
