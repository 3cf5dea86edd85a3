"""The captioner: what it reads, what it writes, how it is trained, and how its captions are judged."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_gen import make_batch, make_clip
from mini_sora import Captioner, Video, parallel
from mini_sora.__main__ import main
from mini_sora.captioner import CaptionerConfig, CaptionNetwork, VideoEncoder
from mini_sora.config import UserError, from_dict, to_dict, with_flags
from mini_sora.data import Course, Shots
from mini_sora.fit import Cast
from mini_sora.folder import captions_of
from mini_sora.presets import CAPTIONERS, CaptionerTraining
from mini_sora.recaption import (
    asked_of,
    caption_figures,
    captioner_objective,
    captions_course,
    evaluate_captions,
    is_true,
    table_of_captions,
    tells_all,
    told_by,
)
from mini_sora.report import digest
from mini_sora.rows import Row
from mini_sora.text import Tokenizer
from mini_sora.vae import VAEConfig

SMOKE = CAPTIONERS["captioner-smoke"]
CONFIG = replace(SMOKE.model, stem=VAEConfig(channels=6, frame_width=16, width=24), width=36, max_tokens=60)
CAPTIONS = ["a circle goes right", "a circle goes left", "a circle goes down", "a circle goes up"]


def ball(path, size=(24, 32), frames=9):
    """A white ball on black, float (1, 3, T, H, W); path: share of the clip -> (y, x), pixels."""
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    shown = []
    for t in torch.linspace(0, 1, frames):
        y, x = path(t)
        shown.append(((rows - y) ** 2 + (columns - x) ** 2 < 9).float() * 2 - 1)
    return torch.stack(shown).expand(1, 3, -1, -1, -1).clone()


PATHS = [
    lambda t: (12, 6 + 20 * t),
    lambda t: (12, 26 - 20 * t),
    lambda t: (4 + 16 * t, 16),
    lambda t: (20 - 16 * t, 16),
]


@pytest.fixture(scope="module")
def trained():
    """A captioner that has learned four clips by heart, which are one another's reflections in time and
    space, with a short and a long caption each."""
    torch.manual_seed(0)
    long = [caption + " and so on" * 9 for caption in CAPTIONS]
    tokenizer = Tokenizer.train(CAPTIONS + long, 60)
    captioner = Captioner(CONFIG, CaptionNetwork(CONFIG, tokenizer.size), tokenizer)
    network, x = captioner.network, torch.cat([ball(path) for path in PATHS]).repeat(2, 1, 1, 1, 1)
    clips = ((x + 1) * 127.5).byte().permute(0, 2, 3, 4, 1)
    shots = Shots(clips, CAPTIONS + long, torch.zeros(8, 8))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    loss = captioner_objective(network.writer, tokenizer, CONFIG.max_tokens)
    for _ in range(300):
        optimizer.zero_grad()
        loss(network, shots, None).backward()
        optimizer.step()
    return captioner, [clip.numpy() for clip in clips[:4]], long


def test_the_encoder_takes_any_grid():
    encoder = VideoEncoder(CONFIG)
    for frames, height, width in ((1, 24, 32), (9, 40, 24), (5, 16, 16)):
        with torch.no_grad():
            vectors = encoder(torch.rand(2, 3, frames, height, width))
        assert vectors.shape == (2, (1 + (frames - 1) // 4) * height // 8 * width // 8, 36)


def test_places_and_times_are_told_apart(trained):
    captioner, clips, long = trained
    assert captioner.caption(clips, long=False) == CAPTIONS
    assert captioner.caption(clips) == long


def test_a_caption_is_the_same_alone_and_among_others(trained):
    captioner, clips, long = trained
    wide = np.concatenate([clips[0], clips[0]], axis=2)
    mixed = captioner.caption([clips[2], wide, clips[0], clips[3][:1], clips[1]])
    assert [mixed[0], mixed[2], mixed[4]] == [long[2], long[0], long[1]]
    assert mixed[1] == captioner.caption(wide)
    assert mixed[3] == captioner.caption(Video(clips[3][:1]), seed=3)
    assert captioner.caption(Video(clips[1])) == long[1]


def test_it_trains_in_bfloat16(trained):
    captioner, clips, _ = trained
    shots = Shots(torch.from_numpy(np.stack(clips)), CAPTIONS, torch.zeros(4, 8))
    loss = captioner_objective(captioner.network.writer, captioner.tokenizer, 60)
    exact, rounded = (
        loss(Cast(captioner.network, dtype), shots, None).item() for dtype in (torch.float32, torch.bfloat16)
    )
    assert 0 < abs(exact - rounded) < 0.05


def test_what_stands_first_says_how_long_it_is(trained):
    captioner, clips, _ = trained
    seen = []

    def forward(before, x):
        seen.append(before)
        return torch.zeros(*before.shape, captioner.tokenizer.size)

    words = ["a circle " * 20, "a circle goes up", "a circle " * 90]  # of which the last is too long
    shots = Shots(torch.from_numpy(np.stack(clips[:3])), words, torch.zeros(3, 8))
    loss = captioner_objective(captioner.network.writer, captioner.tokenizer, 100)(forward, shots, None)
    first = captioner.network.writer.start(0, 1).item()
    assert seen[0][:, 0].tolist() == [first + 1, first]
    assert loss.item() == pytest.approx(np.log(captioner.tokenizer.size))
    with pytest.raises(UserError, match="max_tokens"):
        captioner_objective(captioner.network.writer, captioner.tokenizer, 2)(forward, shots, None)


@pytest.mark.parametrize(
    ("video", "word"),
    [
        (np.zeros((3, 32, 32, 3), np.uint8), "3 frames"),
        (np.zeros((5, 30, 32, 3), np.uint8), "side 30"),
        (np.zeros((5, 32, 32), np.uint8), "shape"),
        ([np.zeros((5, 32, 32, 3))], "uint8"),
    ],
)
def test_what_is_no_clip_is_refused(trained, video, word):
    with pytest.raises(UserError, match=word):
        trained[0].caption(video)


def test_easy_clips_are_shown_first(monkeypatch):
    config = CAPTIONERS["captioner"]
    course = captions_course(config)
    assert isinstance(course, Course) and sum(count for count, _ in course.parts) == config.network.fit.steps
    streams = [replayed.stream for _, replayed in course.parts]
    assert [count for count, _ in course.parts[:4]] == list(config.network.course)
    assert len({stream.seed for stream in streams}) == 5
    for place, stream in enumerate(streams):
        shots = [stream[i] for i in range(4)]
        words = [len(prompt.split()) for some in shots for prompt in some.prompts]
        assert (max(some.clips.shape[1] for some in shots) == 1) == (place < 2)
        assert (stream.config.sides == (32,) and not stream.config.wide) == (place == 0)
        assert (max(words) > 30) == (place == 4)
        assert ("shapes-simple" in stream.families) == (place in (0, 2, 4))
        assert ("bounce" in stream.families) == (place == 4)
    left = with_flags(config, {"network.course": "0x0x0x0"})
    assert len(captions_course(left).parts) == 1
    monkeypatch.setattr(parallel, "place", lambda: (1, 2))  # of two processes, which take turns
    assert [count for count, _ in captions_course(config).parts] == [2 * count for count, _ in course.parts]


def test_settings_survive_json_and_wrong_ones_are_named():
    for config in CAPTIONERS.values():
        assert from_dict(CaptionerTraining, json.loads(json.dumps(to_dict(config)))) == config
    for flags, word in (
        ({"network.course": "1x1x1x11000"}, "course"),
        ({"model.writer.layers": "0"}, "decoder"),
        ({"model.families": "dragons"}, "dragons"),
        ({"network.several": "dragons"}, "dragons"),
        ({"data.folder": "x"}, "data"),
        ({"network.stored": "0"}, "stored"),
        ({"network.course": "-5x0x0x0"}, "course"),
        ({"network.stored": "-5"}, "stored"),
        ({"network.fit.graphs": "true"}, "graphs"),
        ({"network.fit.batch": "128"}, "most"),
        ({"model.families": "shapes-simple"}, "families"),
        ({"model.size": "16x16"}, "24 pixels"),
        ({"model.stem.space_stride": "8"}, "strides"),
    ):
        with pytest.raises(UserError, match=word):
            with_flags(CAPTIONERS["captioner"], flags)


def test_a_true_caption_is_told_from_faults():
    for family in ("shapes", "bounce", "occlusion", "camera", "change", "play"):
        for seed in range(12):
            clip = make_clip(family, seed, split="test")
            told = told_by(clip.long_caption)
            assert tells_all(told, clip).ok and is_true(told_by(clip.caption), clip)
            for key in told.keys() - {("scene", "family")}:
                left_out = {other: told[other] for other in told if other != key}
                assert not tells_all(left_out, clip).ok, key
                changed = told | {key: 9}
                assert not tells_all(changed, clip).ok, key
                assert is_true(left_out, clip) and not is_true(changed, clip)
    clip = next(c for c in map(make_clip, ["shapes"] * 50, range(50)) if ("scene", "events") not in c.facts)
    told, subject = told_by(clip.long_caption), next(who for who, _ in clip.facts if who != "scene")
    for key in (("scene", "events"), ("scene", "camera"), ("violet", "shape")):
        assert not tells_all(told | {key: "invented"}, clip).ok
    assert tells_all(told | {(subject, "reach"): "far"}, clip).ok  # of what is there more may be told
    assert told_by("no such words") == {} and not is_true({}, clip) and not tells_all({}, clip).ok


class Oracle:
    """Tells of each clip what is true, or what is true of the clip after it."""

    def __init__(self, clips, shift=0):
        self.clips, self.shift = clips, shift

    def caption(self, videos, long=True, seed=0):
        rolled = self.clips[self.shift :] + self.clips[: self.shift]
        assert all((video == clip.video).all() for video, clip in zip(videos, self.clips, strict=True))
        return [clip.long_caption if long else clip.caption for clip in rolled]


def test_figures_are_those_of_the_captions():
    clips = Row("shapes", "shapes", bodies=(2,)).clips(16)
    right, told = caption_figures(Oracle(clips), clips)
    assert right["short"] == right["long"] == right["facts"] == 1 and right["chance"] < 0.5
    assert set(right["attributes"].values()) == {1.0} and all(report.ok for _, report in told)
    wrong, told = caption_figures(Oracle(clips, 1), clips)
    assert wrong["long"] == 0 and wrong["short"] < 0.2 and 0 < wrong["facts"] < 0.5
    assert wrong["attributes"]["count"] == 1 and wrong["attributes"]["motion"] < 0.5
    assert not any(report.ok for _, report in told)
    other, _ = caption_figures(Oracle(clips, 15), clips)  # of each clip the one before
    assert right["chance"] == other["facts"]


def test_the_table_has_each_figure_under_its_name():
    row = {"clips": 8, "short": 0.9, "long": 0.5, "interval": [0.2, 0.7], "facts": 0.8, "chance": 0.1}
    assert table_of_captions({"rows": {"bounce": row}}).splitlines() == [
        "captions right           clips   short    long     95% interval   facts  of another",
        "bounce                       8   90.0%   50.0%   20.0% to 70.0%   80.0%       10.0%",
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the smallest preset."""
    out = tmp_path_factory.mktemp("runs") / "captioner"
    assert main(["train", "--preset", "captioner-smoke", "--out", str(out)]) == 0
    return out


