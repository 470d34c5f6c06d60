"""What a file or folder is, who can run it, and what each would do otherwise: `doctor FILE`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantcore.architectures import by_model_type, by_name
from quantcore.doctor import Finding
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io import ModelError, short
from quantcore.io.gguf import MAGIC, GgufFile
from quantcore.io.gguf_parts import all_parts, read_parts
from quantcore.io.on_disk import as_named, opened
from quantcore.io.safetensors import read_folder, read_header
from quantcore.io.strict_json import read_json_object
from quantcore.model.chat_templates import chat_template
from quantcore.model.gguf_config import llama_cpp_refuses
from quantcore.model.gguf_source import ROPE_FACTORS
from quantcore.model.gguf_vocabulary import vocabulary_metadata
from quantcore.model.source import Model, open_model

_KINDS = {"imatrix": "importance matrix", "adapter": "adapter (LoRA)", "mmproj": "projector"}
_ALIGNMENT = 32


def diagnose(place: str | Path) -> Iterator[Finding]:
    """Look at a model folder, a GGUF file or a safetensors file.

    Raises
    ------
    ModelError
        If there is no such file or folder, or it is none of these, or too broken to tell.
    """
    path = as_named(Path(place).expanduser())
    if path.is_dir():
        yield from _folder(path)
        return
    with opened(path) as (file, _):
        begins = file.read(len(MAGIC))
    if begins == MAGIC or path.suffix.lower() == ".gguf":
        yield from _gguf(path)
    elif path.suffix == ".safetensors":
        yield Finding("kind", True, "safetensors file: weights without config and tokenizer")
        yield from _sizes({n: (t.dtype, t.n_bytes) for n, t in read_header(path).items()})
        yield Finding("lab", None, "opens its folder, where config.json lies beside it")
    else:
        raise ModelError(f"{path.name} is no GGUF file and no safetensors file: not known here.")


def _gguf(path: Path) -> Iterator[Finding]:
    file = read_parts(path)
    about = file.metadata
    holds = _KINDS.get(str(about.get("general.type")), "model")
    if not file.tensors:
        holds = "vocabulary without weights"
    order = "big" if file.big_endian else "little"
    yield Finding("kind", True, f"{holds}, GGUF version {file.version}, {order}-endian")
    architecture = about.get("general.architecture", "not said")
    yield Finding("architecture", True, short(architecture))
    n_parts = len(all_parts(path))
    yield Finding("files", True, "one" if n_parts == 1 else f"{n_parts} parts")
    yield from _sizes({name: (t.type, t.n_bytes) for name, t in file.tensors.items()})
    words = [short(about.get(f"tokenizer.ggml.{key}", "not said")) for key in ("model", "pre")]
    yield Finding("tokenizer", True, f"{words[0]}, cuts text as {words[1]}")
    has = isinstance(about.get("tokenizer.chat_template"), str)
    yield Finding("chat template", True if has else None, "in the file" if has else "none")
    matrix = about.get("quantize.imatrix.file")
    yield Finding("imatrix", None if matrix is None else True,
                  "not recorded" if matrix is None else f"recorded: {short(matrix)}")  # fmt: skip
    model, finding = _lab(path)
    yield finding
    yield _llama_cpp_on_file(file, holds, model)
    known = isinstance(architecture, str) and model is not None
    yield Finding("transformers", None, "decodes it to floats first (gguf_file=...)" if known
                  else "not known: it reads GGUF files of some architectures")  # fmt: skip
    yield from _differences_of_file(file)
    yield from _differences(model, tied_by="the file has no output matrix")


def _llama_cpp_on_file(file: GgufFile, holds: str, model: Model | None) -> Finding:
    """Say whether llama.cpp runs a file, from its rules; None where they don't tell."""
    strange = Counter(t.type for t in file.tensors.values() if t.type not in GGML_TYPES)
    if holds != "model":
        return Finding("llama.cpp", False, f"runs no {holds} alone")
    if strange:
        return Finding("llama.cpp", False, f"does not read {', '.join(strange)} (ik_llama.cpp may)")
    if file.refused:
        return Finding("llama.cpp", False, f"refuses its layout: {file.refused}")
    if model is not None:
        problem = llama_cpp_refuses(model.config)
        return Finding("llama.cpp", not problem, problem or "runs it")
    if not by_name(str(file.metadata.get("general.architecture"))).caches_known:
        return Finding("llama.cpp", None, "not known: an architecture that the lab does not know")
    return Finding("llama.cpp", None, "knows the architecture; the rest is not known")


