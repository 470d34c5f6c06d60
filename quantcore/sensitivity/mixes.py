"""Mixes measured: what files of different recipes cost on a text, with their intervals.

Those of a shipped model lie beside it, in assets/<model>/measured/mixes.json: for the sizes of
llama-quantize's file types the mixes that its rules, measured divergence, the cheaper guides and
chance make, chosen on the calibration text and judged on the evaluation text. The file:

    model, fingerprint, text, text_digest, context, tokens, tokens_scored    as in `results`
    tensors    names of the matrices
    mixes      {"columns": names of `MixPoint`'s fields, "rows": a list for each mix}; in these the
               types are one text, a type for each of the tensors
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from quantcore import sweep
from quantcore.evaluate.quantized import formats_by_tensor
from quantcore.evaluate.text import Chunks
from quantcore.io import ModelError
from quantcore.io.strict_json import read_json_object
from quantcore.io.writing import write_whole
from quantcore.model.shipped import SHIPPED, shipped_folder
from quantcore.model.source import Model
from quantcore.progress import Progress
from quantcore.recipe.of_types import matrix_types, padded_bytes, plan_of_types
from quantcore.recipe.plan import Plan
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.cached import RestoredTensors
from quantcore.sensitivity.effect import figures
from quantcore.sensitivity.reading import reading_of
from quantcore.sensitivity.results import Source, as_text, read_rows, table

WAYS = (
    *("rules", "measured", "swapped"),
    *("weight_error", "weighted_error", "output_error", "fisher"),
    *("random", "hand"),
)
MAX_FILE_BYTES = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Types for the matrices of a model, and who chose them."""

    name: str  # for people only
    way: str  # one of `WAYS`
    types: dict[str, str]  # of every quantizable tensor
    predicted_kl_divergence: float | None = None  # nats a token, the sum of single effects
    size_of: str | None = None  # the type that it is, or whose size it keeps within: "Q4_K_M"
    with_imatrix: bool = False  # whether an importance matrix serves every tensor


def mix_of(
    model: Model,
    made: Plan,
    way: str,
    predicted: float | None = None,
    *,
    size_of: str | None = None,
    name: str = "",
) -> Mix:
    """Take the types of a plan as a mix, called by `name`, by `size_of`, or by its bits."""
    return Mix(
        name=name or size_of or f"{made.bits_per_weight:.2f} bits",
        way=way,
        types=matrix_types(model, made),
        predicted_kl_divergence=predicted,
        size_of=size_of,
        with_imatrix=made.with_imatrix,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MixPoint:
    """What a mix costs; intervals hold the figure with 95 % confidence."""

    name: str
    way: str
    bytes: int  # of all tensors, padding included
    bits_per_weight: float  # without padding, as llama-quantize counts
    mean_kl_divergence: float  # from the original, nats a token
    kl_low: float
    kl_high: float
    perplexity: float
    perplexity_ratio: float  # to the original's
    ratio_low: float
    ratio_high: float
    same_top_token: float  # share of places where both would say the same
    predicted_kl_divergence: float | None
    types: dict[str, str]
    size_of: str | None = None  # as in `Mix`; missing in files of older labs, as is the next
    with_imatrix: bool = False


def mix_steps(
    model: Model, mixes: Sequence[Mix], chunks: Chunks
) -> Iterator[Progress[dict[int, MixPoint]]]:
    """Measure mixes on some chunks; a step a mix, with what all mixes so far cost, by place.

    Divergence and perplexity are those of the scored tokens, the second half of each chunk. An
    importance matrix that was given to the model serves all tensors, its own those that cannot do
    without.

    Raises
    ------
    ValueError
        If a type is unknown, or does not suit its tensor, or a mix is with an importance matrix and
        the model without, or the other way round; before any work is done.
    """
    for mix in mixes:
        if mix.with_imatrix != (model.given is not None):
            asked, given = ("with", "none is") if mix.with_imatrix else ("without", "one is")
            raise ValueError(
                f"{mix.name} is {asked} an importance matrix, and {given} given to {model.name}"
            )
        formats_by_tensor(model, mix.types)
    return _steps(model, mixes, chunks)


def _steps(
    model: Model, mixes: Sequence[Mix], chunks: Chunks
) -> Iterator[Progress[dict[int, MixPoint]]]:
    yield Progress(0.0, "reading the model")
    bench, restored = Bench(model, reading_of(model, chunks)), RestoredTensors(model)

    def work(place: int) -> MixPoint:
        mix = mixes[place]
        scores = bench.changed({name: restored.of(name, type) for name, type in mix.types.items()})
        return _point(model, mix, figures(bench.reading, scores, bench.original))

    points: dict[int, MixPoint] = {}
    with closing(sweep.run(work, range(len(mixes)))) as outcomes:
        for done, outcome in enumerate(outcomes, 1):
            mix = mixes[outcome.piece]
            if outcome.result is None:
                raise ValueError(
                    f"{mix.name} by {mix.way} could not be measured: {outcome.problem}"
                )
            points = points | {outcome.piece: outcome.result}
            yield Progress(done / len(mixes), f"{mix.name} by {mix.way}", points)


def _point(model: Model, mix: Mix, measured: dict[str, float]) -> MixPoint:
    made = plan_of_types(model, mix.types, lambda name, type: type)
    size = {"bytes": padded_bytes(made), "bits_per_weight": made.bits_per_weight}
    return MixPoint(**asdict(mix) | size | measured)


def save_mixes(path: Path, source: Source, points: Sequence[MixPoint]) -> None:
    """Write the file whole, or leave what is there."""
    tensors = list(points[0].types)
    rows = table(MixPoint, points)
    place = rows["columns"].index("types")
    for row in rows["rows"]:
        row[place] = " ".join(row[place][name] for name in tensors)
    write_whole(path, as_text(asdict(source) | {"tensors": tensors, "mixes": rows}))


def load_mixes(path: Path) -> tuple[Source, list[MixPoint]]:
    """Read a file that `save_mixes` wrote.

    Raises
    ------
    ModelError
        If it is missing, or not such a file.
    """
    raw = read_json_object(path, MAX_FILE_BYTES)
    try:
        source, tensors, mixes = Source.of(raw), raw["tensors"], raw["mixes"]
        place = mixes["columns"].index("types")
        for row in mixes["rows"]:
            row[place] = dict(zip(tensors, row[place].split(), strict=True))
        return source, read_rows(MixPoint, mixes)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
        raise ModelError(f"{path.name} holds no measured mixes.") from problem


def find_mix(
    points: Iterable[MixPoint], types: Mapping[str, str], with_imatrix: bool
) -> MixPoint | None:
    """Find what was measured of these types, with an importance matrix or without."""
    for point in points:
        if point.types == types and point.with_imatrix == with_imatrix:
            return point
    return None


def shipped_mixes(name: str = SHIPPED[0]) -> list[MixPoint]:
    """Read what mixes of a shipped model cost on the evaluation text."""
    return load_mixes(shipped_folder(name) / "measured" / "mixes.json")[1]
