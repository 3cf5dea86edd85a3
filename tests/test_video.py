import io

import numpy as np
import pytest
from PIL import Image

from mini_sora import Video
from mini_sora.config import UserError
from mini_sora.media import read_video
from mini_sora.video import filmstrip

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)


def test_webp_and_filmstrip_are_lossless(tmp_path):
    video = Video(FRAMES, "noise")
    video.save(tmp_path / "v.webp", scale=1)
    with Image.open(tmp_path / "v.webp") as image:
        assert image.n_frames == 5 and image.info.get("duration", 125) == 125
        for i in range(5):
            image.seek(i)
            assert np.array_equal(np.asarray(image.convert("RGB")), FRAMES[i])
    video.save(tmp_path / "v.png", scale=1)
    strip = np.asarray(Image.open(tmp_path / "v.png"))
    assert np.array_equal(strip[:, :24], FRAMES[0]) and np.array_equal(strip[:, -24:], FRAMES[4])


def test_a_webp_that_stands_still_is_a_video(tmp_path):
    Video(FRAMES[:1].repeat(17, axis=0)).save(tmp_path / "v.webp")
    back = read_video(tmp_path / "v.webp", 16)
    assert back.shape == (17, 16, 24, 3) and np.abs(back - FRAMES[:1].astype(int)).max() <= 1
    Video(FRAMES[:1]).save(tmp_path / "v.webp", force=True, scale=1)
    with Image.open(tmp_path / "v.webp") as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), FRAMES[0]), "a picture stays as it is"


def test_gif_has_every_frame_at_eight_a_second(tmp_path):
    Video(FRAMES).save(tmp_path / "v.gif")
    with Image.open(tmp_path / "v.gif") as image:
        assert image.n_frames == 5 and image.size == (288, 192)
        assert sum(image.seek(i) or image.info["duration"] for i in range(5)) in range(600, 651)


def test_mp4_plays_back(tmp_path):
    av = pytest.importorskip("av")
    frames = np.repeat(FRAMES[:, :1, :1], 16, 1).repeat(24, 2)
    Video(frames).save(tmp_path / "v.mp4")
    with av.open(str(tmp_path / "v.mp4")) as container:
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 8
    assert len(back) == 5
    assert np.abs(np.stack(back)[:, 96, 144].astype(int) - frames[:, 8, 12]).max() < 30


def test_mp4_has_even_sides(tmp_path):
    av = pytest.importorskip("av")
    Video(np.full((5, 97, 101, 3), 90, np.uint8)).save(tmp_path / "v.mp4", scale=1)
    with av.open(str(tmp_path / "v.mp4")) as container:
        (image, *rest) = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert image.shape == (98, 102, 3) and np.abs(image.astype(int) - 90).max() < 4 and len(rest) == 4


@pytest.mark.parametrize(
    "suffix, scale, word", [(".avi", None, ".avi"), (".gif", 0, "0"), (".gif", 1.5, "1.5")]
)
def test_what_is_no_file_of_a_video_is_refused(suffix, scale, word):
    with pytest.raises(UserError, match=word):
        Video(FRAMES).to_bytes(suffix, scale)


def test_nothing_is_overwritten_without_force(tmp_path):
    video = Video(FRAMES)
    video.save(tmp_path / "v.gif")
    with pytest.raises(UserError, match="exists"):
        video.save(tmp_path / "v.gif")
    video.save(tmp_path / "v.gif", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["v.gif"]


@pytest.mark.parametrize("name, reason", [("v.avi", "'.avi'"), ("no/v.gif", "no directory"), ("", "ends in")])
def test_bad_places_are_refused(tmp_path, name, reason):
    with pytest.raises(UserError, match=reason):
        Video(FRAMES).save(tmp_path / name)


def test_a_video_shows_itself_in_a_notebook():
    html = Video(FRAMES, 'a "red" <circle>')._repr_html_()
    assert html.startswith('<img src="data:image/gif;base64,') and "<circle>" not in html


@pytest.mark.parametrize("bad", [FRAMES.astype(float), FRAMES[0], FRAMES[:0], FRAMES[..., :2]])
def test_what_is_no_video_is_refused(bad):
    with pytest.raises(UserError, match="uint8 of shape"):
        Video(bad)


def test_filmstrip_thins_out_evenly():
    assert filmstrip(FRAMES, count=3).shape == (16, 3 * 24 + 2, 3)
    assert np.array_equal(filmstrip(FRAMES, count=3)[:, 25:49], FRAMES[2])
    first = Image.open(io.BytesIO(Video(FRAMES).to_bytes(".png")))
    assert first.size == (5 * 288 + 4 * 12, 192)
    long = Image.open(io.BytesIO(Video(FRAMES.repeat(50, axis=0)).to_bytes(".png")))
    assert long.size == (250 * 24 + 249, 16), "what is long enough is not enlarged"


def test_more_frames_than_a_file_can_have_are_refused():
    with pytest.raises(UserError, match="4802 frames are too many"):
        Video(np.zeros((4802, 8, 8, 3), np.uint8)).to_bytes(".gif")