def test_a_run_leaves_a_captioner_and_its_report(run, tmp_path, capsys):
    captioner = Captioner.from_pretrained(run)
    report = json.loads((run / "report" / "report.json").read_text())
    assert report["digest"] == digest(captioner)
    assert list(report["rows"]) == [row.name for row in asked_of(SMOKE.model)]
    assert captioner.config == SMOKE.model
    assert {path.name for path in run.iterdir()} >= {"network", "model", "report", "training.txt"}
    assert list((run / "report" / "failures").glob("*.png")) and list(
        (run / "network" / "samples").glob("*.txt")
    )
    told = []
    again = evaluate_captions(captioner, 4, progress=lambda *at: told.append(at))
    assert json.loads(json.dumps(again)) == report
    assert [done for done, *_ in told] == list(range(6)) and told[0][1:] == (5, "shapes, one body")
    assert main(["evaluate", "--weights", str(run), "--count", "4", "-o", str(tmp_path / "again")]) == 0
    assert table_of_captions(report) in capsys.readouterr().out
    assert (tmp_path / "again" / "report.json").read_bytes() == (run / "report" / "report.json").read_bytes()
    with pytest.raises(UserError, match="exists"):
        captioner.save_pretrained(tmp_path)
    captioner.save_pretrained(tmp_path / "copy")
    assert digest(Captioner.from_pretrained(tmp_path / "copy")) == digest(captioner)


