"""The parts that every network here is made of: attention, feed-forward, rotary positions.

Shapes: B batch, N tokens, D width, heads of size D / heads. Text and video use the same parts.
"""

import math

import torch
from torch import nn


def attention(q, k, v, mask=None):
    """softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, eq. 1).

    q: (..., N, d); k, v: (..., M, d); mask: bool, broadcastable to (..., N, M), True where q may
    look at k. Returns (..., N, d).
    """
    scores = q / math.sqrt(q.shape[-1]) @ k.transpose(-2, -1)  # (..., N, M)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ v


def rotary_angles(coords, head_dim, base=100.0):
    """Angles of the 3D rotary embedding: coords (N, 3) -> (N, head_dim / 2), radians.

    The pairs of a head are shared out among the axes (k, y, x); within an axis, frequencies fall
    from 1 towards 1 / base radians per latent (Su et al. 2021, RoFormer, eq. 15, one axis each).
    """
    pairs = head_dim // 2
    per_axis = [pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]
    angles = []
    for axis, count in enumerate(per_axis):
        frequency = base ** (-torch.arange(count, device=coords.device) / count)
        angles.append(coords[:, axis, None] * frequency)
    return torch.cat(angles, dim=-1)


def rotate(x, angles):
    """Turn each pair (x_i, x_{i + d/2}) by its angle. x: (..., N, d); angles: (N, d / 2)."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys (Dehghani et al. 2023, ViT-22B).

    Self-attention where no context is given, else cross-attention to the context.
    """

    def __init__(self, width, heads, context_width=None):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(context_width or width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.q_norm, self.k_norm = nn.LayerNorm(width // heads), nn.LayerNorm(width // heads)

    def _split(self, x):  # (B, N, D) -> (B, heads, N, d)
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, context=None, mask=None, angles=None, past=None):
        """x: (B, N, D); context: (B, M, D'); mask: bool, (B, M), or (1, N, M) where each token has its own;
        angles: (N, d / 2); past: a dictionary that keeps the keys and values of all calls, to look at, or
        those of the context, which is the same in all."""
        q = self.q_norm(self._split(self.q(x)))  # (B, heads, N, d)
        if context is not None and past:
            k, v = past["k"], past["v"]
        else:
            k, v = self.kv(x if context is None else context).chunk(2, dim=-1)  # (B, M, D) each
            k, v = self.k_norm(self._split(k)), self._split(v)  # (B, heads, M, d)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        if past is not None:
            if past and context is None:
                k, v = torch.cat([past["k"], k], dim=2), torch.cat([past["v"], v], dim=2)
            past.update(k=k, v=v)
        if mask is not None:
            mask = mask[:, None, None] if mask.ndim == 2 else mask[:, None]  # (B, 1, 1, M) or (1, 1, N, M)
        x = attention(q, k, v, mask)  # (B, heads, N, d)
        return self.out(x.transpose(1, 2).flatten(2))  # (B, N, D)


class FeedForward(nn.Module):
    """Two linear layers with a squared ReLU between (So et al. 2021, Primer), faster here than GELU."""

    def __init__(self, width, ratio=4):
        super().__init__()
        self.up, self.down = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)

    def forward(self, x):  # (..., D) -> (..., D)
        return self.down(self.up(x).relu().square())


def time_embedding(t, width):
    """Sinusoids of the noise time: t (...) in [0, 1] -> (..., width).

    t is scaled to 0..1000 first: the frequencies (1 to 1/10000) were made for that range, and most
    of them would hardly move over [0, 1] (Ho et al. 2020; Vaswani et al. 2017, section 3.5).
    """
    half = width // 2
    frequency = torch.exp(-math.log(10000.0) * torch.arange(half, device=t.device) / half)
    angle = 1000.0 * t[..., None].float() * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
