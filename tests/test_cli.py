"""The command line: what it makes, and one sentence with exit code 2 for every mistake."""

import errno
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tqdm import tqdm

from data_gen import make_clip
from mini_sora import MiniSora, Video, checkpoint, viz
from mini_sora.__main__ import build_parser, main
from mini_sora.config import UserError
from mini_sora.media import read_video

PROMPT = "a red circle moves left"


def test_generate_writes_a_video_and_a_verdict(smoke_run, tmp_path, capsys, fails):
    out = tmp_path / "a b" / "círculo.gif"
    out.parent.mkdir()
    argv = [
        "generate",
        PROMPT,
        "-o",
        str(out),
        "--weights",
        str(smoke_run),
        "--size",
        "24x40",
        "--frames",
        "5",
    ]
    assert main(argv) == 0
    with Image.open(out) as image:
        assert image.n_frames == 5 and image.size[0] / image.size[1] == 40 / 24
    assert PROMPT in capsys.readouterr().out
    assert "exists" in fails(*argv)
    assert main([*argv, "--force"]) == 0


def test_generate_makes_a_directory_for_several_prompts(smoke_run, tmp_path, capsys, fails):
    out = tmp_path / "many"
    argv = ["generate", PROMPT, "the square is blue", "🦊", "-o", str(out), "--weights", str(smoke_run)]
    assert main(argv) == 0
    assert sorted(path.name for path in out.iterdir()) == ["00.gif", "01.gif", "02.gif", "sheet.png"]
    captured = capsys.readouterr()
    assert "right" in captured.out and "[not judged]" in captured.out
    assert "exists" in fails(*argv)
    assert main([*argv, "--force", "--seconds", "7", "--steps", "1"]) == 0
    assert "as asked in 0 of 4 pieces of 2 seconds" in capsys.readouterr().out


def test_of_several_videos_none_is_left_where_one_cannot_be_written(smoke_run, tmp_path, monkeypatch, fails):
    out, write = tmp_path / "many", checkpoint._write

    def full(path, data):
        if path.name == "01.gif":
            raise OSError(errno.ENOSPC, "full")
        write(path, data)

    monkeypatch.setattr(checkpoint, "_write", full)
    argv = ("generate", PROMPT, "a dog", "-o", out, "--weights", smoke_run, "--steps", "1")
    assert "no space is left" in fails(*argv)
    assert not list(tmp_path.iterdir())
    out.symlink_to(tmp_path / "nowhere")
    assert "leads nowhere" in fails(*argv)
    assert "another name" in fails(*argv[:4], tmp_path / ("x" * 248), *argv[5:])


def test_unknown_words_are_named(smoke_run, tmp_path, capsys):
    argv = ["generate", "a red dog jumps", "-o", str(tmp_path / "d.gif"), "--weights", str(smoke_run)]
    assert main(argv) == 0
    assert "'dog', 'jumps'" in capsys.readouterr().err
    assert main([argv[0], "x" * 100_000, *argv[2:], "--force"]) == 2
    assert len(capsys.readouterr().err) < 500


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return path


