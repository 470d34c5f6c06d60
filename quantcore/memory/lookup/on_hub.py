"""A model's sizes from the Hugging Face Hub: config.json and headers, or a GGUF file's header."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from quantcore.io import ModelError
from quantcore.io.hub_model import (
    CONFIG,
    HubModel,
    is_model_id,
    open_on_hub,
    read_hub_config,
    read_hub_gguf,
    read_hub_tensors,
)
from quantcore.memory.lookup.found_model import FoundModel
from quantcore.memory.lookup.gguf_shape import find_in_gguf
from quantcore.memory.lookup.tensors_shape import find_in_tensors

__all__ = ["choose_gguf", "find_on_hub", "is_model_id"]

_USUAL_TYPES = ("Q4_K_M", "Q8_0")  # llama.cpp's choice where none is named


def find_on_hub(model_id: str, which: str = "", as_owner: bool = True) -> FoundModel:
    """Look a model up by its name, owner/name; `which` names a GGUF file or its type.

    Safetensors are taken where there are some, unless a GGUF file is asked for. The Hub is asked
    with this machine's token only `as_owner`.

    Raises
    ------
    ModelError
        One sentence: no network, no such model, gated, and what else can be wrong.
    """
    model = open_on_hub(model_id, as_owner)
    if which or (model.gguf_files and not any(".safetensors" in name for name in model.files)):
        return _in_gguf(model, which)
    source = f"the headers of {model_id} on the Hub"
    tensors = read_hub_tensors(model)
    raw = read_hub_config(model) if CONFIG in model.files else None
    return find_in_tensors(raw, tensors, model_id.split("/")[1], source)


def choose_gguf(files: Mapping[str, int], which: str, model_id: str) -> str:
    """Choose a file by its name or its type, as llama.cpp's ``-hf`` does.

    >>> choose_gguf({"m-Q4_K_M.gguf": 1, "m-Q8_0.gguf": 2}, "q8_0", "a/m")
    'm-Q8_0.gguf'
    """
    if which in files:
        return which
    for tag in (which,) if which else _USUAL_TYPES:
        ending = re.compile(rf"(?:^|[-._/]){re.escape(tag)}(?:-\d+-of-\d+)?\.gguf", re.IGNORECASE)
        if matches := [name for name in files if ending.search(name)]:
            return min(matches, key=len)
    if not which and files:
        return min(files)
    names = ", ".join(sorted(files)[:6]) or "none"
    raise ModelError(f"{model_id} has no GGUF file {which[:80]!r}; there are: {names}.")


def _in_gguf(model: HubModel, which: str) -> FoundModel:
    name = choose_gguf(model.gguf_files, which, model.model_id)
    source = f"the header of {name} of {model.model_id} on the Hub"
    model_found = find_in_gguf(read_hub_gguf(model, name), Path(name).stem, source)
    if which or len(model.gguf_files) == 1:
        return model_found
    chosen = (
        f"{model.model_id} has {len(model.gguf_files)} GGUF files, of which this is {name}; name "
        f"another as in {model.model_id}:Q8_0.",
    )
    return replace(model_found, notes=model_found.notes + chosen)
