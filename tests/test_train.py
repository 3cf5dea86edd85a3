"""The big presets take their first steps, at a batch of one; others go on from weights that are shipped."""

import copy
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from data_gen import parse
from mini_sora.config import UserError
from mini_sora.data import Replayed, Shots, Stored, Stream, batches, to_pixels
from mini_sora.fit import FitConfig, fit, step_generator
from mini_sora.model import Sora
from mini_sora.objectives import course, dit_objective, reused, stream, to_latents, vae_objective
from mini_sora.presets import PRESETS
from mini_sora.text import Tokenizer
from mini_sora.train import Stages, prepare
from mini_sora.vae import VAE

FIRST = FitConfig(steps=1, batch=1, preview_every=10, save_every=10)


def first_steps(name, out):
    """First steps of a preset, a batch of one: (weights without the VAE, peak memory of the process, GB)."""
    config = PRESETS[name]
    side = config.model.size[0]
    data = replace(config.data, sides=(side,), frames=(17,), wide=False, most=1)
    vae, dit = replace(config.vae, fit=FIRST), replace(config.dit, course=(0, 0), fit=FIRST)
    config = replace(config, data=data, vae=vae, dit=dit)
    data = stream(config, 1, longest=config.vae.frames)
    torch.manual_seed(0)
    vae, value = fit(VAE(config.model.vae), vae_objective(config, "cpu"), data, FIRST, out / "v", quiet=True)
    assert value > 0
    vae.measure_latents([to_pixels(data[0].clips)])
    network, tokenizer = Sora(config.model), Tokenizer([])
    loss = dit_objective(config, tokenizer, "cpu", to_latents(vae, "float32"))
    network, value = fit(network, loss, stream(config, 1), FIRST, out / "d", quiet=True)
    assert 0.1 < value < 10
    return sum(p.numel() for p in network.parameters()), peak_memory()


