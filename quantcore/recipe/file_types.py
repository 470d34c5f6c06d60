"""The file types of llama-quantize: what `--type Q4_K_M` names is a recipe for a whole file.

And how a name says that one format is meant for every matrix: "Q4_K pure".
"""

from dataclasses import dataclass

from quantcore.checks import did_you_mean
from quantcore.formats import LATTICE, OUTSIDE_GGUF

# Name, number in general.file_type, type of most tensors. Source: llama.h, tools/quantize.
_ROWS = """
F32 0 F32          F16 1 F16          BF16 32 BF16       Q8_0 7 Q8_0        Q6_K 18 Q6_K
Q5_K_M 17 Q5_K     Q5_K_S 16 Q5_K     Q5_1 9 Q5_1        Q5_0 8 Q5_0
Q4_K_M 15 Q4_K     Q4_K_S 14 Q4_K     Q4_1 3 Q4_1        Q4_0 2 Q4_0
IQ4_NL 25 IQ4_NL   IQ4_XS 30 IQ4_XS   MXFP4_MOE 38 MXFP4
Q3_K_L 13 Q3_K     Q3_K_M 12 Q3_K     Q3_K_S 11 Q3_K     IQ3_M 27 IQ3_S     IQ3_S 26 IQ3_S
IQ3_XS 22 IQ3_S    IQ3_XXS 23 IQ3_XXS
Q2_K 10 Q2_K       Q2_K_S 21 Q2_K     IQ2_M 29 IQ2_S     IQ2_S 28 IQ2_XS    IQ2_XS 20 IQ2_XS
IQ2_XXS 19 IQ2_XXS TQ2_0 37 TQ2_0     TQ1_0 36 TQ1_0     IQ1_M 31 IQ1_M     IQ1_S 24 IQ1_S
""".split()

ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
_PURE = " PURE"


@dataclass(frozen=True, slots=True)
class FileType:
    """One recipe: most tensors get `format`, rules raise or lower some of them."""

    name: str
    number: int  # general.file_type in a GGUF file
    format: str  # of most tensors

    @property
    def is_quantized(self) -> bool:
        """Whether the rules apply: F32, F16 and BF16 files have one type throughout."""
        return self.format not in ("F32", "F16", "BF16")


FILE_TYPES = {
    name: FileType(name, int(number), format)
    for name, number, format in zip(_ROWS[::3], _ROWS[1::3], _ROWS[2::3], strict=True)
}


def split_pure(name: str) -> tuple[str, bool]:
    """Put a type's name into upper case, without its ending "pure"; and whether that was there.

    >>> split_pure(" q4_k  Pure")
    ('Q4_K', True)
    """
    wanted = " ".join(str(name).upper().split())
    return wanted.removesuffix(_PURE), wanted.endswith(_PURE)


def pure_name(format_name: str) -> str:
    """Name one format on every matrix: with "pure" where the name alone would mean a mix.

    An F16 file is the same either way.

    >>> pure_name("Q4_K"), pure_name("NVFP4"), pure_name("F16")
    ('Q4_K pure', 'NVFP4', 'F16')
    """
    mix = FILE_TYPES.get(ALIASES.get(format_name, format_name))
    ending = _PURE.lower() if mix is not None and mix.is_quantized else ""
    return format_name + ending


def throughout(format_name: str) -> FileType | None:
    """Find the file type with which `--pure` puts a ggml type on every matrix; None without one.

    >>> throughout("Q4_K").name, throughout("INT4_ROW")
    ('Q4_K_M', None)
    """
    return next((each for each in FILE_TYPES.values() if each.format == format_name), None)


def file_of(name: str, pure: bool = False) -> tuple[FileType, bool]:
    """Say what a name means for a whole file: the file type, and whether it is pure.

    With `pure` as llama-quantize's `--pure`. "Q4_K pure" says so itself; that, and a format that is
    no file type's name, is the format on every matrix: most of a file IQ2_S is IQ2_XS, all of
    "IQ2_S pure" is IQ2_S.

    Raises
    ------
    ValueError
        If no file type has this name, and none is mostly of this format.

    >>> file_of("Q4_K pure") == file_of("Q4_K_M", pure=True)
    True
    >>> file_of("MXFP4")[0].name
    'MXFP4_MOE'
    """
    wanted, ends = split_pure(name)
    whole = throughout(wanted)
    if whole is not None and (ends or ALIASES.get(wanted, wanted) not in FILE_TYPES):
        return whole, True
    return get_file_type(wanted if ends else name), pure or ends


def get_file_type(name: str) -> FileType:
    """Look a file type up by its name or alias, in any case.

    >>> get_file_type("q4_k").name
    'Q4_K_M'
    >>> get_file_type("Q4_K_XL")
    Traceback (most recent call last):
    ValueError: There is no file type 'Q4_K_XL'. Did you mean Q4_K_S, Q4_K_M or Q3_K_L? ...
    """
    wanted = name.upper()
    wanted = ALIASES.get(wanted, wanted)
    if wanted not in FILE_TYPES:
        nowhere = (
            "A GGUF file cannot hold"
            if wanted in OUTSIDE_GGUF | LATTICE
            else "There is no file type"
        )
        meant = did_you_mean(wanted, FILE_TYPES)
        raise ValueError(f"{nowhere} {name[:40]!r}.{meant} There are {', '.join(FILE_TYPES)}.")
    return FILE_TYPES[wanted]
