"""Sentences and tooltips about one text read closely. Measurements in, text out."""

from collections.abc import Callable, Sequence

import numpy as np

from pages.drift.prose import Token
from pages.shared.units import number, percent, plural
from quantcore.evaluate.drift import TokenDrift
from quantcore.evaluate.reading import Continuations

FULL_NATS = 0.5  # divergence of the strongest colour
Decode = Callable[[Sequence[int]], str]


def unevenness(read: TokenDrift, pieces: Sequence[str], name: str) -> str:
    """Say how much of the drift a tenth of the tokens causes, and which token drifts most."""
    if read.kl.mean() < 1e-6:
        return f"In **{name}**, predictions for this text stay the same to a millionth of a nat."
    return (
        f"In **{name}**, a tenth of the tokens causes **{percent(read.heaviest_share(0.1))}** of "
        f"the drift; the token that diverges most is “{_shown(pieces[int(read.kl.argmax())])}”."
    )


def parting(both: Continuations, decode: Decode, name: str) -> tuple[str, str]:
    """Say where the two continuations part, and how sure either model was."""
    split = both.parting
    if split is None:
        count = plural(len(both.original), "token")
        return f"Given the same prompt, **{name}** writes the same {count} as the original.", ""
    ours, theirs = (_shown(decode([token])) for token in (split.original, split.quantized))
    same = f"writes the same {plural(split.at, 'token')} and then" if split.at else "at once writes"
    p, q = split.by_original
    near = "a near tie" if split.near_tie else "no tie"
    after, before = split.by_quantized[::-1]
    return (
        f"Given the same prompt, **{name}** {same} “{theirs}” where the original writes “{ours}”.",
        f"The original gave “{ours}” {percent(p)} and “{theirs}” {percent(q)}: {near}. {name} gave "
        f"them {percent(before)} and {percent(after)}. Each always takes its most likely token.",
    )


def chances(read: TokenDrift, i: int, pieces: Sequence[str], decode: Decode) -> str:
    """Tell about one token, for its tooltip."""
    before, after = float(read.base_probability[i]), float(read.probability[i])
    first, now = decode([int(read.base_top_token[i])]), decode([int(read.top_token[i])])
    same = read.base_top_token[i] == read.top_token[i]
    change = "unchanged" if same else f"→ “{_shown(now)}”"
    return (
        f"divergence {number(float(read.kl[i]))} nats\n"
        f"chance of “{_shown(pieces[i])}”: {percent(before)} → {percent(after)}\n"
        f"first choice: “{_shown(first)}” {change}"
    )


def tokens(read: TokenDrift, pieces: Sequence[str], decode: Decode) -> list[Token]:
    """Colour each token by its divergence, on one scale for all types and models."""
    shares, flipped = np.sqrt(np.minimum(read.kl / FULL_NATS, 1.0)), read.sure_and_changed
    return [
        Token(piece, float(shares[i]), chances(read, i, pieces, decode), bool(flipped[i]))
        for i, piece in enumerate(pieces)
    ]


def not_predicted(piece: str) -> Token:
    """Show the first token of a text that nothing opens: no model has predicted it."""
    return Token(piece, 0.0, "the first token: there is nothing before it to predict it from")


def _shown(piece: str) -> str:
    """Show a token's text in a sentence, and a line break by its sign."""
    return piece.strip() or "¶"
