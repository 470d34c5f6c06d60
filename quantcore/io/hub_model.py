"""A model on the Hugging Face Hub, by what its headers say; the weights stay there.

One request lists the files; then config.json, and the headers of safetensors or GGUF files, are
read, which are a few kilobytes each (a GGUF file's hold its vocabulary: some megabytes).
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from quantcore.io import ModelError
from quantcore.io.gguf import GgufFile, read_header
from quantcore.io.gguf_parts import NUMBERED, read_parts
from quantcore.io.hub import RangeFile, list_files, read_small, senseless
from quantcore.io.safetensors import SINGLE, SafetensorsTensor, list_tensors
from quantcore.io.strict_json import parse_json_object

CONFIG = "config.json"
MAX_LIST_BYTES = 8 * 2**20
MAX_CONFIG_BYTES = 2**20
MAX_SHARDS = 1000
AT_ONCE = 8  # shards whose headers are read at the same time
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_SHARD = re.compile(r"(.+)-(\d{5,6})-of-(\d{5,6})\.safetensors")


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model's files, as the Hub lists them."""

    model_id: str  # owner/name
    revision: str  # the commit that all files are read from
    files: Mapping[str, int] = field(repr=False)  # name -> bytes
    as_owner: bool = True  # asked for with this machine's token, if there is one

    @property
    def gguf_files(self) -> dict[str, int]:
        """Models in GGUF: bytes of all parts by the name of the first."""
        sizes: dict[str, int] = {}
        for name, n_bytes in sorted(self.files.items()):
            if name.endswith(".gguf") and not re.search("mmproj|imatrix", name):
                part = NUMBERED.fullmatch(name)
                first = f"{part[1]}-00001-of-{part[3]}.gguf" if part else name
                sizes[first] = sizes.get(first, 0) + n_bytes
        return sizes


def is_model_id(text: str) -> bool:
    """Whether a text could be the name of a model on the Hub, owner/name.

    >>> is_model_id("Qwen/Qwen3-0.6B"), is_model_id("../secret"), is_model_id("config.json")
    (True, False, False)
    """
    return bool(re.fullmatch(f"{_WORD}/{_WORD}", text)) and not re.search(r"--|\.\.", text)


def open_on_hub(model_id: str, as_owner: bool = True) -> HubModel:
    """List the files of a model; `as_owner` with this machine's token, if there is one.

    Raises
    ------
    ModelError
        One sentence: no network, no such model, gated, and what else can be wrong.
    """
    if not is_model_id(model_id):
        raise ModelError(f"{model_id[:100]!r} is not a name on the Hub; write owner/name.")
    listed = parse_json_object(
        list_files(model_id, MAX_LIST_BYTES, as_owner), f"The Hub’s answer about {model_id}"
    )
    revision, files = listed.get("sha"), listed.get("siblings")
    if not isinstance(revision, str) or not re.fullmatch("[0-9a-f]{40}", revision):
        raise senseless(model_id, "it names no revision")
    if not isinstance(files, list):
        raise senseless(model_id, "it lists no files")
    entries = dict(_entry(model_id, file) for file in files)
    return HubModel(model_id, revision, entries, as_owner)


def read_hub_config(model: HubModel) -> dict[str, Any]:
    """Read a model's config.json."""
    if CONFIG not in model.files:
        raise ModelError(f"{model.model_id} has no {CONFIG}, so the lab cannot tell its sizes.")
    text = read_small(
        model.model_id, model.revision, CONFIG, MAX_CONFIG_BYTES, as_owner=model.as_owner
    )
    return parse_json_object(text, f"{CONFIG} of {model.model_id}")


def read_hub_tensors(model: HubModel) -> dict[str, SafetensorsTensor]:
    """List the tensors of a model's safetensors files, from their headers.

    Raises
    ------
    ModelError
        Also if there are no safetensors, or some are missing.
    """
    names = _weight_files(model)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        headers = list(pool.map(partial(_header, model), names))
    tensors: dict[str, SafetensorsTensor] = {}
    for name, header in zip(names, headers, strict=True):
        if twice := tensors.keys() & header.keys():
            raise ModelError(f"{name} of {model.model_id} repeats {min(twice)[:80]!r}.")
        tensors |= header
    return tensors


def read_hub_gguf(model: HubModel, name: str) -> GgufFile:
    """Read the header of a GGUF file, or those of all parts where it is split."""
    folder = name.rpartition("/")[0]

    def full_name(path: Path) -> str:
        return f"{folder}/{path.name}" if folder else path.name

    def read(path: Path) -> GgufFile:
        file = _range_file(model, full_name(path))
        return read_header(path, file, file.n_bytes)

    if name not in model.files:
        raise ModelError(f"{model.model_id} has no file {name[:100]!r}.")
    return read_parts(Path(name), read, lambda path: full_name(path) in model.files)


def _header(model: HubModel, name: str) -> dict[str, SafetensorsTensor]:
    file = _range_file(model, name)
    return list_tensors(Path(name), file, file.n_bytes)


def _range_file(model: HubModel, name: str) -> RangeFile:
    n_bytes = model.files[name]
    return RangeFile(model.model_id, model.revision, name, n_bytes, as_owner=model.as_owner)


def _entry(model_id: str, file: object) -> tuple[str, int]:
    name, n_bytes = (file.get("rfilename"), file.get("size")) if isinstance(file, dict) else (0, 0)
    if not isinstance(name, str) or type(n_bytes) is not int or not 0 <= n_bytes < 2**63:
        raise senseless(model_id, "it lists a file without name and size")
    return name, n_bytes


def _weight_files(model: HubModel) -> list[str]:
    """Find model.safetensors, or the shards of the model, as their names number them."""
    if SINGLE in model.files:
        return [SINGLE]
    shards = {name: match for name in sorted(model.files) if (match := _SHARD.fullmatch(name))}
    shards = {name: match for name, match in shards.items() if match[1] == "model"}
    if not shards:
        raise ModelError(f"{model.model_id} has no safetensors{_what_else(model)}.")
    count = int(next(iter(shards.values()))[3])
    numbers = [int(match[2]) for match in shards.values()]
    if count > MAX_SHARDS or numbers != list(range(1, count + 1)):
        raise ModelError(
            f"{model.model_id} has {len(shards)} of the {count} files of its weights that their "
            "names promise."
        )
    return list(shards)


def _what_else(model: HubModel) -> str:
    if model.gguf_files:
        return f" but GGUF files; name one, as in {model.model_id}:{min(model.gguf_files)}"
    if any(name.endswith((".bin", ".pt", ".pth")) for name in model.files):
        return ", only pickled weights (.bin), which the lab does not open; paste its config.json"
    return "; paste its config.json"
