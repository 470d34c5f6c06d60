"""Writing a model as a checkpoint of packed integers, for transformers, vLLM, GPTQModel, AutoAWQ.

All matrices of the decoder layers are packed; the embedding, the output, norms and biases stay
floats. Where a method scales columns, norms and biases hold what was folded into them.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantcore.formats.integers.integer import IntegerFormat, integer_format
from quantcore.io import ModelError
from quantcore.io.safetensors import DTYPES, SINGLE
from quantcore.io.safetensors_writer import Outgoing, write_safetensors
from quantcore.io.strict_json import read_json_object
from quantcore.io.writing import refuse_existing, whole_folder
from quantcore.layouts.awq import AwqLayout
from quantcore.layouts.compressed_tensors import CompressedTensorsLayout
from quantcore.layouts.gptq import GptqLayout
from quantcore.layouts.layout import Layout, Part, refuse_uneven
from quantcore.methods import get_method
from quantcore.methods.fold import folded
from quantcore.methods.method import LayerMethod, Method
from quantcore.methods.whole_model import ByName, choose_all_steps
from quantcore.model.names import to_hugging_face
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of

ALL_LAYOUTS: tuple[Layout, ...] = (GptqLayout(), AwqLayout(), CompressedTensorsLayout())
LAYOUTS = {layout.name: layout for layout in ALL_LAYOUTS}
METHODS = ("rtn", "gptq", "gptaq", "qronos", "awq", "autoround", "own_grid")
"""Those that keep nothing but codes, scales and whole zero points, and round no inputs."""
COPIED = (
    "tokenizer.json tokenizer_config.json tokenizer.model special_tokens_map.json added_tokens.json"
    " vocab.json merges.txt chat_template.jinja chat_template.json generation_config.json"
).split()
Parts = Callable[[tuple[int, ...]], tuple[Part, ...]]  # of a matrix, by its shape
CHOOSING = 0.9  # of the way; the rest is writing


def export(
    model: Model,
    layout: str,
    type: str,
    path: str | Path,
    tokens: NDArray[np.integer],
    *,
    by: str = "rtn",
    on_progress: Callable[[Progress[Path]], None] | None = None,
) -> Path:
    """Write a model as a checkpoint of packed integers.

    Parameters
    ----------
    layout
        Whose: "gptq", "awq" or "compressed-tensors".
    type
        What matrices are stored in: "INT4_G128", "INT4_G128_ASYM", "INT8_ROW", ...
    path
        Of the folder to come; there must be none yet.
    tokens
        A calibration text in chunks (n_chunks, context), such as ``evaluate.text.cut(...).inputs``.
    by
        The method that chooses codes, one of `METHODS`.
    on_progress
        Called at each step; an exception that it raises ends the work, and no folder is left.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        If the model has no folder of its own, or the new one cannot be written.
    ValueError
        If the layout cannot say what the type or the method stores; before any work.
    """
    return result_of(export_steps(model, layout, type, Path(path), tokens, by=by), on_progress)


def export_steps(
    model: Model, layout: str, type: str, path: Path, tokens: NDArray[np.integer], *, by: str
) -> Iterator[Progress[Path]]:
    """Write in steps of one matrix or chunk, see `export`; closed before its end it leaves none."""
    if layout not in LAYOUTS:
        raise ValueError(f"There is no layout {layout[:40]!r}; there are {', '.join(LAYOUTS)}.")
    how, fmt, method = LAYOUTS[layout], _format_of(type), _method_of(by)
    how.check(fmt)
    names = [name for name in model.quantizable if model.tensors[name].layer is not None]
    for name in names:
        shape = model.tensors[name].shape
        try:
            fmt.check(shape)
            refuse_uneven(how, shape)
            method.check(shape, fmt)
        except ValueError as problem:
            raise ValueError(f"{name}: {problem}") from problem
    config = _config_of(model) | {"quantization_config": how.config(fmt)}
    refuse_existing(path)
    sees_inputs = method.needs or isinstance(method, LayerMethod)
    seen = tokens if sees_inputs else tokens[:1]
    choosing = choose_all_steps(model, method, dict.fromkeys(names, fmt), seen)
    return _steps(model, partial(how.parts, fmt), path, config, choosing)


def _format_of(type: str) -> IntegerFormat:
    fmt = integer_format(type.strip().upper())
    if fmt is None or fmt.span == "tensor":
        raise ValueError(
            f"These checkpoints hold integers with a scale a group or a row, such as INT4_G128 or "
            f"INT8_ROW, not {type[:40]!r}."
        )
    return fmt


def _method_of(by: str) -> Method:
    method = get_method(by)
    if method.name not in METHODS:
        raise ValueError(
            f"{method.title} needs more than codes, scales and whole zero points, which is all "
            f"that these checkpoints hold: take {', '.join(METHODS[:-1])} or {METHODS[-1]}."
        )
    return method


def _config_of(model: Model) -> dict:
    """Read config.json as the new weights need it."""
    if not model.files.is_dir():
        raise ModelError(
            f"{model.name} is a GGUF file, without the config.json that a checkpoint needs: export "
            "the folder that it was made of."
        )
    config = read_json_object(model.files / "config.json")
    kept = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    # Scales are float16, so that is what a loader should compute in: bfloat16 would round them.
    return kept | {
        "torch_dtype": "float16",
        "tie_word_embeddings": model.config.tied_embedding,
    }


def _steps(
    model: Model, parts: Parts, path: Path, config: dict, choosing: Iterator[Progress[ByName]]
) -> Iterator[Progress[Path]]:
    chosen: ByName = {}
    for step in choosing:
        chosen = step.result or {}
        yield Progress(CHOOSING * step.share, step.stage)
    tensors = [*_floats(model, chosen), *_packed(parts, chosen)]
    needed, done = sum(each.n_bytes for each in tensors), 0
    with whole_folder(path, needed=needed) as folder:
        text = json.dumps(config, indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        for name in COPIED:
            if (model.files / name).is_file():
                shutil.copyfile(model.files / name, folder / name)
        with (folder / SINGLE).open("xb") as file:
            for each in write_safetensors(file, tensors):
                done += each.n_bytes
                yield Progress(CHOOSING + (1 - CHOOSING) * done / needed, each.name)
    yield Progress(1.0, "done", path)


def _packed(parts: Parts, chosen: ByName) -> Iterator[Outgoing]:
    for name, each in chosen.items():
        module = to_hugging_face(name).removesuffix(".weight")
        for part in parts(each.packed.shape):
            make = partial(part.make, each.packed)
            yield Outgoing(f"{module}.{part.suffix}", part.dtype, part.shape, make)


def _floats(model: Model, chosen: ByName) -> Iterator[Outgoing]:
    """All other tensors, as they are stored where nothing was folded into them, or else float32."""
    weights: Mapping[str, NDArray[np.float32]] = {n: model.weights(n) for n in model.tensors}
    scales = {n: c.column_scales for n, c in chosen.items() if c.column_scales is not None}
    for name, values in folded(weights, scales).items():
        if name not in chosen:
            stored, same = model.tensors[name].dtype, values is weights[name]
            dtype = stored if same and stored in DTYPES else "F32"
            make = partial(np.asarray, values)
            yield Outgoing(to_hugging_face(name), dtype, values.shape, make)
