"""The sentences of the page File: numbers in, text out."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pages.shared.units import (
    an,
    decimal,
    exact,
    percent,
    plural,
    real_minus,
    the,
    three,
    times,
)
from quantcore.evaluate.file_error import RestoredError, total_rmse
from quantcore.evaluate.two_files import TensorPair
from quantcore.formats import FORMATS
from quantcore.formats.ggml_types import GGML_TYPES
from quantcore.io.gguf import BOOL, NUMBERS, STRING, GgufFile
from quantcore.recipe.file_sums import sums_by_type
from quantcore.recipe.file_types import FileType
from quantcore.recipe.promise import Promise, code_bits, same_type

PURPOSE = "What is inside a GGUF file, and whether it is what its name says."
DEFINED = (
    "token, tensor, embedding, quantization, code, scale, grid, block, format, method, mix, pure, "
    "bits per weight, GGUF, importance matrix, root mean square"
).split(", ")

HOW_TO_READ_TREE = (
    "Every tensor of the file. Area shows bytes, colour shows bits (warm colours mean few). "
    "Grouped by what the tensors do. Click a group to enlarge it, and its name to go back."
)
HOW_TO_READ_CAUSES = (
    "Bits per weight, from what the name says to what is on disk. A name such as Q4_K_M counts "
    "only the codes."
)
HOW_TO_READ_HEADER = (
    "A GGUF file opens with everything a program must know before it reads a weight: the model’s "
    "sizes, its vocabulary, and the name, format, shape and place of every tensor."
)
HOW_TO_READ_PAIRS = (
    "Each mark is a matrix: its error in the first file to the right, in the second upwards, in "
    "percent of its size. On the dashed line both are equal; above it, the first file is closer to "
    "the original."
)
HOW_IT_IS_CHOSEN = (
    "A name such as Q4_K_M is a recipe: most matrices get Q4_K, and rules give some of them more "
    "bits or fewer. The table below says for each tensor which rule applied."
)
CAUSES = {
    "codes": "codes, as named",
    "scales": "their scales",
    "rules": "by the mix’s rules",
    "fallbacks": "fallbacks",
    "kept": "norms, in F32",
    "differs": "unlike its name",
    "header": "header, padding",
}
_WHY = {
    "scales": "scales",
    "rules": "the mix’s rules",
    "fallbacks": "rows that do not divide into blocks",
    "kept": "norms in F32",
    "differs": "tensors unlike the name",
}
_NUMBER_WORDS = {"u": "unsigned integer", "i": "integer", "f": "float"}


def not_a_file(known: str, bench: str, unaided: bool) -> str:
    """Say what is shown where there is no file; `unaided` of an importance matrix that it needs."""
    refused = "llama-quantize refuses this type without an importance matrix"
    if known:
        aided = f" {refused}: it is planned with one." if unaided else ""
        return (
            f"Not a file: this is what `quantize` would write for {known}, from its sizes alone. "
            f"The vocabulary, which this header lacks, would come on top.{aided}"
        )
    if unaided:
        return (
            f"Not a file: {refused}, and {bench} has none. This is what `quantize` would write "
            "with one; the page Importance says how to make one."
        )
    return (
        f"Not written yet: this is what `quantize` would write for {bench}, with the same header "
        "byte for byte. GGUF files in `models/` can be chosen above."
    )


def kind_of_file(file: GgufFile) -> str:
    """Say how large a file is, which version of GGUF, of which architecture and tokenizer."""
    kind = f"GGUF version {file.version}, {'big' if file.big_endian else 'little'}-endian"
    architecture = plain(file.metadata.get("general.architecture", "unnamed"))
    return f"{decimal(file.file_bytes)}; {kind}; architecture {architecture}. {tokenizer(file)}"


def beyond(file: GgufFile) -> str:
    """Say what of a file nobody or only llama.cpp reads, and a layout that it refuses.

    Empty where that is nothing.
    """
    types = Counter(t.type for t in file.tensors.values())
    nobodys = {type: n for type, n in types.items() if type not in GGML_TYPES}
    theirs = {type: n for type, n in types.items() if type in GGML_TYPES and type not in FORMATS}
    said = []
    if nobodys:
        said.append(
            f"llama.cpp does not read what is stored as **{_counted(nobodys)}**, and neither does "
            "the lab: its bytes are counted from where the next tensor begins, everything else is "
            "shown."
        )
    if theirs:
        said.append(
            f"The lab does not read what is stored as **{_counted(theirs)}**, which llama.cpp "
            "does: its bytes are counted, everything else is shown."
        )
    if file.refused:
        said.append(
            f"llama.cpp does not take the layout of this file: {plain_words(file.refused)}."
        )
    return " ".join(said)


def whole(label: str, promise: Promise, planned: bool) -> str:
    """Say what the file holds."""
    most, *others = sums_by_type(promise)
    verb = "would hold" if planned else "holds"
    start = f"**{label}** {verb} {plural(len(promise.tensors), 'tensor')}"
    bits = f"**{promise.bits_per_weight:.2f} bits** per weight"
    if most.bytes > 0.995 * promise.bytes:
        return f"{start}; almost all of their bytes are {most.name}, on average {bits}."
    second = f"{others[0].name} {percent(others[0].bytes / promise.bytes)}"
    return (
        f"{start} in {1 + len(others)} formats: {most.name} takes "
        f"{percent(most.bytes / promise.bytes)} of the bytes, {second}. On average, {bits}."
    )


def causes(promise: Promise, bits: Mapping[str, float]) -> str:
    """Say why the average is not what the name says."""
    file_type, stored = _file_type(promise), promise.bits_per_weight
    named = code_bits(file_type.format)
    others = {_WHY[cause]: value for cause, value in bits.items() if cause in _WHY}
    most = sorted(others, key=lambda why: -abs(others[why]))[:3]
    said = [f"{why} {signed_bits(others[why])}" for why in most if abs(others[why]) >= 0.005]
    if not said:
        return (
            f"The name **{file_type.name}** promises {plural(named, 'bit')}, and in this file a "
            f"weight takes **{stored:.2f}**."
        )
    return (
        f"The name **{file_type.name}** promises {plural(named, 'bit')}; in this file a weight "
        f"takes **{stored:.2f}**: {', '.join(said)}."
    )


def kept_its_promise(promise: Promise) -> str:
    """Say which tensors are not what llama-quantize makes of the name, and which fell back."""
    differ = [tensor for tensor in promise.tensors if tensor.differs]
    back = [tensor for tensor in promise.tensors if tensor.fell_back]
    name = _file_type(promise).name
    if differ:
        pairs = Counter((t.planned.type, t.type) for t in differ if t.planned)
        (wanted, held), count = pairs.most_common(1)[0]
        does, them = ("does", "it") if len(differ) == 1 else ("do", "them")
        which = f"**{len(differ)}** of {len(promise.tensors)} tensors {does}"
        if len(promise.tensors) == 1:
            which = "The only tensor does"
        says = f"{which} not have the type that llama-quantize would give {them} in {an(name)} "
        says += f"file: {plural(count, 'has', 'have')} {held} instead of {wanted}"
        return says + ("; others differ too." if len(pairs) > 1 else ".")
    if back:
        changes = Counter((t.planned.fallback, t.type) for t in back if t.planned)
        before, after = changes.most_common(1)[0][0]
        block = GGML_TYPES[str(before)].block_size
        columns = back[0].shape[-1]
        return (
            f"Every tensor has the type that llama-quantize would give it in {an(name)} file; "
            f"**{plural(len(back), 'tensor')}** fell back, for example from {before} to {after}, "
            f"because rows of {columns:,} do not divide into blocks of {block}."
        )
    return (
        f"Every tensor has the type that llama-quantize would give it in {an(name)} file; no "
        "fallbacks were needed, because all rows divide into blocks."
    )


def _file_type(promise: Promise) -> FileType:
    """Return the type that a file is held against; ValueError where there is none."""
    if promise.file_type is None:
        raise ValueError("Neither the file’s name nor its metadata name a file type.")
    return promise.file_type


def names_disagree(promise: Promise) -> str:
    """Say where the file's name and its metadata speak of different types; empty where not."""
    if promise.file_type is None:
        return (
            "Neither the file’s name nor its metadata name a file type, so there is nothing to "
            "compare it with."
        )
    if promise.in_name and not same_type(promise.in_name, promise.file_type):
        return (
            f"The file’s name says {promise.in_name}, but its metadata (general.file_type) say "
            f"{promise.file_type.name}; here it is compared with the metadata."
        )
    return ""


