"""Sentences and tooltips about one text read closely. Measurements in, text out."""

from collections.abc import Sequence

import numpy as np

from pages.shared.prose import Token
from pages.shared.units import number, percent, plural
from quantcore.evaluate.drift import TokenDrift
from quantcore.evaluate.drift_result import SURE
from quantcore.evaluate.reading import Continuations

FULL_NATS = 0.5  # divergence of the strongest colour
TIE = 1.5  # the first choice leads by less than this: a touch flips it


def unevenness(read: TokenDrift, words: Sequence[str], name: str) -> str:
    """Say how much of the drift a tenth of the tokens carries, and which token is heaviest."""
    total = float(read.kl.sum())
    if total < 1e-6 * len(read.kl):
        return f"In **{name}** no token of this text moves."
    tenth = max(1, len(read.kl) // 10)
    share = float(np.sort(read.kl)[::-1][:tenth].sum()) / total
    heaviest = words[int(read.kl.argmax())].strip() or "¶"
    return (
        f"In **{name}** a tenth of the tokens carries **{percent(share)}** of the drift; "
        f"the heaviest is “{heaviest}”."
    )


def parting(found: Continuations, decode, name: str) -> tuple[str, str]:
    """Say where the two continuations part, and how sure either model was."""
    split = found.parting
    if split is None:
        count = plural(len(found.original), "token")
        return f"Asked to go on, **{name}** writes the same {count} as the original.", ""
    ours, theirs = (decode([token]).strip() or "¶" for token in (split.original, split.quantized))
    same = f"the same {plural(split.at, 'token')}, then" if split.at else "at once"
    p, q = split.by_original
    near = "a near tie" if p < TIE * q else "no tie"
    after, before = split.by_quantized[::-1]
    return (
        f"Asked to go on, **{name}** writes {same} “{theirs}” where the original writes “{ours}”.",
        f"The original gave “{ours}” {percent(p)} and “{theirs}” {percent(q)}: {near}. {name} gave "
        f"them {percent(before)} and {percent(after)}. Each always takes its most likely token.",
    )


def chances(read: TokenDrift, i: int, pieces: Sequence[str], decode) -> str:
    """Tell about one token, for its tooltip."""
    before, after = float(read.base_probability[i]), float(read.probability[i])
    first, now = decode([int(read.base_top_token[i])]), decode([int(read.top_token[i])])
    same = read.base_top_token[i] == read.top_token[i]
    change = "unchanged" if same else f"→ “{now.strip() or '¶'}”"
    return (
        f"divergence {number(float(read.kl[i]))} nats\n"
        f"chance of “{pieces[i].strip() or '¶'}”: {percent(before)} → {percent(after)}\n"
        f"first choice: “{first.strip() or '¶'}” {change}"
    )


def tokens(read: TokenDrift, words: Sequence[str], decode) -> list[Token]:
    """Colour each token by its divergence, on one scale for all types and models."""
    sure = (read.base_top_probability > SURE) & (read.top_token != read.base_top_token)
    shares = np.sqrt(np.minimum(read.kl / FULL_NATS, 1.0))
    return [
        Token(words[i], float(shares[i]), chances(read, i, words, decode), bool(sure[i]))
        for i in range(len(words))
    ]


TOKEN_KEYS = ("token", "kl_nats", "probability_original", "probability_quantized")


def token_rows(read: TokenDrift, words: Sequence[str]) -> list[dict]:
    """Make a row a token for the CSV."""
    columns = (words, read.kl, read.base_probability, read.probability)
    return [
        dict(zip(TOKEN_KEYS, (word, *map(float, values)), strict=True))
        for word, *values in zip(*columns, strict=True)
    ]


def sides(found: Continuations, decode) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Cut both continuations into what they share, the token that differs, and what follows."""
    at = found.parting.at if found.parting else len(found.original)
    return tuple(_cut(side, at, decode) for side in (found.original, found.quantized))


def _cut(written: list[int], at: int, decode) -> tuple[str, str, str]:
    same, differs, whole = (decode(written[:n]) for n in (at, at + 1, len(written)))
    return same, differs[len(same) :], whole[len(differs) :]
