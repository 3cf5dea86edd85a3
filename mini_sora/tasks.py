"""MiniSora: everything that can be asked of a trained model.

Every way of asking is one mechanism: a latent frame that is known stands at noise time 0, the
others start as noise, and the network makes them fit. What differs is which are known.

    generate  ? ? ? ? ?     animate  1 ? ? ? ?     extend, forward  1 1 1 ? ?     backward  ? ? ? 1 1
    connect, loop  1 1 1 ? ? ? ? 1 1     edit, upscale  all are made, from what is there and some noise
"""

import numpy as np

from .config import require
from .data import numbers_of, resized, to_pixels
from .model import SHARPEN, check_size
from .pipeline import part, prompts_of
from .samplers import sources_of
from .video import FPS, MAX_FRAMES, Video
from .windows import Windows

NO_ACTIONS = "no actions lead from one video to another; leave them out"


class MiniSora(Windows):
    """A trained Mini-Sora: text to video, and all that follows from it."""

    def generate(
        self, prompt, size=None, frames=None, seconds=None, seed=0, actions=None, expand=True, **options
    ):
        """Text to video.

        prompt: a string, or a list of B for a list of videos; size: (H, W), multiples of 8; what has a longer
        short side than the model's own is a draft first, and then made sharp, here and in all that follows,
        but where there is a clip to begin with, in edit and upscale;
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
        usual = self.config.sampling.best_of
        if frames == 1 and usual > 1:  # a picture is soon made
            options = {"best_of": 4 * usual, **options}
        sources, actions = sources_of(seed, len(prompts)), self._actions(actions, prompts, frames)
        given, told = (None, expand and actions is None), {"tell": tell, "progress": progress}
        yield from self._from_the_start(prompts, sources, size, frames, actions, *given, **told, **options)

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
        multiple of 4, up to 32 (twice the model's own length, less 2); seed, options: as in generate.
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
        of those that close it, as in connect; size, expand, tell: of a video that is made; options as in
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
        changes, the higher it has to be; seed, actions, options: as in extend. A long one is made window by
        window, as in generate.
        """
        require(0 < strength <= 1, f"strength is {strength}; it must be above 0, and at most 1")
        prompts, clips = prompts_of(prompt), clips_of(video, prompt)
        frames, size = clips.shape[1], clips.shape[2:4]
        check_size(size, frames)
        actions = self._actions(actions, prompts, frames)
        sources, old = sources_of(seed, len(prompts)), (clips, strength)
        options = {"best_of": 1, **options}
        pieces = self._from_the_start(prompts, sources, size, frames, actions, old, **options)
        return answer(prompt, np.concatenate(list(pieces), axis=1))

    def upscale(self, video, factor=2, prompt=None, strength=SHARPEN, seed=0, **options):
        """A draft at full size: enlarged by bicubic interpolation, then made sharp by the model.

        video: uint8 (T, H, W, 3), T = 1 + 4n, or a list of B; factor: of both sides; prompt: the video's
        own where none is given; strength: as in edit; seed, options: as there.
        """
        prompt = prompt_of(video) if prompt is None else prompt
        clips = clips_of(video, prompt)
        require(1 <= factor <= 16, f"factor is {factor}; it must be from 1 to 16")
        size = [round(side * factor) for side in clips.shape[2:4]]
        check_size(size, clips.shape[1])
        self._window(size, clips.shape[1])  # what is refused is refused before the work
        large = resized(to_pixels(clips), size)
        large = large[0] if isinstance(prompt, str) else list(large)
        return self.edit(large, prompt, strength, seed, **options)

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
