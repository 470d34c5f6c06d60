"""The table of the weights of the sub-block, their codes and errors."""

from pages.block.reading import BlockReading
from pages.shared import tables
from pages.shared.units import exact, real_minus


def show(reading: BlockReading) -> None:
    """Draw it; errors in steps too, where the grid has a step."""
    landing = reading.landing
    step = landing.step
    columns = [
        tables.Column(key="weight", title="weight", text=True),
        tables.Column(key="value", title="value", show=exact),
        tables.Column(key="code", title="code", show=lambda code: real_minus(str(code))),
        tables.Column(key="restored", title="comes back as", show=exact),
        tables.Column(key="error", title="error", show=lambda error: exact(error, 2)),
    ]
    if step:
        columns.append(
            tables.Column(
                key="error_steps", title="in steps", show=lambda e: real_minus(f"{e:+.2f}"),
                wide=True, help="A weight that is off by far more than half a step was cut off.",
            )
        )  # fmt: skip
    rows = [
        {
            "weight": landing.first_weight + i,
            "value": float(value),
            "code": int(code) + landing.first_code,
            "restored": float(restored),
            "error": float(error),
            **({"error_steps": float(error) / step} if step else {}),
        }
        for i, (value, code, restored, error) in enumerate(
            zip(landing.values, landing.codes, landing.restored, landing.error, strict=True)
        )
    ]
    caption = "The weights of the block, their codes and errors"
    tables.show(rows, columns, "block_weights", caption=caption, chosen=reading.bold_in_block)
