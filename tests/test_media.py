"""Files of the user's own: what is saved comes back, and no file, however broken, does worse than say so."""

import io
import random
import struct
import zlib
from contextlib import contextmanager
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFile

from data_gen import make_clip
from mini_sora import Video, media
from mini_sora.config import UserError
from mini_sora.media import read_video

CLIP = make_clip("shapes", 3, (32, 48), 33).video


@pytest.mark.parametrize("suffix, off", [(".webp", 0), (".gif", 40), (".mp4", 60)])
def test_what_was_saved_comes_back(tmp_path, suffix, off):
    if suffix == ".mp4":
        pytest.importorskip("av")
    Video(CLIP).save(tmp_path / f"v{suffix}")
    back = read_video(tmp_path / f"v{suffix}")
    assert back.shape == CLIP.shape and back.dtype == np.uint8
    error = np.abs(back.astype(int) - CLIP)
    assert error.max() <= off and error.mean() <= off / 20


def picture(tmp_path, image, name="p.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_any_mode_becomes_rgb(tmp_path):
    for mode, color, shown in (
        ("L", 100, (100, 100, 100)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("P", 0, (0, 0, 0)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 0x6400, (100, 100, 100)),
        ("LA", (100, 255), (100, 100, 100)),
    ):
        frames = read_video(picture(tmp_path, Image.new(mode, (40, 40), color)))
        assert frames.shape == (1, 32, 32, 3) and (frames == shown).all(), mode


@pytest.mark.parametrize(
    "size, fit, shape",
    [
        ((400, 300), "crop", (32, 40)),
        ((300, 401), "pad", (40, 32)),
        ((1920, 1080), "crop", (32, 56)),
        ((1080, 1920), "crop", (56, 32)),
        ((5000, 7), "crop", (32, 56)),
        ((7, 5000), "pad", (56, 32)),
        ((1, 1), "pad", (32, 32)),
        ((800, 600), "crop", (64, 88)),  # where the part to keep is as high as the file, but for rounding
        ((928, 544), "crop", (32, 56)),
        ((1600, 900), "crop", (48, 80)),
    ],
)
def test_sides_come_near_to_the_file(tmp_path, size, fit, shape):
    side = min(shape)
    frames = read_video(picture(tmp_path, Image.new("RGB", size, (9, 8, 7))), side, fit=fit)
    assert frames.shape == (1, *shape, 3) and (frames == (9, 8, 7)).all()


def test_cropped_or_padded(tmp_path):
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, :32], image[:, 32:96], image[:, 96:] = 50, 100, 150  # a quarter, a half, a quarter
    path = picture(tmp_path, Image.fromarray(image))
    assert (read_video(path, size=(32, 32)) == 100).all()
    padded = read_video(path, size=(32, 32), fit="pad")[0, 16, :, 0]
    assert padded.tolist() == [50] * 8 + [100] * 16 + [150] * 8


def test_a_photo_is_turned_as_its_camera_was(tmp_path):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    frames = read_video(picture(tmp_path, Image.fromarray(image), "p.jpg", exif=exif))[0]
    assert frames.shape == (48, 32, 3) and frames[:, 20:].min() > 200 and frames[:, :12].max() < 50


def test_a_telephones_picture_is_its_first(tmp_path):
    """Behind it there may be others, here one that is cut off."""
    made = tmp_path / "p.jpg"
    others = [Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))]
    Image.new("RGB", (64, 64), "red").save(made, "MPO", save_all=True, append_images=others)
    with Image.open(made) as image:
        assert image.n_frames == 2
    made.write_bytes(made.read_bytes()[:-2000])
    video = read_video(made)
    assert video.shape == (1, 32, 32, 3) and (abs(video.astype(int) - (255, 0, 0)) < 4).all()


def test_a_film_is_turned_as_its_camera_was(tmp_path):
    clip = np.zeros((9, 64, 96, 3), np.uint8)
    clip[:, :32] = 255
    Video(clip).save(tmp_path / "v.mp4", scale=1)
    content = (tmp_path / "v.mp4").read_bytes()
    upright, turned = ((1, 0, 0, 1), (0, 1, -1, 0))  # the track's matrix, a quarter clockwise
    matrices = [struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
                for a, b, c, d in (upright, turned)]  # fmt: skip
    place = content.index(matrices[0], content.index(b"tkhd"))
    (tmp_path / "v.mp4").write_bytes(content[:place] + matrices[1] + content[place + 36 :])
    frames = read_video(tmp_path / "v.mp4")[0]
    assert frames.shape == (48, 32, 3) and frames[:, 20:].min() > 200 and frames[:, :12].max() < 50


