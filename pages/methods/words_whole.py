"""The sentences of the page Methods on the whole model: numbers in, text out."""

import math
from collections.abc import Sequence

from pages.shared.units import number, percent, times
from quantcore.evaluate.cache_drift import CacheDrift
from quantcore.evaluate.method_drift import ENDS
from quantcore.evaluate.recipes import MethodDrift
from quantcore.methods import METHODS
from quantcore.model.cache_types import TURBO

HOW_TO_READ_RECIPES = (
    "Divergence of the whole model on the evaluation text, with 95 % intervals; methods saw the "
    f"calibration text only. Matrices of the layers have the format, the embedding {ENDS}; "
    "Q4_K_M is llama-quantize’s mix. Down is better, left is smaller."
)
HOW_TO_READ_CACHE = (
    "The weights stay as they are; keys, values or both are rounded as they enter the cache. "
    "Filled: rotated as llama.cpp does, or by TurboQuant. Hollow: not rotated."
)
Q2_K = "Q2_K pure"
BITS = {"INT4_G128_ASYM": "four", "INT3_G128_ASYM": "three", "INT2_G64_ASYM": "two"}


def _find(rows: Sequence[MethodDrift], type_name: str, by: str = "rtn", aided: bool = False):
    return next((r for r in rows if (r.type, r.by, r.with_imatrix) == (type_name, by, aided)), None)


def recipes(rows: Sequence[MethodDrift]) -> str:
    """Say what the best method saves at three bits."""
    plain = _find(rows, "INT3_G128_ASYM")
    methods = [row for row in rows if row.type == "INT3_G128_ASYM" and row.by != "rtn"]
    if plain is None or not methods:
        return "What methods cost the whole model, beside plain rounding."
    best = min(methods, key=lambda row: row.mean_kl_divergence)
    return (
        f"At three bits, **{METHODS[best.by].title}** makes the divergence of the whole model "
        f"**{times(plain.mean_kl_divergence / best.mean_kl_divergence)} times smaller** than plain "
        f"rounding does: {number(best.mean_kl_divergence)} nats per token instead of "
        f"{number(plain.mean_kl_divergence)}."
    )


def claims(rows: Sequence[MethodDrift]) -> list[str]:
    """Answer the usual claims by measured numbers; of what was not measured nothing is said."""
    said = [_against_rounding(rows, type_name, bits) for type_name, bits in BITS.items()]
    return [*filter(None, [*said, _with_matrix(rows), _two_bits(rows)])]


def _against_rounding(rows: Sequence[MethodDrift], type_name: str, bits: str) -> str:
    """Say which methods beat rounding in a type, as far as the intervals tell."""
    mine = [row for row in rows if row.type == type_name and row.more_than_rounding is not None]
    if not mine:
        return ""
    better = [row for row in mine if row.more_high is not None and row.more_high < 0]
    worse = [row for row in mine if row.more_low is not None and row.more_low > 0]
    even = [row for row in mine if row not in better and row not in worse]
    parts = [
        f"{_listed(group)} {verb}"
        for group, verb in (
            (better, "beat plain rounding" if len(better) > 1 else "beats plain rounding"),
            (even, "cannot be told from it" if better else "cannot be told from plain rounding"),
            (worse, "lose to it" if len(worse) > 1 else "loses to it"),
        )
        if group
    ]
    return f"**Does calibration beat rounding at {bits} bits?** {'; '.join(parts)}."


def _listed(rows: Sequence[MethodDrift]) -> str:
    names = [
        f"{METHODS[row.by].title} ({number(row.mean_kl_divergence)} nats)"
        for row in sorted(rows, key=lambda row: row.mean_kl_divergence)
    ]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _with_matrix(rows: Sequence[MethodDrift]) -> str:
    aided, alone = _find(rows, "Q4_K_M", aided=True), _find(rows, "Q4_K_M")
    six = _find(rows, "Q6_K")
    if aided is None or alone is None or six is None:
        return ""
    reach = "Yes" if aided.kl_low <= six.kl_high else "No"
    return (
        f"**Does an importance matrix lift Q4_K_M to Q6_K?** {reach}: "
        f"{number(aided.mean_kl_divergence)} nats per token with it, "
        f"{number(alone.mean_kl_divergence)} without, and {number(six.mean_kl_divergence)} in Q6_K."
    )


def _two_bits(rows: Sequence[MethodDrift]) -> str:
    quip, plain, gptq = (
        _find(rows, "E8P2", "quip"),
        _find(rows, Q2_K),
        _find(rows, Q2_K, "gptq"),
    )
    if quip is None or plain is None:
        return ""
    answer = (
        "Yes" if quip.kl_high < plain.kl_low else "No" if quip.kl_low > plain.kl_high else "A tie"
    )
    aside = (
        f"; GPTQ onto Q2_K comes to {number(gptq.mean_kl_divergence)}" if gptq is not None else ""
    )
    return (
        f"**Does QuIP# at two bits beat Q2_K?** {answer}: {number(quip.mean_kl_divergence)} nats "
        f"per token with {quip.bits_per_weight:.2f} bits per weight, against "
        f"{number(plain.mean_kl_divergence)} with {plain.bits_per_weight:.2f}{aside}."
    )


def rotated(each: CacheDrift) -> str:
    """Say how a cache is turned before it is rounded."""
    if each.keys in TURBO or each.values in TURBO:
        return "TurboQuant’s"
    return "llama.cpp’s" if each.rotation else "none"


def kv_cache(shown: Sequence[CacheDrift]) -> str:
    """Say what four bits cost, with rotation and without."""
    found = {each.rotation: each for each in shown if (each.keys, each.values) == ("Q4_0", "Q4_0")}
    full = next((each for each in shown if (each.keys, each.values) == ("F16", "F16")), None)
    if len(found) < 2 or full is None:
        return "What keys and values lose in fewer bits."
    turned, plain = found[True], found[False]
    ratio = plain.mean_kl_divergence / max(turned.mean_kl_divergence, 1e-30)
    noise = math.hypot(plain.mean_kl_divergence_error, turned.mean_kl_divergence_error)
    effect = (
        "llama.cpp’s rotation changes that by no more than chance"
        if abs(plain.mean_kl_divergence - turned.mean_kl_divergence) < 2 * noise
        else f"llama.cpp’s rotation makes that {times(ratio)} times smaller"
        if ratio > 1
        else f"llama.cpp’s rotation makes that {times(1 / ratio)} times larger"
    )
    saved = 1 - turned.bytes_per_token / full.bytes_per_token
    return (
        f"A **Q4_0** cache saves {percent(saved)} of F16’s bytes and moves the predictions by "
        f"**{number(plain.mean_kl_divergence)} nats per token**; {effect}."
    )