def peak_memory():
    """Of this process, in GB; what it was forked from does not count."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_first_steps(name, tmp_path, record_property):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        before = alone.submit(peak_memory).result()
        count, memory = alone.submit(first_steps, name, tmp_path).result()
    assert before < memory < 20
    told = f"{name}: {count / 1e6:.1f}M parameters, first steps at batch 1 within {memory:.1f} GB"
    record_property("told", told)  # which the summary prints


def test_the_network_is_shown_what_the_settings_say():
    """Of a thousand clips, with a network that only notes what it is shown."""
    config, many, asked = PRESETS["tiny"], 1000, []

    def forward(z_t, t, tokens, mask, actions):
        asked.append((t, mask, actions))
        return torch.zeros_like(z_t)

    shots = Shots(torch.zeros(many, 1, 5, 1, 1), ["a red circle"] * many, torch.ones(many, 16).long())
    dit_objective(config, Tokenizer([]), "cpu")(forward, shots, step_generator(0, 0))
    ((t, mask, actions),), how = asked, config.dit
    clear, dim = (t == 0).any(1), ((t > 0) & (t <= how.history)).any(1)
    left = ~clear & ~dim
    shares = {
        "prompts left out": (mask.sum(1) == 1, how.drop_prompt),
        "actions left out": ((actions == 0).all(1), how.drop_prompt),
        "frames known as they are": (clear, how.known / 2),
        "frames known with some noise": (dim, how.known / 2),
        "times of their own": ((t != t[:, :1]).any(1)[left], how.own_times),
    }
    for what, (found, wanted) in shares.items():
        share = found.float().mean()
        assert abs(share - wanted) < 0.05, f"{what}: {share:.2f} of clips, not {wanted}"
    assert not (clear & dim).any() and (actions == actions[:, :1]).all()
    assert t[left].mean() > 0.6, "most is learned at high noise"


def test_what_is_easy_is_shown_first():
    config = PRESETS["tiny"]
    dit = replace(config.dit, course=(2, 3), fit=replace(config.dit.fit, steps=25))
    config = replace(config, data=replace(config.data, long_prompts=1.0), dit=dit)
    shown = list(batches(course(config, 8), range(25), workers=0))
    assert all(shots.clips.shape == (8, 17, 32, 32, 3) for shots in shown[:5])
    assert len({shots.clips.shape[1:] for shots in shown[5:]}) > 5, "then come all sizes and lengths"
    bodies = [parse(prompt)["scene", "count"] for shots in shown[:2] for prompt in shots.prompts]
    assert set(bodies) == {1} and not any(shots.actions.any() for shots in shown[:2])
    assert any(shots.actions.any() for shots in shown[2:5]), "then come all families, play among them"
    words = [[len(prompt.split()) for prompt in shots.prompts] for shots in shown]
    assert max(map(max, words[:2])) < 15 and max(map(max, words[2:5])) >= 40, "then come long prompts"
    prompts = [prompt for shots in shown for prompt in shots.prompts]
    assert len(set(prompts)) > 0.9 * len(prompts), "no part shows another's scenes again"


def test_a_batch_has_as_many_clips_as_was_said():
    config = PRESETS["tiny"]
    config = replace(config, data=replace(config.data, most=200))
    (_, alone), *_ = course(config, 200).parts
    assert len(alone[0].prompts) == 200
    with pytest.raises(UserError, match=r"data\.most is 31, less than a batch of 32"):
        replace(config, data=replace(config.data, most=31))


def test_other_weights_to_start_from_are_noticed(smoke):
    stages = Stages.__new__(Stages)
    stages.config, stages.start = PRESETS["smoke"], smoke
    before = stages.given()
    other = copy.deepcopy(smoke)
    next(other.sora.parameters()).data += 1
    assert stages.given() == before
    stages.start = other
    assert stages.given() != before


def test_directories_of_others_are_let_alone(tmp_path):
    for force in (False, True):
        out = tmp_path / str(force)
        (out / "model").mkdir(parents=True)
        (out / "model" / "mine.txt").write_text("mine")
        with pytest.raises(UserError, match="holds model of something else"):
            prepare(PRESETS["smoke"], out, force)
        assert (out / "model" / "mine.txt").read_text() == "mine"


def test_a_run_that_dies_while_it_is_replaced_is_still_one(tmp_path, monkeypatch):
    prepare(PRESETS["smoke"], tmp_path, False)
    for name in ("vae", "dit"):
        (tmp_path / name).mkdir()

    def dies(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare(PRESETS["smoke"], tmp_path, True)
    monkeypatch.undo()
    prepare(PRESETS["smoke"], tmp_path, True)
    assert not (tmp_path / "vae").exists() and (tmp_path / "config.json").exists()


@pytest.mark.parametrize(("stored", "shown", "wanted"), [(0, 0, Stream), (9, 0, Stored), (9, 2, Replayed)])
def test_batches_are_kept_as_the_settings_say(stored, shown, wanted):
    how = replace(PRESETS["smoke"].dit, stored=stored, shown=shown)
    data = reused(how, stream(PRESETS["smoke"], 2), 4, change=lambda shots: len(shots.clips))
    assert type(data) is wanted
    if stored:
        assert list(batches(data, range(4), workers=0)) == [2] * 4, "changed, as asked"
    if wanted is Stored:
        assert data.share == 4, "no more than there are steps"


def test_ones_own_clips_have_no_easy_part(tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("all red")
    config = PRESETS["tiny"]
    config = replace(config, data=replace(config.data, folder=str(tmp_path), frames=(1,)))
    assert next(iter(batches(course(config, 2), [0], workers=0))).prompts == ["all red"] * 2


@pytest.mark.parametrize("change", [{"target": "x"}, {"schedule": "cosine"}])
def test_a_start_predicts_what_is_learned(change, tmp_path):
    config = PRESETS["simple"]
    sampling = replace(config.model.sampling, **change)
    config = replace(config, model=replace(config.model, sampling=sampling))
    with pytest.raises(UserError, match=f"sampling.{next(iter(change))}"):
        Stages(config, tmp_path, resume=False, device="cpu", inexact=False, quiet=True)


def test_rare_words_are_known(tmp_path):
    stages = Stages(PRESETS["tiny"], tmp_path, resume=False, device="cpu", inexact=False, quiet=True)
    assert {"several", "directions", "like", "six", "falling"} <= {*stages.words}


@pytest.mark.parametrize("name", [name for name, config in PRESETS.items() if config.start])
def test_what_a_preset_starts_from_fits_it(name, tmp_path):
    stages = Stages(PRESETS[name], tmp_path, resume=False, device="cpu", inexact=False, quiet=True)
    assert stages.train_vae()[0] is stages.start.vae
