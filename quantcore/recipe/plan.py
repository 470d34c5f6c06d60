"""Which type each tensor of a file gets, the rule that said so, and its bytes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantcore.architectures import by_name
from quantcore.formats.ggml_types import GGML_TYPES, fitting
from quantcore.model.config import LlamaConfig
from quantcore.model.source import Model
from quantcore.recipe.contents import Contents, contents_of, layer_of
from quantcore.recipe.file_types import FileType, file_of, pure_name
from quantcore.recipe.overrides import Override, first_matches
from quantcore.recipe.rules import Place, decide, may_quantize, role_of, tensor_needs_imatrix


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPlan:
    """What becomes of one tensor."""

    name: str  # GGUF's
    shape: tuple[int, ...]  # (n_rows, n_cols); stacks of experts have one axis more in front
    type: str  # ggml's
    rule: str  # one sentence: why this type
    fallback: str | None  # the type that the rule wanted, where rows do not divide into its blocks
    bytes: int
    needs_imatrix: bool = False  # llama-quantize refuses to store it so without one

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The types of all tensors of a file, in llama-quantize's order."""

    model: str
    file_type: FileType
    pure: bool
    tensors: tuple[TensorPlan, ...]
    with_imatrix: bool = False  # planned for a file that is made with an importance matrix

    @property
    def types(self) -> dict[str, str]:
        """Type of each tensor, vectors too, by name."""
        return {tensor.name: tensor.type for tensor in self.tensors}

    @property
    def needs_imatrix(self) -> bool:
        """Whether llama-quantize refuses the file, planned without an importance matrix."""
        return any(tensor.needs_imatrix for tensor in self.tensors)

    @property
    def type(self) -> str:
        """What is asked for, as `quantcore.get_type` spells it: "Q4_K_M", "Q4_K pure"."""
        return pure_name(self.file_type.format) if self.pure else self.file_type.name

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, without the file's header and without padding."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Bits a weight over all tensors, norms too, as llama-quantize counts them."""
        return 8 * self.bytes / sum(tensor.n_weights for tensor in self.tensors)

    @property
    def n_fallbacks(self) -> int:
        """Tensors whose rows do not divide into the blocks of the type that a rule wanted."""
        return sum(tensor.fallback is not None for tensor in self.tensors)

    def bytes_by_role(self) -> dict[str, dict[str, int]]:
        """Bytes of matrices by role ("ffn_down") and type, all layers together.

        What is never quantized is one role, "norms and biases".
        """
        sizes: dict[str, dict[str, int]] = {}
        for each in self.tensors:
            is_matrix = may_quantize(each.name, each.shape)
            by_type = sizes.setdefault(role_of(each.name) if is_matrix else "norms and biases", {})
            by_type[each.type] = by_type.get(each.type, 0) + each.bytes
        return sizes


def plan(
    source: Contents | Model | LlamaConfig | Mapping[str, Any],
    file_type: str,
    *,
    imatrix: bool = False,
    pure: bool = False,
    output_type: str | None = None,
    embedding_type: str | None = None,
    overrides: Sequence[Override] = (),
) -> Plan:
    """Plan a file as llama-quantize would.

    Parameters
    ----------
    source
        An opened model, its config, a parsed config.json, or the contents of a file.
    file_type
        One of `FILE_TYPES` or an alias: "Q4_K_M", "Q4_K"; or one format throughout: "Q4_K pure".
    imatrix
        Whether there will be an importance matrix; some rules ask for it.
    pure
        Without rules: every matrix gets the type of most (`--pure`).
    output_type, embedding_type
        ggml types, as `--output-tensor-type` and `--token-embedding-type`.
    overrides
        Patterns of names and their types, as `--tensor-type`; the first that is found counts.

    Raises
    ------
    ValueError
        For an unknown type, or one asked for by role that rows do not divide into; ModelError for
        a config that the lab cannot read.

    Examples
    --------
    >>> from quantcore.model.source import open_model
    >>> plan(open_model(), "Q4_K_M").types["token_embd.weight"]
    'Q6_K'
    """
    contents = source if isinstance(source, Contents) else contents_of(source)
    chosen, pure = file_of(file_type, pure)
    for name in (output_type, embedding_type, *(override.type for override in overrides)):
        if name is not None and name not in GGML_TYPES:
            raise ValueError(f"There is no tensor type {name[:40]!r}.")
    planner = _Planner(contents, chosen, imatrix, pure, output_type, embedding_type, overrides)
    tensors = tuple(planner.tensor(name) for name in contents.in_order())
    return Plan(
        model=contents.name, file_type=chosen, pure=pure, tensors=tensors, with_imatrix=imatrix
    )


