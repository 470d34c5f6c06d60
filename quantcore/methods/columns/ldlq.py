"""LDLQ by blocks: rounding that passes its error on to the columns that come after.

    H = L D L.T,  L unit lower triangular by blocks of b columns
    tr(dW H dW.T) = tr(dW L D (dW L).T)

From the last block to the first, each is rounded after the errors of those before it were added by
L: then dW L, which D weighs, is rounding error only. With b = 1 it is GPTQ from the last column on.

Source: Chee et al., QuIP, 2023; by blocks: Tseng et al., QuIP#, 2024.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from quantcore.format import Weights
from quantcore.model.blas import one_thread

BATCH = 128  # columns, see `_batches`

Moment = NDArray[np.float64]
Round = Callable[[Weights, int], Weights]
"""(block of columns (n_rows, b), its number) -> rounded; whoever rounds keeps the codes."""


def block_ldl(moment: Moment, block: int) -> NDArray[np.float32]:
    """L of H = L D L.T, with identities of `block` columns on the diagonal.

    Raises
    ------
    ValueError
        If H is not positive definite.
    """
    try:
        root = np.linalg.cholesky(moment)
    except np.linalg.LinAlgError:
        raise ValueError(
            "The second moment of the inputs is singular even with damping: give a larger damping, "
            "or a longer calibration text."
        ) from None
    for start in range(0, len(root), block):
        here = slice(start, start + block)
        # The block on the diagonal becomes the identity.
        root[start:, here] = root[start:, here] @ np.linalg.inv(root[here, here])
    return root.astype(np.float32)


def ldlq(weights: Weights, moment: Moment, round_block: Round, block: int) -> Weights:
    """Round all blocks once, the last first, each with the errors of those before it."""
    lower = block_ldl(moment, block)
    errors = np.zeros_like(weights)  # of the blocks that are done
    with one_thread():
        for batch in _batches(weights.shape[1], block):
            passed_on = errors[:, batch.stop :] @ lower[batch.stop :, batch]
            for start in reversed(range(batch.start, batch.stop, block)):
                here, later = slice(start, start + block), slice(start + block, batch.stop)
                near = errors[:, later] @ lower[later, here]
                far = passed_on[:, start - batch.start :][:, :block]
                rounded = round_block(weights[:, here] + far + near, start // block)
                errors[:, here] = weights[:, here] - rounded
    return weights - errors


def retune(
    weights: Weights, restored: Weights, moment: Moment, round_block: Round, block: int
) -> Weights:
    """Round each block again, given all others as they are: coordinate descent on the proxy loss.

    What is left of the block's own slope is taken off before rounding, so the loss falls where
    rounding allows; it can rise, too, since the nearest point is the nearest without H.
    """
    restored = restored.copy()
    wide: Weights = moment.astype(np.float32)
    errors = weights - restored
    with one_thread():
        for batch in _batches(weights.shape[1], block):
            slopes = errors @ wide[:, batch]
            for start in reversed(range(batch.start, batch.stop, block)):
                here = slice(start, start + block)
                step: Weights = np.linalg.inv(moment[here, here]).astype(np.float32)
                slope = slopes[:, start - batch.start :][:, :block]
                wanted = np.asarray(restored[:, here] + slope @ step, np.float32)
                rounded = round_block(wanted, start // block)
                slopes += (restored[:, here] - rounded) @ wide[here, batch]
                restored[:, here] = rounded
                errors[:, here] = weights[:, here] - rounded
    return restored


def _batches(n_cols: int, block: int) -> list[slice]:
    """Columns in runs of some blocks, the last first.

    What blocks of other runs have passed on is summed up once a run, in one large product.
    """
    length = block * max(1, BATCH // block)
    starts = range(0, n_cols, length)
    return [slice(start, min(start + length, n_cols)) for start in reversed(starts)]


def proxy_loss(errors: Weights, moment: Moment) -> float:
    """tr(dW H dW.T): what errors (n_rows, n_cols) do to the output, by token."""
    return float(np.sum((errors.astype(np.float64) @ moment) * errors))
