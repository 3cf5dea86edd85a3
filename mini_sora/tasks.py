"""MiniSora: everything that can be asked of a trained model.

Every way of asking is one mechanism: a latent frame that is known stands at noise time 0, the
others start as noise, and the network makes them fit. What differs is which are known.

    generate  ? ? ? ? ?     animate  1 ? ? ? ?     extend, forward  1 1 1 ? ?     backward  ? ? ? 1 1
    connect, loop  1 1 1 ? ? 1 1     edit, upscale  all are made, from what is there and some noise
"""

import numpy as np
import torch
from torch.nn import functional as F

from .config import require
from .data import to_pixels, to_uint8
from .model import check_size
from .pipeline import Pipeline
from .video import FPS, Video


class MiniSora(Pipeline):
    """A trained Mini-Sora: text to video, and all that follows from it."""

    def generate(self, prompt, size=None, frames=None, seconds=None, seed=0, actions=None, **options):
        """Text to video.

        prompt: a string, or a list of B for a list of videos; size: (H, W), multiples of 8; frames:
        T = 1 + 4n, or seconds, at 8 frames each: what is longer than twice the model's own length
        is made window by window; seed: of the first video, the next has the next; actions: whole
        numbers (B, T - 1), what is done before each frame but the first, 0 for none, for a model that
        knows actions; options: progress, a callable given (done, all) steps, and sampler, steps,
        guidance and the like (see SamplerConfig). The same seed and arguments give the same video.
        Raises UserError.
        """
        pieces = list(self.stream(prompt, size, frames, seconds, seed, actions, **options))
        return answer(prompt, np.concatenate(pieces, axis=1))

    def stream(
        self, prompt, size=None, frames=None, seconds=None, seed=0, actions=None, progress=None, **options
    ):
        """As generate, piece by piece as they are made: yields uint8 (B, n, H, W, 3), T frames in all.
        What it holds in memory does not grow with T."""
        prompts, size = prompts_of(prompt), tuple(size or self.config.size)
        if seconds is not None:
            require(frames is None, "give frames or seconds, not both")
            require(0 < seconds < 1e4, f"seconds is {seconds}; it must be above 0 and below 10000")
            frames = 1 + 4 * max(1, round(seconds * FPS / 4))
        frames, own = self.config.frames if frames is None else frames, self.config.frames
        check_size(size, frames)
        whole = frames if frames < 2 * own else own
        shape = self.config.latent_shape(size, whole)
        sources = sources_of(seed, len(prompts))
        if actions is not None:
            actions = torch.as_tensor(actions)
        first = None if actions is None else actions[:, : whole - 1]
        at_once = progress if whole == frames else None
        z = self._film(prompts, sources, shape, actions=first, progress=at_once, **options)
        clip = self.decode(z)
        yield clip
        yield from self._go_on(prompts, sources, clip, z, frames - whole, actions, progress, **options)

    def animate(self, image, prompt, frames=None, seed=0, actions=None, **options):
        """A picture to a video that begins with it.

        image: uint8 (H, W, 3), sides multiples of 8, or a video of one frame; or a list of B, with as
        many prompts. The rest as in generate.
        """
        frames = self.config.frames if frames is None else frames
        check_size(self.config.size, frames)
        prompts, clips = prompts_of(prompt), clips_of(image, prompt)
        require(clips.shape[1] == 1, "that is not a picture but a video; extend goes on from one")
        if actions is not None:
            actions = torch.as_tensor(actions)
        pieces = self._go_on(
            prompts, sources_of(seed, len(prompts)), clips, None, frames - 1, actions, **options
        )
        return answer(prompt, np.concatenate([clips, *pieces], axis=1))

    def extend(self, video, prompt, frames=16, direction="forward", seed=0, **options):
        """A video with more frames after it, or before it; its own are left as they are.

        video: a Video or uint8 (T, H, W, 3), T = 1 + 4n, or a list of B, with as many prompts; frames:
        how many more, a multiple of 4; direction: forward or backward. The rest as in generate.
        """
        prompts, clips = prompts_of(prompt), clips_of(video, prompt)
        fine = direction in ("forward", "backward")
        require(fine, f"direction is {direction!r}; it is one of forward, backward")
        check_size(clips.shape[2:4], clips.shape[1])
        check_size(clips.shape[2:4], clips.shape[1] + frames)
        sources = sources_of(seed, len(prompts))
        if direction == "forward":
            pieces = self._go_on(prompts, sources, clips, None, frames, **options)
            return answer(prompt, np.concatenate([clips, *pieces], axis=1))
        require(clips.shape[1] > 1, "a single picture says nothing of what was before; animate it instead")
        pieces = list(self._go_back(prompts, sources, clips, frames, **options))
        return answer(prompt, np.concatenate([*pieces[::-1], clips], axis=1))

    def connect(self, a, b, prompt, frames=15, seed=0, **options):
        """One video from two: a, then frames that lead over, then b.

        a, b: videos of one size, T = 1 + 4n each, or lists of B; frames: between them, 3 + 4n. The
        rest as in generate.
        """
        clips, between = self._lead_over(a, b, prompt, frames, seed, **options)
        return answer(prompt, np.concatenate([clips[0], between, clips[1]], axis=1))

    def loop(self, prompt, video=None, frames=15, seed=0, **options):
        """A video that can be played round and round: its end leads over to its beginning.

        video: the one to close, or a list of B; one is made from the prompt where there is none. frames:
        of those that close it, 3 + 4n. The rest as in generate.
        """
        video = self.generate(prompt, seed=seed, **options) if video is None else video
        clips, between = self._lead_over(video, video, prompt, frames, seed, **options)
        return answer(prompt, np.concatenate([clips[0], between], axis=1))

    def edit(self, video, prompt, strength=0.8, seed=0, **options):
        """A video made again to fit another prompt (Meng et al. 2021, SDEdit).

        video: uint8 (T, H, W, 3) or a list of B; strength: the noise time that it is taken back to,
        from 0, where it stays as it is, to 1, where nothing of it is left. The rest as in generate.
        """
        require(0 < strength <= 1, f"strength is {strength}; it must be above 0, and at most 1")
        prompts, clips = prompts_of(prompt), clips_of(video, prompt)
        shape = self.config.latent_shape(clips.shape[2:4], clips.shape[1])
        sources, z = sources_of(seed, len(prompts)), self.encode(clips)
        z = self._film(prompts, sources, shape, z, start=strength, **options)
        return answer(prompt, self.decode(z))

    def upscale(self, video, factor=2, prompt=None, strength=0.5, seed=0, **options):
        """A draft at full size: enlarged by bicubic interpolation, then made sharp by the model.

        video: uint8 (T, H, W, 3) or a list of B; factor: of both sides; prompt: the video's own where
        none is given; strength: as in edit. The rest as in generate.
        """
        if prompt is None:
            videos = [video] if isinstance(video, Video) else video
            named = all(isinstance(v, Video) and v.prompt for v in videos)
            require(named, "say with prompt what the video shows")
            prompt = video.prompt if isinstance(video, Video) else [v.prompt for v in videos]
        large = resized(to_pixels(clips_of(video, prompt)), factor)
        large = large[0] if isinstance(prompt, str) else list(large)
        return self.edit(large, prompt, strength, seed, **options)

    def _go_on(self, prompts, sources, clip, z, frames, actions=None, progress=None, **sampling):
        """What comes after clips: yields so many frames, in pieces, uint8 (B, n, H, W, 3).

        A window of the model's own length slides along. Known in it are its first frame and half of
        its latent frames; the rest is made. z: the clips' latents, where they are at hand. Only the
        window's first frame is ever encoded again, so that little is lost from window to window.
        """
        chunk, own = self.config.vae.time_stride, self._own_length()
        z = self.encode(clip[:, -self._span(clip) :]) if z is None else z
        at, end = clip.shape[1] - 1, clip.shape[1] - 1 + frames
        while at < end:
            keep = min(own // 2, z.shape[2] - 1)
            clip, z = clip[:, -(1 + chunk * keep) :], z[:, :, z.shape[2] - keep :]
            z = torch.cat([self.encode(clip[:, :1]), z], dim=2)
            known, new = z.shape[2], min(own - 1 - keep, (end - at) // chunk)
            z = F.pad(z, (0, 0, 0, 0, 0, new))
            first = at - chunk * keep
            part = None if actions is None else actions[:, first : first + chunk * (keep + new)]
            mask = torch.arange(known + new) < known
            z = self._film(prompts, sources, z.shape[1:], z, mask, actions=part, **sampling)
            piece = self.decode(z)[:, clip.shape[1] :]
            yield piece
            clip, at = np.concatenate([clip, piece], axis=1), at + chunk * new
            if progress:
                progress(at, end)

    def _go_back(self, prompts, sources, clip, frames, progress=None, **sampling):
        """What comes before clips: yields so many frames, in pieces, the last ones first.

        The first frame of a clip is the last of its chunk in the longer one, so it is made again, and
        dropped for the true one."""
        chunk, own, made = self.config.vae.time_stride, self._own_length(), 0
        z = self.encode(clip[:, : self._span(clip)])
        while made < frames:
            keep = min(own // 2, z.shape[2] - 1)
            new = min(own - keep, 1 + (frames - made) // chunk)
            z = F.pad(z[:, :, 1 : 1 + keep], (0, 0, 0, 0, new, 0))
            mask = torch.arange(new + keep) >= new
            z = self._film(prompts, sources, z.shape[1:], z, mask, **sampling)
            piece = self.decode(z)[:, : chunk * (new - 1)]
            yield piece
            made += piece.shape[1]
            if progress:
                progress(made, frames)

    def _lead_over(self, a, b, prompt, frames, seed, **options):
        """([a, b] as batches, the frames between them), uint8 (B, n, H, W, 3) each."""
        prompts, clips = prompts_of(prompt), [clips_of(video, prompt) for video in (a, b)]
        sizes = [clip.shape[2:4] for clip in clips]
        require(sizes[0] == sizes[1], "the two videos differ in size; resize one of them first")
        for clip in clips:
            check_size(sizes[0], clip.shape[1])
        fine = isinstance(frames, int) and 3 <= frames <= 255 and frames % 4 == 3
        require(fine, f"{frames} frames do not fit between: give 3 + 4n of them (7, 11, 15, ...)")
        head = self.encode(clips[0][:, -self._span(clips[0]) :])
        tail = self.encode(clips[1][:, : self._span(clips[1])])[:, :, 1:]
        new = (frames + 1) // self.config.vae.time_stride
        z = torch.cat([F.pad(head, (0, 0, 0, 0, 0, new)), tail], dim=2)
        k = torch.arange(z.shape[2])
        mask = (k < head.shape[2]) | (k >= head.shape[2] + new)
        self.config.latent_shape(sizes[0], 1 + self.config.vae.time_stride * (z.shape[2] - 1))
        z = self._film(prompts, sources_of(seed, len(prompts)), z.shape[1:], z, mask, **options)
        start = 1 + self.config.vae.time_stride * (head.shape[2] - 1)
        return clips, self.decode(z)[:, start : start + frames]

    def _own_length(self):
        """Latent frames of the model's own clips."""
        return 1 + (self.config.frames - 1) // self.config.vae.time_stride

    def _span(self, clip):
        """How many frames of a clip are known to what is joined to it: at most half of the own length."""
        half = self.config.vae.time_stride * (self._own_length() // 2)
        return min(1 + half, clip.shape[1])


def prompts_of(prompt):
    """A prompt or several, as a list. Raises UserError for one that says nothing."""
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    require(prompts, "there is no prompt; give at least one")
    for text in prompts:
        require(text.strip(), 'the prompt is empty; describe a clip: "a red circle moves left"')
    return prompts


def clips_of(video, prompt):
    """The videos or pictures that belong to a prompt, or to a list, as uint8 (B, T, H, W, 3)."""
    videos = [video] if isinstance(prompt, str) else list(video)
    clips = [v.frames if isinstance(v, Video) else np.asarray(v) for v in videos]
    clips = [clip[None] if clip.ndim == 3 else clip for clip in clips]
    fine = len({clip.shape for clip in clips}) == 1 and clips[0].ndim == 4 and clips[0].shape[3] == 3
    fine = fine and all(clip.dtype == np.uint8 for clip in clips)
    require(fine, "a picture is uint8 (H, W, 3), a video (T, H, W, 3), and those of a list have one shape")
    count = 1 if isinstance(prompt, str) else len(prompt)
    require(len(clips) == count, f"{len(clips)} videos and {count} prompts do not match; give one for each")
    check_size(tuple(clips[0].shape[1:3]), 1)
    return np.stack(clips)


def resized(x, factor):
    """Videos (B, 3, T, H, W) in [-1, 1], larger by bicubic interpolation: uint8 (B, T, H', W', 3)."""
    require(0 < factor <= 16, f"factor is {factor}; it must be above 0, and at most 16")
    size = tuple(round(side * factor) for side in x.shape[3:])
    check_size(size, x.shape[2])
    large = F.interpolate(x.transpose(1, 2).flatten(0, 1), size, mode="bicubic", antialias=True)
    return to_uint8(large.unflatten(0, (len(x), -1)).transpose(1, 2).clamp(-1, 1))


def answer(prompt, frames):
    """uint8 (B, T, H, W, 3) as Videos: one for one prompt, a list for a list."""
    if isinstance(prompt, str):
        return Video(frames[0], prompt)
    return [Video(video, text) for video, text in zip(frames, prompt, strict=True)]


def sources_of(seed, count):
    """A source of randomness for each video: the first has this seed, the next the next."""
    require(isinstance(seed, int) and 0 <= seed < 2**62, f"the seed {seed} must be a whole number from 0")
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]
