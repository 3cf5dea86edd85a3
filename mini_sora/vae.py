"""The video VAE: pixels to latents and back, with the usual strides 4 x 4 x 4 pixels to one cell.

The encoder sees one chunk at a time, frame 0 alone and then each four frames, so any latent frame
can be made without the others. An image is a video of one frame. First every frame goes through the
same layers, at half its size; then the frames of a chunk are joined, at a quarter. The decoder goes
the same way back; it looks back one latent frame, to smooth the seams between chunks.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .config import check_numbers, require


@dataclass(frozen=True)
class VAEConfig:
    """channels: of a latent, C; frame_width, frame_blocks: of the layers that see single frames;
    width, blocks: of those that see a chunk; strides: pixels per latent in time, which divides 4, as
    clips have 1 + 4n frames, and in space."""

    channels: int = 3
    frame_width: int = 32
    frame_blocks: int = 1
    width: int = 96
    blocks: int = 1
    time_stride: int = 4
    space_stride: int = 4

    def __post_init__(self):
        check_numbers(self, low=1, high=4096)
        require(4 % self.time_stride == 0, f"time_stride is {self.time_stride}; it is 1, 2 or 4")
        even = self.space_stride % 2 == 0
        require(even, f"space_stride is {self.space_stride}; it must be even, as the last step halves")


def to_chunks(x, stride):
    """Cut a video in time: (B, 3, T, H, W) -> (B K, stride, 3, H, W), T = 1 + stride (K - 1).

    Frame 0 fills a chunk of its own, repeated.
    """
    x = torch.cat([x[:, :, :1].expand(-1, -1, stride - 1, -1, -1), x], dim=2)  # (B, 3, stride K, H, W)
    return x.transpose(1, 2).unflatten(1, (-1, stride)).flatten(0, 1)


def from_chunks(x, batch):
    """The inverse of to_chunks; of the first chunk only its last frame is kept."""
    stride = x.shape[1]
    return x.unflatten(0, (batch, -1)).flatten(1, 2).transpose(1, 2)[:, :, stride - 1 :]


class ResBlock(nn.Module):
    """Norm, convolution, norm, convolution, on top of what came in (He et al. 2016)."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)  # so that it starts as the identity, but for a constant

    def forward(self, x):  # (n, D, h, w)
        y = self.conv1(F.silu(self.norm1(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))
        y = self.conv2(F.silu(self.norm2(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))
        return x + y


class Encoder(nn.Module):
    """Chunks of frames to latents: each frame at half its size, then all together at a quarter."""

    def __init__(self, config):
        super().__init__()
        self.fold = config.space_stride // 2
        frame, width = config.frame_width, config.width
        self.enter = nn.Conv2d(3 * self.fold**2, frame, 3, padding=1)
        self.frame_blocks = nn.Sequential(*(ResBlock(frame) for _ in range(config.frame_blocks)))
        self.join = nn.Conv2d(config.time_stride * frame, width, 2, stride=2)
        self.blocks = nn.Sequential(*(ResBlock(width) for _ in range(config.blocks)))
        self.leave = nn.Conv2d(width, 2 * config.channels, 1)

    def forward(self, x):  # (n, st, 3, H, W) -> (n, 2 C, h, w), float32
        count, kind = x.shape[:2], self.enter.weight.dtype
        y = F.pixel_unshuffle(x.flatten(0, 1), self.fold)  # (n st, 3 fold^2, 2h, 2w)
        y = self.frame_blocks(self.enter(y.to(kind, memory_format=torch.channels_last)))
        y = y.unflatten(0, count).flatten(1, 2)  # (n, st D, 2h, 2w)
        y = self.blocks(self.join(y.contiguous(memory_format=torch.channels_last)))  # (n, D', h, w)
        return self.leave(y).float()


class Decoder(nn.Module):
    """Latents, each beside the one before it, to chunks of frames: the encoder's way back."""

    def __init__(self, config):
        super().__init__()
        self.fold, self.stride = config.space_stride // 2, config.time_stride
        frame, width = config.frame_width, config.width
        self.enter = nn.Conv2d(2 * config.channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResBlock(width) for _ in range(config.blocks)))
        self.part = nn.Conv2d(width, 4 * self.stride * frame, 1)
        self.frame_blocks = nn.Sequential(*(ResBlock(frame) for _ in range(config.frame_blocks)))
        self.leave = nn.Conv2d(frame, 3 * self.fold**2, 1)

    def forward(self, z):  # (n, 2 C, h, w) -> (n, st, 3, H, W), float32
        y = self.blocks(self.enter(z.to(self.enter.weight.dtype, memory_format=torch.channels_last)))
        y = F.pixel_shuffle(self.part(y), 2)  # (n, st D, 2h, 2w)
        y = y.unflatten(1, (self.stride, -1)).flatten(0, 1)  # (n st, D, 2h, 2w)
        y = self.leave(self.frame_blocks(y.contiguous(memory_format=torch.channels_last))).float()
        return F.pixel_shuffle(y, self.fold).unflatten(0, (-1, self.stride))


class VAE(nn.Module):
    """A variational autoencoder (Kingma & Welling 2013) from videos to a grid of latents.

    `encode` and `decode` speak latents z whose variance is 1 in the mean over the channels; the mean and
    scale that make them so are measured by `measure_latents` and stored with the weights.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.channels))
        self.register_buffer("latent_std", torch.ones(config.channels))

    def posterior(self, x):
        """q(z | x): (B, 3, T, H, W) in [-1, 1] -> mean and log variance, (B, C, K, h, w) each."""
        y = self.encoder(to_chunks(x, self.config.time_stride))  # (B K, 2 C, h, w)
        return y.unflatten(0, (len(x), -1)).transpose(1, 2).chunk(2, dim=1)

    def decode_raw(self, raw):
        """p(x | raw latent): (B, C, K, h, w) -> (B, 3, T, H, W)."""
        before = torch.cat([raw[:, :, :1], raw[:, :, :-1]], dim=2)  # frame 0 looks at itself
        y = torch.cat([before, raw], dim=1).transpose(1, 2)  # (B, K, 2 C, h, w)
        return from_chunks(self.decoder(y.flatten(0, 1)), len(raw))

    def forward(self, x, noise):
        """Encode, draw a latent, decode: (rebuilt x, mean, log variance). noise: (B, C, K, h, w)."""
        mean, logvar = self.posterior(x)
        logvar = logvar.clamp(-20, 4)
        return self.decode_raw(mean + (logvar / 2).exp() * noise), mean, logvar

    def _norm(self, raw, inverse=False):
        mean, std = (s[:, None, None, None] for s in (self.latent_mean, self.latent_std))
        return raw * std + mean if inverse else (raw - mean) / std

    def encode(self, x):
        """Pixels (B, 3, T, H, W) in [-1, 1] -> latents (B, C, K, h, w), see measure_latents."""
        return self._norm(self.posterior(x)[0])

    def decode(self, z):
        """Latents (B, C, K, h, w), as of encode -> pixels (B, 3, T, H, W) in [-1, 1]."""
        return self.decode_raw(self._norm(z, inverse=True)).clamp(-1, 1)

    @torch.no_grad()
    def measure_latents(self, videos, nudge=0.3):
        """Store the scale of the latents, measured on videos, (B, 3, T, H, W) each.

        The more a channel moves the pixels, the wider it is made, so that the same noise costs as
        much in each: noise then hides what is small before what is large. Made alike wide, the many
        channels of fine detail drown the one that says what is where. nudge: the noise that the
        first few videos are decoded with, in a channel's deviations.
        """
        means = [self.posterior(x)[0] for x in videos]  # (B, C, K, h, w) each
        raw = torch.cat([mean.transpose(0, 1).flatten(1) for mean in means], dim=1)  # (C, n)
        self.latent_mean.copy_(raw.mean(1))
        deviation, cost = raw.std(1), torch.zeros(len(raw), device=raw.device)
        generator = torch.Generator().manual_seed(0)
        for mean in means[:4]:
            video = self.decode_raw(mean)
            noise = nudge * torch.randn(mean[:, 0].shape, generator=generator).to(mean.device)
            for channel in range(len(raw)):
                nudged = mean.clone()
                nudged[:, channel] += deviation[channel] * noise
                cost[channel] += (self.decode_raw(nudged) - video).square().mean()
        cost = cost.clamp(min=1e-12)  # of a channel that does nothing
        self.latent_std.copy_(deviation.clamp(min=1e-6) * (cost.mean() / cost).sqrt())


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
