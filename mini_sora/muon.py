"""Muon: momentum whose every matrix is made orthogonal before it is added (Jordan et al. 2024).

All directions of a hidden matrix then learn at one speed. Here it halves the steps that AdamW
needs. Convolutions count as matrices of (out, in * kernel), and equal shapes go through together,
which torch.optim.Muon does not do.
"""

import torch


def orthogonalize(matrix, steps=5, dtype=torch.float32):
    """The nearest orthogonal matrix, roughly: every singular value goes to about 1.

    A quintic Newton-Schulz iteration with Jordan's coefficients, for which bfloat16 is exact enough
    where that is fast. matrix: (..., m, n).
    """
    x = matrix.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.mT if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """For the hidden matrices of a network; the rest goes to AdamW. lr is in spectral norms a step;
    dtype: what the matrices are multiplied in."""

    def __init__(self, params, lr, momentum=0.95, dtype=torch.float32):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alike = {}
            for p in group["params"]:
                alike.setdefault((len(p), p[0].numel()), []).append(p)
            for (rows, columns), params in alike.items():
                self._step(params, group["lr"] * max(1, rows / columns) ** 0.5, group["momentum"])

    def _step(self, params, lr, momentum):
        for p in params:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        gradients, averages = [p.grad for p in params], [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, averages, momentum)  # Nesterov's look ahead
        updates = orthogonalize(torch.stack([update.flatten(1) for update in ahead]), dtype=self.dtype)
        updates = [update.view_as(p) for update, p in zip(updates, params, strict=True)]
        torch._foreach_sub_(params, updates, alpha=lr)
