"""Matrices with inputs that say much the same as each other, as those of real layers do."""

import numpy as np

from quantcore.methods.method import LayerInputs


def inputs_of(rows, original=None):
    """Statistics of inputs (n, n_cols); with those of another model, the moment across both."""
    x = rows.astype(np.float64)
    return LayerInputs(
        n_tokens=len(x),
        mean_square=np.square(x).mean(0).astype(np.float32),
        mean_abs=np.abs(x).mean(0).astype(np.float32),
        largest=np.abs(x).max(0).astype(np.float32),
        second_moment=x.T @ x / len(x),
        cross_moment=None if original is None else original.astype(np.float64).T @ x / len(x),
        rows=rows,
    )


def random_layer(n_rows, n_cols, seed=0, n_tokens=None):
    """Weights (n_rows, n_cols) and inputs with correlated columns of unequal size."""
    rng = np.random.default_rng(seed)
    n_tokens = n_tokens or 3 * n_cols
    mixing = rng.normal(size=(n_cols, n_cols)) / np.sqrt(n_cols) + 0.5 * np.eye(n_cols)
    rows = rng.normal(size=(n_tokens, n_cols)) @ mixing * rng.lognormal(0, 0.7, n_cols)
    weights = rng.standard_t(5, (n_rows, n_cols)) * 0.05
    return weights.astype(np.float32), rows.astype(np.float32)


def output_error(weights, restored, moment):
    """Relative root mean square of the error of outputs."""
    error, weights = restored.astype(np.float64) - weights, weights.astype(np.float64)
    return np.sqrt(((error @ moment) * error).sum() / ((weights @ moment) * weights).sum())


def weight_error(weights, restored):
    """Relative root mean square of the error of weights."""
    error = restored.astype(np.float64) - weights
    return np.sqrt(np.square(error).sum() / np.square(weights, dtype=np.float64).sum())


def grids_of(fmt, weights):
    """Every value that a weight of each row can be restored as, in formats of a scale by row."""
    scales = fmt.scale_factors(fmt.quantize(weights))
    if scales.minimums is not None:
        return scales.scales * np.arange(2**fmt.code_bits) - scales.minimums
    most = 2 ** (fmt.code_bits - 1) - 1
    return scales.scales * np.arange(-most, most + 1)
