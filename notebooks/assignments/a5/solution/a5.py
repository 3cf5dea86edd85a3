"""A5: one mechanism for every task: known frames, windows, loops, editing.

Latents are (B, C, K, h, w). Latent frame 0 holds frame 0 of the video alone, each later one four frames. A denoiser is
(z_t, t) -> v with t of shape (B, K), and v points from data to noise on the linear schedule: z_t = (1 - t) z_0 + t eps.
"""

import torch


def known_mask(task, K, n=1):
    """Which latent frames are known: bool (K,).

    task: generate (none), animate (the first), forward (the first n), backward (the last n), connect (n at each end).
    """
    k = torch.arange(K)
    return {
        "generate": torch.zeros(K, dtype=torch.bool),
        "animate": k < 1,
        "forward": k < n,
        "backward": k >= K - n,
        "connect": (k < n) | (k >= K - n),
    }[task]


def sample_known(denoiser, z, known, steps):
    """Euler on the linear schedule from t = 1 to 0, in equal steps, around what is known.

    z: (B, C, K, h, w), data in the known frames, noise in the others; known: bool (K,). A known frame has t = 0 in every
    call of the denoiser, and comes back exactly as it was. Returns (B, C, K, h, w).
    """
    open_frames = (~known).float()[None].expand(len(z), -1)  # (B, K)
    for i in range(steps):
        t = 1 - i / steps
        v = denoiser(z, t * open_frames)
        z = z - v / steps * open_frames[:, None, :, None, None]
    return z


def windows(total, window, history):
    """How a long video is made: [(first, last)] of the latent frames that each call covers, last not included.

    The first window begins at 0. Each later one begins so that its first `history` latent frames are known from the one
    before, and no window is longer than `window`. The last ends at `total` and may be shorter. 0 < history < window.
    """
    found = [(0, min(window, total))]
    while found[-1][1] < total:
        first = found[-1][1] - history
        found.append((first, min(first + window, total)))
    return found


def chunk_of(frame):
    """The latent frame that a frame of the video belongs to."""
    return (frame + 3) // 4


def frames_of(k):
    """The frames of the video, (first, last), last not included, that latent frame k holds."""
    return (0, 1) if k == 0 else (4 * k - 3, 4 * k + 1)


def prepend(clip, new):
    """Where a clip stands in the one that is extended backwards: (its first frame's index, the known latent frames).

    clip: the number of its frames, 1 + 4n; new: how many frames come before it, a multiple of four. The longer clip
    has its own latent frames, and a latent frame is known if all its frames are the clip's: (index, bool (K,)).
    """
    K = 1 + (clip + new - 1) // 4
    return new, torch.tensor([frames_of(k)[0] >= new for k in range(K)])


def edit_start(z_0, eps, strength, steps):
    """SDEdit (Meng et al. 2021): (z_t, times). Noise is added up to t = strength, and taken away in `steps` equal steps.

    z_0, eps: (B, C, K, h, w); times: (steps + 1,), from strength down to 0.
    """
    return (1 - strength) * z_0 + strength * eps, torch.linspace(strength, 0, steps + 1)


def seam(path):
    """How smooth a loop is: the step from its last place back to its first, in median steps.

    path: (T, 2), where a body is in each frame. Returns a number; 1 is perfect.
    """
    steps = (path[1:] - path[:-1]).norm(dim=1)
    return ((path[0] - path[-1]).norm() / steps.median()).item()
