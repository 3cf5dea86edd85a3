"""Training on clips of one's own: what is read from a directory, and how what cannot be is named."""

import numpy as np
import pytest
import torch
from PIL import Image

from data_gen import make_clip
from mini_sora import MiniSora, Video
from mini_sora import folder as folder_module
from mini_sora.__main__ import main
from mini_sora.config import UserError
from mini_sora.data import DataConfig
from mini_sora.folder import Folder

CLIPS = [make_clip("bounce", seed, (32, 32), frames) for seed, frames in enumerate((33, 17, 5))]


@pytest.fixture
def place(tmp_path):
    """Three videos; two have their captions in a list, one beside it."""
    folder = tmp_path / "own clips"
    folder.mkdir()
    for name, clip in zip("abc", CLIPS, strict=True):
        Video(clip.video).save(folder / f"{name}.webp", scale=1)
    (folder / "captions.csv").write_text('a.webp,"A circle, and\nmore"\nb.webp,a square\n', encoding="utf-8")
    (folder / "c.txt").write_text("  Ein Dreieck fällt \n", encoding="utf-8")
    return folder


def folder(place, clips=8, longest=None, **settings):
    return Folder(DataConfig(folder=str(place), **settings), (32, 32), clips, seed=0, longest=longest)


def test_batches_are_stretches_of_the_videos(place):
    (place / "c.webp").unlink()
    data = folder(place, clips=32)
    shots = data[0]
    assert shots.clips.shape == (32, 17, 32, 32, 3) and shots.clips.dtype == torch.uint8
    assert not shots.actions.any() and shots.actions.shape == (32, 16)
    assert set(shots.prompts) == {"a circle, and more", "a square"}
    for video, prompt in zip(shots.clips.numpy(), shots.prompts, strict=True):
        clip = CLIPS[0 if "circle" in prompt else 1].video
        starts = [i for i in range(len(clip) - 16) if np.array_equal(clip[i : i + 17], video)]
        assert starts, "not a stretch of its video"
    again, other = data[0], data[1]
    assert torch.equal(again.clips, shots.clips) and not torch.equal(other.clips, shots.clips)


def test_each_caption_goes_with_its_own_video(place):
    for name in ("ball", "ball.slow"):
        Video(CLIPS[2].video).save(place / f"{name}.webp", scale=1)
        (place / f"{name}.txt").write_text(name)
    (place / "captions.csv").write_text("a.webp,from Excel\nb.webp,from Excel\n", encoding="utf-8-sig")
    found = {prompt for _, prompt in folder(place, frames=(5,)).shots}
    assert found == {"from excel", "ball", "ball.slow", "ein dreieck fällt"}


def test_a_folder_that_was_changed_is_another(place):
    before = folder(place, frames=(5,)).digest()
    assert folder(place, frames=(5,)).digest() == before
    (place / "c.txt").write_text("another text")
    assert folder(place, frames=(5,)).digest() != before


def test_lengths_are_drawn_and_cut(place):
    data = folder(place, frames=(5, 33))
    seen = {5: set(), 33: set()}
    for i in range(20):
        seen[data[i].clips.shape[1]] |= set(data[i].prompts)
    assert seen[33] == {"a circle, and more"} and "ein dreieck fällt" in seen[5]
    for name in "bc":
        (place / f"{name}.webp").unlink()
    (place / "captions.csv").write_text("a.webp,a circle", encoding="utf-8")
    assert folder(place, frames=(33,), longest=9)[0].clips.shape[1] == 9


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda p: (p / "c.txt").unlink(), ["c.webp has no caption"]),
        (lambda p: (p / "c.txt").write_text(" \n"), ["c.webp has no caption"]),
        (lambda p: (p / "a.webp").write_bytes(b"RIFF"), ["a.webp is damaged"]),
        (lambda p: ((p / "a.webp").write_bytes(b""), (p / "d.gif").write_bytes(b"x")), ["a.webp", "d.gif"]),
        (lambda p: (p / "b.webp").unlink(), ["there is no file 'b.webp'"]),
        (lambda p: (p / "captions.csv").write_text("none.gif,a square"), ["there is no file 'none.gif'"]),
        (
            lambda p: (p / "captions.csv").write_text("a red circle " * 30 + ",a.webp"),
            ["line 1: there is no"],
        ),
        (
            lambda p: (p / "captions.csv").write_text(f"../{p.name}/a.webp,a square"),
            ["there is no file '../"],
        ),
        (
            lambda p: (p / "captions.csv").write_text("a.webp," + 200_000 * "x"),
            ["captions.csv cannot be read"],
        ),
        (lambda p: (p / "captions.csv").write_text("name,caption\na.webp"), ["line 1", "line 2", "b.webp"]),
        (lambda p: (p / "captions.csv").write_text("a.webp,1\nb.webp,2\na.webp,3"), ["line 3", "already"]),
        (lambda p: (p / "a.webp").rename(p / "a.mov"), ["line 1: there is no file 'a.webp'"]),
        (lambda p: (p / "captions.csv").write_text("c.txt,a text"), ["line 1: c.txt is none of .png"]),
        (lambda p: (p / "c.webp").rename(p / "c.MOV"), ["c.MOV has a caption, but is none of .png"]),
        (lambda p: [(p / name).write_bytes(b"\xff") for name in ("c.txt", "a.webp")], ["c.txt", "a.webp"]),
        (lambda p: (p / "c.txt").write_bytes(b"\xff\xfe\x00"), ["c.txt", "UTF-8"]),
        (lambda p: (p / "captions.csv").write_bytes(b"a.webp,\xff"), ["captions.csv", "UTF-8"]),
        (lambda p: [f.unlink() for f in p.iterdir()], ["has no videos"]),
        (lambda p: [f.unlink() for f in p.iterdir()] and p.rmdir(), ["no directory"]),
    ],
)
def test_what_cannot_be_used_is_named(place, spoil, words):
    spoil(place)
    with pytest.raises(UserError) as error:
        folder(place, frames=(5,))
    assert all(word in str(error.value) for word in words)


