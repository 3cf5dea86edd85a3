"""One page to look at: everything a model can be asked, its clips moving side by side, each judged.

The page is one file that needs no network: gallery.html, with the clips in it as data.
"""

import base64
import io
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from .compare import largest_step, paths
from .data import resized, to_pixels
from .evaluate import judge, judgements, verdict
from .measures import LASTING, MOVING, recolored, scenes_of
from .pipeline import part
from .rows import Row, film
from .video import FPS

TEMPLATE = Path(__file__).with_name("gallery.html")
COLUMNS = 16  # frames in a row of a clip's picture
MANY = 100  # frames of a clip whose picture is not kept exactly
SEED = 1 << 20  # of the scenes, other ones than the report's


def picture(frames):
    """All frames of a clip in one picture: uint8 (T, H, W, 3) -> a WebP as a data URI, exact but where
    there are many frames, so that the page stays small."""
    count, height, width, _ = frames.shape
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    grid = np.zeros((rows * columns, height, width, 3), np.uint8)
    grid[:count] = frames
    grid = grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    buffer = io.BytesIO()
    sheet = Image.fromarray(grid.reshape(rows * height, columns * width, 3))
    sheet.save(buffer, "webp", lossless=count < MANY, quality=95, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def clip(frames, alt, label="", **more):
    """A clip for the page. more: sheets and steps, of a slider; large, loops."""
    count, height, width, _ = frames.shape
    shape = {"frames": count, "height": height, "width": width, "columns": min(count, COLUMNS)}
    return {**shape, "alt": alt, "label": label, "sheets": [picture(frames)], **more}


def card(prompt, *clips, judged=None, actions=(), wide=False, **more):
    """Clips under their prompt. judged: the frames that the verdict is about; more: verdict and right,
    where another is to be told."""
    found = {"prompt": prompt, "clips": list(clips), "wide": wide}
    if judged is not None:
        report = judge([judged], [prompt], [actions])[0]
        found |= {"verdict": verdict(report), "right": bool(report and report.ok)} if report else {}
    return found | more


class Gallery:
    """The sections of the page, each made when it is asked for. progress: called with (done, all) of one that
    takes long."""

    def __init__(self, sora):
        self.sora, self.progress = sora, None
        self.family = "shapes" if "shapes" in sora.config.families else sora.config.families[0]

    def clips(self, family="", count=1, bodies=(), size=None, frames=None, first=SEED, long=False):
        """(a row, scenes of the world that it has)."""
        size, frames = size or self.sora.config.size, frames or self.sora.config.frames
        words = (1, 200) if long else ()
        row = Row("", family or self.family, size=size, frames=frames, bodies=bodies, words=words)
        return row, row.clips(count, first)

    def several(self, *bodies):
        """So many bodies, where the family has scenes of more than one."""
        return bodies if self.family == "shapes" else ()

    def moving(self, count, frames, motions=MOVING):
        """Scenes of one body, which moves as asked."""
        return scenes_of(self.sora, count, frames, motions, first=SEED)

    def cards(self, row, scenes):
        """A card for each scene, with the model's clip."""
        made = []
        for scene, video in zip(scenes, film(self.sora, row, scenes), strict=True):
            prompt = row.prompt(scene)
            shown = clip(video, f"a clip made from the prompt: {prompt}")
            made.append(card(prompt, shown, judged=video, actions=scene.actions, wide=bool(row.words)))
        return made

    def sections(self):
        """(title, words, how to make its cards) of each section."""
        config, families = self.sora.config, set(self.sora.config.families)
        every = (
            ("Text to video", "Two seconds each, from a prompt and noise.", self.text),
            ("From noise to a clip", "What the model takes the clip to be, step by step.", self.noise),
            ("Long prompts", "Every fact in words, up to 135 of them.", self.long),
            ("Any frame", "The same weights, wide (7:4) and tall (4:7); and stills.", self.sizes),
            ("Worlds", "Things fall, hide behind walls, are filmed on the move, and change.", self.worlds),
            ("A world to act in", "Told what is done, it must know what comes of it.", self.play),
            ("Animate a picture", "The first frame is given.", self.animate),
            ("Extend", "Two seconds after a clip, and three beginnings of one ending.", self.extend),
            ("Connect and loop", "From clip to clip, and from an end to its beginning.", self.connect),
            ("Edit", "Noise is added to a clip, and taken away under another prompt.", self.edit),
            ("Upscale", "A draft, enlarged by interpolation, and made sharp.", self.upscale),
            ("A minute", "Window by window; each knows the end of the one before.", self.minute),
        )
        needs = {self.long: {"shapes"}, self.play: {"play"}, self.worlds: {"bounce"}}
        # What follows from known frames, and other sizes, are asked of models that were shown them.
        tasks = (self.sizes, self.animate, self.extend, self.connect, self.edit, self.upscale, self.minute)
        needs |= {task: {"shapes", "shapes-simple"} if config.versatile else set() for task in tasks}
        return [section for section in every if needs.get(section[2], families) & families]

    def text(self):
        return self.cards(*self.clips(count=8))

    def long(self):
        return self.cards(*self.clips(count=2, bodies=(4,), long=True))

    def sizes(self):
        side = min(self.sora.config.size)
        long = round(side * 14 / 8 / 8) * 8
        cards = []
        for i, size in enumerate([(side, long), (long, side)]):
            cards += self.cards(*self.clips(count=2, bodies=(1, 2), size=size, first=SEED + 1000 * i))
        return cards + self.cards(*self.clips(count=2, bodies=self.several(2, 3), frames=1))

    def worlds(self):
        shown = ("shapes", "shapes-simple", "play")  # elsewhere on the page
        names = [name for name in dict.fromkeys(self.sora.config.families) if name not in shown]
        return [card for name in names for card in self.cards(*self.clips(name, count=2))]

    def play(self):
        row, scenes = self.clips("play", count=4)
        cards = self.cards(row, scenes)
        for found, scene in zip(cards, scenes, strict=True):
            arrows = {"stay": "\u00b7", "left": "\u2190", "right": "\u2192", "up": "\u2191", "down": "\u2193"}
            found["clips"][0]["label"] = "".join(arrows[name] for name in scene.actions)
        return cards

    def noise(self):
        row, (scene,) = self.clips(bodies=self.several(2))
        guesses, steps = [], self.sora.config.sampling.steps

        def watch(done, z_0):
            guesses.append(self.sora.decode(z_0)[0])

        prompt = row.prompt(scene)
        video = film(self.sora, row, [scene], watch=watch, best_of=1)[0]
        shown = clip(video, f"the model's guess of the clip, at a step to be chosen: {prompt}", large=True)
        shown["sheets"] = [picture(guess) for guess in guesses]
        shown["steps"] = [f"step {i + 1} of {steps}" for i in range(len(guesses))]
        return [card(prompt, shown, judged=video, wide=True)]

    def animate(self):
        cards = []
        for scene in self.clips(count=3, bodies=(1, 2))[1]:
            first, prompt = scene.video[0], scene.caption
            video = self.sora.animate(first, prompt).frames
            given = clip(first[None], f"the picture that is given: {prompt}", "given")
            shown = clip(video, f"a clip that begins with it: {prompt}", "made")
            cards.append(card(prompt, given, shown, judged=video))
        return cards

    def extend(self):
        (scene,) = self.moving(1, 2 * self.sora.config.frames - 1)
        prompt, middle = scene.caption, self.sora.config.frames - 1
        start, end = scene.video[: middle + 1], scene.video[middle:]
        video = self.sora.extend(start, prompt, middle).frames
        given = clip(start, f"the clip that is given: {prompt}", "given")
        cards = [card(prompt, given, clip(video, f"it goes on: {prompt}", "and what follows"), judged=video)]
        ends = clip(end, f"the ending that is given: {prompt}", "the ending")
        ways = [self.sora.extend(end, prompt, middle, "backward", seed=i).frames for i in range(3)]
        before = [clip(v, f"beginning {i}: {prompt}", f"beginning {i}") for i, v in enumerate(ways, 1)]
        right = sum(bool(report and report.ok) for report in judge(ways, [prompt] * 3))
        said = {"verdict": f"as asked in {right} of 3", "right": right == 3}
        return [*cards, card(prompt, ends, *before, **said, wide=True)]

    def connect(self):
        cards, frames = [], self.sora.config.frames
        scene, other = self.moving(2, 2 * frames - 1)
        a, b = scene.video[:frames], scene.video[-frames:]
        video = self.sora.connect(a, b, scene.caption).frames
        parts = [clip(part, f"{name}: {scene.caption}", name) for name, part in (("a", a), ("b", b))]
        cards.append(
            card(
                scene.caption,
                *parts,
                clip(video, f"both as one: {scene.caption}", "a, then to b"),
                **self.smoothness(scene, video),
                wide=True,
            )
        )
        video = self.sora.loop(other.caption, other.video[:frames]).frames
        shown = clip(video, f"a clip without an end: {other.caption}", "a loop", loops=True)
        return [*cards, card(other.caption, shown, **self.smoothness(other, np.r_[video, video[:1]]))]

    def smoothness(self, scene, video):
        """A verdict on whether anything jumps."""
        step = float(largest_step(paths([video], [scene]))[0])
        said = (
            f"the largest step is {step:.1f} times the median"
            if step < 100
            else "the body is not always seen"
        )
        return {"verdict": f"{said} (1.5 asked)", "right": step <= 1.5}

    def edit(self):
        cards = []
        for i, scene in enumerate(self.clips(count=3, bodies=(1,))[1]):
            prompt = recolored(scene)[1]
            video = self.sora.edit(scene.video, prompt, seed=i).frames
            before = clip(scene.video, f"before: {scene.caption}", "before")
            cards.append(card(prompt, before, clip(video, f"after: {prompt}", "after"), judged=video))
        return cards

    def upscale(self):
        cards = []
        for scene in self.clips(count=2, bodies=(1, 2))[1]:
            prompt = scene.caption
            draft = self.sora.generate(prompt)
            large = self.sora.upscale(draft, 2).frames
            plain = resized(to_pixels(draft.frames[None]), large.shape[1:3])[0]
            cards.append(
                card(
                    prompt,
                    clip(draft.frames, f"a draft: {prompt}", "draft"),
                    clip(plain, f"enlarged: {prompt}", "interpolated", large=True),
                    clip(large, f"made sharp: {prompt}", "made sharp", large=True),
                    judged=large,
                    wide=True,
                )
            )
        return cards

    def minute(self):
        prompt = self.moving(1, self.sora.config.frames, LASTING)[0].caption
        video = self.sora.generate(prompt, seconds=60, progress=self.progress).frames
        ((said, right),) = judgements([video], [prompt], self.sora.config.frames)
        shown = clip(video, f"a minute: {prompt}", f"{len(video) / FPS:.0f} seconds", large=True)
        return [card(prompt, shown, verdict=said, right=right)]


def gallery(sora, name, report=None, progress=None):
    """The page as text. name: of the weights; report: of evaluate, for its table; progress: called with
    (done, all, title) sections."""
    made = Gallery(sora)
    sections, found = made.sections(), []
    for i, (title, words, make) in enumerate(sections):
        made.progress = part(progress and partial(progress, name=title), i, 1, len(sections))
        if progress:
            made.progress(0, 1)
        found.append({"title": title, "words": words, "cards": make()})
    report, rows = report or {"rows": {}}, []
    for row, figures in report["rows"].items():
        counted, (low, high) = figures.get("counted", "all"), figures["interval"]
        right, ceiling = figures["model"][counted], figures["ceiling"][counted]
        shares = f"{right:.1%}", f"{low:.1%} to {high:.1%}", f"{ceiling:.1%}"
        rows.append([row, str(figures["clips"]), *shares])
    told = [figure for figures in report.get("tasks", {}).values() for figure in figures]
    tasks = [
        [
            name,
            str(clips or ""),
            f"{value:.2f}",
            "" if ceiling is None else f"{ceiling:.2f}",
            asked,
            f"{aim:g}",
        ]
        for name, value, asked, aim, ceiling, _, clips in told
    ]
    page = json.dumps({"name": name, "sections": found, "rows": rows, "tasks": tasks})
    return TEMPLATE.read_text().replace("@DATA@", page.replace("<", "\\u003c"))
