"""A2: a video VAE. Videos are (B, 3, T, H, W) in [-1, 1], T = 1 + 4 (K - 1)."""

import torch


def to_chunks(x, stride=4):
    """Cut a video in time: (B, 3, T, H, W) -> (B, K, stride, 3, H, W).

    Chunk 0 is frame 0, repeated stride times; each later one has the next `stride` frames.
    """
    ### BEGIN SOLUTION
    first = x[:, :, :1].expand(-1, -1, stride - 1, -1, -1)
    x = torch.cat([first, x], dim=2)  # (B, 3, stride K, H, W)
    return x.unflatten(2, (-1, stride)).permute(0, 2, 3, 1, 4, 5)
    ### END SOLUTION


def from_chunks(chunks):
    """The inverse: (B, K, stride, 3, H, W) -> (B, 3, T, H, W); of chunk 0 its last frame counts."""
    ### BEGIN SOLUTION
    stride = chunks.shape[2]
    x = chunks.permute(0, 3, 1, 2, 4, 5).flatten(2, 3)
    return x[:, :, stride - 1 :]
    ### END SOLUTION


def draw(mean, logvar, noise):
    """A latent from its Gaussian, so that gradients reach mean and logvar. All of one shape; noise: unit Gaussian."""
    ### BEGIN SOLUTION
    return mean + (logvar / 2).exp() * noise
    ### END SOLUTION


def divergence(mean, logvar):
    """The KL divergence to the unit Gaussian, in nats, averaged over all numbers: a number."""
    ### BEGIN SOLUTION
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    ### END SOLUTION


def weights(x, body_weight=8.0):
    """How much each pixel counts: (B, 1, T, H, W).

    1 + body_weight times how far its colour is from the median colour of its frame (each channel's median over the
    frame): the largest of the three channels' distances, which are from 0 to 2, halved.
    """
    ### BEGIN SOLUTION
    ground = x.flatten(3).median(dim=3).values[..., None, None]
    return 1 + body_weight * (x - ground).abs().amax(dim=1, keepdim=True) / 2
    ### END SOLUTION


def loss(rebuilt, x, mean, logvar, kl_weight, body_weight=8.0):
    """The weighted mean of the squared errors over all numbers of x, plus kl_weight times the divergence: a number."""
    ### BEGIN SOLUTION
    return (weights(x, body_weight) * (rebuilt - x) ** 2).mean() + kl_weight * divergence(mean, logvar)
    ### END SOLUTION


def psnr(a, b):
    """Of each clip of two batches of uint8 (B, T, H, W, 3), in dB, full scale 255: (B,), float."""
    ### BEGIN SOLUTION
    error = ((a.double() - b.double()) ** 2).mean(dim=(1, 2, 3, 4))
    return 10 * torch.log10(255**2 / error)
    ### END SOLUTION


def sees(encode, x, frame):
    """Which latent frames change with one frame of the video: bool (K,).

    encode: videos -> latents (B, C, K, h, w); x: (1, 3, T, H, W); frame: which one is changed.
    """
    ### BEGIN SOLUTION
    changed = x.clone()
    changed[:, :, frame] = -changed[:, :, frame]
    return (encode(changed) - encode(x)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    ### END SOLUTION


def scales(z, cost):
    """What each channel of the latents is divided by: (C,).

    z: raw latents (B, C, K, h, w); cost: (C,), by how much the pixels change (in mean squared error) when a channel moves
    by one deviation. Divided by its scale, a channel has a deviation that grows with the root of its cost, and the mean
    variance of all channels is 1.
    """
    ### BEGIN SOLUTION
    deviation = z.transpose(0, 1).flatten(1).std(1)
    return deviation * (cost.mean() / cost).sqrt()
    ### END SOLUTION
