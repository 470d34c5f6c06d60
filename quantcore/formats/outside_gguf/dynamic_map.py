"""bitsandbytes' dynamic map: the 256 values that a byte stands for, finest near zero.

Seven decades below 1, each cut into twice as many equal steps as the one below it: 1, 2, 4 to 64
for each sign, of which the middles are the values; besides those 0 and 1.
"""

import numpy as np

from quantcore.format import Weights

N_DECADES = 7


def _middles(n_steps: int) -> Weights:
    """Middles of equal steps from 0.1 to 1, rounded where torch.linspace rounds.

    It counts from the nearer end and rounds to float32 once, after product and sum.
    """
    low, high = np.float32(0.1), np.float32(1)
    step = np.float64((high - low) / np.float32(n_steps))
    place = np.arange(n_steps + 1)
    edges = np.where(2 * place < n_steps + 1, low + step * place, high - step * (n_steps - place))
    edges = edges.astype(np.float32)
    sums: Weights = edges[:-1] + edges[1:]
    return sums / np.float32(2)


def _dynamic_map() -> Weights:
    decades = [np.float32(10.0 ** (i - 6)) * _middles(2**i) for i in range(N_DECADES)]
    positive = np.concatenate(decades)
    return np.sort(np.concatenate([-positive, positive, np.array([0, 1], np.float32)]))


DYNAMIC_MAP = _dynamic_map()
BOUNDS = (DYNAMIC_MAP[:-1] + DYNAMIC_MAP[1:]) / np.float32(2)
