"""The floor under the loss on the evaluation text: what its generator itself would lose."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

FILE = "evaluation_floor.tsv"


def token_floor(place: str | Path, starts: ArrayLike) -> NDArray[np.float64] | None:
    """Nats that the generator loses on each token of the evaluation text; None if not known.

    Parameters
    ----------
    place
        The floor file (first character and log-probability of each word), or the model folder that
        holds it as `evaluation_floor.tsv`.
    starts
        First character of each token in the text, ascending, any shape. Text after the last token
        does not count.

    Notes
    -----
    A word is charged to the token that holds its first letter, with or without the space before
    it, so the sum over some tokens is the floor over just these, for any tokenizer.
    """
    path = Path(place)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        return None
    words = np.loadtxt(path, skiprows=1, delimiter="\t", ndmin=2)
    starts = np.asarray(starts)
    flat = starts.ravel()
    if not len(flat):
        return np.zeros(starts.shape)
    first, nats = words[:, 0], -words[:, 1]
    inside = first <= flat[-1] + 1  # the last token may begin with a space
    holder = np.searchsorted(flat, first[inside], side="right") - 1
    charged = holder >= 0
    # NDArray of anything: with weights, bincount gives float64, which numpy's stubs do not know.
    floor: NDArray = np.bincount(holder[charged], nats[inside][charged], minlength=len(flat))
    return floor.reshape(starts.shape)
