"""Qronos: the nearest output to the original's, from the inputs that the quantized model has.

It minimizes the squared error of ``W x - Q q``, x the inputs of the original and q those of the
model as quantized so far. The first column is rounded to what is best while all others keep their
weights, and then the others are set to what is best given that one; from there on it is GPTQ. With
H the mean of q q.T and G that of x q.T, the best real weights are W G inverse(H), and GPTQ from
those sets all others to just that, so they are the target here and only the first column aims
elsewhere:

    aim = (W G_0 - sum over j > 0 of W_j H_0j) / H_00

Source: Zhang et al., Qronos, 2025; Xilinx/brevitas, graph/qronos.py, for the damping.
"""

from dataclasses import dataclass

import numpy as np

from quantcore.methods.columns.factor import ShareOf, factored
from quantcore.methods.columns.pushing import Pushed, push_through
from quantcore.methods.gptq import Gptq, Task, cross_moment_of
from quantcore.methods.method import LayerInputs, Statistic
from quantcore.model.blas import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Qronos(Gptq):
    """GPTQ's settings, with brevitas' damping."""

    damping: float = 1e-6
    damping_of: ShareOf = "largest"
    name: str = "qronos"
    title: str = "Qronos"
    needs: frozenset[Statistic] = frozenset({"second_moment", "cross_moment"})
    source: str = "Zhang et al., Qronos, 2025"

    def push(self, task: Task, inputs: LayerInputs) -> Pushed:
        """Round from the best real weights on."""
        order, moment = task.plan.order, task.moment
        cross = cross_moment_of(inputs, order)
        factor = factored(moment)
        weights = task.weights[:, order].astype(np.float64)
        with one_thread():
            both = weights @ cross
            best = np.linalg.solve(moment, (both + task.added * weights).T).T
        others = weights[:, 1:] @ moment[0, 1:]
        first_aim = (both[:, 0] - others) / (moment[0, 0] - task.added)
        target = np.empty_like(task.weights)
        target[:, order] = best
        return push_through(
            target,
            task.fmt,
            factor,
            task.plan,
            first_aim=first_aim.astype(np.float32),
            scales_from=task.weights,
        )
