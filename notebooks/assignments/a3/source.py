"""A3: patches, positions, and the DiT block. Write each function; adapters.py says where it is found."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def patchify(z, patch):
    """Cut latents into tokens.

    z: (B, C, K, h, w); patch: (pk, py, px), which divide K, h and w. Returns (B, N, C pk py px): tokens in the order
    k, y, x (x fastest); within a token the channel is slowest, then k, y, x.
    """
    ### BEGIN SOLUTION
    b, c, k, h, w = z.shape
    pk, py, px = patch
    z = z.reshape(b, c, k // pk, pk, h // py, py, w // px, px)
    z = z.permute(0, 2, 4, 6, 1, 3, 5, 7)  # (B, K', h', w', C, pk, py, px)
    return z.reshape(b, (k // pk) * (h // py) * (w // px), c * pk * py * px)
    ### END SOLUTION


def unpatchify(tokens, patch, grid):
    """The inverse of patchify. tokens: (B, N, C pk py px); grid: (K, h, w). Returns (B, C, K, h, w)."""
    ### BEGIN SOLUTION
    (k, h, w), (pk, py, px) = grid, patch
    b, c = len(tokens), tokens.shape[2] // (pk * py * px)
    z = tokens.reshape(b, k // pk, h // py, w // px, c, pk, py, px)
    return z.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(b, c, k, h, w)
    ### END SOLUTION


def coordinates(patch, grid):
    """Where each token's centre is, as (k, y, x), in latents: float (N, 3), in the order of patchify.

    Frames count from 0, rows and columns from the middle of the picture, so that a model that was trained at
    one aspect sees familiar numbers at another. The token of the latents 0 and 1 of four has its centre at -1.
    """
    ### BEGIN SOLUTION
    (pk, py, px), (k, h, w) = patch, grid
    frames = torch.arange(0, k, pk) + (pk - 1) / 2
    rows = torch.arange(0, h, py) + (py - h) / 2
    columns = torch.arange(0, w, px) + (px - w) / 2
    return torch.stack(torch.meshgrid(frames, rows, columns, indexing="ij"), -1).reshape(-1, 3)
    ### END SOLUTION


def time_embedding(t, width):
    """Sinusoids of noise times in [0, 1]: (B,) -> (B, width), the cosines first, then the sines.

    t is scaled to 0..1000; the frequencies fall from 1 as 10000 ** (-i / (width / 2)), i from 0.
    """
    ### BEGIN SOLUTION
    half = width // 2
    frequency = 10000.0 ** (-torch.arange(half) / half)
    angle = 1000.0 * t[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
    ### END SOLUTION


def rotate(x, angles):
    """Rotary positions: turn the pair (x_i, x_{i + d/2}) by angle i. x: (..., N, d); angles: (N, d / 2)."""
    ### BEGIN SOLUTION
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    ### END SOLUTION


def attention(q, k, v, mask=None):
    """Scaled dot-product attention. q: (..., N, d); k, v: (..., M, d); mask: bool, broadcastable to (..., N, M), True
    where q may look. Returns (..., N, d)."""
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION


class DiTBlock(nn.Module):
    """One block: attention, then a feed-forward network, each with adaptive layer norm and a gate (adaLN-Zero).

    Before each part x is normalised over its last axis (no learned scale, eps 1e-5), multiplied by (1 + scale) and
    shifted; what the part gives is multiplied by its gate and added to x. The six vectors come from the
    condition by one linear layer, `modulation`, in the order shift, scale, gate of attention; shift, scale, gate of
    the feed-forward network. An untrained block must give back its input.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)  # q, k and v of all heads, in this order
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)  # with F.gelu between
        self.modulation = nn.Linear(width, 6 * width)
        ### BEGIN SOLUTION
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        ### END SOLUTION

    def forward(self, x, condition):
        """x: (B, N, D); condition: (B, D) -> (B, N, D)."""
        ### BEGIN SOLUTION
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, dim=-1)
        y = F.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(y).chunk(3, dim=-1)
        )
        x = x + gate1 * self.out(attention(q, k, v).transpose(1, 2).flatten(2))
        y = F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.gelu(self.up(y)))
        ### END SOLUTION
