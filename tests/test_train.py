"""The big presets take their first steps, at a batch of one; others go on from weights that are shipped."""

import resource
from dataclasses import replace

import pytest
import torch
from PIL import Image

from data_gen import parse
from mini_sora.data import Shots
from mini_sora.fit import FitConfig, fit
from mini_sora.model import Sora
from mini_sora.presets import PRESETS
from mini_sora.text import Tokenizer
from mini_sora.train import Stages, course, dit_objective, stream, vae_objective
from mini_sora.vae import VAE

FIRST = FitConfig(steps=1, batch=1, preview_every=10, save_every=10)


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_first_steps(name, tmp_path, capsys):
    config = PRESETS[name]
    side = config.model.size[0]
    config = replace(config, data=replace(config.data, sides=(side,), frames=(5,), wide=False, most=1))
    data = stream(config, 1, longest=5)
    torch.manual_seed(0)
    vae, value = fit(
        VAE(config.model.vae), vae_objective(config, "cpu"), data, FIRST, tmp_path / "v", quiet=True
    )
    assert value > 0
    vae.measure_latents([torch.rand(2, 3, 5, side, side)])
    network, tokenizer = Sora(config.model), Tokenizer([])

    def encode(shots):
        assert shots.clips.shape == (1, 5, side, side, 3)
        return Shots(vae.encode(torch.rand(1, 3, 5, side, side)).detach(), shots.prompts, shots.actions)

    loss = dit_objective(config, tokenizer, "cpu", encode)
    network, value = fit(network, loss, stream(config, 1), FIRST, tmp_path / "d", quiet=True)
    assert 0.1 < value < 10
    count = sum(p.numel() for p in network.parameters()) / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        print(f"\n{name}: {count:.1f}M parameters, first steps at batch 1 within {memory:.1f} GB")


def test_what_is_easy_is_shown_first():
    config = PRESETS["tiny"]
    dit = replace(config.dit, course=(2, 3), fit=replace(config.dit.fit, steps=25))
    config = replace(config, data=replace(config.data, long_prompts=1.0), dit=dit)
    shown = [course(config, 8)[i] for i in range(25)]
    assert all(shots.clips.shape == (8, 17, 32, 32, 3) for shots in shown[:5])
    assert len({shots.clips.shape[1:] for shots in shown[5:]}) > 5, "then come all sizes and lengths"
    bodies = [parse(prompt)["scene", "count"] for shots in shown[:2] for prompt in shots.prompts]
    assert set(bodies) == {1} and not any(shots.actions.any() for shots in shown[:2])
    assert any(shots.actions.any() for shots in shown[2:5]), "then come all families, play among them"
    words = [[len(prompt.split()) for prompt in shots.prompts] for shots in shown]
    assert max(map(max, words[:5])) < 15 and max(map(max, words[5:])) >= 60, "long prompts come last"
    prompts = [prompt for shots in shown for prompt in shots.prompts]
    assert len(set(prompts)) > 0.9 * len(prompts), "no part shows another's scenes again"


def test_ones_own_clips_have_no_easy_part(tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("all red")
    config = PRESETS["tiny"]
    config = replace(config, data=replace(config.data, folder=str(tmp_path), frames=(1,)))
    assert course(config, 2)[0].prompts == ["all red"] * 2


@pytest.mark.parametrize("name", [name for name, config in PRESETS.items() if config.start])
def test_what_a_preset_starts_from_fits_it(name, tmp_path):
    stages = Stages(PRESETS[name], tmp_path, resume=False, device="cpu", inexact=False, quiet=True)
    assert stages.train_vae()[0] is stages.start.vae