def test_a_run_goes_on_from_another_and_from_where_it_stopped(run, tmp_path):
    argv = ["train", "--preset", "captioner-smoke", "--out", str(tmp_path / "on"), "--start", str(run)]
    argv += ["--seed", "1", "--model.frames", "5"]  # other clips, and judged otherwise
    assert main([*argv, "--network.fit.adam_rate", "0", "--network.fit.muon_rate", "0"]) == 0
    assert digest(Captioner.from_pretrained(tmp_path / "on")) == digest(Captioner.from_pretrained(run))
    again = tmp_path / "again"
    assert main(["train", "--preset", "captioner-smoke", "--out", str(again)]) == 0
    assert digest(Captioner.from_pretrained(again)) == digest(Captioner.from_pretrained(run))
    newest = again / "network" / "checkpoints" / "step-0000006"
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    assert main(["train", "--preset", "captioner-smoke", "--out", str(again), "--resume"]) == 0
    assert digest(Captioner.from_pretrained(again)) == digest(Captioner.from_pretrained(run))


def test_rows_are_of_what_it_learned():
    names = [row.name for row in asked_of(CAPTIONERS["captioner"].model)]
    assert names[:3] == ["shapes, one body", "shapes, two bodies", "shapes, three and four"]
    assert names[3:5] == ["shapes, heldout", "shapes, images"]
    assert names[5:] == ["bounce", "occlusion", "camera", "change", "play"]
    assert [row.name for row in asked_of(CaptionerConfig(families=("play",)))] == ["play"]


