"""How little error a layer's output could have with so many bits a weight: what methods aim at.

For weights that are independent Gaussian numbers of one variance and inputs with second moment H,
reverse water-filling over the eigenvalues h_i of H gives the least squared error of the output that
any code of R bits a weight can reach:

    R = mean of log2(h_i / t) / 2 over the h_i above t,    error² = sum of min(h_i, t) / sum of h_i

With inputs alike in all directions that is 2^-R, the bound for the weights themselves. Trained
weights are no Gaussian noise, so a method that knows their pattern could go below.

Source: Cover and Thomas, Elements of Information Theory, 10.3.3.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def least_output_error(second_moment: Floats, bits: Floats) -> Floats:
    """Least relative error (root mean square) of a layer's output, for each number of bits.

    Parameters
    ----------
    second_moment
        (n_cols, n_cols), mean of x x.T over the inputs.
    bits
        Bits a weight, (n,), all of them counted.

    Raises
    ------
    ValueError
        If all inputs are 0.

    Examples
    --------
    >>> least_output_error(np.eye(4), np.array([0.0, 2.0, 4.0])).tolist()
    [1.0, 0.25, 0.0625]
    """
    values = np.clip(np.linalg.eigvalsh(np.asarray(second_moment, np.float64)), 0, None)[::-1]
    values = values[values > values[0] * len(values) * np.finfo(np.float64).eps]
    if not values.size:
        raise ValueError("All inputs of this matrix are 0 in this text; calibrate on another one.")
    n_cols, counts = len(second_moment), np.arange(1, len(values) + 1)
    logs = np.log2(values)
    # With the level t at the k-th value, the k - 1 above it take these bits each on average.
    reached = (np.cumsum(logs) - counts * logs) / 2 / n_cols
    wanted = np.asarray(bits, np.float64)
    above = np.searchsorted(reached, wanted, side="right")  # values above the level, at least 1
    level = np.exp2((np.cumsum(logs)[above - 1] - 2 * n_cols * wanted) / above)
    rest = np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])[above]
    return np.sqrt((above * level + rest) / values.sum())
