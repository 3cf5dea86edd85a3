"""The points of A3. Sizes all differ, so that an axis in the wrong place shows."""

import torch
from torch.nn import functional as F

from mini_sora import layers, patches
from notebooks.grade import Point

ALLOWED = ()


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(found, wanted, what, atol=1e-5):
    assert isinstance(found, torch.Tensor), f"{what} is {type(found).__name__}, not a tensor"
    assert found.shape == wanted.shape, (
        f"{what} has the shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
    )
    assert torch.isfinite(found).all(), f"{what} has numbers that are not finite"
    off = (found - wanted).abs().max().item()
    assert off <= atol, f"{what} is off by up to {off:.3g}"


GRIDS = (((1, 2, 2), (3, 4, 6), 5), ((2, 1, 3), (4, 2, 9), 2), ((1, 1, 1), (2, 3, 1), 1))


def check_patchify(function):
    for patch, grid, channels in GRIDS:
        z = draw(2, channels, *grid)
        found, wanted = function(z, patch), patches.patchify(z, patch)
        assert found.shape == wanted.shape, f"patch {patch}: {tuple(found.shape)}, not {tuple(wanted.shape)}"
        if not torch.equal(found, wanted):
            each = torch.equal(found.sort(2)[0], wanted.sort(2)[0])
            all_of = torch.equal(found.flatten(1).sort(1)[0], wanted.flatten(1).sort(1)[0])
            assert not each, (
                f"patch {patch}: each token has its numbers, but in another order: channel, k, y, x"
            )
            assert not all_of, f"patch {patch}: the numbers are in the wrong tokens: k, y, x, with x fastest"
            raise AssertionError(f"patch {patch}: the numbers are not those of z")


def check_unpatchify(function):
    for patch, grid, channels in GRIDS:
        z = draw(2, channels, *grid)
        same(
            function(patches.patchify(z, patch), patch, grid),
            z,
            f"unpatchify(patchify(z)), patch {patch},",
            0,
        )


def check_coordinates(function):
    for patch, grid, _ in GRIDS:
        found, wanted = function(patch, grid), patches.coordinates(patch, grid).float()
        assert tuple(found.shape) == tuple(wanted.shape), f"{tuple(found.shape)}, not {tuple(wanted.shape)}"
        rows = {tuple(row) for row in found.tolist()} == {tuple(row) for row in wanted.tolist()}
        if not torch.equal(found.float(), wanted):
            assert not rows, f"grid {grid}: all places are there, in another order: x is to be fastest"
            raise AssertionError(
                f"grid {grid}, patch {patch}: not the first latent's (k, y, x) of each token"
            )


def check_time(function):
    t = torch.tensor([0.0, 0.013, 0.5, 0.77, 1.0])
    found = function(t, 32)
    assert found.shape == (5, 32), f"the shape is {tuple(found.shape)}, not (5, 32)"
    move = (found - found[:1]).abs().amax(0).median()
    assert move > 0.1, "hardly a feature moves between t = 0 and t = 1: is t scaled to 0..1000?"
    wanted = layers.time_embedding(t, 32)
    swapped = torch.cat(wanted.chunk(2, dim=1)[::-1], dim=1)
    assert not torch.allclose(found, swapped, atol=1e-3), (
        "sines and cosines are exchanged: the cosines are first"
    )
    same(found, wanted, "the embedding", 1e-3)


def check_rotate(function):
    x, angles = draw(2, 3, 7, 12), draw(7, 6, seed=1)
    found = function(x, angles)
    assert found.shape == x.shape, f"the shape is {tuple(found.shape)}, not {tuple(x.shape)}"
    lengths = torch.allclose(found.norm(dim=-1), x.norm(dim=-1), atol=1e-4)
    assert lengths, "a rotation keeps lengths; yours does not: look at the signs"
    assert not torch.allclose(found, layers.rotate(x, -angles), atol=1e-4), "it turns the other way round"
    same(found, layers.rotate(x, angles), "the rotated vector")


def check_attention(function):
    q, k, v = draw(2, 3, 5, 8), draw(2, 3, 7, 8, seed=1), draw(2, 3, 7, 8, seed=2)
    mask = torch.ones(2, 1, 5, 7, dtype=torch.bool)
    mask[0, :, :, 4:] = False
    found = function(q, k, v)
    wanted = F.scaled_dot_product_attention(q, k, v)
    unscaled = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    assert found.shape == wanted.shape, f"the shape is {tuple(found.shape)}, not {tuple(wanted.shape)}"
    assert not torch.allclose(found, unscaled, atol=1e-4), "the scores are not divided by the root of d"
    same(found, wanted, "attention")
    found = function(q, k, v, mask)
    inverted = F.scaled_dot_product_attention(q[:1], k[:1], v[:1], ~mask[:1])
    assert not torch.allclose(found[:1], inverted, atol=1e-4), (
        "the mask is inverted: True is where q may look"
    )
    assert not torch.allclose(found, wanted, atol=1e-4), "the mask changes nothing"
    masked = F.scaled_dot_product_attention(q, k, v, mask)
    same(found, masked, "attention with a mask (minus infinity before the softmax)")


def reference(block, x, condition):
    """The same block, of torch's own parts."""
    shift1, scale1, gate1, shift2, scale2, gate2 = block.modulation(condition)[:, None].chunk(6, dim=-1)
    y = F.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1
    q, k, v = (p.unflatten(-1, (block.heads, -1)).transpose(1, 2) for p in block.qkv(y).chunk(3, dim=-1))
    x = x + gate1 * block.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    y = F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2
    return x + gate2 * block.down(F.gelu(block.up(y)))


def check_zero(function):
    torch.manual_seed(0)
    block, x, condition = function(24, 3), draw(2, 5, 24), draw(2, 24, seed=1)
    off = (block(x, condition) - x).abs().max().item()
    assert off < 1e-6, f"an untrained block changes its input by {off:.3g}: do the gates start at zero?"


def check_block(function):
    torch.manual_seed(0)
    block, x, condition = function(24, 3), draw(2, 5, 24), draw(2, 24, seed=1)
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.2)
    with torch.no_grad():
        found, wanted = block(x, condition), reference(block, x, condition)
        assert found.shape == x.shape, f"the shape is {tuple(found.shape)}, not {tuple(x.shape)}"
        moved = (block(x, condition + 1) - found).abs().max()
        assert moved > 1e-3, "the condition changes nothing"
        one = x.clone()
        one[:, 0] = draw(2, 24, seed=2)
        assert (block(one, condition) - found)[:, 1:].abs().max() > 1e-4, "the tokens do not see each other"
        alone = torch.cat([block(x[i : i + 1], condition[i : i + 1]) for i in range(2)])
        same(found, alone, "a clip in a batch, against the clip alone,", 1e-4)
    same(found, wanted, "the block", 1e-4)


POINTS = [
    Point("patchify", 10, "latents to tokens", check_patchify),
    Point("unpatchify", 10, "tokens to latents", check_unpatchify),
    Point("coordinates", 10, "the place of each token", check_coordinates),
    Point("time_embedding", 10, "noise times as sinusoids", check_time),
    Point("rotate", 15, "rotary positions", check_rotate),
    Point("attention", 15, "attention with a mask", check_attention),
    Point("DiTBlock", 10, "an untrained block is the identity", check_zero),
    Point("DiTBlock", 20, "the block", check_block),
]