def test_a_film_of_pixels_that_are_not_square_is_as_wide_as_it_is_shown(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for _ in range(5):
            frame = np.zeros((64, 64, 3), np.uint8)
            frame[:, :32] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    frame = read_video(tmp_path / "v.mp4")[0]
    assert frame.shape == (32, 48, 3) and frame[:, :22].min() > 200 and frame[:, 26:].max() < 50
    monkeypatch.setattr(media, "MAX_PIXELS", 80 * 64)  # fewer than are shown, and more than there are
    with pytest.raises(UserError, match="96x64 pixels"):
        read_video(tmp_path / "v.mp4")


def test_frame_rates_become_eight_a_second(tmp_path):
    frames = [Image.new("RGB", (32, 32), (i * 10,) * 3) for i in range(20)]
    path = tmp_path / "v.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, lossless=True)  # 20 a second
    back = read_video(path)
    assert len(back) == 5  # of one second, as 1 + 4n
    assert (back[:, 0, 0, 0] // 10).tolist() == [1, 3, 6, 8, 11]  # at 1/16, 3/16, ... of a second
    assert len(read_video(path, frames=1)) == 1


@pytest.mark.parametrize("times", [range(0, 100, 4), [0, 10, 20, 30, 90]], ids=["25 a second", "uneven"])
def test_frame_rates_of_films_too(tmp_path, times):
    """Times in hundredths of a second; each frame's shade is a hundred and its own number."""
    av = pytest.importorskip("av")
    with av.open(tmp_path / "v.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=100, options={"crf": "1"})
        stream.width = stream.height = 32
        stream.time_base = Fraction(1, 100)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 100 + 5 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    back = read_video(tmp_path / "v.mp4")
    seen = [sum(time <= 6.25 + 12.5 * i for time in times) - 1 for i in range(5)]
    assert np.abs(back[:5, 16, 16, 0] - (100 + 5.0 * np.array(seen))).max() <= 2


def test_a_gif_in_which_nothing_moves_keeps_its_length(tmp_path):
    assert len(read_video(picture(tmp_path, Image.new("RGB", (8, 8)), "p.gif"))) == 1
    Video(CLIP[:1].repeat(17, axis=0)).save(tmp_path / "v.gif")
    assert len(read_video(tmp_path / "v.gif")) == 17


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "mp4"])
def test_mutants_are_refused_or_read(tmp_path, suffix):
    if suffix == "mp4":
        pytest.importorskip("av")
    if suffix in ("png", "jpg"):
        buffer = io.BytesIO()
        Image.fromarray(CLIP[0]).save(buffer, {"png": "png", "jpg": "jpeg"}[suffix])
        whole = buffer.getvalue()
    else:
        whole = Video(CLIP[:5]).to_bytes(f".{suffix}", scale=1)
    path, chance, refused = tmp_path / f"v.{suffix}", random.Random(0), 0
    for i in range(500):
        content = bytearray(whole)
        if i % 2:
            content = content[: chance.randrange(len(content))]
        for _ in range(0 if i % 4 == 1 else chance.randint(1, 8)):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        try:
            frames = read_video(path)
            assert len(frames) >= 1 and frames.shape[1] % 8 == 0 and frames.dtype == np.uint8
        except UserError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 100


def undecoded(open):
    """PyAV's open, of films that nothing may decode."""

    @contextmanager
    def opened(*args, **options):
        with open(*args, **options) as film:
            yield SimpleNamespace(streams=film.streams, decode=lambda stream: pytest.fail("decoded"))

    return opened


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "mp4"])
def test_bombs_are_refused_before_they_are_decoded(tmp_path, monkeypatch, suffix):
    if suffix == "mp4":
        av = pytest.importorskip("av")
    path = tmp_path / f"v.{suffix}"
    if suffix == "jpg":
        picture(tmp_path, Image.fromarray(CLIP[0]), "v.jpg")
    else:
        Video(CLIP[:1]).save(path, scale=1)
    assert read_video(path).shape == (1, 32, 48, 3)
    monkeypatch.setattr(media, "MAX_PIXELS", 32 * 48 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    if suffix == "mp4":
        monkeypatch.setattr("av.open", undecoded(av.open))
    with pytest.raises(UserError, match="48x32 pixels; that is more"):
        read_video(path)


def test_what_a_bomb_says_of_itself_is_believed(tmp_path):
    """60000 x 60000 in 80 bytes; and 8192 x 8192, all of one colour, in ten thousand."""
    parts = (b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b""))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (*parts, (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    (tmp_path / "v.png").write_bytes(content)
    with pytest.raises(UserError, match="far more pixels"):
        read_video(tmp_path / "v.png")
    with pytest.raises(UserError, match="8192x8192"):
        read_video(picture(tmp_path, Image.new("1", (8192, 8192))))


@pytest.mark.parametrize("suffix", ["gif", "webp", "mp4"])
def test_too_many_frames_are_refused(tmp_path, monkeypatch, suffix):
    if suffix == "mp4":
        pytest.importorskip("av")
    path = tmp_path / f"v.{suffix}"
    Video(CLIP).save(path, scale=1)
    monkeypatch.setattr(media, "MAX_ALL", 20 * 32 * 48)
    with pytest.raises(UserError, match="21 frames of 48x32"):
        read_video(path)
    assert len(read_video(path, frames=9)) == 9, "what is not asked for is not decoded"


def test_what_comes_out_is_capped_too(tmp_path, monkeypatch):
    """Two small frames, each shown for ten minutes, are 4801 large ones."""
    path = tmp_path / "v.gif"
    first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    first.save(path, save_all=True, append_images=[second], duration=600_000)
    assert len(read_video(path)) == 4801
    monkeypatch.setattr(media, "MAX_MADE", 100 * 64 * 64)
    with pytest.raises(UserError, match="too long at 64x64"):
        read_video(path, size=(64, 64))
    assert len(read_video(path, size=(64, 64), frames=97)) == 97


def test_a_film_opens_no_other_file(tmp_path):
    """A list of addresses under a film's name, which a player would follow."""
    pytest.importorskip("av")
    Video(CLIP[:5]).save(tmp_path / "other.mp4")
    lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/other.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "v.mp4").write_text(lines)
    with pytest.raises(UserError, match="damaged"):
        read_video(tmp_path / "v.mp4")


@pytest.mark.parametrize(
    "name, content, word",
    [
        ("v.txt", b"x", "ends in '.txt'"),
        ("v.npz", b"PK", "ends in '.npz'"),
        ("none.gif", None, "there is no file"),
        ("v.gif", b"", "is empty"),
        ("v.gif", b"hello", "damaged"),
        ("v.mp4", b"hello", "damaged"),
        ("v.png", b"GIF89a", "damaged"),
        ("v.gif", b"GIF89a\x08\x00\x08\x00\x00\x00\x00;", "damaged"),  # a GIF of no frames
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, word):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=word):
        read_video(tmp_path / name)


def test_a_film_without_pictures_is_named(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        for _ in range(3):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 8000
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(UserError, match="has no pictures"):
        read_video(tmp_path / "v.mp4")


def test_a_picture_of_too_many_bytes_is_refused_before_it_is_read(tmp_path):
    path = picture(tmp_path, Image.new("RGB", (8, 8)), "p.webp")
    with path.open("ab") as file:
        file.truncate(2**28 + 1)  # which takes no place on the disk
    with pytest.raises(UserError, match="has more than 256 MiB"):
        read_video(path)


def test_a_film_may_have_as_many_bytes_as_it_likes(tmp_path, monkeypatch):
    pytest.importorskip("av")
    Video(CLIP[:5]).save(tmp_path / "v.mp4")
    monkeypatch.setattr(media, "MAX_BYTES", 10)
    assert len(read_video(tmp_path / "v.mp4")) == 5


@pytest.mark.parametrize("how", [{"size": (0, 32)}, {"size": (32, 30)}, {"side": 0}, {"side": 20}])
def test_strange_sides_are_refused(tmp_path, how):
    with pytest.raises(UserError, match="sides are multiples of 8"):
        read_video(picture(tmp_path, Image.new("RGB", (8, 8))), **how)


def test_a_strange_fit_is_refused(tmp_path):
    with pytest.raises(UserError, match="crop, pad"):
        read_video(picture(tmp_path, Image.new("RGB", (8, 8))), fit="squeeze")
