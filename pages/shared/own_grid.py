"""What pages say of weights that are on a grid already, as after training for quantization."""

from pages.shared.units import opening, percent, plural, the
from quantcore.evaluate.grid_report import GridReport, GridSample


def spans(report: GridReport) -> str:
    """Say which weights share a step of the grid."""
    if report.whole_tensor:
        return "in the whole tensor"
    return "in each row" if report.whole_row else f"in each block of {report.block_length}"


def found(tensor: str, report: GridReport) -> str:
    """Say that a tensor is on a grid: points and bits."""
    return (
        f"**{opening(the(tensor))}** is on a grid already: at most {report.n_points} values "
        f"{spans(report)}, so **{plural(report.bits, 'bit')}** per weight and the scales hold all "
        "that it says."
    )


def how_sure(report: GridReport) -> str:
    """Say what the finding rests on."""
    what = plural(report.n_blocks, "block") if report.n_blocks > 1 else "of its weights"
    if report.n_rows < report.of_rows:
        what += f" in {report.n_rows:,} of the {report.of_rows:,} rows"
    return (
        f"All {what} are within rounding of {report.stored} from the grid; for ordinary weights "
        f"the odds are 1 to 2 to the power of {report.evidence_bits:,.0f}."
    )


def plain_rounding(report: GridReport) -> str:
    """Say what rounding that does not know of the grid makes of it, and what keeps it."""
    lost = {name: error for name, error in report.plain_errors.items() if error > 1e-6}
    kept = [name for name in report.plain_errors if name not in lost]
    says = " and ".join(f"{percent(error)} in {name}" for name, error in lost.items())
    parts = [f"Plain rounding to the same bits would move the weights by {says}."] if says else []
    if kept:
        parts.append(f"Plain rounding to {kept[0]} happens to find the same grid.")
    parts.append(
        f"The method own_grid keeps them as they are, in {report.type}."
        if report.type
        else "The lab has no format that holds this grid to the last bit."
    )
    return " ".join(parts)


def of_file(name: str, sample: GridSample) -> str:
    """Say that matrices of a file are on a grid; "" where none of those looked at is."""
    if not sample.found:
        return ""
    tensor, report = next(iter(sample.found.items()))
    n, of = len(sample.found), len(sample.looked_at)
    which = f"all {of}" if n == of else f"{n} of {of}"
    return (
        f"The weights of **{name}** are on a grid already, as after training for quantization: "
        f"{which} matrices looked at, such as {the(tensor)} with **{plural(report.bits, 'bit')}** "
        f"{spans(report)}. {plain_rounding(report)}"
    )
