"""A sweep: every piece measured, here or on a cluster, each result as it comes."""

import hashlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from quantcore import sweep
from quantcore.evaluate.text import Chunks, calibration_text, cut
from quantcore.io.imatrix import Imatrix
from quantcore.model.source import Model, open_model
from quantcore.progress import Progress, result_of
from quantcore.sensitivity.bench import Bench
from quantcore.sensitivity.choosing import Choosing, choosing_of
from quantcore.sensitivity.effect import Effect
from quantcore.sensitivity.guides import guide_steps
from quantcore.sensitivity.pieces import (
    DEFAULT_FORMATS,
    Group,
    How,
    Piece,
    checked_formats,
    pieces_of,
)
from quantcore.sensitivity.reading import Reading, first_questions, reading_of
from quantcore.sensitivity.results import Sensitivity, Source

TOKENS = 4096  # of the text, unless told otherwise
SAVE_EVERY_S = 2.0
Outcomes = Generator[sweep.Outcome[Piece, Effect] | sweep.Workers, None, None]


@dataclass(frozen=True, slots=True)
class Swept:
    """Results of a sweep so far."""

    results: Sensitivity  # it grows from step to step
    effect: Effect | None = None  # measured in this step
    problems: tuple[str, ...] = ()  # why pieces failed, a sentence each; the others go on
    workers: int | None = None  # of the cluster, in a step that tells how many it has now


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a sweep measures, and on which text.

    A tensor that a format cannot store is left out with it. The default text is the calibration
    text that ships with the lab: what is chosen by these results must be judged on another one.
    """

    formats: Sequence[str] = DEFAULT_FORMATS
    groups: Sequence[Group] = ("tensor", "all")  # what is changed at once
    hows: Sequence[How] = ("alone",)  # that alone is quantized, or all but that
    text: str | None = None
    text_name: str = "calibration.txt"
    context: int = 512  # tokens a chunk
    tokens: int | None = None  # of the text's beginning; 4,096, or as many as there are
    questions: int = 0  # to ask of each skill at each level, besides the text
    by: str = ""  # the method that chooses codes, see `Choosing`; "": they are rounded to nearest
    calibration: str | None = None  # what the method is shown; by default the calibration text

    @property
    def words(self) -> str:
        """What the model reads: the text, or the calibration text where none is given."""
        return calibration_text() if self.text is None else self.text


def measure_sensitivity(
    model: Model,
    settings: Settings | None = None,
    known: Sensitivity | None = None,
    scheduler: str | None = None,
    patience: sweep.Patience | None = None,
    on_progress: Callable[[Progress[Swept]], None] | None = None,
) -> Swept:
    """Measure what each piece of a model costs in each format.

    Arguments as for `sensitivity_steps`; `on_progress` is called after each piece, and an exception
    that it raises ends the work. Pieces that failed are missing in the results, and ``problems``
    says why.
    """
    steps = sensitivity_steps(model, settings, known, scheduler, patience)
    return result_of(steps, on_progress)


def sensitivity_steps(
    model: Model,
    settings: Settings | None = None,
    known: Sensitivity | None = None,
    scheduler: str | None = None,
    patience: sweep.Patience | None = None,
) -> Iterator[Progress[Swept]]:
    """Measure what each piece of a model costs in each format; a step a piece.

    Parameters
    ----------
    known
        Results of a sweep that was stopped: its pieces are not measured again, and new ones are
        added to it.
    scheduler
        Address of a Dask scheduler. Its workers find the model at the same path, or, if it was
        opened from the Hub, download it.
    patience
        How long to wait for the cluster's workers, and for a piece.

    Raises
    ------
    ValueError
        If a format, the text or the known results do not suit the model, before any work is done;
        in the middle of it if the cluster is lost: what was measured so far is in the results.
    """
    settings = settings or Settings()
    able = checked_formats(model, settings.formats)
    choosing = choosing_of(model, settings.by, settings.calibration)
    if choosing is not None:
        choosing.check(model, able)
    reading, source = read_for(model, settings, choosing)
    if known is not None:
        known.refuse_other(source)
    assignment = Assignment(model.address, model.given, reading, source, choosing)
    results = Sensitivity(source) if known is None else known
    pieces = pieces_of(model, able, settings.groups, settings.hows)
    missing = [piece for piece in pieces if not results.has(piece)]

    def begin() -> Outcomes:
        if scheduler is None:
            return sweep.run(Bench(model, reading, choosing).measure, missing)
        return sweep.run_on_cluster(partial(on_worker, assignment), missing, scheduler, patience)

    return _steps(begin, len(missing), results)


def read_for(
    model: Model, settings: Settings, choosing: Choosing | None = None
) -> tuple[Reading, Source]:
    """Cut the text that a sweep reads, and say what its results will be of."""
    chunks = _chunks(model, settings.words, settings.context, settings.tokens)
    questions = first_questions(settings.questions)
    source = source_of(model, chunks, settings.text_name, settings.questions, choosing)
    return reading_of(model, chunks, questions), source


def guide_steps_of(
    model: Model, results: Sensitivity, formats: Sequence[str], text: str
) -> Iterator[Progress[Swept]]:
    """Add the cheaper guides that results lack, on the tokens that they were measured on.

    Which are lacking is decided by tensor and format: work that was stopped goes on from there,
    and ends with what it would have found without the stop.

    Raises
    ------
    ValueError
        If the results are of another model or text, or a format can store no tensor.
    """
    chunks = chunks_of(model, results, text)
    missing = results.without_guides(checked_formats(model, formats))
    if missing:
        yield Progress(0.0, "reading the model", Swept(results))
        for step in guide_steps(model, missing, chunks):
            if step.result is not None:
                results.add_guide(step.result)
            yield Progress(step.share, step.stage, Swept(results))
    yield Progress(1.0, "done", Swept(results))


def saving(steps: Iterator[Progress[Swept]], path: Path) -> Generator[Progress[Swept], None, None]:
    """Pass steps on, and save their results every few seconds and when the work ends.

    However it ends: whoever stops iterating, or meets an error, keeps the results so far. Others
    may write to the same file meanwhile: what they found stays in it.
    """
    results, saved = None, time.monotonic()
    try:
        for step in steps:
            results = step.known.results
            if time.monotonic() - saved > SAVE_EVERY_S:
                results.keep(path)
                saved = time.monotonic()
            yield step
    finally:
        if results is not None and results.effects:
            results.keep(path)


def chunks_of(model: Model, results: Sensitivity, text: str) -> Chunks:
    """Cut the text that results were measured on; `ValueError` if it is another, or the model."""
    source = results.source
    chunks = _chunks(model, text, source.context, source.tokens)
    results.refuse_other(source_of(model, chunks, source.text, source.questions))
    return chunks


def _steps(
    begin: Callable[[], Outcomes], n_pieces: int, results: Sensitivity
) -> Iterator[Progress[Swept]]:
    n_done, share = 0, 0.0
    problems: list[str] = []
    yield Progress(share, "reading the model", Swept(results))
    with closing(begin()) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, sweep.Workers):
                swept = Swept(results, problems=tuple(problems), workers=outcome.count)
                yield Progress(share, _crew(outcome.count), swept)
                continue
            if outcome.result is not None:
                results.add(outcome.result)
            piece, n_done = outcome.piece, n_done + 1
            share, stage = n_done / n_pieces, f"{piece.name} {piece.how} in {piece.format}"
            if outcome.problem is not None:
                problems.append(f"{stage} failed: {outcome.problem}")
            yield Progress(share, stage, Swept(results, outcome.result, tuple(problems)))
    yield Progress(1.0, "done", Swept(results, problems=tuple(problems)))


def _crew(n_workers: int) -> str:
    """Say how many workers a cluster has.

    >>> _crew(0), _crew(1), _crew(2)
    ('waiting for a worker', '1 worker', '2 workers')
    """
    return f"{n_workers:,} worker{'s' * (n_workers != 1)}" if n_workers else "waiting for a worker"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker elsewhere must know."""

    address: str  # of the model, on the Hub or a path that is the same for every worker
    imatrix: Imatrix | None = field(compare=False, repr=False)  # if one was given to the model
    reading: Reading = field(compare=False, repr=False)
    source: Source  # says with digests which weights, matrix and texts these are
    choosing: Choosing | None = field(default=None, compare=False, repr=False)


