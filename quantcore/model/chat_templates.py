"""Chat templates of a model folder, as GGUF's metadata.

Source: gguf's vocab.py and gguf_writer.py, which llama.cpp's converter uses.
"""

import re
from pathlib import Path
from typing import Any

from quantcore.io import ModelError
from quantcore.io.gguf_parts import read_parts
from quantcore.io.gguf_writer import Value
from quantcore.io.strict_json import file_size, read_json_object

MAX_BYTES = 2**20
MAX_CONFIG_BYTES = 2**26
_KEY = "tokenizer.chat_template"


def template_metadata(folder: Path, setting: Any) -> dict[str, Value]:
    """Return a folder's templates: one that is the default, others by their names.

    Parameters
    ----------
    setting
        What tokenizer_config.json says: a template, a list of them, or None. Only without it a
        file of its own counts.
    """
    setting = _in_files(folder) if setting is None else setting
    if isinstance(setting, str):
        return {_KEY: setting}
    named = {
        re.sub("[^A-Za-z0-9]", "_", str(entry["name"])): str(entry["template"])
        for entry in (setting if isinstance(setting, list) else [])
        if isinstance(entry, dict) and entry.get("name") and entry.get("template") is not None
    }
    default = named.pop("default", None)
    others: dict[str, Value] = {f"{_KEY}.{name}": text for name, text in named.items()}
    if named:
        others["tokenizer.chat_templates"] = list(named)
    return others if default is None else {_KEY: default} | others


def chat_template(model_files: Path) -> str:
    """Read the default chat template of a folder or a GGUF file; "" where it has none."""
    if model_files.is_dir():
        config = model_files / "tokenizer_config.json"
        settings = read_json_object(config, MAX_CONFIG_BYTES) if config.is_file() else {}
        told = template_metadata(model_files, settings.get("chat_template"))
    else:
        told = read_parts(model_files).metadata
    template = told.get(_KEY)
    return template if isinstance(template, str) else ""


def _in_files(folder: Path) -> Any:
    if (file := folder / "chat_template.jinja").is_file():
        more = sorted((folder / "additional_chat_templates").glob("*.jinja"))
        named = [{"name": each.stem, "template": _text(each)} for each in more]
        first = _text(file)
        return [{"name": "default", "template": first}, *named] if named else first
    if (file := folder / "chat_template.json").is_file():
        return read_json_object(file, MAX_BYTES).get("chat_template")
    return None


def _text(file: Path) -> str:
    if (size := file_size(file)) > MAX_BYTES:
        raise ModelError(f"{file.name} has {size:,} bytes, more than the {MAX_BYTES:,} expected.")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ModelError(f"{file.name} cannot be read as UTF-8 text.") from problem