def header(file: GgufFile, parts: Mapping[str, int]) -> str:
    """Say how large the header is and what fills it."""
    most = max(parts, key=parts.__getitem__)
    share = file.header_bytes / file.file_bytes
    return (
        f"The header takes **{decimal(file.header_bytes)}**, {percent(share)} of the file: "
        f"{plural(len(file.metadata), 'entry', 'entries')} and the names of "
        f"{plural(len(file.tensors), 'tensor')}; its largest part is the {most}."
    )


def tokenizer(file: GgufFile) -> str:
    """Say what kind of tokenizer the file holds."""
    kind = file.metadata.get("tokenizer.ggml.model")
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    if kind is None or not isinstance(tokens, list):
        return "It holds no tokenizer."
    kinds = {
        "gpt2": "byte-level BPE (“gpt2”)",
        "llama": "SentencePiece (“llama”)",
        "bert": "WordPiece (“bert”)",
        "t5": "unigram (“t5”)",
    }
    cuts = file.metadata.get("tokenizer.ggml.pre")
    after = f"; it splits text as “{plain(cuts)}” does" if isinstance(cuts, str) else ""
    says = kinds.get(str(kind), f"of kind “{plain(kind)}”")
    return f"Its tokenizer is {says} with {plural(len(tokens), 'token')}{after}."


