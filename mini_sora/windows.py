"""Videos of any length: a window slides over them, and each window knows frames of the one before."""

import numpy as np
import torch
from torch.nn import functional as F

from .config import require
from .model import MAX_TOKENS
from .pipeline import Pipeline, part


class Windows(Pipeline):
    """A pipeline for videos that are longer than what is made at once: apart from MiniSora, which is all that
    can be asked of it, as how a window slides is a page of its own."""

    def _from_the_start(
        self,
        prompts,
        sources,
        size,
        frames,
        actions,
        old=None,
        lengthen=False,
        /,
        progress=None,
        **sampling,
    ):
        """Videos of which no frame is known: yields their frames in pieces, uint8 (B, n, H, W, 3).
        old, lengthen: see _go_on and _film; best_of is of the first window."""
        whole = self._at_once(size, frames)
        shape = self.config.latent_shape(size, whole)
        z, start = (self.encode(old[0][:, :whole]), old[1]) if old else (None, 1.0)
        first = None if actions is None else actions[:, : whole - 1]
        told = {"actions": first, "progress": part(progress, 0, whole, frames)}
        z = self._film(prompts, sources, shape, z, None, start, lengthen, **told, **sampling)
        clip = self.decode(z)
        yield clip
        # Not told at length: what is known there need not agree with what an expansion says of the beginning.
        sampling |= {"best_of": 1, "tell": None, "progress": part(progress, whole, frames - whole, frames)}
        yield from self._go_on(prompts, sources, clip, z, frames - whole, actions, old, **sampling)

    def _go_on(self, prompts, sources, clip, z, frames, actions=None, old=None, /, progress=None, **sampling):
        """What comes after clips: yields so many frames, in pieces, uint8 (B, n, H, W, 3).

        A window slides along. Known in it are its first frame and half of its latent frames, or more
        where fewer are left to make. z: the clips' latents, where they are at hand. Only the window's
        first frame is ever encoded again, so that little is lost from window to window. old: what to begin
        with where that is not noise: a whole video, uint8 (B, T, H, W, 3), and a noise time to take it to.
        """
        chunk = self.config.vae.time_stride
        window = self._window(clip.shape[2:4], clip.shape[1] + frames)
        # The last frame that there is, in frames; what is left to make, and all below, in latent frames.
        at, left = clip.shape[1] - 1, frames // chunk
        most = min(at // chunk, window - 1)
        z = self.encode(clip[:, -(1 + chunk * most) :]) if z is None else z
        while left:
            keep = min(at // chunk, max(window // 2, window - 1 - left))
            new = min(window - 1 - keep, left)
            clip = clip[:, -(1 + chunk * keep) :]
            head = torch.cat([self.encode(clip[:, :1]), z[:, :, z.shape[2] - keep :]], dim=2)
            first = at - chunk * keep
            taken = None if actions is None else actions[:, first : first + chunk * (keep + new)]
            told = part(progress, frames - chunk * left, chunk * new, frames)
            how = {"actions": taken, "progress": told, **sampling}
            ahead = old and (self.encode(old[0][:, at : at + 1 + chunk * new])[:, :, 1:], old[1])
            z, piece = self._fill(prompts, sources, head, new, None, ahead, **how)
            yield piece
            sampling["best_of"] = 1  # what begins well goes on well, and a minute has sixty windows
            clip, at, left = np.concatenate([clip, piece], axis=1), at + chunk * new, left - new

    def _go_back(self, prompts, sources, clip, frames, actions=None, /, progress=None, **sampling):
        """What comes before clips: yields so many frames, in pieces, the last ones first.

        Each window begins with a single frame, as every clip does, which is dropped: so the clip's own
        frames are known from the first one on, four by four.
        """
        chunk = self.config.vae.time_stride
        window = self._window(clip.shape[2:4], 1 + clip.shape[1] // chunk * chunk + frames)
        left, z = frames // chunk, self._beginning(clip, window - 1)
        while left:
            keep = min(z.shape[2] - 1, max(window // 2, window - 1 - left))
            new = min(window - 1 - keep, left)
            first = chunk * (left - new)  # of the frames that come after the single one, which none leads to
            before = None if actions is None else F.pad(actions, (1, 0))
            taken = None if actions is None else before[:, first : first + chunk * (new + keep)]
            told = part(progress, frames - chunk * left, chunk * new, frames)
            how = {"actions": taken, "progress": told, **sampling}
            z, piece = self._fill(prompts, sources, z[:, :, :0], new + 1, z[:, :, : 1 + keep], **how)
            yield piece
            sampling["best_of"] = 1
            left -= new

    def _fill(self, prompts, sources, head, new, tail, old=None, /, **sampling):
        """Make so many latent frames between known ones, (B, C, K, h, w) each: head, where K may be 0, and
        tail, or None, which begins with one more, that the others were encoded after; a new one takes its
        place. old: what these begin with where that is not noise, latents and a noise time. Returns all
        latents, and the frames of the new ones, but for the window's first."""
        first, (batch, channels, _, *sides) = head.shape[2], head.shape
        between, start = old or (head.new_zeros(batch, channels, new, *sides), 1.0)
        z = torch.cat([head, between], dim=2)
        z = z if tail is None else torch.cat([z[:, :, :-1], tail], dim=2)
        k = torch.arange(z.shape[2])
        mask = (k < first) | (k >= first + new)
        z = self._film(prompts, sources, z.shape[1:], z, mask, start, **sampling)
        return z, self.decode(z[:, :, max(0, first - 1) : first + new])[:, 1:]

    def _beginning(self, clip, most):
        """The latents of the first frames of clips, four by four, at most so many, after one of the first
        frame: (B, C, 1 + K, h, w)."""
        chunk = self.config.vae.time_stride
        count = min(most, clip.shape[1] // chunk)
        require(count, "what is led into is a video, of 4 frames or more; a picture can only be animated")
        return self.encode(np.concatenate([clip[:, :1], clip[:, : chunk * count]], axis=1))

    @property
    def _own(self):
        """Frames of a window that slides far: the model's own length, with room for one latent frame that is
        known, beside its first, and one that is new."""
        return max(self.config.frames, 1 + max(4, 2 * self.config.vae.time_stride))

    def _at_once(self, size, frames):
        """How many of these frames are made in one window: all, up to one fewer than twice the model's own;
        of three times or more, where longer windows would drift, or where these have too many patches, as
        many as the model's own."""
        most = min(frames, 2 * self._own - 1)
        far = frames >= 3 * self._own or self.config.tokens(size, most) > MAX_TOKENS
        return min(frames, self._own) if far else most

    def _window(self, size, frames):
        """Latent frames of one window of a clip that comes to have so many frames. Raises UserError for a
        window that has too many patches."""
        frames = self._at_once(size, frames)
        return self.config.latent_shape(size, 1 + (frames - 1) // 4 * 4)[1]

    def _reach(self, size, frames):
        """How many latent frames, at most, are looked at on each side of frames that lead over, which are
        made in one window. Raises UserError where these are too many."""
        most = 2 * self._own - 2
        said = f"{frames} frames between are too many, {most} at most; extend a video first, or ask for less"
        require(frames <= most, said)
        most = self._window(size, self._own) // 2
        self.config.latent_shape(size, 1 + 2 * self.config.vae.time_stride * most + frames)
        return most
