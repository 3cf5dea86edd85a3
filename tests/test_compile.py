"""torch.compile in training: of the blocks, once for all sizes, and without a change to what is learned."""

from functools import partial

import pytest
import torch

from mini_sora.compile import compiled, instead
from mini_sora.fit import FitConfig, fit
from mini_sora.text import TextConfig, TextEncoder

CONFIG = FitConfig(steps=4, warmup=1, precision="float32", save_every=4, preview_every=4)


@pytest.fixture
def compilations(monkeypatch):
    """The graphs that are compiled, which run as they are."""
    graphs = []

    def noted(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=noted))
    return graphs


def encoder():
    torch.manual_seed(0)
    return TextEncoder(TextConfig(merges=43, width=24, heads=2, layers=3))


def asked(count, length):
    """Tokens and mask of so many prompts."""
    return torch.randint(300, (count, length)), torch.ones(count, length, dtype=torch.bool)


def test_blocks_are_compiled_once_for_all_sizes(compilations):
    model = encoder()
    forwards = compiled(model)
    assert list(forwards) == list(model.blocks)
    for count, length in ((3, 5), (4, 7), (6, 9)):
        prompts = asked(count, length)
        with instead(forwards):
            assert model.blocks[0].forward is forwards[model.blocks[0]]
            found = model(*prompts)
        assert torch.allclose(found, model(*prompts), atol=1e-5)
    assert len(compilations) == 1 and model.blocks[0].forward not in forwards.values()


def test_compiled_blocks_learn_the_same(compilations, tmp_path):
    data = [asked(3, 5), asked(4, 7), asked(6, 9), asked(3, 7)]

    def loss(forward, prompts, generator):
        return (forward(*prompts)[..., 0] - 1).square().mean()

    def learned(config):
        return fit(encoder(), loss, data, config, tmp_path / str(config.compile), quiet=True)[0]

    plain = learned(CONFIG)
    assert not compilations
    fused = learned(FitConfig(**{**vars(CONFIG), "compile": True}))
    assert compilations
    for a, b in zip(plain.parameters(), fused.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)
