"""Methods on every matrix of a model, in several types: what the page Methods opens with.

`python -m quantcore measure --methods` writes the table beside the shipped model, as
assets/<model>/measured/methods.json: a JSON object with

    model, fingerprint     name, and digest of the weights (`Model.fingerprint`)
    calibration_tokens     tokens that inputs were taken from
    rows                   {"columns": names of `MethodRow`'s fields, "rows": a list for each}
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from quantcore.evaluate.by_method import MethodResult, method_result
from quantcore.evaluate.text import calibration_text, context_for, cut
from quantcore.formats import get_format
from quantcore.io import ModelError
from quantcore.io.strict_json import read_json_object
from quantcore.io.writing import write_whole
from quantcore.methods import get_method
from quantcore.methods.inputs.calibration import calibration_steps
from quantcore.methods.method import Statistic
from quantcore.model.source import Model
from quantcore.progress import Progress

# On a single matrix GPTAQ and Qronos are GPTQ, and SmoothQuant is for eight bits.
SAME_TYPE = ("rtn", "gptq", "awq", "hqq", "autoround", "rotation")
BY = (*SAME_TYPE, "quip")
# QuIP# has codes of its own, so it is asked once for each number of bits.
TYPES = dict.fromkeys(("INT4_G128_ASYM", "INT3_G128_ASYM", "INT2_G64_ASYM"), BY) | dict.fromkeys(
    ("Q4_K", "Q3_K", "Q2_K"), SAME_TYPE
)
MAX_FILE_BYTES = 2**24
CONTEXT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """What one method made of one matrix: `MethodResult` without the weights.

    And without the time it took, which is the machine's as much as the method's.
    """

    tensor: str
    asked: str  # the type that was asked for
    by: str
    type: str  # what it is stored as
    bits_per_weight: float
    weight_error: float
    output_error: float
    note: str

    @classmethod
    def of(cls, tensor: str, asked: str, result: MethodResult) -> "MethodRow":
        """Take it from a result."""
        shared = {each.name for each in fields(cls)} - {"tensor", "asked"}
        return cls(tensor=tensor, asked=asked, **{name: getattr(result, name) for name in shared})


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodTable:
    """What methods made of a model's matrices."""

    model: str
    fingerprint: str
    calibration_tokens: int
    rows: tuple[MethodRow, ...]

    def of(self, tensor: str, asked: str | None = None) -> list[MethodRow]:
        """List what was made of a matrix, in one type or in all."""
        return [row for row in self.rows if row.tensor == tensor and asked in (None, row.asked)]

    def save(self, path: Path) -> None:
        """Write the file whole, or leave what is there."""
        columns = [each.name for each in fields(MethodRow)]
        rows = ",\n".join(
            f"  {json.dumps([_short(getattr(row, name)) for name in columns])}" for row in self.rows
        )
        head = {name: each for name, each in asdict(self).items() if name != "rows"}
        lines = [f" {json.dumps(name)}: {json.dumps(each)},\n" for name, each in head.items()]
        table = f' "rows": {{"columns": {json.dumps(columns)}, "rows": [\n{rows}\n ]}}'
        path.parent.mkdir(exist_ok=True)
        write_whole(path, "{\n" + "".join(lines) + table + "\n}\n")


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def load_methods(model: Model) -> MethodTable | None:
    """Read the table that lies beside a model; None where there is none of these weights.

    Raises
    ------
    ModelError
        If there is a file that cannot be read.
    """
    path = _path(model)
    if not path.is_file():
        return None
    try:
        raw = read_json_object(path, MAX_FILE_BYTES)
        columns, rows = raw["rows"]["columns"], raw["rows"]["rows"]
        table = MethodTable(
            model=raw["model"],
            fingerprint=raw["fingerprint"],
            calibration_tokens=raw["calibration_tokens"],
            rows=tuple(MethodRow(**dict(zip(columns, row, strict=True))) for row in rows),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise ModelError(f"{path.name} holds no table of methods.") from problem
    return table if table.fingerprint == model.fingerprint else None


def _path(model: Model) -> Path:
    return model.path / "measured" / "methods.json"


def method_table_steps(
    model: Model,
    tensors: Sequence[str] | None = None,
    types: Mapping[str, Sequence[str]] = TYPES,
    text: str | None = None,
) -> Iterator[Progress[MethodTable]]:
    """Let methods choose the codes of matrices; the last step carries the table.

    Parameters
    ----------
    tensors
        By default all that have inputs.
    types
        Names of methods by the type that is asked for; a method that cannot take a type or a shape
        is left out.
    text
        By default the calibration text that ships with the lab.
    """
    names = list(tensors or (name for name in model.quantizable if name.startswith("blk.")))
    by = {name: get_method(name) for each in types.values() for name in each}
    text = calibration_text() if text is None else text
    context = min(CONTEXT, context_for(model, len(model.tokenizer.encode(text))))
    wanted: set[Statistic] = {"second_moment"}
    wanted.update(*(method.needs for method in by.values()))
    inputs = None
    tokens = cut(model, text, context).inputs
    for step in calibration_steps(model, tokens, names, wanted - {"cross_moment"}):
        inputs = step.result
        yield Progress(0.1 * step.share, f"calibrating, {step.stage}")
    assert inputs is not None  # of the last step
    rows: list[MethodRow] = []
    about = {"model": model.name, "fingerprint": model.fingerprint}
    n_steps = len(names) * len(types)
    for i, (tensor, asked) in enumerate((name, each) for name in names for each in types):
        fmt, weights = get_format(asked), model.weights(tensor)
        for method in map(by.__getitem__, types[asked]):
            try:
                method.check(weights.shape, fmt)
            except ValueError:
                continue
            result = method_result(method, weights, fmt, inputs[tensor])
            rows.append(MethodRow.of(tensor, asked, result))
            yield Progress(0.1 + 0.9 * i / n_steps, f"{tensor} in {asked}: {method.title}")
    table = MethodTable(calibration_tokens=tokens.size, rows=tuple(rows), **about)
    yield Progress(1.0, "done", table)


def measure_methods_steps(model: Model) -> Iterator[Progress[MethodTable]]:
    """Measure the table of a model in a folder and write it there at the end."""
    for step in method_table_steps(model):
        if step.result is not None:
            step.result.save(_path(model))
        yield step
