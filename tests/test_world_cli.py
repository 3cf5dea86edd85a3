"""The command line of the world: what it writes, and what it refuses."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from data_gen import make_clip
from data_gen.__main__ import main as data_gen


def test_data_gen_writes_clips(tmp_path, fails):
    argv = ["shapes", "--seed", "7", "--count", "2", "-o", str(tmp_path / "clips")]
    assert data_gen(argv) == 0
    assert len(list((tmp_path / "clips").glob("*.gif"))) == len(list((tmp_path / "clips").glob("*.txt"))) == 2
    assert "exists" in fails(*argv, command=data_gen)
    assert data_gen([*argv, "--force"]) == 0
    for path in (tmp_path / "clips").glob("*.gif"):
        with Image.open(path) as image:
            shown = [image.seek(i) or image.info["duration"] for i in range(image.n_frames)]
        assert len(shown) == 17 and abs(sum(shown) - 17 * 125) <= 5, "8 frames a second"


def test_data_gen_draws_pictures_of_128_pixels(tmp_path, capsys):
    assert data_gen(["shapes", "--seed", "3", "--frames", "1", "-o", str(tmp_path)]) == 0
    line = capsys.readouterr().out
    (text,) = tmp_path.glob("*.txt")
    clip = make_clip("shapes", 3, frames=1)
    assert text.read_text().split("\n")[0] == clip.caption and clip.caption in line and "[right]" in line
    (picture,) = (path for path in tmp_path.iterdir() if path != text)
    with Image.open(picture) as image:
        assert min(image.size) == 128


def test_data_gen_writes_below_no_file(tmp_path, fails):
    (tmp_path / "file").write_bytes(b"mine")
    assert "file" in fails("shapes", "-o", tmp_path / "file" / "clips", command=data_gen)


def test_data_gen_shows_any_path(tmp_path):
    argv = [sys.executable, "-m", "data_gen", "shapes", "-o", os.fsencode(tmp_path) + b"/clips\xff"]
    done = subprocess.run(argv, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and b"\\udcff" in done.stdout, done.stderr


def test_data_gen_follows_no_link(tmp_path, fails):
    mine, folder = tmp_path / "mine.txt", tmp_path / "clips"
    mine.write_bytes(b"mine")
    folder.mkdir()
    (folder / "shapes-train-000000.gif").symlink_to(tmp_path / "nowhere")
    (folder / "shapes-train-000000.txt").symlink_to(mine)
    argv = ["shapes", "-o", str(folder)]
    assert "exists" in fails(*argv, command=data_gen)
    assert data_gen([*argv, "--force"]) == 0
    assert mine.read_bytes() == b"mine" and not (tmp_path / "nowhere").exists()
    assert sorted(path.name for path in folder.iterdir()) == [
        "shapes-train-000000.gif",
        "shapes-train-000000.txt",
    ]


def test_data_gen_replaces_no_picture_unasked(tmp_path, fails):
    (tmp_path / "shapes.png").write_bytes(b"mine")
    assert "exists" in fails("--gallery", tmp_path, command=data_gen)
    assert (tmp_path / "shapes.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "change, word",
    [
        (("--size", "33x32"), "33"),
        (("--frames", "4"), "1 + 4n"),
        (("--count", "0"), "--count"),
        (("--seed", "-2"), "seed"),
        (("--split", "x"), "split"),
        (("--colour", "x"), "--colour"),
    ],
)
def test_data_gen_mistakes(change, word, tmp_path, fails):
    assert word in fails("shapes", "-o", tmp_path / "c", *change, command=data_gen)
    assert not (tmp_path / "c").exists()
