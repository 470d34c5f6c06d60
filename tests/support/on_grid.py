"""Models whose matrices are on a grid, as after training for quantization."""

import numpy as np

from quantcore.methods.grid.grid_steps import rounded_to
from tests.support.toy_model import CONFIG, tensors, write_folder, write_safetensors

BLOCK = 32


def on_grid(shape, seed=0, lowest=-6, highest=7):
    """Codes that need not reach the ends of their range, and float16 steps for blocks of 32."""
    rng = np.random.default_rng(seed)
    codes = np.clip(np.rint(rng.normal(0, 2.2, shape)), lowest, highest)
    steps = rng.uniform(0.01, 0.02, (shape[0], shape[1] // BLOCK)).astype(np.float16)
    return (codes * np.repeat(steps.astype(np.float32), BLOCK, axis=1)).astype(np.float32)


def write_on_grid(folder, config=CONFIG, stored="BF16"):
    """Write a model folder whose layers are on a grid of four bits, and nothing else is."""
    write_folder(folder, config, stored)
    arrays = tensors(config)
    for seed, (name, array) in enumerate(arrays.items()):
        if ".layers." in name and array.ndim == 2:
            arrays[name] = rounded_to(on_grid(array.shape, seed), stored)
    write_safetensors(folder / "model.safetensors", arrays, stored)
    return folder