class _Planner:
    """Goes through the tensors in order and counts those that rules go by."""

    def __init__(self, contents, file_type, imatrix, pure, output_type, embedding_type, overrides):
        self.contents = contents
        self.file_type = file_type
        self.imatrix = imatrix
        self.pure = pure
        self.by_role = {"output": output_type, "token_embd": embedding_type}
        self.overrides = first_matches(overrides, contents.shapes)
        self.tied = "output.weight" not in contents.shapes
        self.n_values = sum(role_of(name) == "attn_v" for name in contents.shapes)
        self.seen: Counter[str] = Counter()  # tensors of each role that the rules decided about

    def tensor(self, name: str) -> TensorPlan:
        shape = self.contents.shapes[name]
        wanted, rule = self._wanted(name, shape)
        got = wanted
        if self.file_type.is_quantized and may_quantize(name, shape) and not self._asked(name):
            got = fitting(wanted, shape[-1])
        if got != wanted:
            rule += f"; rows of {shape[-1]:,} do not divide into its blocks of "
            rule += f"{GGML_TYPES[wanted].block_size}, so it falls back to {got}"
        size = GGML_TYPES[got]
        if shape[-1] % size.block_size:
            raise ValueError(
                f"{name} cannot be stored as {got}, as asked: its rows of {shape[-1]:,} do not "
                f"divide into blocks of {size.block_size}, and llama-quantize stops there. Ask for "
                "another type."
            )
        copied = self.contents.types.get(name) == got  # llama-quantize leaves its bytes alone
        demands = not copied and tensor_needs_imatrix(name, got, self.file_type.name)
        return TensorPlan(
            name=name,
            shape=shape,
            type=got,
            rule=_sentence(name, rule),
            fallback=wanted if got != wanted else None,
            bytes=math.prod(shape) // size.block_size * size.block_bytes,
            needs_imatrix=demands and not self.imatrix,
        )

    def _asked(self, name: str) -> str | None:
        """Type that was asked for by the name of the role."""
        return self.by_role.get(role_of(name))

    def _wanted(self, name: str, shape: tuple[int, ...]) -> tuple[str, str]:
        """Type before rows are looked at, and why."""
        if len(shape) < 2:
            return self.contents.types.get(name, "F32"), "vectors stay as they are"
        if not may_quantize(name, shape):
            return self.contents.types.get(name, "F16"), "small and delicate, it stays as it is"
        if asked := self._asked(name):
            return asked, f"{asked} was asked for"
        most = self.file_type.format
        if not self.file_type.is_quantized:
            return most, f"every matrix of a file of type {self.file_type.name} is {most}"
        if override := self.overrides.get(name):
            return override.type, f"{override.type} was asked for by {override.pattern!r}"
        if self.pure:
            return most, f"pure: every matrix gets {most}"
        if self.tied and role_of(name) == "token_embd" and (asked := self.by_role["output"]):
            return asked, f"{asked} was asked for the output, which is this tensor"
        return decide(self._place(name, shape), most, self.tied)

    def _place(self, name: str, shape: tuple[int, ...]) -> Place:
        role, contents = role_of(name), self.contents
        number = self.seen[role]
        self.seen[role] += 1
        return Place(
            file_type=self.file_type.name,
            role=role,
            n_cols=shape[-1],
            number=number,
            # With experts llama-quantize takes the layer from the name, otherwise it counts.
            layer=layer_of(name) if contents.n_experts > 1 else number,
            n_values=self.n_values,
            n_layers=contents.n_layers,
            heads_per_kv_head=contents.n_heads // contents.n_kv_heads,
            n_experts=contents.n_experts,
            has_imatrix=self.imatrix,
            is_70b=_is_70b(contents),
            is_stack=len(shape) > 2,
        )


def _is_70b(contents: Contents) -> bool:
    """Whether llama.cpp takes it for a 70B model: 80 layers, for Llama with grouped queries."""
    is_70b = by_name(contents.architecture).is_70b
    grouped = contents.n_heads != contents.n_kv_heads
    return contents.n_layers == 80 and (is_70b == "always" or (is_70b == "grouped" and grouped))


def _sentence(name: str, rule: str) -> str:
    layer = layer_of(name)
    role = name.removeprefix(f"blk.{layer}.").removesuffix(".weight")
    where = role if layer < 0 else f"{role} of layer {layer}"
    return f"{where}: {rule}."
