import torch
from torch import nn

from mini_sora.muon import Muon, orthogonalize


def test_matrices_are_made_orthogonal_as_jordan_has_it():
    g = torch.Generator().manual_seed(0)
    for shape in ((4, 24, 16), (1, 8, 40), (2, 12, 12)):
        matrix = torch.randn(shape, generator=g)
        x = matrix.double() / torch.linalg.matrix_norm(matrix.double(), keepdim=True)
        for _ in range(5):
            square = x @ x.mT
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        torch.testing.assert_close(orthogonalize(matrix), x.float(), atol=2e-4, rtol=0)
        values = torch.linalg.svdvals(x)
        assert values.min() > 0.5 and values.max() < 1.5


def test_a_gradient_of_lower_rank_stays_so():
    """Directions that have no gradient must not be made up from rounding."""
    g = torch.Generator().manual_seed(0)
    matrix = torch.randn(96, 3, generator=g) @ torch.randn(3, 96, generator=g)
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values[2] > 0.5 and values[3] < 0.01


def test_muon_moves_by_orthogonal_matrices():
    g = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.zeros(6, 4, 3, 3))
    weight.grad = torch.randn(6, 4, 3, 3, generator=g)
    Muon([weight], lr=0.1).step()
    moved = torch.linalg.svdvals(weight.detach().flatten(1))
    assert (weight * weight.grad).sum() < 0 and moved.min() > 0.04 and moved.max() < 0.16


def test_muon_remembers_looks_ahead_and_moves_tall_matrices_further():
    one, two = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(torch.zeros(8, 2))
    optimizer = Muon([weight], lr=0.1)
    for gradient in (one, two):
        weight.grad = gradient.clone()
        optimizer.step()
    average = 0.95 * 0.05 * one + 0.05 * two
    moves = orthogonalize(one) + orthogonalize(0.05 * two + 0.95 * average)
    torch.testing.assert_close(weight.detach(), -0.1 * 2 * moves, atol=1e-4, rtol=1e-3)  # 2: root of 8 / 2
