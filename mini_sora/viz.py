"""For people to look at: contact sheets and loss curves, as PNG bytes, and a bar while they wait."""

import io
import json
import textwrap
import threading
from contextlib import contextmanager

from matplotlib.figure import Figure
from tqdm import tqdm

from .video import filmstrip


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def contact_sheet(videos, titles):
    """Filmstrips under their titles, two in a row, as one picture.

    videos: a list of uint8 (T, H, W, 3); titles: (text, good) for each; good False is written in
    red, True in green, None in black. Returns PNG bytes.
    """
    rows = -(-len(videos) // 2)
    strips = [filmstrip(video, 9) for video in videos]
    aspect = max(strip.shape[0] / strip.shape[1] for strip in strips)
    figure = Figure(figsize=(11, rows * (5.5 * aspect + 0.42)), layout="constrained")
    axes = list(figure.subplots(rows, 2, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    for axis, strip, (title, good) in zip(axes, strips, titles, strict=False):
        axis.imshow(strip, interpolation="nearest")
        color = {True: "#0a6b2d", False: "#b00020", None: "black"}[good]
        axis.set_title(
            textwrap.fill(title.encode("utf-8", "replace").decode(), 66),  # a name may be no text
            fontsize=9,
            color=color,
            loc="left",
            parse_math=False,
        )
    return _png(figure)


def loss_curve(metrics, title):
    """The loss by step on a log scale, single steps and an exponential mean. metrics: lines of JSON."""
    rows = [json.loads(line) for line in metrics]
    rows = [row for row in rows if "loss" in row]
    steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
    mean, smooth = losses[0], []
    for loss in losses:
        mean = 0.95 * mean + 0.05 * loss
        smooth.append(mean)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    axis.semilogy(steps, losses, color="#9bb7d4", linewidth=0.6, label="each step")
    axis.semilogy(steps, smooth, color="#123d6b", label="mean of about 20")
    axis.set(xlabel="step", ylabel="loss", title=title)
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    return _png(figure)


@contextmanager
def progress_bar(name="", hidden=False):
    """A bar with the time left, for what takes longer than a second, or has parts: called with (done, all),
    and the name of what is being done, if it changes."""
    left = "{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left"
    with tqdm(desc=name, delay=1, leave=False, bar_format=left, disable=hidden, miniters=0) as bar:

        def progress(done, all, name=name):
            bar.total = all
            bar.update(done - bar.n)
            if name != bar.desc:  # what is new may take long, and is told at once
                bar.set_description_str(name)

        yield progress


@contextmanager
def every_second(call):
    """Call something each second meanwhile, on a thread of its own."""
    over = threading.Event()

    def repeat():
        while not over.wait(1):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
