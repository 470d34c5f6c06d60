"""Where a model's sizes come from: a name, a file, a folder, pasted text, or the Hub.

What lies on disk comes first, then known models, and the Hugging Face Hub last: a known model's
name never asks the network. Of the Hub only headers are read.

`find_shape` is for who owns this machine. What a stranger typed goes to `find_by_name`, which looks
at no file, or to `find_pasted`.
"""

import re
from dataclasses import replace
from pathlib import Path

from quantcore.io import ModelError
from quantcore.io.gguf_parts import first_part, read_parts
from quantcore.io.on_disk import as_named
from quantcore.io.safetensors import read_folder, read_header
from quantcore.io.strict_json import parse_json_object, read_json_object
from quantcore.memory.lookup.found_model import FoundModel
from quantcore.memory.lookup.gguf_shape import find_in_gguf
from quantcore.memory.lookup.tensors_shape import find_in_tensors
from quantcore.model.outliers.folder import is_recipe
from quantcore.model.outliers.spelled import split_name
from quantcore.model.shipped import SHIPPED, shipped_folder, shipped_name
from quantcore.model.source import open_model
from quantcore.shape.configs import shape_from_json
from quantcore.shape.model_shape import ModelShape, shape_from_config
from quantcore.shape.presets import preset, preset_ids

MAX_PASTED_BYTES = 2**20


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
        return find_pasted(text)
    text = _without_address(text)
    if (path := _on_disk(text)) is not None:
        return _in_folder(path) if path.is_dir() else _in_file(path)
    if split_name(text) is not None:
        return _with_outliers(text)
    if (found := _in_the_box(text) or _on_hub(text)) is None:
        raise ModelError(f"There is no file, no folder, and no known model {text[:200]!r}.")
    return found


def find_by_name(text: str, *, as_owner: bool = False) -> FoundModel:
    """Look a model up by a name that a stranger typed: nothing on this machine's disk is looked at.

    Parameters
    ----------
    text
        The name of the shipped or a known model, or owner/name on the Hub, there also with
        ``:file.gguf`` or ``:Q4_K_M``, or the address of its page.
    as_owner
        Ask the Hub with the token of who owns this machine, who may see more than others.

    Raises
    ------
    ModelError
        One sentence that says what is wrong and what to do.

    Examples
    --------
    >>> find_by_name("/etc/passwd")
    Traceback (most recent call last):
    quantcore.io.ModelError: '/etc/passwd' is not a model's name; write owner/name, as on the Hub.
    """
    text = _without_address(text.strip())
    if (found := _in_the_box(text) or _on_hub(text, as_owner)) is None:
        raise ModelError(f"{text[:200]!r} is not a model's name; write owner/name, as on the Hub.")
    return found


def find_pasted(text: str) -> FoundModel:
    """Read the text of a config.json."""
    if len(text) > MAX_PASTED_BYTES:
        raise ModelError(f"The pasted text has {len(text):,} characters; a config.json is smaller.")
    raw = parse_json_object(text.encode("utf-8", "surrogatepass"), "The pasted text")
    return FoundModel(shape=shape_from_json(raw, "pasted model", "the pasted config.json"))


def _in_the_box(text: str) -> FoundModel | None:
    """Find a shipped model, or a known one, by its name."""
    if text in SHIPPED:
        return _in_folder(shipped_folder(text))
    known = _known(text)
    return FoundModel(shape=preset(known)) if known else None


def _without_address(text: str) -> str:
    """Take owner/name, and the file if there is one, out of the address of a model's page.

    >>> _without_address("https://huggingface.co/a/m-GGUF/blob/main/q4/m.gguf")
    'a/m-GGUF:q4/m.gguf'
    >>> _without_address("hf.co/a/m-GGUF:Q4_K_M"), _without_address("a/m")
    ('a/m-GGUF:Q4_K_M', 'a/m')
    """
    match = re.fullmatch(r"(?:https?://)?(?:huggingface\.co|hf\.co)/([^/]+/[^/?#]+)(.*)", text)
    if not match:
        return text
    file = re.fullmatch(r"/(?:blob|resolve)/[^/]+/(.+\.gguf)(?:\?.*)?", match[2])
    return f"{match[1]}:{file[1]}" if file else match[1]


def _known(text: str) -> str | None:
    """Id of a known model, by its id or its name, however they are written."""
    wanted = text.lower()
    return next((i for i in preset_ids() if wanted in (i.lower(), i.split("/")[1].lower())), None)


def _on_disk(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return as_named(path) if text and path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null character, no such user
        return None


def _in_file(path: Path) -> FoundModel:
    ending = path.suffix.lower()
    if ending == ".gguf":
        return find_in_gguf(read_parts(path), path.stem, f"the header of {path.name}")
    if re.search(r"-\d+-of-\d+\.safetensors$", path.name):
        return _in_folder(path.parent)
    if ending == ".safetensors":
        config = path.with_name("config.json")
        raw = read_json_object(config) if config.is_file() else None
        source = f"the header of {path.name}" + (" and config.json" if raw else "")
        return find_in_tensors(raw, read_header(path), path.stem, source)
    if ending == ".json":
        shape = shape_from_json(read_json_object(path), path.parent.name or "model", path.name)
        return FoundModel(shape=shape)
    raise ModelError(
        f"{path.name} is not a model: a config.json, a .safetensors or a .gguf file is needed."
    )


def _in_folder(folder: Path) -> FoundModel:
    ggufs = sorted({first_part(path).name for path in folder.glob("*.gguf")})
    models = [name for name in ggufs if not re.search("mmproj|imatrix", name)]
    if models and not (folder / "config.json").exists():
        if len(models) == 1:
            return _in_file(folder / models[0])
        listed = ", ".join(models[:6])
        raise ModelError(f"{folder.name} holds {len(models)} GGUF files, name one: {listed}.")
    if is_recipe(folder):
        return _with_outliers(folder)
    raw = read_json_object(folder / "config.json")
    if not any(folder.glob("*.safetensors")):
        shape = shape_from_json(raw, folder.name, "config.json")
        return FoundModel(shape=shape, notes=("The folder has no safetensors to compare with.",))
    source = "config.json and the headers of the weights"
    found = find_in_tensors(raw, read_folder(folder), folder.name, source)
    return replace(found, shipped=shipped_name(folder))


def _with_outliers(source: Path | str) -> FoundModel:
    """Find the sizes of a model with outlier channels, which is made when it is opened."""
    model = open_model(source)
    n_bytes = sum(tensor.n_bytes for tensor in model.tensors.values())
    shape = shape_from_config(model.config, model.name)
    return FoundModel(shape=shape, stored_bytes=n_bytes, shipped=shipped_name(Path(source)))


def _on_hub(text: str, as_owner: bool = True) -> FoundModel | None:
    """Ask the Hub; None for what cannot be a name there."""
    model_id, _, which = text.partition(":")
    if "/" not in text or model_id.lower().endswith((".json", ".gguf", ".safetensors")):
        return None
    # Loading the client takes a quarter of a second, which only those who ask the Hub should wait.
    from quantcore.memory.lookup.on_hub import find_on_hub, is_model_id

    return find_on_hub(model_id, which, as_owner) if is_model_id(model_id) else None
