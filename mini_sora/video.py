"""A video that knows how to save and show itself."""

import base64
import html
import importlib.util
import io
import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from . import checkpoint
from .config import UserError, require

FPS = 8
MAX_FRAMES = 4801  # ten minutes
SHOWN = 192  # small videos are enlarged by a whole number to about this short side, pixels
WIDEST = 8192  # unless a filmstrip would be wider than this
FORMATS = (".gif", ".webp", ".png", ".mp4")
NO_MP4 = '.mp4 needs the extra [video]: pip install "mini-sora[video]"'


def check_output(path, force=False):
    """The path as a Path, if a video can go there. Raises UserError, before any work is done."""
    path = Path(path)
    good = path.suffix.lower() in FORMATS
    require(good, f"{path} ends in {path.suffix!r}; a video is saved as {', '.join(FORMATS)}")
    check_writable(path, force)
    require(path.suffix.lower() != ".mp4" or importlib.util.find_spec("av"), NO_MP4)
    return path


def check_writable(path, force=False):
    """Raise UserError unless a file can be written at this path; without force, none may be there."""
    path = Path(path)
    require(not path.is_dir(), f"{path} is a directory; name a file in it")
    require(force or not path.exists(), f"{path} exists; choose another name, or --force to replace it")
    require(path.parent.is_dir(), f"there is no directory {path.parent}; make it first")
    probe = checkpoint.aside(path)  # a name that is longer than the file's own
    try:
        probe.unlink(missing_ok=True)
        probe.touch(exist_ok=False)  # made here, so that no link is followed
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose another name or place"
        ) from error


def filmstrip(frames, count=None):
    """Frames side by side: uint8 (T, H, W, 3) -> (H, about T * W, 3); count thins them out evenly."""
    if count and count < len(frames):
        frames = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    edge = np.full((frames.shape[1], 1, 3), 255, np.uint8)
    return np.concatenate([part for frame in frames for part in (frame, edge)][:-1], axis=1)


class Video:
    """frames: uint8 (T, H, W, 3), at 8 frames per second; prompt: what was asked for."""

    def __init__(self, frames, prompt=""):
        frames = np.asarray(frames)
        good = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3 and frames.size
        require(good, f"a video is uint8 of shape (T, H, W, 3), not {frames.dtype} {frames.shape}")
        self.frames, self.prompt = frames, prompt

    def __repr__(self):
        t, h, w, _ = self.frames.shape
        return f"Video({t} frames of {h}x{w}, {self.prompt!r})"

    def to_bytes(self, suffix, scale=None):
        """The file that save would write, as bytes. suffix: .gif, .webp, .png or .mp4. Raises UserError."""
        count = len(self.frames)
        require(count <= MAX_FRAMES, f"{count} frames are too many for a file: at most {MAX_FRAMES}")
        return encode(self.frames, suffix, scale)

    def save(self, path, force=False, scale=None):
        """Write .gif, .webp, .png (a filmstrip) or .mp4 (needs the extra [video]).

        scale: how often each pixel is repeated; unless given, up to about 192 pixels. Raises
        UserError where the file exists (without force) or cannot be written.
        """
        path = check_output(path, force)
        checkpoint.write_file(path, self.to_bytes(path.suffix.lower(), scale))

    def _repr_html_(self):
        data = base64.b64encode(self.to_bytes(".gif")).decode()
        words = html.escape(self.prompt)
        return f'<img src="data:image/gif;base64,{data}" alt="{words}" title="{words}">'


def encode(frames, suffix, scale=None):
    """A video file as bytes. frames: uint8 (H, W, 3) each, taken one by one, so that they may still
    be in the making; the rest as in Video.save. Raises UserError."""
    require(suffix in FORMATS, f"there is no format {suffix!r}; a video is {', '.join(FORMATS)}")
    fine = scale is None or (isinstance(scale, int) and scale >= 1)
    require(fine, f"scale is {scale}; it is a whole number from 1")
    buffer = io.BytesIO()
    if suffix == ".png":
        strip = filmstrip(np.stack(list(frames)))
        scale = scale or max(1, min(SHOWN // len(strip), WIDEST // strip.shape[1]))
        Image.fromarray(_enlarged(strip, scale)).save(buffer, "png")
        return buffer.getvalue()
    frames = iter(frames)
    first = next(frames)
    scale = scale or max(1, SHOWN // min(first.shape[:2]))
    large = (_enlarged(frame, scale) for frame in itertools.chain([first], frames))
    if suffix == ".mp4":
        _write_mp4(large, buffer)
    else:
        _write_images(large, suffix, buffer)
    return buffer.getvalue()


def _enlarged(image, scale):
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def _write_images(frames, suffix, buffer):
    unit = 10 if suffix == ".gif" else 1  # a GIF counts hundredths of a second
    ends = [unit * round(1000 * i / FPS / unit) for i in range(MAX_FRAMES + 1)]
    images = (Image.fromarray(frame) for frame in (_stirred(frames) if suffix == ".webp" else frames))
    options = {"lossless": True} if suffix == ".webp" else {}
    durations = [b - a for a, b in itertools.pairwise(ends)]
    first = next(images)
    first.save(buffer, suffix[1:], save_all=True, append_images=images, duration=durations, loop=0, **options)


def _stirred(frames):
    """Frames as they are, but for one level of one pixel of the last where all are the same: of a video that
    stands still a WebP would be a picture."""
    first = frame = next(frames)
    still = True
    for other in frames:
        yield frame
        still, frame = still and np.array_equal(other, first), other
    if still and frame is not first:
        frame = frame.copy()
        frame[-1, -1, -1] ^= 1
    yield frame


def _write_mp4(frames, buffer):
    try:
        import av
    except ImportError:
        raise UserError(NO_MP4) from None
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "12"})
        stream.pix_fmt = "yuv420p"
        for i, frame in enumerate(frames):
            odd = [(0, side % 2) for side in frame.shape[:2]]  # sides are even in this format
            frame = np.pad(frame, [*odd, (0, 0)], mode="edge")
            if i == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
