"""What the tests of all assignments use: points, numbers of a seed, and comparisons that end in words."""

from dataclasses import dataclass

import torch

TENSORS = (torch.Tensor, torch.nn.Parameter)  # and nothing that only passes for one


@dataclass(frozen=True)
class Point:
    """What is asked: a name of adapters.py, how many points, and a test that is given the function and a
    seed, and raises AssertionError, whose text says what is wrong."""

    name: str
    points: int
    title: str
    test: object


class Numbers:
    """Numbers of a seed; each call gives the next ones. Unit Gaussians of a shape, or from low to high."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape):
        return torch.randn(shape, generator=self.generator)

    def number(self, low, high):
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def whole(self, low, high):
        """From low to high, both included."""
        return torch.randint(low, high + 1, (), generator=self.generator).item()


def shaped(found, shape, what="the shape"):
    assert type(found) in TENSORS, f"{what}: a tensor is wanted, not {type(found).__name__}"
    assert tuple(found.shape) == tuple(shape), f"{what} is {tuple(found.shape)}, not {tuple(shape)}"


def close(a, b, atol=1e-4):
    """Whether two tensors of one shape are the same up to atol."""
    return a.shape == b.shape and bool((a - b).abs().max() <= atol)


def same(found, wanted, what, atol=1e-5):
    assert type(found) in TENSORS, f"{what} is {type(found).__name__}, not a tensor"
    assert found.shape == wanted.shape, (
        f"{what} has the shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
    )
    assert torch.isfinite(found).all(), f"{what} has numbers that are not finite"
    off = (found - wanted).abs().max().item()
    assert off <= atol, f"{what} is off by up to {off:.3g}"


def marks(mask):
    """A mask of latent frames as text: 1 is known."""
    return "".join("1" if k else "?" for k in torch.as_tensor(mask).tolist())
