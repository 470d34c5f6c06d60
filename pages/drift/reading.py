"""The end of the page Drift: one text read closely, and one prompt continued."""

from html import escape

import streamlit as st

from pages.drift import cache, prose, reading_words, texts
from pages.drift.texts import Text
from pages.shared import look, ranking, tables
from pages.shared.prose import ramp
from quantcore.evaluate.reading import pieces, rows_by_token, within_context
from quantcore.model.original import Original
from quantcore.model.source import Model

HOW_TO_READ = (
    "Background: divergence at each token, on one scale for all types. Underlined: the original "
    "was sure of a token and the other model chose another. Hover, focus or tap a token to read "
    "its figures; on the keyboard, Tab goes to those that diverge most, arrow keys to the next."
)


def one_text(model: Model, chosen: str, text: Text) -> None:
    """Read a passage, token by token."""
    st.space("medium")
    headline, style = st.container(), look.current()
    passage = within_context(model, texts.choose_passage(text))
    read = cache.reading(model.name, chosen, passage)
    shown = pieces(passage, read.start.tolist())
    with headline:
        look.finding(
            reading_words.unevenness(read, shown, chosen),
            HOW_TO_READ,
            help=ranking.TERMS["divergence"],
        )
    tokens = reading_words.tokens(read, shown, model.tokenizer.continuation)
    if before := passage[: read.start[0]]:  # the first token, where none opens the text
        tokens = [reading_words.not_predicted(before), *tokens]
    st.html(prose.coloured(tokens, style, chosen))
    full = f"{reading_words.FULL_NATS:g} nats and more"
    st.html(ramp("0", full, "at one token", style, prose.REACH))
    rows = rows_by_token(read, passage)
    tables.download(lambda: rows, list(rows[0]), "tokens")


def going_on(model: Model, chosen: str, original: Original) -> None:
    """Let both models continue a prompt."""
    st.space("medium")
    headline, style = st.container(), look.current()
    prompt = texts.choose_prompt(model)
    both = cache.continuations(model.name, chosen, prompt, texts.NEW_TOKENS)
    decode = model.tokenizer.continuation
    with headline:
        look.finding(*reading_words.parting(both, decode, chosen))
    ours, theirs = both.texts(decode)
    columns = (
        prose.Side(f"original, {original.stored_as}", *ours),
        prose.Side(tables.swatch(chosen, style) + escape(chosen), *theirs),
    )
    st.html(prose.side_by_side(columns, style))
