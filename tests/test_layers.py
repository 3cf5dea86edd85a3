import torch
from torch.nn import functional as F

from mini_sora.layers import Attention, FeedForward, attention, rotary_angles, rotate, time_embedding


def test_attention_agrees_with_pytorch():
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, generator=g) for n in (5, 7, 7))
    mask = torch.rand(2, 1, 5, 7, generator=g) < 0.7
    mask[..., 0] = True
    torch.testing.assert_close(attention(q, k, v), F.scaled_dot_product_attention(q, k, v), atol=1e-5, rtol=0)
    expected = F.scaled_dot_product_attention(q, k, v, mask)
    torch.testing.assert_close(attention(q, k, v, mask), expected, atol=1e-5, rtol=0)


def test_attention_module_agrees_with_pytorch_multihead():
    torch.manual_seed(0)
    ours = Attention(24, 3)
    theirs = torch.nn.MultiheadAttention(24, 3, bias=False, batch_first=True)
    ours.q_norm = ours.k_norm = torch.nn.Identity()
    theirs.in_proj_weight.data = torch.cat([ours.q.weight, ours.kv.weight])
    theirs.out_proj.weight.data = ours.out.weight
    x = torch.randn(2, 5, 24)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-5, rtol=0)


def test_masked_context_does_not_matter():
    torch.manual_seed(0)
    layer = Attention(16, 2, context_width=12)
    x, context = torch.randn(2, 5, 16), torch.randn(2, 7, 12)
    mask = torch.arange(7) < torch.tensor([[4], [6]])
    changed = torch.where(mask[..., None], context, 99.0)
    torch.testing.assert_close(layer(x, context, mask), layer(x, changed, mask))


def test_rotation_keeps_length_and_sees_only_differences():
    g = torch.Generator().manual_seed(0)
    coords = torch.rand(6, 3, generator=g) * 9
    angles = rotary_angles(coords, 16)
    assert angles.shape == (6, 8)
    q, k = torch.randn(6, 16, generator=g), torch.randn(6, 16, generator=g)
    torch.testing.assert_close(rotate(q, angles).norm(dim=-1), q.norm(dim=-1))
    moved = rotary_angles(coords + torch.tensor([2.0, -3.0, 5.0]), 16)
    here = rotate(q, angles) @ rotate(k, angles).T
    torch.testing.assert_close(here, rotate(q, moved) @ rotate(k, moved).T, atol=1e-4, rtol=1e-4)


def test_rotation_tells_the_three_axes_apart():
    ones = torch.eye(3)
    rows = rotary_angles(ones, 16)
    assert all((rows[i] != 0).any() for i in range(3))
    assert ((rows != 0).sum(0) <= 1).all()


def test_time_embedding_varies_over_its_domain():
    t = torch.linspace(0, 1, 101)
    moved = time_embedding(t, 64).diff(dim=0).abs().amax(dim=0)
    assert (moved > 1e-3).float().mean() > 0.9
    assert time_embedding(torch.zeros(2, 3), 64).shape == (2, 3, 64)


def test_feed_forward_is_two_layers_with_a_squared_relu():
    torch.manual_seed(0)
    layer, x = FeedForward(6, ratio=3), torch.randn(2, 5, 6)
    hidden = F.linear(x, layer.up.weight, layer.up.bias)
    assert hidden.shape == (2, 5, 18)
    expected = F.linear(hidden.clamp(min=0) ** 2, layer.down.weight, layer.down.bias)
    torch.testing.assert_close(layer(x), expected)
