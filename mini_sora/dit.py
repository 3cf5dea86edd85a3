"""The diffusion transformer: noisy spacetime patches and a prompt in, a prediction per patch out.

Every block is told, for each latent frame, its noise time, its place in the clip and the pooled text
embedding by adaptive layer norm (adaLN-Zero, Peebles & Xie 2022), and reads the prompt word by word by
cross-attention. A frame at t = 0 is a frame that is known.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .config import check_heads, check_numbers, require
from .layers import Attention, FeedForward, rotary_angles, time_embedding
from .patches import coordinates, patchify, unpatchify


@dataclass(frozen=True)
class DiTConfig:
    """patch: latents per token (k, y, x), of one latent frame, as each has a noise time of its own;
    width, layers, heads; pooled: whether the blocks are told the mean of the prompt's vectors, beside its
    words; actions: how many, 0 for none."""

    patch: tuple[int, int, int] = (1, 2, 2)
    width: int = 96
    layers: int = 4
    heads: int = 3
    pooled: bool = True
    actions: int = 0

    def __post_init__(self):
        check_numbers(self, low=1, high=4096, layers=(1, 256), actions=(0, 1000))
        check_heads(self.width, self.heads)
        require(self.patch[0] == 1, f"patch is {self.patch}; a token is of one latent frame, so 1 at first")


PLACE_WAVES = 4


def waves(coords):
    """Sinusoids of coordinates: (N, axes) -> (N, 8 axes), with wavelengths of 4, 8, 16 and 32."""
    frequency = torch.pi / 2 ** torch.arange(1, PLACE_WAVES + 1, device=coords.device)
    angle = coords[..., None] * frequency  # (N, axes, 4)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(1)


def eighths(coords, grid):
    """Coordinates (N, 3) with rows and columns in eighths of the short side, so that all sizes look alike.
    grid: (K, h, w)."""
    return torch.cat([coords[:, :1], coords[:, 1:] * (8 / min(grid[1:]))], dim=1)


class DiTBlock(nn.Module):
    """Self-attention, cross-attention to the text, feed-forward; each gated by the noise time."""

    def __init__(self, width, heads, text_width):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(3))
        self.attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads, context_width=text_width)
        self.feed_forward = FeedForward(width)
        self.modulation = nn.Linear(width, 9 * width)

    def forward(self, x, condition, text, mask, angles):
        """x: (B, K, P, D), P tokens a frame; condition: (B, K, D); text: (B, L, D'); mask: (B, L)."""
        shape = x.shape
        (shift1, scale1, gate1, shift2, scale2, gate2, shift3, scale3, gate3) = self.modulation(condition)[
            :, :, None, :
        ].chunk(9, dim=-1)  # (B, K, 1, D) each
        y = self.norm1(x) * (1 + scale1) + shift1  # (B, K, P, D)
        x = x + gate1 * self.attention(y.flatten(1, 2), angles=angles).view(shape)
        y = self.norm2(x) * (1 + scale2) + shift2
        x = x + gate2 * self.cross_attention(y.flatten(1, 2), text, mask).view(shape)
        y = self.norm3(x) * (1 + scale3) + shift3
        return x + gate3 * self.feed_forward(y)  # (B, K, P, D)


class DiT(nn.Module):
    """A denoiser for latents of any (K, h, w) grid that the patch divides.

    channels: of a latent, C; text_width: of the text encoder's vectors, D'; chunk: frames of the
    video, and so actions, in a latent frame.
    """

    def __init__(self, config, channels, text_width, chunk=4):
        super().__init__()
        self.config, self.chunk = config, chunk
        width = config.width
        token = channels * config.patch[0] * config.patch[1] * config.patch[2]
        self.embed = nn.Linear(token, width)
        self.place = nn.Linear(3 * 2 * PLACE_WAVES, width)
        self.time = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.frame = nn.Linear(3 * 2 * PLACE_WAVES, width)
        self.text = nn.Linear(text_width, width) if config.pooled else None
        self.condition = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.action = nn.Embedding(chunk * (config.actions + 1), width) if config.actions else None
        self.blocks = nn.ModuleList(DiTBlock(width, config.heads, text_width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, token)
        self.init_weights()

    def init_weights(self):
        """Every choice of a first value, in one place."""
        if self.action is not None:
            nn.init.normal_(
                self.action.weight, std=0.1
            )  # of each latent frame `chunk` are added up, and time must be heard
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # adaLN-Zero: every gate starts shut, so each block starts as the identity and learns its
        # way in; the head starts at zero, so the first prediction is zero whatever the input.
        for block in self.blocks:
            nn.init.zeros_(block.modulation.weight)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.head.weight)

    def clip_waves(self, coords, grid):
        """What a latent frame is told of the clip: its distance to the first and to the last latent
        frame, and the short side. coords: (N, 3); grid: (K, h, w) -> (K, 24)."""
        k = coords.unflatten(0, (grid[0], -1))[:, 0, 0]  # (K,)
        return waves(torch.stack([k, grid[0] - 1 - k, torch.full_like(k, min(grid[1:]))], dim=1))

    def action_vectors(self, actions):
        """Actions (B, T - 1), whole numbers, 0 for none -> (B, K, D): in each latent frame the sum over
        its own; before frame 0 there are none."""
        actions = F.pad(actions, (self.chunk, 0)).unflatten(1, (-1, self.chunk))  # (B, K, chunk)
        slot = torch.arange(self.chunk, device=actions.device) * (self.config.actions + 1)
        return self.action(actions + slot).sum(2)

    def forward(self, z, t, text, mask, actions=None):
        """One prediction.

        z: (B, C, K, h, w) noisy latents; t: (B, K) noise times in [0, 1]; text: (B, L, D') from the
        text encoder; mask: (B, L) bool; actions: (B, T - 1) whole numbers, 0 or None for none. Computes in
        the type of its weights; returns float32, (B, C, K, h, w).
        """
        grid, patch = z.shape[2:], self.config.patch
        coords = coordinates(patch, grid, z.device)  # (N, 3)
        frames = (grid[0], -1)
        x = self.embed(patchify(z, patch).to(self.embed.weight.dtype))  # (B, N, D)
        # The place is told twice: here in shares of the picture, so that all sizes look alike, and by rotary
        # angles in latents, so that near is near.
        place = self.place(waves(eighths(coords, grid)).to(x.dtype))  # (N, D)
        # A sum, not a view: else torch.compile would compile the first block apart from the others.
        x = x.unflatten(1, frames) + place.unflatten(0, frames)  # (B, K, P, D)
        angles = rotary_angles(coords, x.shape[-1] // self.config.heads)

        condition = self.time(time_embedding(t, 256).to(x.dtype))  # (B, K, D)
        condition = condition + self.frame(self.clip_waves(coords, grid).to(x.dtype))
        if self.text is not None:
            weight = mask[..., None].to(text.dtype)
            pooled = (text * weight).sum(1) / weight.sum(1)  # (B, D')
            condition = condition + self.text(pooled)[:, None]
        if self.action is not None:
            none = t.new_zeros(len(z), self.chunk * (grid[0] - 1), dtype=torch.long)
            condition = condition + self.action_vectors(none if actions is None else actions)
        condition = self.condition(condition)

        for block in self.blocks:
            x = block(x, condition, text, mask, angles)  # (B, K, P, D)
        shift, scale = self.modulation(condition)[:, :, None].chunk(2, dim=-1)
        x = self.head(self.norm(x) * (1 + scale) + shift)  # (B, K, P, C * patch)
        return unpatchify(x.flatten(1, 2), patch, grid).float()  # (B, C, K, h, w)
