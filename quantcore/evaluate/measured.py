"""What was measured of a shipped model, kept beside it: a page shows it at once.

    assets/<model>/measured/measured.json   figures by type and tensor, errors by format
    assets/<model>/measured/tokens.npz      the same text, token by token, by type

`python -m quantcore measure [MODEL]` writes both. They carry digests of the model and of the text,
so that figures of another model are noticed.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantcore.evaluate.drift import Drift, TokenDrift, drift_steps, summary_of
from quantcore.evaluate.drift_result import summary_from
from quantcore.evaluate.quantized import llama_of
from quantcore.evaluate.reading import Continuations, Parting, continue_both
from quantcore.evaluate.skills import SkillScore, skill_steps
from quantcore.evaluate.weight_error import TensorError, model_errors
from quantcore.formats import DEFAULTS, FORMATS, OUTSIDE_GGUF, UNAIDED
from quantcore.io import ModelError
from quantcore.io.writing import whole_file, write_whole
from quantcore.model.outliers.folder import FILE
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.source import Model, open_model
from quantcore.progress import Progress
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.types import get_type

# All that is no matter of experts; those that need an importance matrix are with the model's own.
MIXES = tuple(name for name in FILE_TYPES if name != "MXFP4_MOE")
ERROR_FORMATS = tuple(dict.fromkeys((*DEFAULTS, *UNAIDED, *OUTSIDE_GGUF)))
MATRIX_FORMATS = tuple(name for name, fmt in FORMATS.items() if fmt.uses_importance)
THROUGHOUT = tuple(
    name for name in (get_type(fmt, pure=True).name for fmt in ERROR_FORMATS) if name not in MIXES
)
TYPES = MIXES + THROUGHOUT
# What the first page shows of them: few enough to be told apart, down to where nothing is left.
SELECTED = (
    *("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S"),
    *("Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "NVFP4", "MXFP4"),
    *("IQ2_XXS", "IQ1_S", "TQ1_0", "IQ1_M pure", "TQ1_0 pure"),
    *(get_type(name, pure=True).name for name in DEFAULTS),
)
CONTEXT = 512
PROMPT = (
    "Last winter Nora the friendly tailor returned to Goldfield with her tame dog."
    " They counted what they had."
)
CONTINUATION_TOKENS = 60
BY_TYPE = {"nll": np.float16, "kl": np.float16, "top_token": np.uint16}
SHARED = {"base_nll": np.float16, "base_top_token": np.uint16, "base_top_probability": np.float16}
PLACES = {"position": np.int32, "start": np.int32, "token": np.uint16, "scored": np.bool_}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedResults:
    """What `measure_steps` wrote; `drifts`, `skills` and `continuations` are of all `TYPES`."""

    folder: Path
    stale: bool  # measured on another model or text than lies there now
    drifts: dict[str, Drift]  # arrays by token are rounded to float16
    skills: dict[str, list[SkillScore]]
    errors: dict[str, list[TensorError]]  # by format: a tensor's error is the same in any mix
    matrix_errors: dict[str, list[TensorError]]  # with the importance matrix, of `MATRIX_FORMATS`
    continuations: dict[str, Continuations]  # of `PROMPT`


def key(name: str = SHIPPED[0]) -> str:
    """Digest of a shipped model's weights, or what they are made of, and of the evaluation text."""
    digest = hashlib.sha256()
    files = [shipped_folder() / each for each in ("model.safetensors", "evaluation.txt")]
    files += shipped_folder(name).glob(FILE)
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def load(name: str = SHIPPED[0]) -> ShippedResults:
    """Read what was measured of a shipped model.

    Raises
    ------
    ModelError
        If nothing was measured yet, or the files cannot be read.
    """
    folder = shipped_folder(name) / "measured"
    try:
        rows = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
        with np.load(folder / "tokens.npz") as stored:
            tokens = dict(stored)
        return _read(folder, key(name), rows, tokens)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ModelError(
            f"Nothing readable was measured of {name}: run python -m quantcore measure {name}."
        ) from problem


def _read(folder: Path, now: str, results: dict, tokens: dict[str, np.ndarray]) -> ShippedResults:
    shared = {name: _widened(tokens[name]) for name in (*SHARED, *PLACES)}
    by_type = {name: _widened(tokens[name]) for name in BY_TYPE}
    drifts = {
        type: _drift(row, shared | {name: array[i] for name, array in by_type.items()})
        for i, (type, row) in enumerate(results["drifts"].items())
    }
    return ShippedResults(
        folder=folder,
        stale={results["key"], str(tokens["key"])} != {now},
        drifts=drifts,
        skills={t: [SkillScore(**row) for row in rows] for t, rows in results["skills"].items()},
        errors=_errors(results["errors"]),
        matrix_errors=_errors(results["matrix_errors"]),
        continuations={t: _continuation(row) for t, row in results["continuations"].items()},
    )