@pytest.mark.parametrize(
    "argv, shape",
    [
        (("generate", PROMPT, "--seconds", "4"), (33, 32, 32)),
        (("animate", "PICTURE", PROMPT, "--frames", "5"), (5, 32, 48)),
        (("animate", "PICTURE", PROMPT, "--fit", "pad", "--size", "32x32"), (17, 32, 32)),
        (("extend", "VIDEO", PROMPT), (33, 32, 40)),
        (("extend", "VIDEO", PROMPT, "--direction", "backward", "--more", "8"), (25, 32, 40)),
        (("connect", "PICTURE", "VIDEO", PROMPT, "--between", "8", "--size", "32x40"), (26, 32, 40)),
        (("loop", PROMPT, "--between", "8", "--size", "32x40"), (25, 32, 40)),
        (("loop", PROMPT, "--video", "VIDEO"), (33, 32, 40)),
        (("edit", "VIDEO", PROMPT, "--strength", "0.5"), (17, 32, 40)),
        (("upscale", "VIDEO", PROMPT, "--factor", "2"), (17, 64, 80)),
    ],
)
def test_every_way_of_asking_writes_its_video(argv, shape, smoke_run, picture, tmp_path, capsys):
    video = Video(make_clip("shapes", 0, (32, 40), 17).video)
    video.save(tmp_path / "video.webp")
    names = {"PICTURE": str(picture), "VIDEO": str(tmp_path / "video.webp")}
    out = tmp_path / "out.webp"
    argv = [names.get(a, a) for a in argv]
    assert main([*argv, "-o", str(out), "--weights", str(smoke_run)]) == 0
    assert read_video(out, size=shape[1:]).shape == (1 + (shape[0] - 1) // 4 * 4, *shape[1:], 3)
    with Image.open(out) as image:
        times = sum(image.seek(i) or (image.load() and image.info["duration"]) for i in range(image.n_frames))
        assert round(times / 125) == shape[0] and image.size[0] * shape[1] == image.size[1] * shape[2]
    assert PROMPT in capsys.readouterr().out


GENERATE = ("generate", PROMPT, "-o", "OUT.gif", "--weights", "RUN")
MISTAKES = [
    (("generate", "", *GENERATE[2:]), "empty"),
    (("generate", "x " * 500_000, *GENERATE[2:]), "too long"),
    ((*GENERATE, "--size", "30x32"), "side 30"),
    ((*GENERATE, "--size", "0x32"), "side 0"),
    ((*GENERATE, "--size=-8x32"), "side -8"),
    ((*GENERATE, "--size", "32"), "--size"),
    ((*GENERATE, "--frames", "16"), "try 17"),
    ((*GENERATE, "--frames", "0"), "0 frames"),
    ((*GENERATE, "--frames", "4805"), "try 4801"),
    (("generate", "a", "red", "circle", *GENERATE[2:]), "in quotes"),
    ((*GENERATE, "--frames", "many"), "whole number"),
    ((*GENERATE, "--seed", "-1"), "seed"),
    ((*GENERATE, "--seed", str(2**31)), "seed"),
    ((*GENERATE, "--steps", "0"), "steps"),
    ((*GENERATE, "--actions", "right:4,jump"), "'jump' is no action"),
    ((*GENERATE, "--actions", "right:0"), "'right:0' is no action"),
    ((*GENERATE, "--actions", "right:4"), "knows no actions"),
    ((*GENERATE, "--actions", "right:4", "--frames", "9"), "knows no actions"),
    ((*GENERATE, "--guidance", "nan"), "guidance"),
    ((*GENERATE, "--sampler", "magic"), "sampler"),
    ((*GENERATE, "--sed", "3"), "did you mean '--seed'"),
    ((*GENERATE, "--weights", "nowhere"), "no weights 'nowhere'"),
    ((*GENERATE, "--device", "cuda:77"), "cuda:77"),
    ((*GENERATE, "--device", "toaster"), "toaster"),
    (("generate", PROMPT, "--weights", "RUN"), "-o"),
    (("generate", PROMPT, "-o", "OUT.avi", "--weights", "RUN"), ".avi"),
    (("generate", PROMPT, "-o", "OUT/no/x.gif", "--weights", "RUN"), "no directory"),
    (("generate", PROMPT, "-o", "/proc/x.gif", "--weights", "RUN"), "cannot be written"),
    (("train", "--preset", "quik", "--out", "OUT"), "quick"),
    (("train", "--preset", "smoke", "--out", "/proc/run"), "cannot be written"),
    (("train", "--preset", "smoke", "--out", "OUT", "--resume"), "no run to resume"),
    (("train", "--preset", "smoke", "--out", "OUT", "--device", "cuda:77"), "cuda:77"),
    (("train", "--preset", "smoke", "--out", "OUT", "--device", "meta"), "meta"),
    (("train", "--preset", "tiny", "--out", "OUT", "--dit.fit.steps", "3000"), "--dit.course 0x0"),
    (("train", "--out", "OUT", "--start", "quick", "--vae.fit.steps", "9"), "--vae.fit.steps means nothing"),
    (("train", "--out", "OUT", "--preset", "simple", "--vae.fit.steps", "9"), "with --start quick"),
    (("train", "--out", "OUT", "--data", "DIR", "--data.sides", "24"), "with --data"),
    (("train", "--out", "OUT", "--data", "DIR", "--judged", "24"), "--judged means nothing"),
    (("train", "--preset", "small", "--out", "OUT", "--model.dit.patch", "1x4x4"), "do not divide"),
    (("train", "--preset", "smoke", "--out", "OUT", "--dit.fit.clip", "0"), "clip"),
    (("train", "--preset", "smoke", "--out", "OUT", "--judged", "100000"), "judged"),
    (("train", "--preset", "smoke", "--out", "OUT", "--model.dit.width", "65536"), "width"),
    (("train", "--preset", "smoke", "--out", "RUN"), "holds an earlier run"),
    (("train", "--preset", "smoke", "--out", "OUT", "--model.size", "33x32"), "33"),
    (("train", "--preset", "smoke", "--out", "OUT", "--model.size", "16x32"), "24 pixels"),
    (("train", "--preset", "smoke", "--out", "OUT", "--model.dit.patch", "2x2x2"), "1 at first"),
    (("train", "--preset", "smoke", "--out", "RUN", "--resume", "--judged", "64"), "judged: 4 against 64"),
    ((*GENERATE, "--size", "512x512", "--frames", "17"), "patches"),
    ((*GENERATE, "--seconds", "nan"), "seconds"),
    ((*GENERATE, "--seconds", "2", "--frames", "17"), "not both"),
    (("animate", "nowhere.png", PROMPT, *GENERATE[2:]), "no file nowhere.png"),
    (("animate", "PICTURE", PROMPT, *GENERATE[2:], "--fit", "squeeze"), "'crop', 'pad'"),
    (("animate", "PICTURE", PROMPT, *GENERATE[2:], "--frames", "16"), "try 17"),
    (("extend", "PICTURE", PROMPT, *GENERATE[2:], "--direction", "up"), "forward, backward"),
    (("extend", "PICTURE", PROMPT, *GENERATE[2:], "--direction", "backward"), "4 frames or more"),
    (("extend", "PICTURE", PROMPT, *GENERATE[2:], "--more", "3"), "3 frames cannot be added"),
    (("connect", "PICTURE", "PICTURE", PROMPT, *GENERATE[2:]), "4 frames or more"),
    (("connect", "PICTURE", "PICTURE", PROMPT, *GENERATE[2:], "--between", "7"), "7 frames cannot be added"),
    (("connect", "PICTURE", "RUN", PROMPT, *GENERATE[2:]), "ends in"),
    (("edit", "PICTURE", PROMPT, *GENERATE[2:], "--strength", "2"), "strength"),
    (("edit", "PICTURE", PROMPT, *GENERATE[2:], "--size", "0x32"), "side 0"),
    (("edit", "PICTURE", PROMPT, *GENERATE[2:], "--size", "16384x16384"), "side 16384"),
    (("upscale", "PICTURE", PROMPT, *GENERATE[2:], "--factor", "-1"), "factor"),
    (("loop", " ", *GENERATE[2:]), "empty"),
    (("loop", PROMPT, *GENERATE[2:], "--fit", "squeeze"), "'crop', 'pad'"),
    (("loop", PROMPT, *GENERATE[2:], "--fit", "pad"), "there is none"),
    (("loop", PROMPT, *GENERATE[2:], "--video", "PICTURE", "--no-expand"), "new video"),
    (("train", "--preset", "smoke", "--out", ""), "--out is empty"),
    (("evaluate", "--weights", "RUN", "-o", ""), "exists"),
    (("train", "--preset", "smoke", "--out", "OUT", "--dit.fit.adam_rate", "nan"), "adam_rate"),
    (("train", "--preset", "smoke", "--out", "OUT", "--dit.fit.stepz", "3"), "--dit.fit.steps"),
    (("train", "--preset", "smoke", "--out", "OUT", "--dit.fit.save_every", "0"), "save_every"),
    (("train", "--preset", "smoke", "--out", "OUT", "--dit.fit.batch", "129"), "data.most"),
    (("train", "--preset", "smoke", "--out", "OUT", "--model.vae.time_stride", "8"), "time_stride"),
    (("evaluate", "--weights", "RUN", "--count", "0"), "--count"),
    (("evaluate", "--weights", "RUN", "--prompts", "nowhere.txt"), "nowhere.txt"),
    (("evaluate", "--weights", "RUN", "--prompts", "PICTURE"), "no text"),
    (("evaluate", "--weights", "RUN", "--prompts", "/dev/null"), "0 prompts"),
    (("evaluate", "--weights", "RUN", "--prompts", "PICTURE", "--rows", "shapes"), "--rows"),
    (("evaluate", "--weights", "RUN", "--prompts", "PICTURE", "--count", "4"), "--count"),
    (("evaluate", "--weights", "RUN", "--rows", "dogs"), "dogs"),
    (("evaluate", "--weights", "RUN", "-o", "RUN/config.json", "--force"), "is a file"),
    (("generat", PROMPT), "generate"),
    ((), "COMMAND"),
]


@pytest.mark.parametrize("argv, word", MISTAKES, ids=[f"{i}-{word}" for i, (_, word) in enumerate(MISTAKES)])
def test_mistakes_are_one_sentence(argv, word, smoke_run, picture, tmp_path, fails):
    names = {"OUT": tmp_path / "out", "RUN": smoke_run, "PICTURE": picture}
    for name, path in names.items():
        argv = [a.replace(name, str(path)) for a in argv]
    assert word in fails(*argv)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", build_parser()[1])
def test_help_has_an_example_that_is_understood(name):
    parser, made = build_parser()
    example = made[name].format_help().split("example: python -m mini_sora ")[1]
    words = shlex.split(example)
    assert words[0] == name and parser.parse_args(words).command == name


def test_links_are_replaced_and_not_followed(smoke_run, tmp_path, capsys):
    """What a name points to outside of the directory stays as it is, and what is not there is not made."""
    mine, folder = tmp_path / "mine.gif", tmp_path / "many"
    mine.write_bytes(b"mine")
    folder.mkdir()
    (folder / "00.gif").symlink_to(mine)
    (tmp_path / "link.gif").symlink_to(tmp_path / "nowhere.gif")
    flags = ["--weights", str(smoke_run), "--steps", "1", "--frames", "5", "--force"]
    assert main(["generate", PROMPT, PROMPT, "-o", str(folder), *flags]) == 0
    assert main(["generate", PROMPT, "-o", str(tmp_path / "link.gif"), *flags]) == 0
    assert mine.read_bytes() == b"mine" and not (folder / "00.gif").is_symlink()
    assert not (tmp_path / "nowhere.gif").exists() and (tmp_path / "link.gif").stat().st_size > 100


def test_ctrl_c_leaves_nothing(smoke_run, tmp_path, capsys, monkeypatch):
    def stream(sora, *_, **__):
        yield np.zeros((1, 17, 32, 32, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(MiniSora, "stream", stream)
    assert main(["generate", PROMPT, "-o", str(tmp_path / "v.gif"), "--weights", str(smoke_run)]) == 130
    assert "stopped" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_bar_does_not_show_what_is_done_at_once(capsys):
    with viz.progress_bar("work") as progress:
        for done in range(5):
            progress(done, 5)
    assert capsys.readouterr().err == ""


def test_a_bar_tells_at_once_what_is_begun(capsys):
    with viz.progress_bar() as progress:
        progress(0, 5, "the long part")
        assert "the long part" in capsys.readouterr().err


def test_a_bar_tells_the_time_that_is_left(smoke_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(viz, "tqdm", lambda **o: tqdm(**{**o, "delay": 0, "mininterval": 0}))
    argv = ["generate", PROMPT, "--seconds", "8", "--steps", "2", "-o", str(tmp_path / "v.gif")]
    assert main([*argv, "--weights", str(smoke_run)]) == 0
    captured = capsys.readouterr()
    assert re.search(r"denoising +\d+% .* left", captured.err) and "of 4 pieces of 2 seconds" in captured.out


@pytest.mark.parametrize("flag", ["--steps=0", "--guidance=nan", "--sampler=magic", "--best-of=0"])
def test_settings_are_refused_before_the_work(flag, tmp_path, monkeypatch, fails):
    monkeypatch.setattr(MiniSora, "from_pretrained", lambda *a, **o: pytest.fail("loaded"))
    name = flag[2:].split("=")[0].replace("-", "_")
    assert name in fails("generate", PROMPT, "-o", str(tmp_path / "v.gif"), flag)


def test_an_agent_is_told_what_to_do(tmp_path, capsys, monkeypatch):
    asked, film = [], MiniSora._film
    monkeypatch.setattr(
        MiniSora, "_film", lambda *a, actions, **o: asked.append(actions) or film(*a, actions=actions, **o)
    )
    flags = ["--weights", "tiny", "--steps", "1", "--best-of", "1", "--actions", "right:2, stay,up"]
    agent, path = "a white agent", str(tmp_path / "v.webp")
    assert main(["generate", agent, "-o", path, *flags]) == 0
    assert asked.pop().tolist() == [[3, 3, 1, 4]] and len(read_video(path)) == 5
    assert re.search(r"; \d of 4 actions lead where they may]", capsys.readouterr().out)
    assert main(["generate", agent, agent, "-o", str(tmp_path / "two"), *flags]) == 0
    assert asked.pop().tolist() == 2 * [[3, 3, 1, 4]]
    assert capsys.readouterr().out.count(" of 4 actions lead where they may]") == 2
    picture = tmp_path / "p.png"
    Image.new("RGB", (32, 32)).save(picture)
    assert main(["animate", str(picture), agent, "-o", path, "--force", *flags]) == 0
    assert asked.pop().tolist() == [[3, 3, 1, 4]]
    capsys.readouterr()


def test_debug_shows_the_traceback(smoke_run):
    with pytest.raises(UserError, match="empty"):
        main(["generate", "", "-o", "x.gif", "--weights", str(smoke_run), "--debug"])


def test_evaluate_prints_the_table(smoke_run, tmp_path, capsys, fails):
    out = tmp_path / "report"
    assert main(["evaluate", "--weights", str(smoke_run), "--count", "4", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "ceiling" in printed and "95% interval" in printed and "falls short" in printed
    assert {path.name for path in out.iterdir()} == {"report.json", "clips", "failures"}
    pictures = {f"{kind}{row}.png" for kind in ("", "vae-") for row in ("shapes-simple", "heldout")}
    assert {path.name for path in (out / "clips").iterdir()} == pictures
    again = ("evaluate", "--weights", str(smoke_run), "--count", "4", "-o", str(out))
    assert "exists" in fails(*again)
    assert main([*again, "--resume"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == printed.splitlines()[:3]
    assert "exclude" in fails(*again, "--resume", "--force")
    (out / "report.json").write_text('{"rows": 3, "tasks": null}')
    assert main([*again, "--force"]) == 0
    own = out / "clips" / "holiday.png"
    own.touch()
    assert main([*again, "--force", "--rows", "heldout"]) == 0
    assert {path.name for path in own.parent.iterdir()} == {"heldout.png", "vae-heldout.png", own.name}
    for broken, said in (("", "no report"), ("[1]", "no report"), ('{"rows": {}}', "other weights")):
        (out / "report.json").write_text(broken)
        assert said in fails(*again, "--resume")
    assert "no report" in fails(*again[:-1], tmp_path / "none", "--resume")
    assert "-o" in fails(*again[:-2], "--resume")


def test_prompts_of_a_file_are_judged(smoke_run, tmp_path, capsys):
    listed, out = tmp_path / "prompts.txt", tmp_path / "report"
    listed.write_text(f"{PROMPT}\n\n  the square is blue\ndogs\n")
    argv = ["evaluate", "--weights", str(smoke_run), "--prompts", str(listed), "-o", str(out)]
    assert main(argv) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("  [")[0] for line in printed[:3]] == [PROMPT, "the square is blue", "dogs"]
    assert printed[2].endswith("[not judged]") and " of 2 right, " in printed[3]
    report = json.loads((out / "report.json").read_text())
    assert [right for *_, right in report["prompts"]][2] is None and 0 <= report["right"] <= 1
    assert [path.name for path in (out / "clips").iterdir()] == ["prompts.png"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
    ],
)
def test_too_little_memory_is_one_sentence(error, smoke_run, tmp_path, monkeypatch, fails):
    def stream(*_, **__):
        raise error

    monkeypatch.setattr(MiniSora, "stream", stream)
    argv = ("generate", PROMPT, "-o", tmp_path / "v.gif", "--weights", smoke_run)
    assert "out of memory" in fails(*argv) and list(tmp_path.iterdir()) == []


def test_what_is_not_judged_is_not_wrong(smoke_run, tmp_path, capsys):
    argv = ["generate", "a dog", "--seconds", "6", "--steps", "1", "--weights", str(smoke_run)]
    assert main([*argv, "-o", str(tmp_path / "v.gif")]) == 0
    assert "[not judged]" in capsys.readouterr().out


def test_a_run_that_has_no_model_yet_is_not_mistaken_for_another(smoke_run, tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick").mkdir()
    shutil.copy(smoke_run / "config.json", tmp_path / "quick")
    argv = ("generate", PROMPT, "-o", "v.gif", "--weights", "quick")
    assert "no model yet" in fails(*argv)


def test_a_moving_picture_is_not_animated(smoke_run, tmp_path, fails):
    Video(make_clip("shapes", 0, (32, 32), 5).video).save(tmp_path / "v.gif")
    argv = ("animate", tmp_path / "v.gif", PROMPT, "-o", tmp_path / "out.gif", "--weights", smoke_run)
    assert "extend goes on from one" in fails(*argv)


def test_a_prompt_that_is_no_text_is_drawn_all_the_same(smoke_run, tmp_path, capsys):
    argv = ["generate", PROMPT, "red \udcff", "-o", str(tmp_path / "many"), "--weights", str(smoke_run)]
    assert main([*argv, "--steps", "1"]) == 0 and (tmp_path / "many" / "sheet.png").exists()


def test_a_name_that_is_too_long_is_refused_before_the_work(smoke_run, tmp_path, fails):
    argv = ("generate", PROMPT, "-o", tmp_path / f"{'x' * 248}.gif", "--weights", smoke_run)
    assert "another name" in fails(*argv)


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "torch" in printed and "quick: intact" in printed
