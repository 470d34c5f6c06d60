"""The main direction of a model's states, which a rotation can put on one channel."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantcore.model.llama import Llama


def principal_direction(llama: Llama, tokens: ArrayLike) -> NDArray[np.float64]:
    """Find what the states of a text have most in common, (hidden_size,), of length one.

    The first eigenvector of the mean x x.T, where x are the states before each layer and after the
    last, at every token, each divided by its root mean square as norms do.

    Parameters
    ----------
    tokens
        Integers (n_sequences, n).
    """
    tokens = np.asarray(tokens)
    states = llama.embedding[tokens]
    second_moment = _second_moment([states])
    *layers, _ = llama.hidden_by_layer(tokens)  # the last yield is normed
    second_moment += _second_moment(layers)
    _, vectors = np.linalg.eigh(second_moment)
    direction = vectors[:, -1]
    return direction * np.copysign(1.0, direction[np.argmax(np.abs(direction))])


def _second_moment(states: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.zeros(())
    for each in states:
        rows = each.reshape(-1, each.shape[-1]).astype(np.float64)
        rows /= np.sqrt(np.square(rows).mean(1, keepdims=True)) + 1e-12
        total = total + rows.T @ rows
    return total
