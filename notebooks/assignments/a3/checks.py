"""The points of A3. Sizes all differ, so that an axis in the wrong place shows."""

import sys
from contextlib import contextmanager
from itertools import permutations
from unittest import mock

import torch
from torch.nn import functional as F

from mini_sora import layers, patches
from notebooks.assignments.measure import Numbers, Point, close, same, shaped


def grids(numbers):
    """(patch, grid, channels), with other grids for other numbers. Sides all differ, and one is not a whole number of
    latents from its middle."""
    for patch, channels in (((1, 2, 2), 5), ((2, 1, 3), 2), ((1, 1, 1), 1)):
        counts = numbers.whole(2, 3), 2 * numbers.whole(2, 3) + 1, 2 * numbers.whole(4, 5)
        yield patch, tuple(p * n for p, n in zip(patch, counts, strict=True)), channels


def check_patchify(function, seed):
    numbers = Numbers(seed)
    for patch, grid, channels in grids(numbers):
        z = numbers(2, channels, *grid)
        found, wanted = function(z, patch), patches.patchify(z, patch)
        shaped(found, wanted.shape, f"patch {patch}: the shape")
        if not torch.equal(found, wanted):
            each = torch.equal(found.sort(2)[0], wanted.sort(2)[0])
            all_of = torch.equal(found.flatten(1).sort(1)[0], wanted.flatten(1).sort(1)[0])
            assert not each, (
                f"patch {patch}: each token has its numbers, but in another order: channel, k, y, x"
            )
            assert not all_of, (
                f"patch {patch}: the numbers are in the wrong tokens: each side is cut into (side / p, p), and the tokens "
                "go k, y, x, with x fastest"
            )
            raise AssertionError(f"patch {patch}: the numbers are not those of z")


def check_unpatchify(function, seed):
    numbers = Numbers(seed)
    for patch, grid, channels in grids(numbers):
        z = numbers(2, channels, *grid)
        found = function(patches.patchify(z, patch), patch, grid)
        shaped(found, z.shape, f"patch {patch}: the shape")
        assert torch.equal(found, z), (
            f"patch {patch}: unpatchify(patchify(z)) is not z: the same axes as in patchify, brought back to their places"
        )


def check_coordinates(function, seed):
    for patch, grid, _ in grids(Numbers(seed)):
        found, wanted = function(patch, grid), patches.coordinates(patch, grid).float()
        shaped(found, wanted.shape, f"grid {grid}: the shape")
        found = found.float()
        if torch.equal(found, wanted):
            continue
        rows = {tuple(row) for row in found.tolist()} == {tuple(row) for row in wanted.tolist()}
        assert not rows, f"grid {grid}: all places are there, in another order: x is to be fastest"
        assert not close(found, wanted.flip(1)), "each place is (k, y, x), and yours are (x, y, k)"
        axis = next(i for i in range(3) if not torch.equal(found[:, i], wanted[:, i]))
        name, start = "kyx"[axis], "0" if axis == 0 else "the middle of the picture"
        raise AssertionError(
            f"grid {grid}, patch {patch}: along {name} the first centre is {found[0, axis]:g} and the last "
            f"{found[-1, axis]:g}, not {wanted[0, axis]:g} and {wanted[-1, axis]:g}: {name} counts from {start}, "
            f"by {patch[axis]} from token to token, and a token lies at its centre"
        )


def check_time(function, seed):
    t = torch.tensor([0.0, Numbers(seed).number(0.01, 0.02), 0.5, 0.77, 1.0])
    found, wanted = function(t, 32), layers.time_embedding(t, 32)
    shaped(found, (5, 32))
    move = (found - found[:1]).abs().amax(0).median()
    assert move > 0.1, "hardly a feature moves between t = 0 and t = 1: is t scaled to 0..1000?"
    swapped = torch.cat(wanted.chunk(2, dim=1)[::-1], dim=1)
    assert not close(found, swapped, 1e-3), "sines and cosines are exchanged: the cosines are first"
    first = close(found[:, :1], wanted[:, :1], 1e-3)
    assert first, "the first feature is not cos(1000 t): the frequencies fall from 1, with i = 0"
    off = (found - wanted).abs().max()
    assert off < 1e-3, f"off by up to {off:.2g}: the frequencies are 10000 ** (-i / (width / 2))"


def check_rotate(function, seed):
    numbers = Numbers(seed)
    x, angles = numbers(2, 3, 7, 12), numbers(7, 6)
    found = function(x, angles)
    shaped(found, x.shape)
    assert not close(found, layers.rotate(x, -angles)), "it turns the other way round"
    assert close(found.norm(dim=-1), x.norm(dim=-1)), (
        "a rotation keeps lengths; yours does not: look at the signs, and at what is multiplied by what"
    )
    a, b = x.chunk(2, dim=-1)
    swapped = torch.cat([a * angles.sin() - b * angles.cos(), a * angles.cos() + b * angles.sin()], -1)
    assert not close(found, swapped), "sine and cosine are exchanged"
    off = (found - layers.rotate(x, angles)).abs().max()
    assert off < 1e-4, (
        f"off by up to {off:.2g}: the pairs are x_i and x_(i + d/2), the first half with the second"
    )


