"""The sections on what whole layers cost, over depth, and what each role costs in all layers."""

from collections.abc import Mapping

from pages.sensitivity.charts import dots, lines
from pages.sensitivity.view import View
from pages.sensitivity.words import costs as words
from pages.sensitivity.words.figures import wording
from pages.shared import look
from pages.shared.palette import Look
from quantcore.sensitivity.costs import Cost, impacts


def layers(view: View, style: Look) -> None:
    """Draw what whole layers cost, and the embedding and the output beside them."""
    costs, by_role = view.costs("layer"), view.costs("role")
    if not costs:
        return
    ends: dict[str, Cost] = {n: by_role[n] for n in ("token_embd", "output") if n in by_role}
    says = _kept(view, costs) or words.depth(costs, ends, view.format_name, view.measure)
    look.finding(says, words.HOW_TO_READ_DEPTH)
    look.show(
        lines.depth(costs, ends, view.format_name, wording(view.measure).axis, style),
        key="sensitivity_depth",
        alt=f"What each whole layer costs in {view.format_name}, with 95 % intervals.",
    )


def roles(view: View, style: Look) -> None:
    """Draw what each role costs in all layers at once."""
    costs, joint = view.costs("role"), view.joint()
    if not costs:
        return
    look.finding(_kept(view, costs) or words.roles(costs, view.measure), words.HOW_TO_READ_ROLES)
    impact = impacts(costs, view.how, joint)
    tips = {name: words.tooltip(name, cost, view.measure) for name, cost in costs.items()}
    look.show(
        dots.dots(
            costs, sorted(costs, key=impact.__getitem__, reverse=True), tips, view.format_name, "",
            style, title=wording(view.measure).axis, joint=joint if view.how == "kept" else None,
        ),
        key="sensitivity_roles",
        alt=f"What each role costs in {view.format_name}, with 95 % intervals.",
    )  # fmt: skip


def _kept(view: View, costs: Mapping[str, Cost]) -> str:
    """Say which piece is worth most when it is kept; nothing where pieces are changed alone."""
    if view.how == "alone":
        return ""
    return words.kept(view.format_name, costs, view.measure, view.joint())
