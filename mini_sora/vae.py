"""The video VAE: pixels to latents and back, 4 x 4 x 4 pixels to one cell.

All work is done on the latent grid: pixels are folded into channels first, which is exact and
free, so that every layer is a small 2D convolution. The encoder sees one chunk at a time, frame 0
alone and then each four frames, so any latent frame can be made without the others. An image is
a video of one frame. The decoder looks back one latent frame, to smooth the seams between chunks.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .config import check_numbers


@dataclass(frozen=True)
class VAEConfig:
    """channels: of a latent, C; width and blocks: of encoder and decoder; strides: time, space."""

    channels: int = 3
    encoder_width: int = 64
    encoder_blocks: int = 1
    decoder_width: int = 96
    decoder_blocks: int = 2
    time_stride: int = 4
    space_stride: int = 4

    def __post_init__(self):
        check_numbers(self, low=1, high=4096)


def fold(x, time_stride, space_stride):
    """Pixels to channels: (B, 3, T, H, W) -> (B, K, 3 * st * ss * ss, h, w), T = 1 + st (K - 1).

    Frame 0 fills a chunk of its own, repeated st times.
    """
    st, ss = time_stride, space_stride
    x = torch.cat([x[:, :, :1].expand(-1, -1, st - 1, -1, -1), x], dim=2)  # (B, 3, st K, H, W)
    b, c, t, h, w = x.shape
    x = x.reshape(b, c, t // st, st, h // ss, ss, w // ss, ss)
    return x.permute(0, 2, 1, 3, 5, 7, 4, 6).reshape(b, t // st, -1, h // ss, w // ss)


def unfold(y, time_stride, space_stride):
    """The inverse of fold; of the first chunk only its last frame is kept."""
    st, ss = time_stride, space_stride
    b, k, _, h, w = y.shape
    y = y.reshape(b, k, 3, st, ss, ss, h, w).permute(0, 2, 1, 3, 6, 4, 7, 5)
    return y.reshape(b, 3, k * st, h * ss, w * ss)[:, :, st - 1 :]


class ResBlock(nn.Module):
    """Norm, convolution, norm, convolution, on top of what came in (He et al. 2016)."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x):  # (n, D, h, w)
        y = self.conv1(F.silu(self.norm1(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))
        y = self.conv2(F.silu(self.norm2(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))
        return x + y


class ConvNet(nn.Module):
    """One convolution in, residual blocks, one pointwise convolution out."""

    def __init__(self, channels_in, width, blocks, channels_out, kernel):
        super().__init__()
        self.enter = nn.Conv2d(channels_in, width, kernel, padding=kernel // 2)
        self.blocks = nn.Sequential(*(ResBlock(width) for _ in range(blocks)))
        self.leave = nn.Conv2d(width, channels_out, 1)

    def forward(self, x):  # (n, channels_in, h, w) -> (n, channels_out, h, w), float32
        x = x.to(self.enter.weight.dtype, memory_format=torch.channels_last)
        return self.leave(self.blocks(self.enter(x))).float()


class VAE(nn.Module):
    """A variational autoencoder (Kingma & Welling 2013) from videos to a grid of latents.

    `encode` and `decode` speak unit-variance latents z; the mean and deviation that make them so
    are measured by `measure_latents` and stored with the weights.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        folded = 3 * config.time_stride * config.space_stride**2
        wide, deep = config.encoder_width, config.decoder_width
        self.encoder = ConvNet(folded, wide, config.encoder_blocks, 2 * config.channels, kernel=1)
        self.decoder = ConvNet(2 * config.channels, deep, config.decoder_blocks, folded, kernel=3)
        self.register_buffer("latent_mean", torch.zeros(config.channels))
        self.register_buffer("latent_std", torch.ones(config.channels))

    def posterior(self, x):
        """q(z | x): (B, 3, T, H, W) in [-1, 1] -> mean and log variance, (B, C, K, h, w) each."""
        y = fold(x, self.config.time_stride, self.config.space_stride)  # (B, K, 3 st ss ss, h, w)
        y = self.encoder(y.flatten(0, 1))
        y = y.unflatten(0, (*x.shape[:1], -1)).transpose(1, 2)  # (B, 2 C, K, h, w)
        return y.chunk(2, dim=1)

    def decode_raw(self, raw):
        """p(x | raw latent): (B, C, K, h, w) -> (B, 3, T, H, W)."""
        before = torch.cat([raw[:, :, :1], raw[:, :, :-1]], dim=2)  # frame 0 looks at itself
        y = torch.cat([before, raw], dim=1).transpose(1, 2)  # (B, K, 2 C, h, w)
        y = self.decoder(y.flatten(0, 1)).unflatten(0, (raw.shape[0], -1))
        return unfold(y, self.config.time_stride, self.config.space_stride)

    def forward(self, x, noise):
        """Encode, draw a latent, decode: (rebuilt x, mean, log variance). noise: (B, C, K, h, w)."""
        mean, logvar = self.posterior(x)
        logvar = logvar.clamp(-20, 4)
        return self.decode_raw(mean + (logvar / 2).exp() * noise), mean, logvar

    def _norm(self, raw, inverse=False):
        mean, std = (s[:, None, None, None] for s in (self.latent_mean, self.latent_std))
        return raw * std + mean if inverse else (raw - mean) / std

    def encode(self, x):
        """Pixels (B, 3, T, H, W) in [-1, 1] -> latents (B, C, K, h, w) of unit variance."""
        return self._norm(self.posterior(x)[0])

    def decode(self, z):
        """Latents (B, C, K, h, w) of unit variance -> pixels (B, 3, T, H, W) in [-1, 1]."""
        return self.decode_raw(self._norm(z, inverse=True)).clamp(-1, 1)

    @torch.no_grad()
    def measure_latents(self, x):
        """Store the mean and deviation of each latent channel over videos (B, 3, T, H, W)."""
        raw = self.posterior(x)[0]
        self.latent_mean.copy_(raw.mean((0, 2, 3, 4)))
        self.latent_std.copy_(raw.std((0, 2, 3, 4)))


def vae_loss(forward, x, noise, kl_weight, body_weight):
    """Reconstruction error, weighted towards what stands out, plus the weighted KL divergence.

    forward: VAE.forward; x: (B, 3, T, H, W) in [-1, 1]; noise: unit Gaussian, shaped like the
    latents. A pixel counts 1 + body_weight times its distance from its frame's median colour, from
    0 to 1. The KL divergence is to the unit Gaussian (Kingma & Welling 2013, appendix B), averaged.
    """
    rebuilt, mean, logvar = forward(x, noise)
    ground = x.flatten(3).median(dim=3).values[..., None, None]  # (B, 3, T, 1, 1)
    weight = 1 + body_weight * (x - ground).abs().amax(dim=1, keepdim=True) / 2
    kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
    return (weight * (rebuilt - x).pow(2)).mean() + kl_weight * kl
