"""The command that trains: runs that go on, that start afresh, and that were interrupted."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from mini_sora import fit as fit_module
from mini_sora.__main__ import main
from mini_sora.checkpoint import steps_of


def test_resume_with_other_flags_lists_them(smoke_run, fails):
    argv = ("train", "--preset", "smoke", "--out", smoke_run, "--resume", "--dit.fit.batch", "5")
    assert "dit.fit.batch: 4 against 5" in fails(*argv)


def test_force_deletes_runs_only(tmp_path, fails):
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "config.json").write_text('{"model": "mine"}')
    argv = ("train", "--preset", "smoke", "--out", tmp_path, "--force")
    assert "not the config of a run" in fails(*argv)
    assert (tmp_path / "thesis.txt").read_text() == "mine" and "mine" in (
        tmp_path / "config.json"
    ).read_text()


def test_a_run_that_is_refused_leaves_nothing(tmp_path, fails, monkeypatch):
    out, clips = tmp_path / "run", tmp_path / "clips"
    clips.mkdir()
    assert "nowhere" in fails("train", "--preset", "smoke", "--out", out, "--start", "nowhere")
    assert "no videos" in fails("train", "--preset", "smoke", "--out", out, "--data", clips)
    large = ["--model.size", "256x256", "--data.sides", "256", "--data.wide", "false", "--data.frames", "17"]
    assert "patches" in fails("train", "--preset", "small", "--out", out, *large)
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    frames[0].save(clips / "a.gif", save_all=True, append_images=frames[1:], duration=4000)
    (clips / "a.txt").write_text("all red")
    large = ["--model.size", "256x256", "--data.frames", "33"]
    assert "patches" in fails("train", "--preset", "small", "--out", out, "--data", clips, *large)
    wide = ["--model.dit.width", "4080", "--model.dit.heads", "2", "--model.dit.layers", "256"]
    assert "e+10 parameters" in fails("train", "--preset", "smoke", "--out", out, *wide)
    monkeypatch.setattr(fit_module, "has_compiler", lambda: False)
    assert "C++" in fails("train", "--preset", "smoke", "--out", out, "--dit.fit.compile", "true")
    assert not out.exists()


@pytest.mark.parametrize("part", ["vae", "dit", "expander"])
def test_a_run_that_lost_its_checkpoints_is_not_trained_anew(part, smoke_run, tmp_path, fails):
    shutil.copytree(smoke_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / part / "checkpoints")
    argv = ("train", "--preset", "smoke", "--out", tmp_path / "run", "--resume")
    assert "not the checkpoints" in fails(*argv)


@pytest.mark.parametrize("spoilt", ["{", '{"digest": "another"}'])
def test_a_report_that_is_damaged_or_of_another_model_is_made_anew(smoke_run, tmp_path, spoilt):
    run = shutil.copytree(smoke_run, tmp_path / "run")
    report = run / "report" / "report.json"
    whole = json.loads(report.read_text())["rows"]
    report.write_text(spoilt)
    assert main(["train", "--preset", "smoke", "--out", str(run), "--resume"]) == 0
    assert json.loads(report.read_text())["rows"] == whole


@pytest.mark.parametrize("spoilt", ["{", "[1]", '{"loss": 1}'])
def test_damaged_metrics_are_named(smoke_run, tmp_path, spoilt, fails):
    shutil.copytree(smoke_run, tmp_path / "run")
    with (tmp_path / "run" / "dit" / "metrics.jsonl").open("a") as file:
        file.write(spoilt + "\n")
    argv = ("train", "--preset", "smoke", "--out", tmp_path / "run", "--resume")
    assert "metrics.jsonl is damaged" in fails(*argv)


def test_the_flag_for_other_machines_reaches_the_training(smoke_run, tmp_path, fails):
    shutil.copytree(smoke_run, tmp_path / "run")
    argv = ["train", "--preset", "smoke", "--out", str(tmp_path / "run"), "--resume"]
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert "threads" in fails(*argv)
        assert main([*argv, "--allow-inexact-resume"]) == 0
    finally:
        torch.set_num_threads(threads)


FLAGS = ["--preset", "smoke"]
for stage in ("vae", "dit"):
    FLAGS += [f"--{stage}.fit.steps", "30", f"--{stage}.fit.preview_every", "30"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(["train", *FLAGS, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize(
    "stage, number", [("vae", signal.SIGTERM), ("dit", signal.SIGTERM), ("vae", signal.SIGKILL)]
)
def test_an_interrupted_run_resumes_exactly(stage, number, tmp_path, whole_run):
    """A signal in the middle of a stage; the resumed run makes the very same model."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "mini_sora", "train", *FLAGS, "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not steps_of(out / stage / "checkpoints"):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(number)
    assert process.returncode == (143 if number == signal.SIGTERM else -number)
    assert steps_of(out / stage / "checkpoints")[-1][0] < 30
    assert main(["train", *FLAGS, "--out", str(out), "--resume"]) == 0
    for name in ("sora.safetensors", "vae.safetensors", "expander.safetensors"):
        assert (out / "model" / name).read_bytes() == (whole_run / "model" / name).read_bytes()
