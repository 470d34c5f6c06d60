"""The sentences of the page Mix: numbers in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.units import are, decimal, exact, percent, plural, spoken
from quantcore.evaluate.mix_error import MixSummary

PURPOSE = (
    "Which format each tensor of a file gets, by which rule, and which other mix of that size "
    "diverges less."
)
DEFINED = (
    "token, tensor, embedding, quantization, block, format, mix, pure, bits per weight, "
    "importance matrix, divergence, nat, perplexity, Fisher"
).split(", ")

HOW_TO_READ_MAP = (
    "Colour and name say the format of each matrix. A dotted outline was changed by hand, ▾ is a "
    "fallback. Click a cell to ask why it has its format, and to change it."
)
NO_MATRIX = (
    "No importance matrix lies with this model, so this page cannot write the file: "
    "`python -m quantcore imatrix` makes one, and the command below writes it."
)
TAKE_ALONG = (
    "One line a tensor whose format is not left to the rules of the mix, each pattern made to "
    "fit only that tensor. As JSON it holds every tensor, and can be loaded here again."
)


def headline(hand: MixSummary, base: MixSummary, n_changed: int) -> str:
    """Say size, bits and error, beside the mix without changes where there are some."""
    says = f"{decimal(hand.n_bytes)}, {hand.bits_per_weight:.4g} bits per weight"
    if not n_changed:
        return f"**{base.name[:1].upper()}{base.name[1:]}** takes **{says}**{_moves(hand.error)}."
    by = hand.n_bytes - base.n_bytes
    change = f"{decimal(abs(by))} {'more' if by > 0 else 'less'}" if by else "as much"
    beside = "" if base.error is None else f", where {base.name} moves them by {_fine(base.error)}"
    tensors = plural(n_changed, "tensor")
    return (
        f"With {tensors} changed by hand **{base.name}** takes **{says}**, {change} than before"
        f"{_moves(hand.error)}{beside}."
    ).replace("as much than before", "as much as before")


def _moves(error: float | None) -> str:
    return "" if error is None else f" and moves the weights by {_fine(error)} of their size"


def _fine(error: float) -> str:
    """Word an error in four digits, for small changes show only there."""
    return f"{exact(100 * error)}\u202f%"


def changes_ignored(file_type: str) -> str:
    """Say that a file of floats has one type throughout."""
    return (
        f"In a file of type {file_type} llama-quantize ignores formats that are asked for by name."
    )


def refused(tensor_name: str, with_imatrix: bool, lies_there: bool) -> str:
    """Say why a recipe cannot be had that gives a tensor a type which needs an importance matrix.

    Parameters
    ----------
    tensor_name
        The first such tensor.
    with_imatrix
        Whether the page is set to use the model's importance matrix.
    lies_there
        Whether one lies with the model.
    """
    if not lies_there:
        return (
            "llama-quantize refuses this without an importance matrix, and none lies with this "
            "model: `python -m quantcore imatrix` makes one."
        )
    if with_imatrix:
        return (
            f"This cannot be had: the importance matrix of this model says nothing of "
            f"{spoken(tensor_name)}, and its format needs that; choose another one for it."
        )
    return (
        "llama-quantize refuses this without an importance matrix, so there is no error to "
        "measure: switch on “With imatrix”."
    )


def fallbacks(tensors: Sequence) -> str:
    """Warn of rows that do not divide, before a file is written."""
    first = tensors[0]
    return (
        f"**Before you write it:** in {plural(len(tensors), 'tensor')} rows do not divide into "
        "the blocks of the format that was wanted, so another takes its place and the file differs "
        "from its name: "
        f"{spoken(first.name)} has rows of {first.shape[-1]:,}, wanted {first.fallback} and gets "
        f"{first.type}."
    )


def shifted(names: Sequence[str]) -> str:
    """Say which other tensors a change moves, since the rules count only those they decide."""
    some = ", ".join(spoken(name) for name in names[:4])
    some += f" and {len(names) - 4} more" if len(names) > 4 else ""
    return (
        f"llama-quantize’s rules count only the tensors that they decide about. Taking some away "
        f"from them moves {plural(len(names), 'other tensor')} too: {some}."
    )


def tensor(name: str, type: str, n_bytes: int, share: float, error: float | None) -> str:
    """Say what one tensor costs."""
    moved = "" if error is None else f" and moves by {_fine(error)} of its size"
    return (
        f"**{spoken(name).capitalize()}** is **{type}**: {decimal(n_bytes)}, {percent(share)} of "
        f"the file{moved}."
    )


def where_bytes_go(sizes: Mapping[str, Mapping[str, int]]) -> str:
    """Name the role with the most bytes."""
    totals = {role: sum(by_type.values()) for role, by_type in sizes.items()}
    most = max(totals, key=totals.__getitem__)
    return f"**{most}** takes most: **{percent(totals[most] / sum(totals.values()))}** of the file."


def beside_stock(hand: MixSummary, stock: Sequence[MixSummary], changed: bool) -> str:
    """Say whether the recipe beats the stock mixes that are no larger.

    `stock` are all that llama-quantize makes; those without an error are not measured, so nothing
    is said of them but that.
    """
    if hand.error is None:
        return "The weight error of this recipe is not measured, so it cannot be compared."
    smaller = [each for each in stock if each.n_bytes <= hand.n_bytes and each.name != hand.name]
    rivals = {each.name: each.error for each in smaller if each.error is not None}
    mine = "the recipe made by hand" if changed else f"**{hand.name}**"
    its_error = f"the error of {mine} is **{_fine(hand.error)}**"
    if not smaller:
        return f"No other mix of llama-quantize is as small; {its_error}."
    if not rivals:
        return f"No smaller mix of llama-quantize has been measured yet; {its_error}."
    best = min((each for each in smaller if each.name in rivals), key=lambda one: rivals[one.name])
    verdict = "beats" if hand.error < rivals[best.name] else "does not beat"
    unknown = len(smaller) - len(rivals)
    among = f" among the {len(rivals)} measured of {len(smaller)}" if unknown else ""
    return (
        f"{mine[:1].upper()}{mine[1:]} {verdict} the best mix that is no larger{among}: "
        f"**{_fine(hand.error)}** against {_fine(rivals[best.name])} of {best.name}, at "
        f"{decimal(hand.n_bytes)} against {decimal(best.n_bytes)}."
    )


def with_and_without(drawn: Sequence[str], aided: Sequence[str], missing: Sequence[str]) -> str:
    """Say which file types are with an importance matrix, and which cannot be had without."""
    if missing:
        return (
            "Not drawn, since llama-quantize refuses them without an importance matrix and none "
            f"lies with this model: {', '.join(missing)}."
        )
    if not aided:
        return ""
    if len(aided) == len(drawn):
        return "All mixes are with the importance matrix here, as this recipe."
    return (
        f"{', '.join(aided)} cannot do without an importance matrix and {are(len(aided))} with "
        "that of this model; the others are without."
    )