def on_worker(assignment: Assignment, piece: Piece) -> Effect:
    """Measure one piece where a worker runs; its model and bench stay for the next one."""
    with _lock:
        bench = _bench(assignment)
    return bench.measure(piece)


_lock = threading.Lock()


@lru_cache(maxsize=1)
def _bench(assignment: Assignment) -> Bench:
    model = open_model(assignment.address)
    if assignment.imatrix is not None:
        model = model.with_imatrix(assignment.imatrix)
    if model.fingerprint != assignment.source.fingerprint:
        raise ValueError(f"The weights in {assignment.address} on this worker are others.")
    return Bench(model, assignment.reading, assignment.choosing)


def _chunks(model: Model, text: str, context: int, tokens: int | None) -> Chunks:
    wanted = max(1, (TOKENS if tokens is None else tokens) // context)
    chunks = cut(model, text, context, at_most=max(2, wanted) * context)
    if tokens is not None and (tokens < 2 * context or chunks.tokens.size < wanted * context):
        raise ValueError(
            f"{tokens:,} tokens are asked for; at context {context} the text has "
            f"{chunks.tokens.size:,}, and it takes {2 * context:,} or more."
        )
    return chunks.first(max(2, wanted))


def source_of(
    model: Model,
    chunks: Chunks,
    text_name: str,
    questions: int = 0,
    choosing: Choosing | None = None,
) -> Source:
    """Say what results are of that are measured on these chunks."""
    return Source(
        model=model.name,
        fingerprint=model.fingerprint,
        text=text_name,
        text_digest=_digest(chunks.tokens),
        context=chunks.tokens.shape[1],
        tokens=chunks.tokens.size,
        tokens_scored=int(chunks.scored.sum()),
        questions=questions,
        imatrix_digest=imatrix_digest(model),
        by="" if choosing is None else choosing.by,
        calibration_digest="" if choosing is None else _digest(choosing.tokens),
    )


def imatrix_digest(model: Model) -> str:
    """Digest of the importance matrix that was given to a model; "" where none was."""
    return "" if model.given is None else _digest(*model.given.sums.values())


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
