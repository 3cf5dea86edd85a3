"""Muon: momentum whose every matrix is made orthogonal before it is added (Jordan et al. 2024).

All directions of a hidden matrix then learn at one speed. Here it halves the steps that AdamW
needs. Convolutions count as matrices of (out, in * kernel), and equal shapes go through together,
which torch.optim.Muon does not do.
"""

import torch

from . import parallel


def orthogonalize(matrix):
    """The nearest orthogonal matrix, roughly: every singular value goes to about 1.

    Five steps of a Newton-Schulz iteration with Jordan's coefficients, x <- (a + b x x^T + c (x x^T)^2) x.
    The bracket is a polynomial of x x^T, so the product of all five is found with small squares alone, and x
    is touched twice. In float32, as rounding of an eigenvalue of zero grows. matrix: (..., m, n).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    square = x @ x.mT
    one = product = torch.eye(square.shape[-1], device=x.device)
    for _ in range(5):
        step = a * one + b * square + c * square @ square
        product, square = step @ product, step @ square @ step
    x = product @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For the hidden matrices of a network; the rest goes to AdamW. A step changes a matrix by about lr in
    spectral norm, times the root of rows / columns where it is tall, so that outputs change alike."""

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

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
        updates = lr * parallel.shared(orthogonalize, torch.stack([update.flatten(1) for update in ahead]))
        updates = [update.view_as(p) for update, p in zip(updates, params, strict=True)]
        torch._foreach_sub_(params, updates)
