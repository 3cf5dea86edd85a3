"""What every lesson uses: moving clips, filmstrips, shapes in words, checks that say what is wrong."""

import base64
import html
import os
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display

from mini_sora.video import encode, filmstrip

FAST = bool(os.environ.get("MINI_SORA_FAST"))  # a quick run that only shows that everything works
STRICT = bool(os.environ.get("MINI_SORA_STRICT"))  # a wrong answer is an error, as nbgrader has it
STATIC = bool(os.environ.get("MINI_SORA_STATIC"))  # nobody is there to move a slider
YEAR = int(os.environ.get("MINI_SORA_SEED", 0))  # another number, other clips in the exercises

plt.rcParams.update({"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False})


def pick(full, fast):
    """A number of steps or clips: the lesson's own, or a small one where MINI_SORA_FAST is set."""
    return fast if FAST else full


def seeded(seed):
    """A seed of an exercise: another one where MINI_SORA_SEED is another."""
    return seed + 1000 * YEAR


def clips(*videos, labels=(), height=128):
    """Show videos side by side, moving. videos: uint8 (T, H, W, 3), or things with .frames."""
    shown = []
    for i, video in enumerate(videos):
        frames = np.asarray(getattr(video, "frames", video))
        scale = max(1, round(height / frames.shape[1]))
        data = base64.b64encode(encode(frames, ".webp", scale)).decode()
        label = html.escape(str(labels[i] if i < len(labels) else getattr(video, "prompt", "")))
        shown.append(
            f'<figure style="margin:4px;display:inline-block;vertical-align:top;max-width:{height * 2}px">'
            f'<img src="data:image/webp;base64,{data}" alt="{label}" style="image-rendering:pixelated">'
            f'<figcaption style="font-size:85%">{label}</figcaption></figure>'
        )
    display(HTML("<div>" + "".join(shown) + "</div>"))


def strip(*videos, labels=(), count=9, file=None):
    """Show filmstrips below one another, as pictures that print well; file: where to keep them, too."""
    figure, axes = plt.subplots(len(videos), 1, figsize=(9, 1.25 * len(videos)), squeeze=False)
    for i, (axis, video) in enumerate(zip(axes[:, 0], videos, strict=True)):
        frames = np.asarray(getattr(video, "frames", video))
        axis.imshow(filmstrip(frames, count), interpolation="nearest")
        axis.set_axis_off()
        label = labels[i] if i < len(labels) else getattr(video, "prompt", "")
        axis.set_title(label, fontsize=9, loc="left")
    figure.tight_layout()
    if file:
        figure.savefig(file)
    plt.show()


def shapes(**tensors):
    """Say what each tensor is: its name, its shape, its type and its range."""
    for name, value in tensors.items():
        value = value.detach() if isinstance(value, torch.Tensor) else np.asarray(value)
        low, high = float(value.min()), float(value.max())
        kind = str(value.dtype).removeprefix("torch.")
        print(f"{name:12} {tuple(value.shape)!s:24} {kind:9} from {low:.3g} to {high:.3g}")


def flow(**steps):
    """Draw what becomes of what: a box for each step, with its name and shape, in the order of the steps.

    steps: tensors or shapes; what follows a step is named by its key, underscores for blanks.
    """
    axis = plt.figure(figsize=(2.1 * len(steps), 0.9)).gca()
    before = None
    for i, (name, value) in enumerate(steps.items()):
        shape = tuple(getattr(value, "shape", value))
        text = f"{name.replace('_', ' ').strip()}\n{' x '.join(map(str, shape))}"
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#eef3fb", "edgecolor": "#44597a"}
        place = axis.text(i, 0, text, ha="center", va="center", fontsize=9, bbox=box).get_bbox_patch()
        if before:
            arrow = {"arrowstyle": "->", "color": "#44597a", "patchA": before, "patchB": place}
            axis.annotate("", (i, 0), (i - 1, 0), arrowprops=arrow)
        before = place
    axis.set(xlim=(-0.5, len(steps) - 0.5), ylim=(-0.5, 0.5))
    axis.set_axis_off()
    plt.show()


def check(right, why, fine="right"):
    """The verdict on an exercise, in words. right: whether it is, or a function that says so, which may fail
    in any way, and may say more by an AssertionError; why: what to look at where it is wrong."""
    try:
        right = bool(right() if callable(right) else right)
        verdict = f"✓ {fine}" if right else f"✗ {why}"
    except NotImplementedError as error:  # nbgrader's has no text, and torch raises it, too
        left = str(error) in ("", "your turn")
        right, verdict = False, "· not done yet" if left else f"✗ {why} ({error})"
    except AssertionError as error:
        right, verdict = False, f"✗ {error}"
    except Exception as error:
        right, verdict = False, f"✗ {why} ({type(error).__name__}: {error})"
    print(verdict)
    if STRICT and not right:
        raise AssertionError(verdict)


class clock:
    """with clock("training"): says how long it took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.began = time.perf_counter()

    def __exit__(self, *_):
        print(f"{self.what}: {time.perf_counter() - self.began:.1f} s")


def slide(show, values, name="value", still=4):
    """Call show(value) for the value that a hand chooses with a slider. Where nobody is there, or no
    ipywidgets, for a few of them, one after the other: still of them, or those in still."""
    values = list(values)
    try:
        assert not STATIC
        from ipywidgets import SelectionSlider, interact
    except (AssertionError, ImportError):
        if isinstance(still, int):
            places = np.linspace(0, len(values) - 1, still).round().astype(int)
            still = [values[i] for i in places]
        for value in still:
            print(f"{name} {value}")
            show(value)
        return
    interact(show, **{name: SelectionSlider(options=values, continuous_update=False)})
