"""Attention of the forward pass: heads are shared out over the thread pool."""

import numpy as np
from numpy.typing import NDArray

from quantcore.model import kernels
from quantcore.model.config import LlamaConfig
from quantcore.pool import over_rows

Floats = NDArray[np.float32]
QUERY_ROWS = 256  # rows of scores at once: 256 x 512 of them fit a core's second-level cache


def attend(
    config: LlamaConfig, queries: Floats, keys_values: Floats, starts: NDArray[np.int64]
) -> Floats:
    """Attention of each query to the keys up to its own.

    Queries (n_sequences, n, n_heads, head_size), the first of each at the place that `starts`
    says; keys and values (n_sequences, n_keys, 2 n_kv_heads, head_size) from place 0 on. Returns
    (n_sequences, n, n_heads * head_size).
    """
    n_sequences, n = queries.shape[:2]
    mixed = np.empty((n_sequences, n, config.n_heads, config.head_size), np.float32)
    per_group = config.n_heads // config.n_kv_heads

    def work(start: int, stop: int) -> None:
        for task in range(start, stop):
            sequence, group = divmod(task, config.n_kv_heads)
            mine = slice(group * per_group, (group + 1) * per_group)
            _attend_group(
                queries[sequence, :, mine],
                keys_values[sequence, :, group],
                keys_values[sequence, :, config.n_kv_heads + group],
                int(starts[sequence]),
                mixed[sequence, :, mine],
            )

    min_tasks = 1 if n >= 32 else 64
    over_rows(work, n_sequences * config.n_kv_heads, min_rows=min_tasks)
    return mixed.reshape(n_sequences, n, -1)


def _attend_group(
    queries: Floats, keys: Floats, values: Floats, first_position: int, out: Floats
) -> None:
    """Heads that share keys: queries (n, per_group, head_size), keys and values (n_keys, ...).

    Query i stands at ``first_position + i``. A block of queries only meets the keys that the last
    of them sees, so scores never fill an n x n array.
    """
    n, per_group, head_size = queries.shape
    scale = np.float32(head_size**-0.5)
    step = max(1, QUERY_ROWS // per_group)
    for start in range(0, n, step):
        block = queries[start : start + step]
        n_keys = first_position + start + len(block)
        scores = (block * scale).reshape(-1, head_size) @ keys[:n_keys].T
        kernels.mask_and_shift(scores, first_position + start + 1, per_group)
        np.exp(scores, out=scores)
        mixed = scores @ values[:n_keys]
        kernels.divide_by_sums(mixed, scores)
        out[start : start + step] = mixed.reshape(block.shape)
