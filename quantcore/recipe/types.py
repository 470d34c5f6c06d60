"""What the name of a type means for a whole model: a mix, or one format on every matrix.

The one place that decides; how a name is taken apart stands in `quantcore.recipe.file_types`.
`Q4_K_M`, and `Q4_K`, its alias, name a file type of llama-quantize, whose rules give each tensor a
format of its own. `Q4_K pure` puts the format Q4_K on every matrix, as `--pure` does, and so does
the name of a format that is no file type: `INT4_G128`, `NVFP4`.
"""

from dataclasses import dataclass

from quantcore.checks import did_you_mean
from quantcore.format import Format
from quantcore.formats import ALL_FORMATS, DEFAULTS, FORMATS, LATTICE, OUTSIDE_GGUF, get_format
from quantcore.io import ModelError
from quantcore.model.source import Model
from quantcore.recipe.file_types import ALIASES, FILE_TYPES, FileType, pure_name, split_pure
from quantcore.recipe.plan import plan


@dataclass(frozen=True, slots=True)
class ModelType:
    """What is done to the matrices of a model."""

    name: str  # "Q4_K_M", "Q4_K pure", "INT4_G128": spelled so everywhere, and read back
    format: Format  # of every matrix, of most where it is a mix
    mix: FileType | None  # None where there is one format throughout

    @property
    def pure(self) -> "ModelType":
        """The type that puts its format on every matrix."""
        return get_type(pure_name(self.format.name))

    @property
    def mixed(self) -> "ModelType":
        """The mix that the format's name means, or the type itself where there is none."""
        return self if self.mix else get_type(self.format.name)


def get_type(name: str, pure: bool = False) -> ModelType:
    """Find out what a name means, upper or lower case.

    Parameters
    ----------
    pure
        Whether one format is meant throughout even where the name is that of a mix.

    Raises
    ------
    ValueError
        If nothing has this name, or the lab lacks the format of most tensors.

    Examples
    --------
    >>> get_type("q4_k").name, get_type("Q4_K pure").name, get_type("Q4_K_M", pure=True).name
    ('Q4_K_M', 'Q4_K pure', 'Q4_K pure')
    >>> get_type("int4_g128").mix is None
    True
    """
    wanted, ends = split_pure(name)
    pure = pure or ends
    mix = FILE_TYPES.get(ALIASES.get(wanted, wanted))
    if mix is None or (pure and wanted in FORMATS):  # most of a file of type IQ2_S is IQ2_XS
        return _of_format(wanted, name)
    if mix.format not in FORMATS:
        raise ValueError(
            f"The lab has no {mix.format} yet, the format of most tensors of {mix.name}: choose "
            "another type."
        )
    if pure or not mix.is_quantized:
        return _of_format(mix.format, name)
    return ModelType(mix.name, FORMATS[mix.format], mix)


def mix_needs_imatrix(model: Model, mix: FileType) -> bool:
    """Whether llama-quantize would refuse the mix without an importance matrix."""
    return plan(model, mix.name).needs_imatrix


def mixed_formats(model: Model, mix: FileType) -> dict[str, str]:
    """Name the format of each quantizable tensor in a mix, as llama-quantize chooses them.

    A mix that cannot do without an importance matrix is that with the model's own; every mix is
    with the one that was given.

    Raises
    ------
    ValueError
        If there is none with the model then, or the lab lacks a format.
    """
    aided = model.given or (model.imatrix and mix_needs_imatrix(model, mix))
    planned = {tensor.name: tensor for tensor in plan(model, mix.name, imatrix=bool(aided)).tensors}
    chosen = [planned[name] for name in model.quantizable]
    for tensor in chosen:
        if tensor.needs_imatrix:
            raise ModelError(
                f"{mix.name} needs an importance matrix, for {tensor.type} in {tensor.name}, and "
                f"{model.name} has none: choose another type, such as Q2_K."
            )
        if tensor.type not in FORMATS:
            raise ModelError(
                f"The lab has no {tensor.type} yet, which {tensor.name} would get in {mix.name}."
            )
    return {tensor.name: tensor.type for tensor in chosen}


def mixes_for(model: Model) -> list[str]:
    """List the mixes that the lab can make of a model, with the importance matrix that it has."""
    mixes = []
    for name, mix in FILE_TYPES.items():
        try:
            mixed_formats(model, mix)
        except ModelError:
            continue
        mixes.append(name)
    return mixes


def _of_format(name: str, typed: str) -> ModelType:
    try:
        fmt = get_format(name)
    except ValueError as problem:
        meant = did_you_mean(name, [*FORMATS, *OUTSIDE_GGUF, *LATTICE, *DEFAULTS, *FILE_TYPES])
        raise ValueError(
            f"There is no type called {typed[:40]!r}.{meant} {ALL_FORMATS}; or one of "
            "llama-quantize's mixes, such as Q4_K_M and IQ4_XS"
        ) from problem
    return ModelType(pure_name(fmt.name), fmt, None)
