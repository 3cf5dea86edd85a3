"""A5: one mechanism for every task: known frames, windows, loops, editing.

Latents are (B, C, K, h, w). Latent frame 0 holds frame 0 of the video alone, each later one four frames. A denoiser is
(z_t, t) -> v with t of shape (B, K), and v points from data to noise on the linear schedule: z_t = (1 - t) z_0 + t eps.
"""

import torch


def known_mask(task, K, n=1):
    """Which latent frames are known: bool (K,).

    task: generate (none), animate (the first), forward (the first n), backward (the last n), connect (n at each end).
    """
    raise NotImplementedError("your turn")


def sample_known(denoiser, z, known, steps):
    """Euler on the linear schedule from t = 1 to 0, in equal steps, around what is known.

    z: (B, C, K, h, w), data in the known frames, noise in the others; known: bool (K,). A known frame has t = 0 in every
    call of the denoiser, and comes back exactly as it was. Returns (B, C, K, h, w).
    """
    raise NotImplementedError("your turn")


def windows(total, window, history):
    """How a long video is made: [(first, last)] of the latent frames that each call covers, last not included.

    The first window begins at 0. Each later one begins so that its first `history` latent frames are known from the one
    before, and no window is longer than `window`. The last ends at `total` and may be shorter. 0 < history < window.
    """
    raise NotImplementedError("your turn")


def chunk_of(frame):
    """The latent frame that a frame of the video belongs to."""
    raise NotImplementedError("your turn")


def frames_of(k):
    """The frames of the video, (first, last), last not included, that latent frame k holds."""
    raise NotImplementedError("your turn")


def prepend(clip, new):
    """Where a clip stands in the one that is extended backwards: (its first frame's index, the known latent frames).

    clip: the number of its frames, 1 + 4n; new: how many frames come before it, a multiple of four. The longer clip
    has its own latent frames, and a latent frame is known if all its frames are the clip's: (index, bool (K,)).
    """
    raise NotImplementedError("your turn")


def edit_start(z_0, eps, strength, steps):
    """SDEdit (Meng et al. 2021): (z_t, times). Noise is added up to t = strength, and taken away in `steps` equal steps.

    z_0, eps: (B, C, K, h, w); times: (steps + 1,), from strength down to 0.
    """
    raise NotImplementedError("your turn")


def seam(path):
    """How smooth a loop is: the step from its last place back to its first, in median steps.

    path: (T, 2), where a body is in each frame. Returns a number; 1 is perfect.
    """
    raise NotImplementedError("your turn")
