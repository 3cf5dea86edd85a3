"""Latents to tokens and back: any (K, h, w) grid that the patch divides becomes a sequence.

Tokens are ordered as the grid is read: latent frame by latent frame, row by row.
"""

import torch


def patchify(z, patch):
    """Cut latents into spacetime patches: (B, C, K, h, w) -> (B, N, C * pk * ph * pw).

    patch: (pk, ph, pw), latents per token along each axis. Raises ValueError where a side is not a
    multiple of its patch.
    """
    b, c, k, h, w = z.shape
    pk, ph, pw = patch
    if k % pk or h % ph or w % pw:
        raise ValueError(f"a latent grid of {k}x{h}x{w} cannot be cut into patches of {pk}x{ph}x{pw}")
    z = z.reshape(b, c, k // pk, pk, h // ph, ph, w // pw, pw)
    return z.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b, -1, c * pk * ph * pw)


def unpatchify(tokens, patch, grid):
    """The exact inverse: (B, N, C * pk * ph * pw) -> (B, C, K, h, w), where grid is (K, h, w)."""
    b = tokens.shape[0]
    (pk, ph, pw), (k, h, w) = patch, grid
    z = tokens.reshape(b, k // pk, h // ph, w // pw, -1, pk, ph, pw)
    return z.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(b, -1, k, h, w)


def coordinates(patch, grid, device=None):
    """Where each token's centre lies in the latent grid: (N, 3), as (k, y, x), in latents.

    Frames count from 0; rows and columns from the middle of the picture, so that a model trained
    at one aspect sees familiar numbers at another.
    """
    (pk, ph, pw), (k, h, w) = patch, grid
    frames = torch.arange(0, k, pk, device=device) + (pk - 1) / 2
    rows = torch.arange(0, h, ph, device=device) + (ph - h) / 2
    columns = torch.arange(0, w, pw, device=device) + (pw - w) / 2
    return torch.cartesian_prod(frames, rows, columns)
