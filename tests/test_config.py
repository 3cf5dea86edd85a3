import json

import pytest

from mini_sora.config import Parser, UserError, add_flags, difference, from_dict, to_dict, with_flags
from mini_sora.fit import FitConfig
from mini_sora.model import ModelConfig, SamplerConfig
from mini_sora.presets import PRESETS, TrainConfig
from mini_sora.vae import VAEConfig


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(PRESETS[name])))) == PRESETS[name]


def test_flags_replace_settings():
    changed = with_flags(
        PRESETS["quick"], {"dit.fit.steps": "7", "model.size": "24x40", "vae.kl_weight": "0.5"}
    )
    assert (changed.dit.fit.steps, changed.model.size, changed.vae.kl_weight) == (7, (24, 40), 0.5)
    assert changed.vae.fit == PRESETS["quick"].vae.fit
    lists = {"data.sides": "24,32,32", "model.families": "shapes,play", "data.wide": "true"}
    changed = with_flags(PRESETS["quick"], lists)
    assert changed.data.sides == (24, 32, 32) and changed.model.families == ("shapes", "play")
    assert changed.data.wide is True


@pytest.mark.parametrize(
    "path, text, field",
    [
        ("dit.fit.steps", "0", "steps"),
        ("dit.fit.steps", "many", "steps"),
        ("dit.fit.adam_rate", "nan", "adam_rate"),
        ("dit.fit.adam_rate", "-1", "adam_rate"),
        ("dit.fit.batch", "99999999999", "batch"),
        ("dit.fit.precision", "float8", "precision"),
        ("model.size", "33x32", "33"),
        ("model.size", "32", "size"),
        ("model.frames", "16", "16 frames"),
        ("model.frames", "0", "0 frames"),
        ("model.vae.channels", "-4", "channels"),
        ("model.sampling.schedule", "sigmoid", "schedule"),
        ("dit.time.kind", "normal", "kind"),
        ("judged", "0", "judged"),
        ("model.families", "shapes,dogs", "dogs"),
        ("data.sides", "32,36", "sides"),
        ("data.sides", "", "sides"),
        ("data.frames", "17,16", "16"),
        ("data.wide", "yes", "true or false"),
        ("model.vae.space_stride", "3", "space_stride"),
        ("vae.frames", "7", "7 frames"),
        ("model.dit.heads", "7", "heads"),
        ("vae.frames", "6", "frames"),
        ("dit.shown", "-1", "shown"),
        ("vae.shown", "1.5", "shown"),
    ],
)
def test_impossible_settings_are_refused_by_name(path, text, field):
    with pytest.raises(UserError, match=field):
        with_flags(PRESETS["quick"], {path: text})


@pytest.mark.parametrize("value", [[], [1, 2], "4", None, {}])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(UserError, match="steps"):
        from_dict(SamplerConfig, {"steps": value})


@pytest.mark.parametrize("part", ["vae", "dit"])
def test_what_is_not_kept_cannot_be_shown_again(part):
    with pytest.raises(UserError, match="set stored, too"):
        with_flags(PRESETS["quick"], {f"{part}.stored": "0", f"{part}.shown": "4"})


def test_unknown_settings_are_refused():
    with pytest.raises(UserError, match="'chanels'; did you mean 'channels'"):
        from_dict(VAEConfig, {"chanels": 4})
    with pytest.raises(UserError, match="type int"):
        from_dict(VAEConfig, {"channels": "4"})


def test_differences_are_listed_by_path():
    a = to_dict(ModelConfig())
    b = to_dict(ModelConfig(sampling=SamplerConfig(steps=9), frames=5))
    assert difference(a, b) == ["frames: 17 against 5", f"sampling.steps: {a['sampling']['steps']} against 9"]
    assert difference(a, a) == []


def test_an_unknown_flag_names_the_closest():
    parser = Parser()
    add_flags(parser, FitConfig(), "quick")
    with pytest.raises(UserError, match="did you mean '--batch'"):
        parser.parse_args(["--batsh", "3"])