def plain(text: object) -> str:
    """Show a file's own word in a sentence; a page is no place for a stranger's markup.

    >>> plain("qwen2"), plain("![x](http://y)")
    ('qwen2', '??x??http???y?')
    """
    return re.sub(r"[^\w.+-]", "?", str(text)[:40])


def _counted(types: Mapping[str, int]) -> str:
    return ", ".join(f"{plain(type)} ({plural(n, 'tensor')})" for type, n in types.items())


def plain_words(text: str) -> str:
    """Show a sentence that quotes a file's words, without markup.

    >>> plain_words("it puts 'a*b' at byte 1,024")
    "it puts 'a?b' at byte 1,024"
    """
    return re.sub(r"[^\w.+,' -]", "?", text)


def kind_of(file: GgufFile, key: str) -> str:
    """Name the kind of a metadata value.

    Numbers as in a programming language: ``u4`` is an unsigned integer of 4 bytes.
    """
    value, number = file.metadata[key], file.kinds[key]
    kind = {STRING: "text", BOOL: "yes or no"}.get(number)
    if kind is None:
        code = NUMBERS[number]
        kind = f"{_NUMBER_WORDS[code[0]]} of {8 * int(code[1])} bits"
    many = isinstance(value, list | np.ndarray)
    return f"{len(value):,} × {kind}" if many else kind


def shortened(value: object, most: int = 70) -> str:
    """Show a metadata value in one line.

    >>> shortened(["a", "b", "c"]), shortened("x" * 100, 5), shortened(True)
    ('a · b · c', 'xxxx…', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | np.ndarray):
        return shortened(" · ".join(str(one) for one in value[:20]), most)
    if isinstance(value, float):
        return exact(value, 8)
    text = " ".join(str(value).encode("utf-8", "replace").decode().split())
    return text if len(text) <= most else text[: most - 1] + "…"


def side_by_side(
    labels: Sequence[str], promises: Sequence[Promise], n_shared: int, n_differ: int
) -> str:
    """Compare two files by size and types."""
    one, other = promises
    first, second = labels
    same = one.file_type if one.file_type == other.file_type else None
    calls = f" Both call themselves {same.name}." if same and n_differ else ""
    if not n_differ:
        shared = plural(n_shared, "tensor")
        each = "" if n_shared == 1 else "each "
        return f"**{first}** and **{second}** have {shared} in common, {each}in the same format."
    (size, smaller), (most, larger) = sorted(
        (p.bytes, label) for p, label in zip(promises, labels, strict=True)
    )
    says = "Both have the same size"
    if size < most:
        more = f"{percent(most / size - 1)} larger than"
        by = more if most < 2 * size else f"{times(most / size)} times as large as"
        says = f"**{larger}** is {by} {smaller}"
    verb = "differs" if n_differ == 1 else "differ"
    return f"**{plural(n_differ, 'tensor')}** {verb} in format. {says}.{calls}"


def errors(
    labels: Sequence[str], measured: Sequence[Sequence[RestoredError]], same_name: str | None
) -> str:
    """Compare two files by the error of their weights; `same_name` where both bear one name."""
    (one, first), (other, second) = sorted(
        (total_rmse(errors), label) for errors, label in zip(measured, labels, strict=True)
    )
    if not other:
        return "Both hold exactly the original’s weights."
    if other < 1.005 * one:
        return f"Both are equally far from the original: **{three(100 * one)} %** of its size."
    name = f"One name, {same_name}, two files: " if same_name else ""
    says = f"{name}**{second}** is {three(100 * other)} % away from the original"
    if not one:
        return f"{says}; **{first}** has the same weights as the original."
    ratio = times(other / one)
    return f"{says}, {ratio} times as far as **{first}** with {three(100 * one)} %."


def most_apart(pairs: Sequence[TensorPair]) -> str:
    """Name the matrix whose errors, none of them 0, are furthest apart in two files, if any are."""
    if not pairs:
        return ""
    pair = max(pairs, key=lambda pair: pair.error_ratio)
    if pair.error_ratio < 1.02:
        return ""
    return f" The errors of {the(pair.name)} differ most: {times(pair.error_ratio)} times."


def signed_bits(value: float) -> str:
    """Write a part of the bits per weight with its sign.

    >>> signed_bits(0.436), signed_bits(-0.436)
    ('+0.44', '−0.44')
    """
    return real_minus(f"{value:+.2f}")
