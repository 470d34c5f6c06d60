"""The maps of a sweep as they fill up: one small map a format."""

from collections.abc import Mapping, Sequence

import numpy as np

from pages.shared.charts.base import template
from pages.shared.charts.figure import Figure, grid
from pages.shared.charts.layer_map import shares
from pages.shared.palette import Look, harm_scale
from quantcore.sensitivity.pieces import How
from quantcore.sensitivity.results import Sensitivity


def so_far(
    results: Sensitivity, able: Mapping[str, Sequence[str]], how: How, look: Look, narrow: bool
) -> Figure:
    """Draw what each tensor costs as far as it is known, on one colour scale; others stay blank.

    `able` lists the tensors that each format can store: only those are measured.
    """
    names = list(able)
    tensors = list(dict.fromkeys(name for every in able.values() for name in every))
    known = {
        (effect.name, effect.format): effect.mean_kl_divergence
        for effect in results.effects
        if effect.group == "tensor" and effect.how == how
    }
    share = shares(known) if known else {}
    roles = list(dict.fromkeys(n.split(".")[2] for n in tensors if n.startswith("blk.")))
    layers = sorted({int(n.split(".")[1]) for n in tensors if n.startswith("blk.")})
    wide: list[str] = [n for n in ("token_embd.weight", "output.weight") if n in tensors]
    rows = [[wide[0]] * len(roles)] if wide[:1] == ["token_embd.weight"] else []
    rows += [[f"blk.{layer}.{role}.weight" for role in roles] for layer in layers]
    rows += [[n] * len(roles) for n in wide if n == "output.weight"]
    columns = 2 if narrow else min(4, len(names))
    lines = -(-len(names) // columns)
    done = {name: sum(fmt == name for _, fmt in known) for name in names}
    figure = grid(
        lines, columns, horizontal_spacing=0.03,
        vertical_spacing=min(0.3, 30 / (118 * lines - 26)) if lines > 1 else 0,
        subplot_titles=[f"<b>{name}</b>  {done[name]} of {len(able[name])}" for name in names],
    )  # fmt: skip
    for at, name in enumerate(names):
        figure.add_heatmap(
            z=[[share.get((each, name), np.nan) for each in row] for row in rows],
            colorscale=harm_scale(look), zmin=0, zmax=1, showscale=False, hoverinfo="skip",
            xgap=1.5, ygap=1.5 if len(layers) < 20 else 0.5,
            row=at // columns + 1, col=at % columns + 1,
        )  # fmt: skip
    margin = {"l": 0, "r": 0, "t": 26, "b": 0}
    figure.update_layout(
        template=template(look), height=118 * lines, margin=margin, plot_bgcolor=look.panel
    )
    figure.update_annotations(font={"size": 12, "color": look.ink}, yshift=2)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    return figure
