"""Faults 5, 7, 13, 14, 18 and 19, and what a training loop must do: learn, save, go on exactly."""

import dataclasses
import json
import time

import pytest
import torch
from torch import nn

from mini_sora import checkpoint
from mini_sora.config import UserError
from mini_sora.fit import EMA, FitConfig, _optimizers, compute_dtype, fit, rate_at, step_generator

CONFIG = FitConfig(steps=12, batch=8, warmup=2, precision="float32", save_every=4, preview_every=6)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.enter = nn.Linear(3, 8)
        self.blocks = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
        self.leave = nn.Linear(8, 2)

    def forward(self, x):
        return self.leave(self.blocks(self.enter(x.to(self.enter.weight.dtype)))).float()


def loss(forward, batch, generator):
    x = torch.randn(8, 3, generator=generator)
    return (forward(x) - x[:, :2].sin()).pow(2).mean()


def run(out, config=CONFIG, loss=loss, data=range(10**6), **options):
    return fit(Net(), loss, data, config, out, quiet=True, **options)


def state(out):
    return checkpoint.load_latest(out / "checkpoints")[0]


def same(a, b):
    return (
        all(torch.equal(a[part][key], b[part][key]) for part in a for key in a[part]) and a.keys() == b.keys()
    )


class Stop(Exception):
    pass


def stopping_at(step):
    """The loss, until a step at which the process dies."""
    calls = []

    def dying(forward, batch, generator):
        calls.append(1)
        if len(calls) > step:
            raise Stop
        return loss(forward, batch, generator)

    return dying


def test_it_learns_and_leaves_its_traces(tmp_path):
    config = dataclasses.replace(CONFIG, steps=300, save_every=100, preview_every=150)
    shown = []

    def preview(model):
        shown.append(model.leave.weight.clone())
        return {"score": 1.5}, b"picture"

    model, last = run(tmp_path, config, preview=preview)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 300 and sum(losses[-20:]) < 0.1 * sum(losses[:20])
    rates = [row["rate"] / config.adam_rate for row in rows if "loss" in row]  # as the optimizer had them
    assert rates == pytest.approx([rate_at(step, config) for step in range(300)])
    assert {"step": 149, "score": 1.5} in rows
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "samples" / "step-0000150.png").read_bytes() == b"picture"
    assert [step for step, _ in checkpoint.steps_of(tmp_path / "checkpoints")] == [200, 300]
    averaged = state(tmp_path)["ema"]
    assert all(torch.equal(p, averaged[name]) for name, p in model.named_parameters())
    assert torch.equal(shown[-1], averaged["leave.weight"]), "what is shown is what is kept"
    assert abs(last - sum(losses[-100:]) / 100) < 1e-6


@pytest.mark.parametrize("died_at", [0, 3, 4, 9])
def test_resume_equals_uninterrupted_bit_for_bit(tmp_path, died_at):
    run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "cut", loss=stopping_at(died_at))
    run(tmp_path / "cut", resume=True)
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))
    metrics = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "waited")}
            for line in path.read_text().splitlines()
        ]
        for path in (tmp_path / "whole" / "metrics.jsonl", tmp_path / "cut" / "metrics.jsonl")
    ]
    assert metrics[0] == metrics[1]


def test_what_was_learned_is_kept_where_it_cannot_be_shown(tmp_path):
    def preview(model):
        raise Stop

    def shown(model):
        return {"score": 1.5}, b"picture"

    config = dataclasses.replace(CONFIG, preview_every=12)
    with pytest.raises(Stop):
        run(tmp_path, config, preview=preview)
    assert checkpoint.steps_of(tmp_path / "checkpoints")[-1][0] == 12
    run(tmp_path, config, preview=shown, resume=True)
    assert (tmp_path / "samples" / "step-0000012.png").read_bytes() == b"picture"
    run(tmp_path, config, preview=preview, resume=True)  # as it has been shown


def test_a_run_goes_on_without_what_it_told(tmp_path):
    config = dataclasses.replace(CONFIG, preview_every=4)
    with pytest.raises(Stop):
        run(tmp_path, config, loss=stopping_at(5))
    (tmp_path / "metrics.jsonl").unlink()
    run(tmp_path, config, resume=True)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 8


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_update(tmp_path, poison):
    def poisoned(forward, batch, generator, calls=[]):  # noqa: B006 (the list counts the calls)
        calls.append(1)
        value = loss(forward, batch, generator)
        if len(calls) != 7:
            return value
        return value * float("nan") if poison == "loss" else value + (value - value.detach()).abs().sqrt()

    net, good = Net(), Net()
    with pytest.raises(UserError, match=r"not finite at step 6 .*seed 5.*step-0000004"):
        fit(net, poisoned, range(100), CONFIG, tmp_path, seed=5, quiet=True)
    assert checkpoint.load_latest(tmp_path / "checkpoints")[1]["step"] == 4
    with pytest.raises(Stop):
        fit(good, stopping_at(6), range(100), CONFIG, tmp_path / "good", seed=5, quiet=True)
    assert all(map(torch.equal, net.parameters(), good.parameters())), "as they were after step 5"


