"""CUDA graphs in training: each size recorded once and late, and nothing else is learned."""

from dataclasses import replace

import pytest
import torch

from mini_sora.config import UserError
from mini_sora.fit import FitConfig, fit
from mini_sora.graphs import Recorded
from mini_sora.text import TextConfig, TextEncoder

CONFIG = FitConfig(steps=24, warmup=1, precision="float32", save_every=24, preview_every=24)
SHAPES = [(3, 5), (4, 7), (3, 5), (3, 5), (6, 9)]


def encoder(device):
    torch.manual_seed(0)
    return TextEncoder(TextConfig(merges=43, width=24, heads=2, layers=3)).to(device)


def test_a_size_is_recorded_when_it_has_come_often(monkeypatch):
    made = []

    def record(module, samples, allow_unused_input, pool):
        assert allow_unused_input and pool == "pool" and module not in made
        made.append(module)
        return lambda x, y: -module(x, y)  # so that a replay can be told from a call

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    call, sizes = Recorded(lambda: torch.nn.CosineSimilarity(0), after=3, most=2), (2, 5, 2, 5, 2, 2, 5)
    assert [call(torch.ones(n), torch.ones(n)).sign().item() for n in sizes] == [1, 1, 1, 1, -1, -1, -1]
    x, y = torch.ones(2, 5), torch.ones(1, 5)
    assert all((call(x, y) > 0).all() for _ in range(5)) and len(made) == 2, "no more than were asked for"


def learned(device, out, **settings):
    def loss(forward, shape, generator):
        tokens = torch.randint(300, shape, generator=generator).to(device)
        return (forward(tokens, torch.ones_like(tokens, dtype=torch.bool))[..., 0] - 1).square().mean()

    data = [SHAPES[i % len(SHAPES)] for i in range(CONFIG.steps)]
    return fit(encoder(device), loss, data, replace(CONFIG, **settings), out, quiet=True)[0]


def test_where_there_is_no_gpu_nothing_is_recorded(tmp_path):
    plain, same = learned("cpu", tmp_path / "plain"), learned("cpu", tmp_path / "graphs", graphs=True)
    for a, b in zip(plain.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
def test_a_recorded_step_learns_the_same(tmp_path, monkeypatch):
    replays, replay = [], torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: (replays.append(graph), replay(graph)))
    plain = learned("cuda", tmp_path / "plain")
    assert not replays
    recorded = learned("cuda", tmp_path / "graphs", graphs=True)
    assert len(replays) > CONFIG.steps and len(set(replays)) > 3, "Muon's steps, and forward and backward"
    for a, b in zip(plain.parameters(), recorded.parameters(), strict=True):
        assert torch.allclose(a, b, atol=5e-3)


def test_blocks_are_not_compiled_and_recorded_at_once():
    with pytest.raises(UserError, match="choose one"):
        FitConfig(compile=True, graphs=True)