def measure_steps(name: str = SHIPPED[0]) -> Iterator[Progress[Path]]:
    """Measure a shipped model in all `TYPES` and write the files, in a folder, at the end."""
    model = open_model(name)
    folder = shipped_folder(name) / "measured"
    before = key(name)
    for step in drift_steps(model, TYPES, None, CONTEXT):
        yield Progress(0.25 * step.share, step.stage)
    drifts = step.known.drifts
    skills, continuations = {}, {}
    original = llama_of(model)
    for i, type in enumerate(TYPES):
        llama = llama_of(model, type)
        for done in skill_steps(model, llama):
            yield Progress(0.25 + 0.7 * (i + done.share) / len(TYPES), f"{type}: skills")
        skills[type] = done.known
        continuations[type] = continue_both(model, original, llama, PROMPT, CONTINUATION_TOKENS)
    errors = {
        name: list(model_errors(model, get_type(name, pure=True).name)) for name in ERROR_FORMATS
    }
    yield Progress(0.95, "errors with the importance matrix")
    matrix_errors = {name: list(_with_matrix(model, name)) for name in MATRIX_FORMATS}
    results = {
        "key": before,
        "drifts": {type: summary_of(drift) for type, drift in drifts.items()},
        "skills": {type: [asdict(row) for row in rows] for type, rows in skills.items()},
        "errors": _rounded_rows(errors),
        "matrix_errors": _rounded_rows(matrix_errors),
        "continuations": {type: asdict(row) for type, row in continuations.items()},
    }
    _write(folder, results, drifts)
    yield Progress(1.0, "done", folder)


def _with_matrix(model: Model, format_name: str) -> Iterator[TensorError]:
    """Error of the tensors that the importance matrix knows; the others have one without it."""
    known = dict.fromkeys(model.quantizable, "F32")
    imatrix = model.imatrix
    assert imatrix is not None  # it ships with the model
    known |= {name: format_name for name in known if name in imatrix.sums}
    rows = model_errors(model.with_imatrix(imatrix), known)
    return (row for row in rows if row.format == format_name)


def _write(folder: Path, results: dict, drifts: dict[str, Drift]) -> None:
    """Both files appear whole or not at all; a mix of old and new shows by the keys."""
    folder.mkdir(exist_ok=True)
    tokens = [drift.per_token for drift in drifts.values()]
    arrays: dict[str, Any] = {
        name: np.stack([getattr(one, name) for one in tokens]).astype(dtype)
        for name, dtype in BY_TYPE.items()
    }
    for name, dtype in (SHARED | PLACES).items():
        arrays[name] = getattr(tokens[0], name).astype(dtype)
    with whole_file(folder / "tokens.npz") as file:
        np.savez_compressed(file, key=results["key"], **arrays)
    write_whole(folder / "measured.json", _lines(results))


def _lines(results: dict) -> str:
    """JSON with one line an entry, so that a difference can be read."""
    parts = []
    for name, value in results.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            parts.append(f" {json.dumps(name)}: {{\n{rows}\n }}")
        else:
            parts.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _rounded_rows(errors: dict[str, list[TensorError]]) -> dict[str, list[dict]]:
    return {name: [_rounded(asdict(row)) for row in rows] for name, rows in errors.items()}


def _rounded(row: dict) -> dict:
    """Six digits are enough for an error; a lossless SQNR is null, for JSON has no infinity."""
    return {
        name: (float(f"{value:.6g}") if np.isfinite(value) else None)
        if isinstance(value, float)
        else value
        for name, value in row.items()
    }


def _widened(array: np.ndarray) -> np.ndarray:
    """Widen an array to the dtype of `TokenDrift`; once for all types, which share most arrays."""
    if array.dtype == np.bool_:
        return array
    return array.astype(np.float32 if array.dtype == np.float16 else np.int32, copy=False)


def _drift(row: dict, arrays: dict[str, np.ndarray]) -> Drift:
    return Drift(**summary_from(row), per_token=TokenDrift(**arrays))


def _errors(by_format: dict[str, list[dict]]) -> dict[str, list[TensorError]]:
    return {name: [_tensor_error(row) for row in rows] for name, rows in by_format.items()}


def _tensor_error(row: dict) -> TensorError:
    lossless = {"sqnr_db": np.inf} if row["sqnr_db"] is None else {}
    return TensorError(**row | {"shape": tuple(row["shape"])} | lossless)


def _continuation(row: dict) -> Continuations:
    parting = row["parting"]
    if parting is not None:
        pairs = {name: tuple(parting[name]) for name in ("by_original", "by_quantized")}
        parting = Parting(**parting | pairs)
    return Continuations(**row | {"parting": parting})
