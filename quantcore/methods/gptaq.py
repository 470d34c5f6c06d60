"""GPTAQ: GPTQ that also makes up for what earlier layers have done to the inputs.

GPTQ takes the output of the quantized model's own inputs q as right, although W x was wanted, with
the inputs x of the original. GPTAQ adds the difference: when a column is rounded, what its weight
multiplies by ``x - q`` is given to the columns still to come, a share `alpha` of it,

    P = alpha * triu((G - H) U.T, 1) U      H: mean of q q.T; G: of x q.T; U.T U = inverse of H

each aim times its row of P. Where inputs are those of the original, P is 0, and it is GPTQ. (Its
reference multiplies rounded weights instead of aims in later blocks; here blocks change nothing.)

Source: Li et al., GPTAQ, 2025; GPTQModel, quantization/gptaq.py, for alpha.
"""

from dataclasses import dataclass

import numpy as np

from quantcore.methods.columns.factor import factored
from quantcore.methods.columns.pushing import Pushed, push_through
from quantcore.methods.gptq import Gptq, Task, cross_moment_of
from quantcore.methods.method import LayerInputs, Statistic
from quantcore.model.blas import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Gptaq(Gptq):
    """GPTQ's settings, and how much of the drift of inputs is made up for."""

    alpha: float = 0.25
    name: str = "gptaq"
    title: str = "GPTAQ"
    needs: frozenset[Statistic] = frozenset({"second_moment", "cross_moment"})
    source: str = "Li et al., GPTAQ, 2025"

    def push(self, task: Task, inputs: LayerInputs) -> Pushed:
        """Round column after column, and give on what inputs have lost."""
        factor, order = factored(task.moment), task.plan.order
        assert inputs.second_moment is not None  # or there would be no task
        drift = cross_moment_of(inputs, order) - inputs.second_moment[np.ix_(order, order)]
        with one_thread():
            inverse = np.linalg.inv(factor.root)
            pushes = self.alpha * np.triu(drift @ inverse.T, 1) @ inverse
        pushes = np.ascontiguousarray(pushes, np.float32)
        return push_through(task.weights, task.fmt, factor, task.plan, pushes=pushes)