def test_batches_come_in_order_and_resume_where_they_stopped(tmp_path):
    seen = []

    def noting(forward, batch, generator):
        seen.append(batch)
        if len(seen) == 7:
            raise Stop
        return loss(forward, batch, generator)

    data = range(100, 200)
    with pytest.raises(Stop):
        run(tmp_path, loss=noting, data=data)
    run(tmp_path, loss=noting, data=data, resume=True)
    assert seen == [*range(100, 107), *range(104, 112)]


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing_but_the_time(tmp_path, workers):
    def follow(forward, batch, generator):
        return (forward(batch) - batch[:, :2].sin()).pow(2).mean()

    data = [torch.randn(8, 3, generator=torch.Generator().manual_seed(i)) for i in range(12)]
    run(tmp_path / "one", loss=follow, data=data)
    run(tmp_path / "two", dataclasses.replace(CONFIG, workers=workers), loss=follow, data=data)
    assert same(state(tmp_path / "one"), state(tmp_path / "two"))


def test_the_time_that_is_waited_for_data_is_told(tmp_path):
    class Slow(list):
        def __getitem__(self, i):
            time.sleep(0.02)
            return super().__getitem__(i)

    run(tmp_path, data=Slow(range(12)))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "waited" in row]
    assert rows and all(0.02 <= row["waited"] <= row["seconds"] for row in rows)


def test_an_earlier_run_is_never_overwritten(tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match="--resume"):
        run(tmp_path)


def test_other_settings_are_listed(tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match=r"fit\.batch: 8 against 9.*seed: 0 against 1"):
        run(tmp_path, dataclasses.replace(CONFIG, batch=9), seed=1, resume=True)


def test_another_thread_count_is_refused_unless_asked_for(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, loss=stopping_at(5))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(UserError, match="threads"):
            run(tmp_path, resume=True)
        run(tmp_path, resume=True, inexact=True)
    finally:
        torch.set_num_threads(threads)


def test_another_world_is_refused_unless_asked_for(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, loss=stopping_at(5), place={"world": "a"})
    with pytest.raises(UserError, match="world: a against b"):
        run(tmp_path, resume=True, place={"world": "b"})
    run(tmp_path, resume=True, place={"world": "b"}, inexact=True)


def test_randomness_depends_on_seed_and_step_alone():
    draws = {(s, i): torch.rand(1, generator=step_generator(s, i)).item() for s in range(3) for i in range(3)}
    assert len(set(draws.values())) == 9
    assert torch.rand(1, generator=step_generator(2, 1)).item() == draws[2, 1]


def test_rate_rises_stays_and_falls_to_zero():
    config = FitConfig(steps=100, warmup=10, decay=0.5)
    rates = [rate_at(step, config) for step in range(101)]
    assert rates[0] == 0.1 and rates[9:51] == [1.0] * 42 and rates[75] == 0.5 and rates[100] == 0


def test_gradients_are_cut_to_a_length(tmp_path, monkeypatch):
    norms, take = [], torch.optim.AdamW.step

    def noting(self, *args):
        norms.append(torch.cat([p.grad.flatten() for p in self.param_groups[0]["params"]]).norm().item())
        return take(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    run(tmp_path, dataclasses.replace(CONFIG, clip=0.01, muon_rate=0.0))
    assert norms == pytest.approx([0.01] * 12, rel=1e-3)


def test_hidden_matrices_go_to_muon_and_all_else_to_adam():
    net = Net()
    adam, muon = (optimizer.param_groups[0]["params"] for optimizer in _optimizers(net, CONFIG))
    assert list(map(id, muon)) == [id(net.blocks[0].weight), id(net.blocks[2].weight)]
    assert len(adam) == 6 and not {*map(id, adam)} & {*map(id, muon)}
    (alone,) = _optimizers(net, dataclasses.replace(CONFIG, muon_rate=0.0))
    assert len(alone.param_groups[0]["params"]) == 8


def test_ema_is_the_average_of_the_past():
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(0.0)
    early, ema = EMA(net, 0.9), EMA(net, 0.9)
    net.weight.data.fill_(1.0)
    early.update(net, 0)
    assert early.weights["weight"].item() == pytest.approx(0.9), "at first it follows closely"
    for step in range(1000, 1003):
        ema.update(net, step)
    torch.testing.assert_close(ema.weights["weight"], torch.full((1, 1), 1 - 0.9**3))
    with ema.inside(net):
        torch.testing.assert_close(net.weight.data, ema.weights["weight"])
    assert net.weight.item() == 1.0


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_weights_are_float32_and_computed_with_as_asked(tmp_path, name):
    class Noting(Net):
        def forward(self, x):
            seen.add(self.enter.weight.dtype)
            return super().forward(x)

    seen, config = set(), dataclasses.replace(CONFIG, precision=name)
    model, _ = fit(Noting(), loss, range(99), config, tmp_path, quiet=True)
    assert seen == {getattr(torch, name)}
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_bfloat16_is_for_processors_that_have_it(monkeypatch):
    for able, kind in (({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert compute_dtype("auto") == kind and compute_dtype("float32") == torch.float32
    for able, kind in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        assert compute_dtype("auto", "cuda") == kind
