"""What is shipped is what was measured: the weights, their reports, and the tables of the README."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from data_gen import code_digest
from mini_sora import Captioner, MiniSora
from mini_sora.config import from_dict
from mini_sora.evaluate import judge
from mini_sora.model import ModelConfig
from mini_sora.pipeline import JUDGED_AT, LOSS_COUNTS
from mini_sora.pretrained import WEIGHTS, is_captioner
from mini_sora.recaption import table_of_captions
from mini_sora.report import digest, table
from mini_sora.rows import Row, film

README = (Path(__file__).parent.parent / "README.md").read_text()
SHIPPED = [pytest.param(path, id=path.name) for path in sorted(WEIGHTS.iterdir()) if path.is_dir()]


@pytest.mark.parametrize("folder", SHIPPED)
def test_the_report_is_of_these_weights(folder):
    model = (Captioner if is_captioner(folder) else MiniSora).from_pretrained(folder)
    report = json.loads((folder / "report.json").read_text())
    assert report["digest"] == digest(model)
    if folder.name != "tiny":  # whose tasks take hours, and were measured by an earlier checker
        assert report["world"] == code_digest()[:16], "measured in another world; evaluate it again"
    if isinstance(model, MiniSora):
        assert from_dict(ModelConfig, report["config"]) == model.config
        chosen = model.config.sampling.best_of > 1
        assert report.get("captioner") == (digest(model.captioner) if chosen else None)
        assert report.get("fitness") == ([JUDGED_AT, LOSS_COUNTS] if chosen else None)


@pytest.mark.parametrize("folder", SHIPPED)
def test_the_readme_has_the_whole_report(folder):
    changed = ["git", "-C", folder, "status", "--porcelain", "."]
    if shutil.which("git") and subprocess.run(changed, capture_output=True, check=False).stdout:
        pytest.skip("these weights were made anew, and the README tells of those that are committed")
    told = table_of_captions if is_captioner(folder) else table
    parts = told(json.loads((folder / "report.json").read_text())).split("\n\n")
    assert [part for part in parts if f"\n{part}\n" not in README] == []


@pytest.mark.parametrize("name", ["quick", "simple", "tiny"])
def test_what_is_shipped_films_what_is_asked(name):
    """As well as its report says, whatever has changed in how it is asked."""
    sora, row = MiniSora.from_pretrained(name), Row("", "shapes-simple")
    clips = row.clips(8)
    reports = judge(film(sora, row, clips), [clip.caption for clip in clips])
    assert sum(report.ok for report in reports) >= 7


@pytest.mark.parametrize("folder", SHIPPED)
def test_it_is_small(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000_000
