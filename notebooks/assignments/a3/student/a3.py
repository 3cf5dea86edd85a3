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
    raise NotImplementedError("your turn")


def unpatchify(tokens, patch, grid):
    """The inverse of patchify. tokens: (B, N, C pk py px); grid: (K, h, w). Returns (B, C, K, h, w)."""
    raise NotImplementedError("your turn")


def coordinates(patch, grid):
    """Where each token's centre is, as (k, y, x), in latents: float (N, 3), in the order of patchify.

    Frames count from 0, rows and columns from the middle of the picture, so that a model that was trained at
    one aspect sees familiar numbers at another. The token of the latents 0 and 1 of four has its centre at -1.
    """
    raise NotImplementedError("your turn")


def time_embedding(t, width):
    """Sinusoids of noise times in [0, 1]: (B,) -> (B, width), the cosines first, then the sines.

    t is scaled to 0..1000; the frequencies fall from 1 as 10000 ** (-i / (width / 2)), i from 0.
    """
    raise NotImplementedError("your turn")


def rotate(x, angles):
    """Rotary positions: turn the pair (x_i, x_{i + d/2}) by angle i. x: (..., N, d); angles: (N, d / 2)."""
    raise NotImplementedError("your turn")


def attention(q, k, v, mask=None):
    """Scaled dot-product attention. q: (..., N, d); k, v: (..., M, d); mask: bool, broadcastable to (..., N, M), True
    where q may look. Returns (..., N, d)."""
    raise NotImplementedError("your turn")


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
        raise NotImplementedError("your turn")

    def forward(self, x, condition):
        """x: (B, N, D); condition: (B, D) -> (B, N, D)."""
        raise NotImplementedError("your turn")