@contextmanager
def by_hand(function):
    """Within this block torch's own attention fails; where the function is written it has no other name."""
    why = "that is torch's own attention: write yours"
    own = F.scaled_dot_product_attention
    assert not any(value is own for value in vars(sys.modules[function.__module__]).values()), why
    with mock.patch.object(F, "scaled_dot_product_attention", side_effect=AssertionError(why)):
        yield


def check_attention(function, seed):
    numbers = Numbers(seed)
    q, k, v = numbers(2, 3, 5, 8), numbers(2, 3, 7, 8), numbers(2, 3, 7, 8)
    mask = torch.ones(2, 1, 5, 7, dtype=torch.bool)
    mask[0, :, :, 4:] = False
    wanted = F.scaled_dot_product_attention(q, k, v)
    with by_hand(function):
        found, found_masked = function(q, k, v), function(q, k, v, mask)
    shaped(found, wanted.shape)
    for scale in (1.0, 1 / 8, 5**-0.5):
        other = F.scaled_dot_product_attention(q, k, v, scale=scale)
        assert not close(found, other), "the scores are not divided by the root of d, the size of a query"
    total = function(q, k, torch.ones_like(v))
    assert close(total, torch.ones_like(total)), (
        "what a query gives out adds up to 1, over the keys: the last axis"
    )
    same(found, wanted, "attention")
    found = found_masked
    inverted = F.scaled_dot_product_attention(q[:1], k[:1], v[:1], ~mask[:1])
    assert not close(found[:1], inverted), "the mask is inverted: True is where q may look"
    assert not close(found, wanted), "the mask changes nothing"
    masked = F.scaled_dot_product_attention(q, k, v, mask)
    same(found, masked, "attention with a mask (minus infinity before the softmax, where q may not look,)")


def reference(block, x, condition, order=range(6)):
    """The same block, of torch's own parts. order: where each of the six vectors is found."""
    six = block.modulation(condition)[:, None].chunk(6, dim=-1)
    shift1, scale1, gate1, shift2, scale2, gate2 = (six[i] for i in order)
    y = F.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1
    q, k, v = (p.unflatten(-1, (block.heads, -1)).transpose(1, 2) for p in block.qkv(y).chunk(3, dim=-1))
    x = x + gate1 * block.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    y = F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2
    return x + gate2 * block.down(F.gelu(block.up(y)))


def check_zero(function, seed):
    numbers = Numbers(seed)
    block, x, condition = function(24, 3), numbers(2, 5, 24), numbers(2, 24)
    off = (block(x, condition) - x).abs().max().item()
    shut = not any(p.any() for p in block.modulation.parameters())
    why = (
        "all six vectors are zero: is what each part gives multiplied by its gate, and added to x?"
        if shut
        else "the gates must start at zero, for every condition"
    )
    assert off < 1e-6, f"an untrained block changes its input by {off:.3g}: {why}"


def part(block, x, condition, which):
    """What a block gives where only one of its two gates is open and the six vectors are set by hand: the other gate, all
    shifts and scales are zero."""
    with torch.no_grad():
        block.modulation.weight.zero_()
        block.modulation.bias.zero_()
        block.modulation.bias.view(6, -1)[which] = 1.0
        return block(x, condition)


def check_block(function, seed):
    torch.manual_seed(seed)
    numbers = Numbers(seed)
    block, x, condition = function(24, 3), numbers(2, 5, 24), numbers(2, 24)
    for p in block.parameters():
        torch.nn.init.normal_(p, std=0.2)
    with torch.no_grad():
        with by_hand(function):
            found = block(x, condition)
        wanted = reference(block, x, condition)
        shaped(found, x.shape)
        moved = (block(x, condition + 1) - found).abs().max()
        assert moved > 1e-3, "the condition changes nothing"
        one = x.clone()
        one[:, 0] = numbers(2, 24)
        assert (block(one, condition) - found)[:, 1:].abs().max() > 1e-4, "the tokens do not see each other"
        alone = torch.cat([block(x[i : i + 1], condition[i : i + 1]) for i in range(2)])
        same(found, alone, "a clip in a batch, against the clip alone,", 1e-4)
        if close(found, wanted):
            return
        ordered = any(close(found, reference(block, x, condition, order)) for order in permutations(range(6)))
        assert not ordered, "the six vectors are taken in another order: the order is shift, scale, gate"
        heads, block.heads = block.heads, 1
        one = close(block(x, condition), reference(block, x, condition))
        block.heads = heads
        assert not one, (
            "it is right with one head alone: cut D into (heads, D / heads), and join it as it was"
        )
        shut = part(block, x, condition, [0, 1, 3, 4])
        assert close(shut, x), "with both gates at zero, whatever the shifts and scales, it must give back x"
        for gate, name in ((2, "attention, out"), (5, "up, F.gelu, down")):
            right = close(part(block, x, condition, gate), reference(block, x, condition))
            assert right, (
                "with one gate open, and shifts and scales at zero, it is wrong: norm, times (1 + scale), then "
                f"{name}, the gate, and x added"
            )
    raise AssertionError(
        "with shifts and scales at zero it is right: the norm times (1 + scale) first, then the shift"
    )


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
