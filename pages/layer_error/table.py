"""The table of all matrices and their errors."""

from collections.abc import Mapping

from pages.shared import tables
from pages.shared.units import exact, percent
from quantcore.evaluate.weight_error import TensorError


def show(errors: Mapping[str, TensorError], type_name: str, followed: str, *, mix: bool) -> None:
    """Draw it, the worst matrix first; of a mix, formats are shown on a phone too."""
    tables.show(
        [
            {
                "tensor": error.name,
                "shape": " × ".join(map(str, error.shape)),
                "format": error.format,
                "bits_per_weight": error.bits_per_weight,
                "relative_rmse": error.relative_rmse,
                "sqnr_db": error.sqnr_db,
                "max_abs_error": error.max_abs_error,
                "cosine": error.cosine,
                "clipped_share": error.clipped_share,
                "zeroed_share": error.zeroed_share,
            }
            for error in sorted(errors.values(), key=lambda one: one.relative_rmse, reverse=True)
        ],
        [
            tables.Column(key="tensor", title="tensor", text=True),
            tables.Column(key="shape", title="shape", wide=True),
            tables.Column(key="format", title="format", text=True, wide=not mix),
            tables.Column(key="bits_per_weight", title="bits", show="{:.4g}".format, wide=True),
            tables.Column(key="relative_rmse", title="error", show=percent,
                          help="Root mean square error over the weights’ own root mean square."),
            tables.Column(key="sqnr_db", title="SQNR, dB", show="{:.1f}".format,
                          help="The same as a signal-to-noise ratio; each bit adds about 6 dB."),
            tables.Column(key="max_abs_error", title="largest", show=lambda v: exact(v, 2),
                          wide=True, help="Largest absolute error of one weight."),
            tables.Column(key="cosine", title="1 − cosine", show=lambda v: exact(1 - v, 2),
                          wide=True, help="0 where the weights keep their direction."),
            tables.Column(key="clipped_share", title="cut off", show=percent, wide=True,
                          help="Share of weights beyond the ends of their grid."),
            tables.Column(key="zeroed_share", title="zeroed", show=percent,
                          help="Share of weights other than 0 that come back as 0."),
        ],
        "layer_error",
        caption=f"Error of all matrices in {type_name}",
        chosen=followed,
    )  # fmt: skip
