"""From clips of the world to tensors: pixels in [-1, 1] and back, and the latents of many."""

from dataclasses import dataclass

import numpy as np
import torch

from data_gen import FAMILIES, make_batch

FAMILY_NAMES = tuple(FAMILIES)


def to_pixels(video):
    """uint8 (B, T, H, W, 3) -> float32 (B, 3, T, H, W) in [-1, 1]."""
    x = torch.as_tensor(np.ascontiguousarray(video)).permute(0, 4, 1, 2, 3)
    return x.float() / 127.5 - 1


def to_uint8(x):
    """The inverse: (B, 3, T, H, W) in [-1, 1] -> uint8 numpy (B, T, H, W, 3), rounded."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 4, 1).cpu().numpy()


@dataclass(frozen=True)
class Clips:
    """Clips in memory: video uint8 (n, T, H, W, 3) and captions, one each."""

    video: np.ndarray
    captions: tuple[str, ...]

    @classmethod
    def make(cls, family, count, size, frames, split="train"):
        batch = make_batch(family, range(count), size, frames, split)
        return cls(batch.video, batch.captions)

    def draw(self, batch, frames, generator):
        """A random batch of clips, one stretch of so many frames of each: (batch, 3, frames, H, W)."""
        rows = torch.randint(len(self.video), (batch,), generator=generator).numpy()
        last = self.video.shape[1] - frames
        first = int(torch.randint(last + 1, (), generator=generator))
        return to_pixels(self.video[rows, first : first + frames])


@torch.no_grad()
def encode_all(vae, video, batch=128):
    """Latents of many clips: uint8 (n, T, H, W, 3) -> float32 (n, C, K, h, w)."""
    device = vae.latent_mean.device
    parts = [vae.encode(to_pixels(video[i : i + batch]).to(device)) for i in range(0, len(video), batch)]
    return torch.cat(parts).float().cpu()