def _differences_of_file(file: GgufFile) -> Iterator[Finding]:
    about = file.metadata
    if (alignment := about.get("general.alignment", _ALIGNMENT)) != _ALIGNMENT:
        yield _difference(f"tensors lie at multiples of {alignment}; a new file takes 32")
    own = {key.partition(".")[2]: value for key, value in about.items()}
    if own.get("attention.causal") is False:
        yield _difference("tokens see those behind them: llama.cpp makes embeddings of it")
    if own.get("attention.sliding_window"):
        yield _difference("a sliding window: the lab runs none")
    if about.get("tokenizer.ggml.add_eos_token") is True:
        yield _difference("texts are closed by EOS: when measuring, nobody puts it there")
    if ROPE_FACTORS in file.tensors:
        yield _difference("rotary factors are a tensor, computed from config.json elsewhere")


def _folder(folder: Path) -> Iterator[Finding]:
    raw = read_json_object(folder / "config.json")
    method = raw.get("quantization_config")
    kind = "model folder in Hugging Face's layout"
    if isinstance(method, Mapping):
        kind += f", quantized by {short(method.get('quant_method', 'a method not said'))}"
    yield Finding("kind", True, kind)
    yield Finding("architecture", True, short(raw.get("model_type", "not said")))
    try:
        weights = read_folder(folder)
        yield Finding("files", True, f"{len({t.path for t in weights.values()})} of safetensors")
        yield from _sizes({name: (t.dtype, t.n_bytes) for name, t in weights.items()})
    except (ValueError, OSError) as problem:
        yield Finding("weights", False, str(problem))
    try:
        has = bool(chat_template(folder))
        yield Finding("chat template", True if has else None, "with it" if has else "none")
    except (ValueError, OSError) as problem:
        yield Finding("chat template", False, str(problem))
    model, finding = _lab(folder)
    if model is not None:
        opens = "opens texts by BOS" if model.tokenizer.adds_bos else "puts nothing before texts"
        yield Finding("tokenizer", True, f"{model.tokenizer.vocabulary_size:,} tokens, {opens}")
    yield finding
    yield _llama_cpp_on_folder(folder, model)
    yield _transformers(raw)
    yield from _differences(model, tied_by="nothing stored differs from the embedding")


def _llama_cpp_on_folder(folder: Path, model: Model | None) -> Finding:
    if model is None:
        return Finding("llama.cpp", None, "not known: takes GGUF files, and the lab writes none")
    try:
        if problem := llama_cpp_refuses(model.config):
            raise ModelError(problem)
        size, adds = model.config.vocabulary_size, model.tokenizer.adds_bos
        told = vocabulary_metadata(model.files, size, adds) if folder == model.files else {}
    except (ValueError, OSError) as problem:
        return Finding("llama.cpp", False, str(problem))
    closed = told.get("tokenizer.ggml.add_eos_token")
    eos = "; it closes texts by EOS, as the file will say" if closed else ""
    return Finding("llama.cpp", True, f"runs the GGUF file that quantize writes{eos}")


def _transformers(raw: Mapping[str, Any]) -> Finding:
    kind = raw.get("model_type")
    if by_model_type(str(kind)) is None:
        return Finding("transformers", None, f"not known: model_type {short(kind)}")
    return Finding("transformers", True, f"has a class for {short(kind)}")


def _lab(path: Path) -> tuple[Model | None, Finding]:
    try:
        model = open_model(path)
    except (ValueError, OSError) as problem:
        return None, Finding("lab", False, str(problem))
    if unread := sorted(set(model.unreadable.values())):
        says = f"opens it, and does not run it: it cannot read weights in {', '.join(unread)}"
        return model, Finding("lab", False, says)
    return model, Finding("lab", True, f"runs it: {model.n_weights:,} weights")


def _differences(model: Model | None, tied_by: str) -> Iterator[Finding]:
    """Say what llama.cpp and transformers do otherwise with a model that the lab runs."""
    if model is None:
        return
    for says in model.tokenizer.differences:
        yield _difference(says)
    if model.config.tied_embedding:
        yield _difference(f"the output is the embedding: {tied_by}")
    if (scaling := model.config.rope_scaling) is not None:
        yield _difference(f"rotary scaling {scaling.kind}, factor {scaling.factor:g}: all apply it")


def _difference(says: str) -> Finding:
    return Finding("note", None, says)


def _sizes(stored: Mapping[str, tuple[str, int]]) -> Iterator[Finding]:
    """Bytes of all tensors, and the share of each type."""
    total, by_type = 0, Counter[str]()
    for type, n_bytes in stored.values():
        by_type[type] += n_bytes
        total += n_bytes
    shares = (f"{type} {n / max(total, 1):.1%}" for type, n in by_type.most_common())
    yield Finding("size", True, f"{total:,} bytes in {len(stored):,} tensors")
    yield Finding("types", True, ", ".join(shares) or "none")