@pytest.fixture
def asked(monkeypatch):
    """Lets captioners write what is put in, again and again; returns (what to write, what was asked)."""
    words, asked = ['a ball, "red"'], []

    def caption(self, videos, long, seed):
        asked.append(([video.shape for video in videos], long, seed))
        return (words * len(videos))[: len(videos)]

    monkeypatch.setattr(Captioner, "caption", caption)
    return words, asked


def test_captions_go_to_a_file_that_training_reads(run, tmp_path, asked, capsys):
    (tmp_path / "clips").mkdir()
    for name, video in zip(("a.gif", "b.webp"), make_batch("shapes", range(2)).video, strict=True):
        Video(video).save(tmp_path / "clips" / name)
    (tmp_path / "clips" / "a.txt").write_text("as it was captioned before")
    output = tmp_path / "clips" / "captions.csv"
    argv = ["caption", str(tmp_path / "clips"), "--weights", str(run), "-o", str(output)]
    assert main(argv) == 0
    assert captions_of(tmp_path / "clips") == {"a.gif": 'a ball, "red"', "b.webp": 'a ball, "red"'}
    printed = capsys.readouterr().out
    assert 'a.gif: a ball, "red"  [checker: not judged]' in printed and "2 captions" in printed
    assert main(argv) == 2 and "exists" in capsys.readouterr().err
    asked[0][0] = ""
    assert main([*argv, "--force"]) == 0
    assert "no words found" in capsys.readouterr().out and not output.read_text()
    wrong = [*argv[:-1], str(tmp_path / "captions.csv")]
    assert main(wrong) == 2 and "beside the videos" in capsys.readouterr().err


