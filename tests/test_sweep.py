"""The experiments behind the settings: each is trained once, and only once."""

import os
import time

import pytest

from mini_sora import sweep
from mini_sora.__main__ import main
from mini_sora.config import UserError

TINY = {
    "vae.stored": "2",
    "vae.fit.steps": "2",
    "vae.fit.batch": "2",
    "dit.stored": "2",
    "dit.fit.steps": "2",
    "dit.fit.batch": "2",
    "model.vae.frame_width": "8",
    "model.vae.width": "16",
    "model.sampling.steps": "2",
}


def test_a_sweep_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "BASE", TINY)
    monkeypatch.setattr(sweep, "TRAININGS", {"base": {}, "words": {"model.dit.pooled": "false"}})
    monkeypatch.setattr(sweep, "SAMPLINGS", {"ddpm": {"sampler": "ddpm"}})
    said, told, film = [], [], sweep.film

    def noting(sora, row, clips, **sampling):  # in the processes of the sweep
        (tmp_path / f"asked-{os.getpid()}-{time.time_ns()}").write_text(repr(sampling))
        return film(sora, row, clips, **sampling)

    monkeypatch.setattr(sweep, "film", noting)

    def asked(count):
        return sweep.sweep(tmp_path, 2, count, said.append, lambda *at: told.append(at))

    results = asked(4)
    assert set(results) == {"base", "words", "ddpm"} and len(said) == 6
    filmed = sorted(path.read_text() for path in tmp_path.glob("asked-*"))
    assert filmed == ["{'sampler': 'ddpm'}"] * 2 + ["{}"] * 4
    assert all(set(row) == {"0", "1"} and row["0"][1] > 0 for row in results.values())
    vaes = [(tmp_path / "0" / name / "vae" / "metrics.jsonl").read_text() for name in ("00", "01")]
    assert vaes[0] == vaes[1]  # shared
    lines = sweep.table(results).splitlines()
    assert sum(line.startswith(("base", "words", "ddpm")) for line in lines) == 3

    assert [at[:2] for at in told] == [(n, 6) for n in range(1, 7)]
    assert asked(4) == results and len(said) == len(told) == 6
    with pytest.raises(UserError, match="judged by 4 clips, not by 5"):
        asked(5)


@pytest.mark.parametrize("name", sweep.TRAININGS)
def test_every_variant_can_be_made(name):
    changed = sweep.settings(sweep.TRAININGS[name], 1)
    base = sweep.settings({}, 1)
    assert (changed == base) == (not sweep.TRAININGS[name]) and changed.seed == 1


def test_samplings_are_settings(smoke):
    for name, asked in sweep.SAMPLINGS.items():
        try:
            smoke.generate("a red circle moves left", frames=1, **{**asked, "steps": 1})
        except UserError as error:
            raise AssertionError(name) from error


def test_odd_questions_are_refused(tmp_path, capsys):
    for flag in ("--seeds", "--count"):
        assert main(["sweep", "-o", str(tmp_path / "s"), flag, "0"]) == 2
        assert flag in capsys.readouterr().err and not (tmp_path / "s").exists()
