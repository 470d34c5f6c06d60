"""The sentences of the page Mix: numbers in, text out."""

from collections.abc import Mapping, Sequence

from pages.shared.units import decimal, exact, opening, percent, plural, the
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
    "Colour and name show the format of each matrix. A dotted outline marks what was changed by "
    "hand, ▾ a fallback. Click a cell to see why it has its format, and to change it."
)
NO_MATRIX = (
    "There is no importance matrix for this model, so this page cannot write the file: "
    "`python -m quantcore imatrix` makes one, and the command below writes it."
)
TAKE_ALONG = (
    "One line for every tensor that departs from the rules of the mix; each pattern matches "
    "exactly one tensor. The JSON file holds every tensor, and can be loaded here again."
)


def headline(hand: MixSummary, base: MixSummary, n_changed: int) -> str:
    """Say size, bits and error, and those of the mix without changes where there are some."""
    says = f"{decimal(hand.n_bytes)}, {hand.bits_per_weight:.4g} bits per weight"
    if not n_changed:
        return f"**{opening(base.name)}** takes **{says}**{_changes(hand.error)}."
    by = hand.n_bytes - base.n_bytes
    change = f"{decimal(abs(by))} {'more' if by > 0 else 'less'} than" if by else "as much as"
    before = "" if base.error is None else f"; {base.name} changes them by {_fine(base.error)}"
    tensors = plural(n_changed, "tensor")
    return (
        f"With {tensors} changed by hand, **{base.name}** takes **{says}**, {change} before"
        f"{_changes(hand.error)}{before}."
    )


def _changes(error: float | None) -> str:
    return "" if error is None else f", and changes the weights by {_fine(error)} of their size"


def _fine(error: float) -> str:
    """Word an error in four digits, for small changes show only there."""
    return f"{exact(100 * error)}\u202f%"


def changes_ignored(file_type: str) -> str:
    """Say that a file of floats has one type throughout."""
    return (
        f"In a file of type {file_type}, llama-quantize ignores formats that are asked for by name."
    )


def refused(tensor_name: str, with_imatrix: bool, has_one: bool) -> str:
    """Say why a recipe cannot be made that gives a tensor a type which needs an importance matrix.

    Parameters
    ----------
    tensor_name
        The first such tensor.
    with_imatrix
        Whether the page is set to use the model's importance matrix.
    has_one
        Whether the model has one.
    """
    if not has_one:
        return (
            "llama-quantize refuses this without an importance matrix, and there is none for this "
            "model: `python -m quantcore imatrix` makes one."
        )
    if with_imatrix:
        return (
            "This recipe cannot be made: the importance matrix of this model says nothing about "
            f"{the(tensor_name)}, and its format needs that. Choose another format for it."
        )
    return (
        "llama-quantize refuses this without an importance matrix, so there is no error to "
        "measure: switch on “With imatrix”."
    )


def fallbacks(tensors: Sequence) -> str:
    """Warn of rows that do not divide, before a file is written."""
    first = tensors[0]
    return (
        f"**Before you write it:** the rows of {plural(len(tensors), 'tensor')} cannot be split "
        "into blocks of the wanted format, so another format takes its place, and the file differs "
        f"from its name: {the(first.name)} has rows of {first.shape[-1]:,}, so it gets "
        f"{first.type} instead of {first.fallback}."
    )


def shifted(names: Sequence[str]) -> str:
    """Say which other tensors a change touches, since the rules count only those they decide."""
    some = ", ".join(the(name) for name in names[:4])
    some += f" and {len(names) - 4} more" if len(names) > 4 else ""
    return (
        f"llama-quantize’s rules count only the tensors that they decide about. Taking some away "
        f"from them changes the format of {plural(len(names), 'other tensor')} too: {some}."
    )


def tensor(name: str, type: str, n_bytes: int, share: float, error: float | None) -> str:
    """Say what one tensor costs."""
    changed = "" if error is None else f", and changes by {_fine(error)} of its size"
    return (
        f"**{opening(the(name))}** is stored in **{type}**: it takes {decimal(n_bytes)}, "
        f"{percent(share)} of the file{changed}."
    )


def where_bytes_go(sizes: Mapping[str, Mapping[str, int]]) -> str:
    """Name the role with the most bytes."""
    totals = {role: sum(by_type.values()) for role, by_type in sizes.items()}
    most = max(totals, key=totals.__getitem__)
    share = percent(totals[most] / sum(totals.values()))
    return f"**{most}** takes the most bytes: **{share}** of the file."


def beside_stock(hand: MixSummary, stock: Sequence[MixSummary], changed: bool) -> str:
    """Say whether the recipe beats the stock mixes that are no larger.

    `stock` are all that llama-quantize makes; those without an error are not measured, so nothing
    is said of them but that.
    """
    if hand.error is None:
        return "The weight error of this recipe has not been measured, so it cannot be compared."
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
    if unknown and len(rivals) == 1:
        among = f" among those measured (1 of {len(smaller)})"
    return (
        f"{opening(mine)} {verdict} the best mix that is no larger{among}: "
        f"**{_fine(hand.error)}** against {_fine(rivals[best.name])} of {best.name}, at "
        f"{decimal(hand.n_bytes)} against {decimal(best.n_bytes)}."
    )


def with_and_without(drawn: Sequence[str], aided: Sequence[str], missing: Sequence[str]) -> str:
    """Say which file types are with an importance matrix, and which cannot be made without."""
    if missing:
        return (
            "Not drawn, because llama-quantize refuses them without an importance matrix and this "
            f"model has none: {', '.join(missing)}."
        )
    if not aided:
        return ""
    if len(aided) == len(drawn):
        return "All mixes use the importance matrix here, as this recipe does."
    need, use = ("needs", "uses") if len(aided) == 1 else ("need", "use")
    return (
        f"{', '.join(aided)} {need} an importance matrix and {use} that of this model; the others "
        "are made without one."
    )