def test_files_are_captioned_as_was_asked(run, tmp_path, asked, capsys):
    file = str(tmp_path / "a.gif")
    Video(np.zeros((9, 32, 112, 3), np.uint8)).save(file)
    assert main(["caption", file, file, "--weights", str(run)]) == 0
    assert main(["caption", file, "--weights", str(run), "--short", "--seed", "5", "--fit", "pad"]) == 0
    assert asked[1] == [([(9, 32, 56, 3)], True, 0), ([(9, 32, 56, 3)], False, 5)]


def test_the_checker_says_whether_a_caption_is_true(run, tmp_path, asked, capsys):
    asked[0][:] = ["a red circle moves left", "a red circle moves right"]
    wanted = {("red", "motion"): "left", ("red", "shape"): "circle"}.items()
    clip = next(c for c in map(make_clip, ["shapes-simple"] * 999, range(999)) if wanted <= c.facts.items())
    for name in "ab":
        Video(clip.video).save(tmp_path / f"{name}.gif")
    assert main(["caption", str(tmp_path), "--weights", str(run)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("[checker: as told]") and "motion is left, not right" in second


def test_each_video_of_a_batch_has_a_seed_of_its_own(trained, monkeypatch):
    captioner, clips, _ = trained
    batches = []

    def write(which, about, mask, most, generators):
        batches.append((which, len(about), most))
        return [[generator.initial_seed()] for generator in generators]

    monkeypatch.setattr(captioner.network.writer, "write", write)
    told = captioner.caption([clips[0]] * 70, long=False, seed=40)
    assert told == [chr(40 + i) for i in range(70)] and batches == [(False, 64, 60), (False, 6, 60)]
    large = np.zeros((1, 256, 256, 3), np.uint8)  # of 1024 patches each, so that 32 go through at once
    captioner.caption([large] * 33)
    assert [count for _, count, _ in batches[2:]] == [32, 1]
    with pytest.raises(UserError, match="8192"):
        captioner.caption(np.zeros((129, 128, 128, 3), np.uint8))


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["caption", "none.gif", "--weights", "RUN"], "no file none.gif"),
        (["caption", ".", "--weights", "RUN"], "no videos"),
        (["caption", "clip.gif", "-o", "captions.txt"], "captions.csv"),
        (["caption", "clip.gif", "-o", ""], "captions.csv"),
        (["caption", "clip.gif", "--weights", "simple"], "not a captioner"),
        (["caption", "clip.gif", "--weights", "none"], "no weights"),
        (["generate", "a red circle", "-o", "x.gif", "--weights", "RUN"], "not a model of videos"),
        (["evaluate", "--weights", "RUN", "--rows", "play"], "is a captioner"),
        (["evaluate", "--weights", "RUN", "--prompts", "prompts.txt"], "is a captioner"),
        (["evaluate", "--weights", "RUN", "--steps", "5"], "is a captioner"),
        (["evaluate", "--weights", "RUN", "--no-expand"], "is a captioner"),
        (["train", "--preset", "smoke", "--out", "RUN", "--resume"], "another kind"),
        (["train", "--preset", "captioner", "--out", "x", "--dit.known", "0.5"], "no --dit.known"),
        (["train", "--preset", "quick", "--out", "x", "--network.stored", "5"], "network.stored"),
        (
            ["train", "--preset", "captioner-smoke", "--out", "x", "--start", "RUN", "--model.width", "64"],
            "width: 32 against 64",
        ),
        (["train", "--preset", "captioners", "--out", "x"], "no preset"),
        (["bench", "--preset", "captioner"], "no preset 'captioner' for this"),
    ],
)
def test_mistakes_are_one_sentence(argv, word, run, tmp_path, fails, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("a red circle moves left")
    assert re.search(word, fails(*[str(run) if part == "RUN" else part for part in argv]))
    assert not list(tmp_path.glob("*.csv"))


def test_what_is_shipped_captions_clips_that_it_has_not_seen():
    clips = Row("shapes", "shapes", bodies=(1,)).clips(32)
    found, _ = caption_figures(Captioner.from_pretrained("captioner"), clips)
    assert found["short"] >= 0.8 and found["facts"] >= 0.8 > 1.5 * found["chance"]
