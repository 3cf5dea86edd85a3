"""Pictures and videos of the user's own, as frames that a model takes: PNG, JPEG, WebP, GIF, MP4.

A file may be anything, so its size is looked at before its pixels are, and whatever goes wrong in
between is one kind of error.
"""

import itertools
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .config import UserError, require
from .video import FPS, MAX_FRAMES

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF"}
MOVIES = (".mp4",)
MAX_PIXELS, MAX_ALL = 2**25, 2**32  # of one frame, and of all so far, before it is decoded
MAX_MADE = 2**27  # of all frames that are kept
MAX_BYTES = 2**28  # of a picture's file, as some kinds are read whole before they are looked at
FITS = ("crop", "pad")


def read_video(path, side=32, size=None, fit="crop", frames=None):
    """A file as uint8 (T, H, W, 3), at 8 frames per second, T = 1 + 4n; a still picture has T = 1.

    side: the short side to come to, in pixels; H and W are then the multiples of 8 nearest to the file's
    own aspect, from 9:16 to 16:9; or size: (H, W); all multiples of 8. fit: crop what
    does not fit, or pad with the colour of the edge. frames: at most so many. Transparent parts become
    white. Raises UserError.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    kinds = (*PICTURES, *MOVIES)
    require(suffix in kinds, f"{path} ends in {suffix!r}; what can be read is {', '.join(kinds)}")
    require(path.is_file(), f"there is no file {path}; check the name")
    held = path.stat().st_size
    require(held > 0, f"{path} is empty")
    fine = held <= MAX_BYTES or suffix in MOVIES
    require(fine, f"{path} has more than {MAX_BYTES >> 20} MiB; make it smaller first")
    fine = all(whole >= 8 and whole % 8 == 0 for whole in size or (side,))
    require(fine, f"{size or side} pixels do not work: sides are multiples of 8")
    require(fit in FITS, f"fit is {fit!r}; it is one of {', '.join(FITS)}")
    most = MAX_FRAMES if frames is None else frames
    require(1 <= most <= MAX_FRAMES, f"{most} frames do not work: from 1 to {MAX_FRAMES}")
    try:
        shown = _movie(path) if suffix in MOVIES else _pictures(path, PICTURES[suffix])
        made = []
        for image in _resample(shown, most):
            size = size or _near_size(image.size, side)
            fine = (len(made) + 1) * size[0] * size[1] <= MAX_MADE
            require(fine, f"{path} is too long at {size[0]}x{size[1]}; make it shorter, or ask for less")
            made.append(_fitted(image, size, fit))
    except (UserError, PermissionError):
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} has far more pixels than are read here; make it smaller first") from error
    except Exception as error:  # decoders fail in their own ways on what is damaged
        raise UserError(f"{path} is damaged or not what its name says ({error})") from error
    require(made, f"{path} has no frames")
    return np.stack(made[: 1 + (len(made) - 1) // 4 * 4])


def _check_pixels(path, width, height, frames):
    fine = width * height <= MAX_PIXELS and width * height * frames <= MAX_ALL
    shown = f"{frames} frames of {width}x{height}" if frames > 1 else f"{width}x{height} pixels"
    require(fine, f"{path} has {shown}; that is more than is read here, so make it smaller first")


def _pictures(path, kind):
    """The frames of a picture file and how long each is shown: yields (image, seconds)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # as the cap here is lower
        file = Image.open(path, formats=[kind])
    with file:
        for i in itertools.count():
            if i and kind == "JPEG":  # a telephone's picture may have others behind it, as for depth
                return
            try:
                file.seek(i)
            except EOFError:
                return
            _check_pixels(path, *file.size, i + 1)
            file.load()
            yield _rgb(ImageOps.exif_transpose(file)), (file.info.get("duration") or 100) / 1000


def _rgb(image):
    """Any mode to RGB, on white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _movie(path):
    """The same of a film, with the extra [video]."""
    try:
        import av
    except ImportError:
        raise UserError(f'{path}: films need the extra [video]: pip install "mini-sora[video]"') from None
    # Of a file that is open, with its kind told, nothing else is opened: no list of other files, no network.
    with path.open("rb") as file, av.open(file, format="mp4") as container:
        require(container.streams.video, f"{path} has no pictures")
        stream = container.streams.video[0]
        wide = float(stream.sample_aspect_ratio or 1)  # of a pixel, as on old discs
        _check_pixels(path, stream.width, stream.height, 1)
        start, image = 0.0, None
        for i, frame in enumerate(container.decode(stream)):
            width = max(1, round(frame.width * wide))
            _check_pixels(path, max(width, frame.width), frame.height, i + 1)
            time = float(frame.pts * stream.time_base)
            if image:
                yield image, time - start
            shown = frame.to_image(width=width, height=frame.height)
            start, image = time, shown.rotate(frame.rotation, expand=True)
        if image:
            yield image, 1 / float(stream.average_rate or FPS)


def _resample(shown, most):
    """Of (image, seconds), those that are seen in the middle of each eighth of a second, at most so
    many, and one at least."""
    end, made, image = 0.0, 0, None
    for image, seconds in shown:
        end += seconds
        while made < most and (made + 0.5) / FPS < end:
            yield image
            made += 1
        if made == most:
            return
    if image and not made:
        yield image


def _near_size(size, side):
    """The (H, W) in multiples of 8 with this short side and nearly the aspect of a (width, height)."""
    width, height = size
    long = max(side, min(round(max(size) / min(size) * side / 8), side * 2 // 9) * 8)
    return (side, long) if width >= height else (long, side)


def _fitted(image, size, fit):
    """An image brought to (H, W): enlarged or reduced evenly, and cropped before or padded after."""
    height, width = size
    box, near = (0, 0, image.width, image.height), size
    if fit == "crop":
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
        right, bottom = left + scale * width, top + scale * height
        box = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)  # if rounded
    else:
        scale = max(image.width / width, image.height / height)
        near = max(1, round(image.height / scale)), max(1, round(image.width / scale))
    # A box averages what falls into a pixel, so what was enlarged by repeating pixels comes back.
    filtering = Image.Resampling.BOX if scale > 1 else Image.Resampling.BICUBIC
    frame = np.asarray(image.resize(near[::-1], filtering, box=box))
    top, left = (height - near[0]) // 2, (width - near[1]) // 2
    return np.pad(frame, ((top, height - near[0] - top), (left, width - near[1] - left), (0, 0)), mode="edge")
