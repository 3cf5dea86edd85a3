"""How the captioner is trained and measured, and the commands that ask it."""

import json
import os
import re

import numpy as np
import pytest
import torch

from data_gen import FAMILIES, make_batch, make_clip
from mini_sora import Captioner, Video, parallel
from mini_sora.__main__ import main
from mini_sora.captioner import CaptionerConfig
from mini_sora.config import UserError, from_dict, to_dict, with_flags
from mini_sora.data import Course
from mini_sora.folder import captions_of
from mini_sora.presets import CAPTIONERS, CaptionerTraining
from mini_sora.recaption import (
    asked_of,
    caption_figures,
    captions_course,
    evaluate_captions,
    is_true,
    table_of_captions,
    tells_all,
    told_by,
)
from mini_sora.report import digest
from mini_sora.rows import Row

SMOKE = CAPTIONERS["captioner-smoke"]


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
    stays = [Captioner.from_pretrained(path).network.state_dict() for path in (tmp_path / "on", run)]
    assert all(torch.equal(*pair) for pair in zip(*(part.values() for part in stays), strict=True))
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
    held = asked_of(CAPTIONERS["captioner"].model)[3]
    assert not any(FAMILIES["shapes-simple"].shows(b) for clip in held.clips(32) for b in clip.scene.bodies)


@pytest.fixture
def asked(monkeypatch):
    """Lets captioners write what is put in, again and again; returns (what to write, what was asked)."""
    words, asked = ['a ball, "red"'], []

    def caption(self, videos, long, seed, progress):
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
    found = {"a.gif": 'a ball, "red"', "b.webp": 'a ball, "red"'}
    assert captions_of(tmp_path / "clips") == (found, [])
    printed = capsys.readouterr().out
    assert 'a.gif: a ball, "red"  [checker: not judged]' in printed and "2 captions" in printed
    assert main(argv) == 2 and "exists" in capsys.readouterr().err
    asked[0][0] = ""
    assert main([*argv, "--force"]) == 0
    assert "no words found" in capsys.readouterr().out and not output.read_text()
    wrong = [*argv[:-1], str(tmp_path / "captions.csv")]
    assert main(wrong) == 2 and "beside the videos" in capsys.readouterr().err


def test_linked_clips_with_any_names_are_captioned(run, tmp_path, asked):
    clips, names = tmp_path / "clips", ["a.gif", os.fsdecode(b"caf\xe9.gif")]
    clips.mkdir()
    for name in names:
        Video(make_batch("shapes", range(1)).video[0]).save(tmp_path / "real.gif", force=True)
        (clips / name).symlink_to(tmp_path / "real.gif")
    output = clips / "captions.csv"
    assert main(["caption", str(clips), "--weights", str(run), "-o", str(output)]) == 0
    assert captions_of(clips) == (dict.fromkeys(names, 'a ball, "red"'), [])
    output.write_bytes(b"a.gif,caf\xe9\n")
    found, (said,) = captions_of(clips)
    assert found["a.gif"] is None and "UTF-8" in said


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