def test_videos_that_are_too_short_are_named(place):
    with pytest.raises(UserError, match=r"c.webp has 5 frames at 8 a second, and is to have 17"):
        folder(place, frames=(17, 33))
    with pytest.raises(UserError, match=r"a.webp has 33.*b.webp has 17.*c.webp has 5"):
        folder(place, frames=(101,))


def test_what_is_no_video_is_left_alone(place):
    (place / "license.txt").write_bytes("\xa9 2026".encode("latin-1"))
    (place / "c.json").write_text("{}")
    (place / "captions.txt").write_text("how they were made")
    (place / "d").mkdir()
    (place / "e.mp4").mkdir()
    (place / "d.txt").write_text("what is in there")
    assert len(folder(place, frames=(5,)).shots) == 3


def test_one_mistake_is_told_once(place):
    (place / "c.txt").write_bytes(b"\xff")
    with pytest.raises(UserError) as error:
        folder(place, frames=(5,))
    assert str(error.value) == f"{place / 'c.txt'} cannot be read: save it as UTF-8"
    (place / "captions.csv").write_text("a.webp,1\nb.webp,2\nc.webp,3")
    assert len(folder(place, frames=(5,)).shots) == 3, "the table comes first"


def test_what_may_not_be_read_is_named(place, monkeypatch):
    def denied(path, **_):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(folder_module, "read_video", denied)
    with pytest.raises(UserError, match=r"a\.webp cannot be read: Permission denied; .*b\.webp"):
        folder(place, frames=(5,))


def test_what_is_held_in_memory_has_a_limit(place, monkeypatch):
    monkeypatch.setattr(folder_module, "MAX_HELD", 40 * 32 * 32 * 3)
    with pytest.raises(UserError, match="MiB of frames; take some"):
        folder(place, frames=(5,))


@pytest.mark.parametrize("start", [True, False])
def test_a_caption_that_is_too_long_is_named_before_training(start, place, smoke_run, tmp_path, fails):
    (place / "c.txt").write_text(" ".join(f"{n}x" for n in range(300)))
    argv = ["train", "--preset", "smoke", "--data", place, "--data.frames", "5", "--out", tmp_path / "run"]
    said = fails(*argv, *(["--start", smoke_run] if start else []))
    assert "'0x 1x " in said and "is too long" in said
    assert not (tmp_path / "run").exists()


def test_a_folder_is_read_once(place, monkeypatch):
    first = folder(place, frames=(5,))
    monkeypatch.setattr(folder_module, "read_video", lambda *_, **__: pytest.fail("read again"))
    assert folder(place, frames=(5,)).shots is first.shots


def test_a_model_is_trained_on_own_clips(place, tmp_path, capsys):
    (place / "c.webp").unlink()
    out = tmp_path / "run"
    assert main(["train", "--preset", "smoke", "--data", str(place), "--out", str(out)]) == 0
    assert "2 clips to look at" in capsys.readouterr().out
    with Image.open(out / "report" / "clips" / "own-clips.png") as sheet:
        assert sheet.size[0] > 100
    sora = MiniSora.from_pretrained(out)
    assert {"circle", "square"} <= sora.words
    assert sora.generate("a square").frames.shape == (17, 32, 32, 3)


def test_a_trained_model_learns_on(place, smoke, smoke_run, tmp_path, capsys):
    (place / "c.webp").unlink()
    own = ["train", "--preset", "smoke", "--data", str(place), "--start", str(smoke_run)]
    little = ["--dit.fit.steps", "1", "--dit.fit.adam_rate", "1e-6", "--dit.fit.muon_rate", "1e-6"]
    assert main([*own, *little, "--model.sampling.best_of", "2", "--out", str(tmp_path / "run")]) == 0
    sora = MiniSora.from_pretrained(tmp_path / "run")
    assert sora.config.sampling.best_of == 1  # as the captioner knows nothing of own clips
    assert sora.tokenizer.merges == smoke.tokenizer.merges and sora.words > smoke.words
    assert smoke.expander and sora.expander is None  # which would tell own prompts in the world's words
    tables = [(s.vae.state_dict(), s.sora.state_dict()) for s in (sora, smoke)]
    assert all(torch.equal(value, tables[1][0][name]) for name, value in tables[0][0].items())
    assert all((value - tables[1][1][name]).abs().max() < 1e-2 for name, value in tables[0][1].items())

    for flags, said in ((["--model.dit.layers", "3"], "dit.layers"), (["--start", "x"], "no weights 'x'")):
        assert main([*own, *flags, "--out", str(tmp_path / "other"), "--force"]) == 2
        assert said in capsys.readouterr().err
