"""What a model is asked in its report: the kinds of clips, row by row."""

import itertools
from dataclasses import dataclass, replace

from data_gen import FAMILIES, make_batch

from .config import require


@dataclass(frozen=True)
class Row:
    """One kind of clip to ask for.

    bodies: how many the scene may have, any where empty; words: fewest and most of a long prompt, the
    short one is asked where empty; given: whether the first frame is known; least, aim: the share
    right that is asked and hoped for; counted: which share, all or facts (see scores); beside:
    another row, which it may fall short of by 5 points; unlike: another family, whose training has
    shown none of the bodies.
    """

    name: str
    family: str
    split: str = "test"
    size: tuple[int, int] = (32, 32)
    frames: int = 17
    bodies: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    given: bool = False
    least: float = 0.0
    aim: float = 1.0
    counted: str = "all"
    beside: str = ""
    unlike: str = ""

    def prompt(self, clip):
        """What is asked for, to have this clip."""
        return clip.long_caption if self.words else clip.caption

    def fits(self, clip):
        """Whether a clip is of this kind."""
        bodies = clip.scene.bodies
        fine = not self.bodies or len(bodies) in self.bodies
        fine = fine and not (self.unlike and any(map(FAMILIES[self.unlike].shows, bodies)))
        return fine and (not self.words or self.words[0] <= len(clip.long_caption.split()) <= self.words[1])

    def clips(self, count, first=0):
        """The first so many clips of this kind, by their seeds, from one on. Raises UserError where
        there seem to be none."""
        found = []
        for seed in itertools.count(first, 256):
            asked = f": {self.name}" if self.name else ""
            require(found or seed < first + 2**15, f"{self.family} has no scenes of this kind{asked}")
            batch = make_batch(self.family, range(seed, seed + 256), self.size, self.frames, self.split)
            fitting = [clip for clip in map(batch.__getitem__, range(256)) if self.fits(clip)]
            found += [replace(clip, video=clip.video.copy()) for clip in fitting]  # not a view of all
            if len(found) >= count:
                return found[:count]


def rows_of(config):
    """What a model is asked, by the families that it learned, at its own size and others: Rows."""
    side, whole = min(config.size), {"size": config.size, "frames": config.frames}
    told = {**whole, "counted": "facts"}
    rows = []
    if "shapes" in config.families:
        held = {**whole, "unlike": "shapes-simple" if "shapes-simple" in config.families else ""}
        rows = [
            Row("shapes, one body", "shapes", bodies=(1,), least=0.95, aim=0.99, **whole),
            Row("shapes, two bodies", "shapes", bodies=(2,), least=0.88, aim=0.96, **whole),
            Row("shapes, three and four", "shapes", bodies=(3, 4), least=0.7, aim=0.9, **whole),
            Row("heldout, one and two", "shapes", "heldout", bodies=(1, 2), least=0.8, aim=0.95, **held),
            Row("long prompts", "shapes", bodies=(4,), words=(100, 135), least=0.6, aim=0.85, **told),
        ]
    for family in dict.fromkeys(config.families):
        if family not in ("shapes", "play"):
            rows.append(Row(family, family, least=0.85, aim=0.95, **told))
    if "shapes-simple" in config.families and "shapes" not in config.families:  # which would show them
        rows.append(Row("heldout", "shapes-simple", "heldout", least=0.8, aim=0.95, **whole))
    if "play" in config.families:
        rows.append(Row("play, with its actions", "play", **whole))
    if config.versatile:
        base = "shapes" if "shapes" in config.families else config.families[0]
        rows += [
            Row("images", base, size=config.size, frames=1, least=0.95, aim=0.99),
            Row("first frame known", base, given=True, least=0.9, aim=0.97, **told),
            Row("square", base, size=(side, side), frames=config.frames),
        ]
        longer = sorted({round(side * n / 32) * 8 for n in (5, 6, 7)} - {side})  # 5:4 to 7:4, in eights
        for height, width in [(side, n) for n in longer] + [(n, side) for n in longer]:
            name = f"{height}x{width}"
            rows.append(Row(name, base, size=(height, width), frames=config.frames, beside="square"))
        for n in (longer[0], longer[-1], 2 * side + 8):  # the last one larger than all that were shown
            rows.append(Row(f"{n}x{n}", base, size=(n, n), frames=config.frames, beside="square"))
        for frames in (13, 21, 29, 37):  # the last one longer than all that were shown
            name = f"{frames} frames"
            rows.append(Row(name, base, size=config.size, frames=frames, beside="square"))
    return rows


def film(sora, row, clips, seed=0, **sampling):
    """What a model makes of the prompts, actions and first frames of clips: uint8 (T, H, W, 3) each."""
    prompts = [row.prompt(clip) for clip in clips]
    asked = {"frames": row.frames, "seed": seed, **sampling}
    if row.family == "play" and sora.config.dit.actions:
        asked["actions"] = [clip.actions for clip in clips]
    if row.given:
        made = sora.animate([clip.video[0] for clip in clips], prompts, **asked)
    else:
        made = sora.generate(prompts, row.size, **asked)
    return [video.frames for video in made]
