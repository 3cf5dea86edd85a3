"""MiniSora: everything that can be asked of a trained model.

Every way of asking is one mechanism: a latent frame that is known stands at noise time 0, the
others start as noise, and the network makes them fit. What differs is which are known.

    generate  ? ? ? ? ?     animate  1 ? ? ? ?     extend, forward  1 1 1 ? ?     backward  ? ? ? 1 1
    connect, loop  1 1 1 ? ? ? ? 1 1     edit, upscale  all are made, from what is there and some noise
"""

import numpy as np
import torch
from torch.nn import functional as F

from .config import require
from .data import numbers_of, resized, to_pixels
from .model import MAX_TOKENS, SHARPEN, check_size
from .pipeline import Pipeline, part, prompts_of
from .samplers import sources_of
from .video import FPS, MAX_FRAMES, Video

NO_ACTIONS = "no actions lead from one video to another; leave them out"


class MiniSora(Pipeline):
    """A trained Mini-Sora: text to video, and all that follows from it."""

    def generate(
        self, prompt, size=None, frames=None, seconds=None, seed=0, actions=None, expand=True, **options
    ):
        """Text to video.

        prompt: a string, or a list of B for a list of videos; size: (H, W), multiples of 8; what has a longer
        short side than the model's own, here and in all that follows, is a draft first, and then made sharp;
        frames: T = 1 + 4n, or seconds, at 8 frames each: what is longer than twice the model's own length is
        made window by window; seed: of the first video, the next has the next; actions: what is done before
        each frame but the first, for a model that knows actions: their names, B lists of T - 1, or whole
        numbers (B, T - 1), 0 for none; expand: whether a short prompt is told at length first, where no
        actions are given (see Pipeline.expand); options: progress, a callable given (done, all); tell, one
        given the list of B texts that were filmed; and best_of, sampler, steps, guidance and the like (see
        SamplerConfig): of best_of videos, drafts or first windows, each of other noise and another expansion,
        the fittest is kept (see Pipeline.fitness). Same seed, same video. Raises UserError.
        """
        pieces = list(self.stream(prompt, size, frames, seconds, seed, actions, expand, **options))
        return answer(prompt, np.concatenate(pieces, axis=1))

    def stream(
        self,
        prompt,
        size=None,
        frames=None,
        seconds=None,
        seed=0,
        actions=None,
        expand=True,
        tell=None,
        progress=None,
        **options,
    ):
        """As generate, piece by piece as they are made: yields uint8 (B, n, H, W, 3), T frames in all.
        What it holds in memory does not grow with T."""
        prompts, size = prompts_of(prompt), self.config.size if size is None else size
        if seconds is not None:
            require(frames is None, "give frames or seconds, not both")
            fine = isinstance(seconds, int | float | np.number) and 0 < seconds < 1e4
            require(fine, f"seconds is {seconds!r}; it must be a number above 0 and below 10000")
            frames = 1 + 4 * max(1, round(seconds * FPS / 4))
        frames = self.config.frames if frames is None else frames
        check_size(size, frames)
        whole = self._at_once(size, frames)
        shape = self.config.latent_shape(size, whole)
        sources, actions = sources_of(seed, len(prompts)), self._actions(actions, prompts, frames)
        first = None if actions is None else actions[:, : whole - 1]
        # What goes on from there is given, and need not agree with what an expansion says of the beginning.
        given = None, None, 1.0, expand and actions is None
        told = {"progress": part(progress, 0, whole, frames), "tell": tell}
        z = self._film(prompts, sources, shape, *given, actions=first, **told, **options)
        clip = self.decode(z)
        yield clip
        told = part(progress, whole, frames - whole, frames)
        options["best_of"] = 1
        yield from self._go_on(prompts, sources, clip, z, frames - whole, actions, told, **options)

    def animate(self, image, prompt, frames=None, seed=0, actions=None, **options):
        """A picture to a video that begins with it.

        image: uint8 (H, W, 3), sides multiples of 8, or a video of one frame; or a list of B, with as
        many prompts; frames, seed, actions, options: as in generate.
        """
        frames = self.config.frames if frames is None else frames
        check_size(self.config.size, frames)
        prompts, clips = prompts_of(prompt), clips_of(image, prompt)
        require(clips.shape[1] == 1, "that is not a picture but a video; extend goes on from one")
        sources, actions = sources_of(seed, len(prompts)), self._actions(actions, prompts, frames)
        pieces = self._go_on(prompts, sources, clips, None, frames - 1, actions, **options)
        return answer(prompt, np.concatenate([clips, *pieces], axis=1))

    def extend(self, video, prompt, frames=16, direction="forward", seed=0, actions=None, **options):
        """A video with more frames after it, or before it; its own are left as they are.

        video: a Video or uint8 (T, H, W, 3), or a list of B, with as many prompts; backward, T is 4 or
        more; frames: how many more, a multiple of 4; direction: forward or backward; actions: of the
        whole new video; seed, options: as in generate, best_of, too, but 1 unless asked for here.
        """
        prompts, clips = prompts_of(prompt), clips_of(video, prompt)
        fine = direction in ("forward", "backward")
        require(fine, f"direction is {direction!r}; it is one of forward, backward")
        check_added(frames, clips.shape[1])
        sources = sources_of(seed, len(prompts))
        actions = self._actions(actions, prompts, clips.shape[1] + frames)
        options = {"best_of": 1, **options}
        if direction == "forward":
            pieces = self._go_on(prompts, sources, clips, None, frames, actions, **options)
            return answer(prompt, np.concatenate([clips, *pieces], axis=1))
        pieces = list(self._go_back(prompts, sources, clips, frames, actions, **options))
        return answer(prompt, np.concatenate([*pieces[::-1], clips], axis=1))

    def connect(self, a, b, prompt, frames=16, seed=0, **options):
        """One video from two: a, then frames that lead over, then b.

        a, b: videos of one size, or lists of B; b has 4 frames or more; frames: between them, a
        multiple of 4; seed, options: as in generate.
        """
        clips, between = self._lead_over(a, b, prompt, frames, seed, **options)
        return answer(prompt, np.concatenate([clips[0], between, clips[1]], axis=1))

    def loop(
        self,
        prompt,
        video=None,
        frames=16,
        size=None,
        seed=0,
        progress=None,
        expand=True,
        tell=None,
        **options,
    ):
        """A video that can be played round and round: its end leads over to its beginning.

        prompt: as in generate, or in its place a Video that has one, or a list of them; video: the one to
        close, of 4 frames or more, or a list of B; one is made from the prompt where there is none. frames:
        of those that close it, a multiple of 4; size, expand, tell: of a video that is made; options as in
        generate.
        """
        require("actions" not in options, NO_ACTIONS)
        if video is None and {type(p) for p in (prompt if isinstance(prompt, list) else [prompt])} == {Video}:
            prompt, video = prompt_of(prompt), prompt
        require(video is None or size is None, "size is that of the video; leave it out")
        if video is None:
            check_added(frames, self._own)
            self._reach(self.config.size if size is None else size, frames)
            told = {"expand": expand, "tell": tell, "progress": part(progress, 0, 1, 2)}
            video = self.generate(prompt, size, seed=seed, **told, **options)
            progress = part(progress, 1, 1, 2)
        clips, between = self._lead_over(video, video, prompt, frames, seed, progress=progress, **options)
        return answer(prompt, np.concatenate([clips[0], between], axis=1))

    def edit(self, video, prompt, strength=0.5, seed=0, actions=None, **options):
        """A video made again to fit another prompt (Meng et al. 2021, SDEdit).

        video: uint8 (T, H, W, 3), T = 1 + 4n, or a list of B; strength: the noise time that it is taken
        back to, above 0, where it would stay as it is, to 1, where nothing of it is left; the more
        changes, the higher it has to be; seed, actions, options: as in extend.
        """
        require(0 < strength <= 1, f"strength is {strength}; it must be above 0, and at most 1")
        prompts, clips = prompts_of(prompt), clips_of(video, prompt)
        shape = self.config.latent_shape(clips.shape[2:4], clips.shape[1])
        actions = self._actions(actions, prompts, clips.shape[1])
        sources, z = sources_of(seed, len(prompts)), self.encode(clips)
        options = {"best_of": 1, **options}
        z = self._film(prompts, sources, shape, z, None, strength, actions=actions, **options)
        return answer(prompt, self.decode(z))

    def upscale(self, video, factor=2, prompt=None, strength=SHARPEN, seed=0, **options):
        """A draft at full size: enlarged by bicubic interpolation, then made sharp by the model.

        video: uint8 (T, H, W, 3), T = 1 + 4n, or a list of B; factor: of both sides; prompt: the video's
        own where none is given; strength: as in edit; seed, options: as there.
        """
        prompt = prompt_of(video) if prompt is None else prompt
        clips = clips_of(video, prompt)
        require(1 <= factor <= 16, f"factor is {factor}; it must be from 1 to 16")
        size = [round(side * factor) for side in clips.shape[2:4]]
        self.config.latent_shape(size, clips.shape[1])
        large = resized(to_pixels(clips), size)
        large = large[0] if isinstance(prompt, str) else list(large)
        return self.edit(large, prompt, strength, seed, **options)

    def _go_on(self, prompts, sources, clip, z, frames, actions=None, progress=None, **sampling):
        """What comes after clips: yields so many frames, in pieces, uint8 (B, n, H, W, 3).

        A window slides along. Known in it are its first frame and half of its latent frames, or more
        where fewer are left to make. z: the clips' latents, where they are at hand. Only the window's
        first frame is ever encoded again, so that little is lost from window to window.
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
            z, piece = self._fill(prompts, sources, head, new, None, **how)
            yield piece
            sampling["best_of"] = 1  # what begins well goes on well, and a minute has sixty windows
            clip, at, left = np.concatenate([clip, piece], axis=1), at + chunk * new, left - new

    def _go_back(self, prompts, sources, clip, frames, actions=None, progress=None, **sampling):
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

    def _lead_over(self, a, b, prompt, frames, seed, **options):
        """([a, b] as batches, the frames between them), uint8 (B, n, H, W, 3) each."""
        prompts, clips = prompts_of(prompt), [clips_of(video, prompt) for video in (a, b)]
        require("actions" not in options, NO_ACTIONS)
        same = clips[0].shape[2:] == clips[1].shape[2:]
        require(same, "the two videos differ in size; resize one of them first")
        check_added(frames, clips[0].shape[1] + clips[1].shape[1])
        chunk, most = self.config.vae.time_stride, self._reach(clips[0].shape[2:4], frames)
        head = self.encode(clips[0][:, -(1 + chunk * min(most, (clips[0].shape[1] - 1) // chunk)) :])
        tail, sources = self._beginning(clips[1], most), sources_of(seed, len(prompts))
        return clips, self._fill(prompts, sources, head, frames // chunk, tail, **options)[1]

    def _reach(self, size, frames):
        """How many latent frames, at most, are looked at on each side of frames that lead over. Raises
        UserError where these are too many."""
        most = self._window(size, self._own) // 2
        self.config.latent_shape(size, 1 + 2 * self.config.vae.time_stride * most + frames)
        return most

    def _fill(self, prompts, sources, head, new, tail, **sampling):
        """Make so many latent frames between known ones, (B, C, K, h, w) each: head, where K may be 0, and
        tail, or None, which begins with one more, that the others were encoded after; a new one takes its
        place. Returns all latents, and the frames of the new ones, but for the window's first frame."""
        first = head.shape[2]
        z = F.pad(head, (0, 0, 0, 0, 0, new))
        z = z if tail is None else torch.cat([z[:, :, :-1], tail], dim=2)
        k = torch.arange(z.shape[2])
        mask = (k < first) | (k >= first + new)
        z = self._film(prompts, sources, z.shape[1:], z, mask, **sampling)
        return z, self.decode(z[:, :, max(0, first - 1) : first + new])[:, 1:]

    def _beginning(self, clip, most):
        """The latents of the first frames of clips, four by four, at most so many, after one of the first
        frame: (B, C, 1 + K, h, w)."""
        chunk = self.config.vae.time_stride
        count = min(most, clip.shape[1] // chunk)
        require(count, "what is led into is a video, of 4 frames or more; a picture can only be animated")
        return self.encode(np.concatenate([clip[:, :1], clip[:, : chunk * count]], axis=1))

    def _actions(self, actions, prompts, frames):
        """Actions, by their names or as whole numbers, as a tensor, or None. Raises UserError unless there is
        one of those that the model knows before each frame of each video but the first."""
        if actions is None:
            return None
        most, shape = self.config.dit.actions, (len(prompts), frames - 1)
        require(most, "this model knows no actions; leave them out")
        actions = numbers_of(actions)
        fine = actions.shape == shape and not (actions.is_floating_point() and actions.numel())
        require(fine, f"actions are {actions.dtype} {(*actions.shape,)}; they are whole numbers {shape}")
        fine = ((actions >= 0) & (actions <= most)).all()
        require(fine, f"actions are whole numbers from 0, for none, to {most}")
        return actions.long()

    @property
    def _own(self):
        """Frames of a window that slides far: the model's own length, with room for one latent frame that is
        known, beside its first, and one that is new."""
        return max(self.config.frames, 1 + 2 * self.config.vae.time_stride)

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
        chunk, frames = self.config.vae.time_stride, self._at_once(size, frames)
        return self.config.latent_shape(size, 1 + (frames - 1) // chunk * chunk)[1]


def clips_of(video, prompt):
    """The videos or pictures that belong to a prompt, or to a list, as uint8 (B, T, H, W, 3)."""
    videos = [video] if isinstance(prompt, str) or isinstance(video, Video) else list(video)
    clips = [v.frames if isinstance(v, Video) else np.asarray(v) for v in videos]
    clips = [clip[None] if clip.ndim == 3 else clip for clip in clips]
    fine = len({clip.shape for clip in clips}) == 1 and clips[0].ndim == 4 and clips[0].shape[3] == 3
    fine = fine and all(clip.dtype == np.uint8 and clip.size for clip in clips)
    require(fine, "a picture is uint8 (H, W, 3), a video (T, H, W, 3), and those of a list have one shape")
    count = 1 if isinstance(prompt, str) else len(prompt)
    require(len(clips) == count, f"{len(clips)} videos and {count} prompts do not match; give one for each")
    check_size(tuple(clips[0].shape[1:3]), 1)
    return np.stack(clips)


def prompt_of(video):
    """The prompt that a Video has, or those of a list. Raises UserError where one has none."""
    videos = [video] if isinstance(video, Video) else video
    named = all(isinstance(v, Video) and v.prompt for v in videos)
    require(named, "say with prompt what the video shows")
    return video.prompt if isinstance(video, Video) else [v.prompt for v in videos]


def check_added(frames, there):
    """Raise UserError unless so many frames can be added to those that are there: they come in fours."""
    fine = isinstance(frames, int | np.integer) and frames >= 4 and frames % 4 == 0
    require(fine, f"{frames} frames cannot be added: they come in fours (4, 8, 12, 16, ...)")
    fine = there + frames <= MAX_FRAMES
    require(fine, f"{there} frames and {frames} more are too many: at most {MAX_FRAMES}")


def answer(prompt, frames):
    """uint8 (B, T, H, W, 3) as Videos: one for one prompt, a list for a list."""
    if isinstance(prompt, str):
        return Video(frames[0], prompt)
    return [Video(video, text) for video, text in zip(frames, prompt, strict=True)]
