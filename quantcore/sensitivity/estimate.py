"""How much work a sweep is, before it begins."""

from dataclasses import dataclass

from quantcore.model.source import Model
from quantcore.sensitivity.measure import Settings
from quantcore.sensitivity.pieces import checked_formats, pieces_of
from quantcore.sensitivity.reading import question_tokens
from quantcore.sensitivity.results import Sensitivity

# Of one core of the machine that docs/sensitivity.md was measured on, for a piece: half a pass.
SECONDS_PER_WEIGHT_AND_TOKEN = 0.39 / (6.8e6 * 4096)
GUIDE_PIECES = 12  # pieces that take as long as the guides, which are six passes


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEstimate:
    """How much there is to do."""

    n_pieces: int
    n_known: int  # of them: measured already
    n_guides: int  # tensors in a format whose guides are wanted and not known
    tokens: int  # of the text, of whole chunks
    context: int  # tokens a chunk
    core_seconds: float  # for one core, if it is as fast as the one that was measured


def estimate_sweep(
    model: Model,
    settings: Settings,
    known: Sensitivity | None = None,
    *,
    guides: bool = False,
    n_question_tokens: int | None = None,
) -> SweepEstimate:
    """Count what a sweep has to do that results which are known do not hold.

    Parameters
    ----------
    guides
        Whether the cheaper guides are computed too.
    n_question_tokens
        What `question_tokens` counts; counted here where it is left out.

    Raises
    ------
    ValueError
        If there is no such format, it can store no tensor of the model, or no number of tokens is
        given.
    """
    if settings.tokens is None:
        raise ValueError("Say how many tokens are to be read.")
    able = checked_formats(model, settings.formats)
    pieces = pieces_of(model, able, settings.groups, settings.hows)
    n_known = 0 if known is None else sum(known.has(piece) for piece in pieces)
    missing = {} if not guides else able if known is None else known.without_guides(able)
    n_guides = sum(len(tensors) for tensors in missing.values())
    work = len(pieces) - n_known + GUIDE_PIECES * bool(n_guides)
    if n_question_tokens is None:
        n_question_tokens = question_tokens(model, settings.questions)
    tokens_read = settings.tokens + n_question_tokens
    return SweepEstimate(
        n_pieces=len(pieces),
        n_known=n_known,
        n_guides=n_guides,
        tokens=settings.tokens // settings.context * settings.context,
        context=settings.context,
        core_seconds=work * SECONDS_PER_WEIGHT_AND_TOKEN * model.n_weights * tokens_read,
    )
