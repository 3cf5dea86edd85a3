"""The README keeps its word: its commands run, its tree is the tree, its pictures and links exist."""

import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from mini_sora.__main__ import build_parser
from mini_sora.__main__ import main as mini_sora

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
COMMANDS = [
    line.strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()
]


def test_make_targets_exist():
    targets = [command.split() for command in COMMANDS if command.startswith("make ")]
    assert {"demo", "test", "quick"} <= {words[1] for words in targets}
    for words in targets:
        done = subprocess.run([*words[:2], "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["demo", "quick", "weights", "bench", "sweep"])
def test_what_make_runs_is_understood(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    lines = [x for x in done.stdout.replace("\\\n", " ").splitlines() if "-m mini_sora " in x]
    assert lines
    for line in lines:
        build_parser()[0].parse_args(shlex.split(line.split("-m mini_sora ")[1]))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m mini_sora")])
def test_mini_sora_commands_run(command, smoke_run, tmp_path, monkeypatch):
    words = shlex.split(command)[3:]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_clips").mkdir()
    read = [word for before, word in pairwise(words) if before != "-o" and words[0] != "generate"]
    given = [name for name in ("circle.gif", "other.gif", "picture.png") if name in read]
    for name in (*given, "my_clips/one.gif"):
        Image.new("RGB", (40, 32), "red").save(name, **({"duration": 2125} if "gif" in name else {}))
    (tmp_path / "my_clips" / "one.txt").write_text("red all over")
    (tmp_path / "prompts.txt").write_text("a red circle moves left\na blue square rises\n")
    if words[0] == "gallery":
        words[words.index("simple")] = str(smoke_run)
    if "--seconds" in words:
        words[words.index("--seconds") + 1] = "6"
    if words[0] == "train":
        smaller = {"quick": "smoke", "simple": "smoke", "captioner": "captioner-smoke"}
        words = [smaller.get(word, word) for word in words]
        if "--start" in words:
            words[words.index("--start") + 1] = str(smoke_run)
    if words[0] == "bench":
        words[words.index("tiny")] = "smoke"
    if "--count" in words:
        words[words.index("--count") + 1] = "2"
    if "--resume" in words:
        assert mini_sora([word for word in words if word != "--resume"]) == 0
    assert mini_sora(words) == 0


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python -m data_gen")])
def test_data_gen_commands_run(command, tmp_path, monkeypatch):
    from data_gen.__main__ import main as data_gen

    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[3:]
    if words[0] == "verify":  # so few clips prove nothing, so a figure may be missed
        assert data_gen(["verify", "--clips", "3", "--scenes", "20", "--only", "shapes,play"]) in (0, 1)
    else:
        assert data_gen(words) == 0


def test_every_command_is_run_by_a_test():
    known = ("make ", "python -m mini_sora ", "python -m data_gen ", "git clone ", "cd ")
    assert all(command.startswith(known) for command in COMMANDS), COMMANDS


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


def test_the_tree_is_the_tree():
    tree = next(text for kind, text in BLOCKS if kind == "text" and "data_gen/" in text)
    listed = set(re.findall(r"\b(\w+)\.py\b", tree))
    files = {path.stem for package in ("data_gen", "mini_sora") for path in (ROOT / package).glob("*.py")}
    assert listed == files - {"__init__"}


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_command_has_help_and_an_example():
    _, commands = build_parser()
    for name, parser in commands.items():
        text = parser.format_help()
        assert f"example: python -m mini_sora {name}" in " ".join(text.split())
