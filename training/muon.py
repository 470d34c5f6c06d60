"""Muon: momentum whose matrix is brought near the nearest orthogonal one before each step.

Keller Jordan et al., https://kellerjordan.github.io/posts/muon/. Matrices of one shape go together.
"""

import torch


def orthogonalized(g, steps: int = 5):
    """Newton-Schulz iteration on a stack of matrices (n, rows, columns), in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).float()


class Muon(torch.optim.Optimizer):
    """For matrices only; vectors and the embedding go to AdamW."""

    def __init__(self, parameters, lr: float = 0.01, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        """Move every parameter once."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list] = {}
            for parameter in group["params"]:
                shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in shapes.items():
                self._step_together(group, shape, parameters)

    def _step_together(self, group, shape, parameters) -> None:
        moved = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
            moved.append(parameter.grad.lerp(state["momentum"], group["momentum"]))
        step = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        for parameter, update in zip(parameters, orthogonalized(torch.stack(moved)), strict=True):
            parameter.add_(update, alpha=-step)
