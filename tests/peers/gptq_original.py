"""The authors' GPTQ, on CPU torch: IST-DASLab/gptq of July 2023, the last there is (2d65066).

It is no package: give the folder in which its gptq.py and quant.py lie. Its scales are rounded to
float16 here, as the lab stores them; nothing else of it is changed.
"""

import importlib
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np
import torch


def run(folder: Path, weights: np.ndarray, moment: np.ndarray, bits: int, **settings) -> np.ndarray:
    """Quantize weights (n_rows, n_cols) with zero points; `settings` are those of `fasterquant`.

    `moment` is H, the mean of 2 x x.T.
    """
    sys.modules.setdefault(
        "transformers", types.SimpleNamespace(Conv1D=type("Conv1D", (), {}))
    )  # which is all that it takes from there
    with mock.patch.object(sys, "path", [str(folder), *sys.path]):
        gptq, quant = importlib.import_module("gptq"), importlib.import_module("quant")

    class HalfQuantizer(quant.Quantizer):
        def find_params(self, x, weight=False):
            """Round the scale, and choose zero points for it as before."""
            super().find_params(x, weight)
            lowest = torch.minimum(x.flatten(1).min(1)[0], torch.zeros(len(x))).unsqueeze(1)
            self.scale = self.scale.half().float()
            self.zero = torch.round(-lowest / self.scale)

    layer = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(weights.copy())
    task = gptq.GPTQ(layer)
    task.H = torch.from_numpy(moment.astype(np.float32))
    task.quantizer = HalfQuantizer()
    task.quantizer.configure(bits, perchannel=True, sym=False)
    with mock.patch.object(torch.cuda, "synchronize"), mock.patch("builtins.print"):
        task.fasterquant(**settings)
    return layer.weight.data.numpy()
