"""A2: a video VAE. Videos are (B, 3, T, H, W) in [-1, 1], T = 1 + 4 (K - 1)."""

import torch


def to_chunks(x, stride=4):
    """Cut a video in time: (B, 3, T, H, W) -> (B, K, stride, 3, H, W).

    Chunk 0 is frame 0, repeated stride times; each later one has the next `stride` frames.
    """
    raise NotImplementedError("your turn")


def from_chunks(chunks):
    """The inverse: (B, K, stride, 3, H, W) -> (B, 3, T, H, W); of chunk 0 its last frame counts."""
    raise NotImplementedError("your turn")


def draw(mean, logvar, noise):
    """A latent from its Gaussian, so that gradients reach mean and logvar. All of one shape; noise: unit Gaussian."""
    raise NotImplementedError("your turn")


def divergence(mean, logvar):
    """The KL divergence to the unit Gaussian, in nats, averaged over all numbers: a number."""
    raise NotImplementedError("your turn")


def weights(x, body_weight=8.0):
    """How much each pixel counts: (B, 1, T, H, W).

    1 + body_weight times how far its colour is from the median colour of its frame (each channel's median over the
    frame): the largest of the three channels' distances, which are from 0 to 2, halved.
    """
    raise NotImplementedError("your turn")


def loss(rebuilt, x, mean, logvar, kl_weight, body_weight=8.0):
    """The weighted mean of the squared errors over all numbers of x, plus kl_weight times the divergence: a number."""
    raise NotImplementedError("your turn")


def psnr(a, b):
    """Of each clip of two batches of uint8 (B, T, H, W, 3), in dB, full scale 255: (B,), float."""
    raise NotImplementedError("your turn")


def sees(encode, x, frame):
    """Which latent frames change with one frame of the video: bool (K,).

    encode: videos -> latents (B, C, K, h, w); x: (1, 3, T, H, W); frame: which one is changed.
    """
    raise NotImplementedError("your turn")


def scales(z, cost):
    """What each channel of the latents is divided by: (C,).

    z: raw latents (B, C, K, h, w); cost: (C,), by how much the pixels change (in mean squared error) when a channel moves
    by one deviation. Divided by its scale, a channel has a deviation that grows with the root of its cost, and the mean
    variance of all channels is 1.
    """
    raise NotImplementedError("your turn")
