"""Where a model's sizes come from: a name, a file, a folder, pasted text, or the Hub.

What lies on disk comes first, then known models, and the Hugging Face Hub last: a known model's
name never asks the network. Of the Hub only headers are read.
"""

import re
from pathlib import Path

from quantcore.io import ModelError
from quantcore.io.gguf_parts import read_parts
from quantcore.io.safetensors import read_folder, read_header
from quantcore.io.strict_json import parse_json_object, read_json_object
from quantcore.memory.found import FoundModel
from quantcore.memory.gguf_shape import find_in_gguf
from quantcore.memory.tensors_shape import find_in_tensors
from quantcore.model.source import shipped_folder
from quantcore.shape.configs import shape_from_json
from quantcore.shape.model_shape import ModelShape
from quantcore.shape.presets import preset, preset_ids

MAX_PASTED_BYTES = 2**20
_USUAL_TAGS = ("Q4_K_M", "Q8_0")  # llama.cpp's choice where no tag is given


def shape_of(place: str | Path) -> ModelShape:
    """Return the sizes of a model, see `find_shape`.

    >>> shape_of("meta-llama/Llama-3.1-8B").n_weights
    8030261248
    """
    return find_shape(place).shape


def find_shape(place: str | Path) -> FoundModel:
    """Look a model up by whatever names it.

    Parameters
    ----------
    place
        A config.json, a model folder, a .safetensors or .gguf file, the shipped model's or a known
        model's name, the text of a config.json, or owner/name on the Hugging Face Hub, there also
        with ``:file.gguf`` or ``:Q4_K_M``.

    Raises
    ------
    ModelError
        One sentence that says what is wrong and what to do.

    Examples
    --------
    >>> find_shape("no such model")
    Traceback (most recent call last):
    quantcore.io.ModelError: There is no file, no folder, and no known model 'no such model'.
    """
    text = str(place).strip()
    if text.startswith("{"):
        return _pasted(text)
    if (path := _on_disk(text)) is not None:
        return _in_folder(path) if path.is_dir() else _in_file(path)
    if text == shipped_folder().name:
        return _in_folder(shipped_folder())
    if text in {name for known in preset_ids() for name in (known, known.split("/")[1])}:
        return FoundModel(shape=preset(text))
    model_id, _, which = text.partition(":")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model_id, re.ASCII) or Path(text).suffix == ".json":
        raise ModelError(f"There is no file, no folder, and no known model {text[:200]!r}.")
    return _on_hub(model_id, which)


def _on_disk(text: str) -> Path | None:
    path = Path(text).expanduser()
    try:
        return path.resolve() if path.exists() else None
    except (OSError, ValueError):  # a name too long, a null character
        return None


def _pasted(text: str) -> FoundModel:
    if len(text) > MAX_PASTED_BYTES:
        raise ModelError(f"The pasted text has {len(text):,} characters; a config.json is smaller.")
    raw = parse_json_object(text.encode("utf-8", "surrogatepass"), "The pasted text")
    return FoundModel(shape=shape_from_json(raw, "pasted model", "the pasted config.json"))


def _in_file(path: Path) -> FoundModel:
    ending = path.suffix.lower()
    if ending == ".gguf":
        return find_in_gguf(read_parts(path), path.stem, f"the header of {path.name}")
    if ending == ".safetensors":
        config = path.with_name("config.json")
        raw = read_json_object(config) if config.is_file() else None
        source = f"the header of {path.name}" + (" and config.json" if raw else "")
        return find_in_tensors(raw, read_header(path), path.stem, source)
    if ending == ".json":
        shape = shape_from_json(read_json_object(path), path.parent.name or "model", path.name)
        return FoundModel(shape=shape)
    raise ModelError(
        f"{path.name} is no model: a config.json, a .safetensors or a .gguf file is needed."
    )


def _in_folder(folder: Path) -> FoundModel:
    raw = read_json_object(folder / "config.json")
    if not any(folder.glob("*.safetensors")):
        shape = shape_from_json(raw, folder.name, "config.json")
        return FoundModel(shape=shape, notes=("The folder has no safetensors to compare with.",))
    source = "config.json and the headers of the weights"
    return find_in_tensors(raw, read_folder(folder), folder.name, source)


def _on_hub(model_id: str, which: str) -> FoundModel:
    # Loading the client takes a quarter of a second, which only those who ask the Hub should wait.
    from quantcore.io import hub_model as hub

    model = hub.open_on_hub(model_id)
    name = model_id.split("/")[1]
    tensors_there = any(file.endswith(".safetensors") for file in model.files)
    if which or (model.gguf_files and not tensors_there):
        file_name = choose_gguf(model.gguf_files, which, model_id)
        file = hub.read_hub_gguf(model, file_name)
        return find_in_gguf(file, name, f"the header of {file_name} of {model_id} on the Hub")
    raw, tensors = hub.read_hub_config(model), hub.read_hub_tensors(model)
    return find_in_tensors(raw, tensors, name, f"the headers of {model_id} on the Hub")


def choose_gguf(files: dict[str, int], which: str, model_id: str) -> str:
    """Choose a file by its name or its type, as llama.cpp's ``-hf`` does.

    >>> choose_gguf({"m-Q4_K_M.gguf": 1, "m-Q8_0.gguf": 2}, "q8_0", "a/m")
    'm-Q8_0.gguf'
    """
    if which in files:
        return which
    for tag in (which,) if which else _USUAL_TAGS:
        ending = re.compile(rf"(?:^|[-._/]){re.escape(tag)}(?:-\d+-of-\d+)?\.gguf", re.IGNORECASE)
        if found := [name for name in files if ending.search(name)]:
            return min(found, key=len)
    if not which and files:
        return min(files)
    there = ", ".join(sorted(files)[:6]) or "none"
    raise ModelError(f"{model_id} has no GGUF file {which[:80]!r}; there are: {there}.")
