import pytest
import torch

from mini_sora.dit import DiT, DiTConfig
from mini_sora.fit import Cast

CONFIG = DiTConfig(patch=(1, 2, 2), width=24, layers=2, heads=2, actions=4)


def inputs(grid=(3, 4, 6), batch=2):
    g = torch.Generator().manual_seed(0)
    z, text = torch.randn(batch, 3, *grid, generator=g), torch.randn(batch, 5, 10, generator=g)
    return z, torch.rand(batch, grid[0], generator=g), text, torch.arange(5) < torch.tensor([[4]] * batch)


def woken():
    """A DiT whose zero-initialised layers have been moved, as training moves them."""
    torch.manual_seed(0)
    model = DiT(CONFIG, channels=3, text_width=10)
    for p in model.parameters():
        p.data += torch.randn_like(p) * 0.2
    return model.eval()


def changed(a, b):
    return (a - b).abs().max() > 1e-4


def test_output_is_zero_at_initialisation():
    model = DiT(CONFIG, channels=3, text_width=10)
    out = model(*inputs())
    assert out.shape == (2, 3, 3, 4, 6) and (out == 0).all()


def test_blocks_are_the_identity_at_initialisation():
    model = DiT(CONFIG, channels=3, text_width=10)
    x = torch.randn(2, 3, 6, 24)
    _z, _t, text, mask = inputs()
    angles = torch.randn(18, 6)
    assert torch.equal(model.blocks[0](x, torch.randn(2, 3, 24), text, mask, angles), x)


def test_it_computes_in_bfloat16():
    model, (z, t, text, mask) = woken(), inputs()
    exact = model(z, t, text, mask)
    rounded = Cast(model, torch.bfloat16)(z, t, text.bfloat16(), mask)
    assert rounded.dtype == torch.float32 and 0 < (exact - rounded).norm() < 0.2 * exact.norm()


@pytest.mark.parametrize("grid", [(1, 4, 4), (5, 4, 6), (2, 8, 14), (9, 6, 2)])
def test_the_same_weights_take_any_grid(grid):
    z, *rest = inputs(grid)
    assert woken()(z, *rest).shape == z.shape


def test_every_input_matters():
    model = woken()
    z, t, text, mask = inputs()
    base = model(z, t, text, mask)
    assert changed(base, model(z, t * 0.5, text, mask))
    assert changed(base, model(z, t, text.roll(1, 0), mask))
    torch.testing.assert_close(base, model(z, t, text, mask, torch.zeros(2, 8, dtype=torch.long)))
    actions = torch.tensor([[0, 1, 2, 0], [4, 0, 0, 0]]).repeat(1, 2)  # (B, T - 1) for K = 3, two a chunk
    assert changed(base, model(z, t, text, mask, actions))


def test_the_gist_is_told_beside_the_words():
    model = woken()
    for block in model.blocks:
        block.cross_attention.out.weight.data.zero_()
    z, t, text, mask = inputs()
    assert changed(model(z, t, text, mask), model(z, t, text.roll(1, 0), mask))
    model.text.weight.data.zero_()
    assert not changed(model(z, t, text, mask), model(z, t, text.roll(1, 0), mask))


def test_attention_knows_how_far_apart_tokens_are():
    """Without their absolute places, too: where two change places, it matters to the one between."""
    model = woken()
    for layer in (model.place, model.frame):
        layer.weight.data.zero_()
    z, *rest = inputs()
    swapped = z.clone()
    swapped[..., 0:2], swapped[..., 4:6] = z[..., 4:6], z[..., 0:2]
    a, b = model(z, *rest), model(swapped, *rest)
    assert changed(a[..., 2:4], b[..., 2:4]), "the token between sees them on its other sides"


def test_an_action_reaches_the_frame_that_it_leads_to():
    model = woken()
    for block in model.blocks:
        block.attention.out.weight.data.zero_()
    z, t, text, mask = inputs()
    actions = torch.ones(2, 8, dtype=torch.long)
    base = model(z, t, text, mask, actions)
    for i in range(8):  # frame i + 1 of the video is in latent frame 1 + i // 4
        other = actions.clone()
        other[:, i] = 3
        moved = (base - model(z, t, text, mask, other)).abs().amax((0, 1, 3, 4)) > 1e-4
        assert moved.tolist() == [k == 1 + i // 4 for k in range(3)]
    swapped = actions.clone()
    swapped[:, 0], actions[:, 1] = 2, 2  # the same actions in another order
    assert changed(model(z, t, text, mask, swapped), model(z, t, text, mask, actions))


def test_size_and_length_are_told():
    model = woken()
    for block in model.blocks:
        block.attention.out.weight.data.zero_()  # so that a token knows of the others by what it is told
    z, t, text, mask = inputs((3, 4, 6))
    longer = torch.cat([z, z[:, :, -1:]], 2), torch.cat([t, t[:, -1:]], 1)
    assert changed(model(z, t, text, mask), model(*longer, text, mask)[:, :, :3])

    _, t, text, mask = inputs((3, 4, 4))
    small, large = z[:, :, :, :2, :2].repeat(1, 1, 1, 2, 2), z[:, :, :, :2, :2].repeat(1, 1, 1, 6, 6)
    found = [model(x, t, text, mask) for x in (small, large)]  # the same patch at every place
    corner = found[0][..., :2, :2]
    assert changed(corner, found[1][..., 2:4, 2:4]), "a picture's size is told"
    model.frame.weight.data[:, 2 * 8 :] = 0  # no more, but for the place in eighths of the short side
    found = [model(x, t, text, mask) for x in (small, large)]
    torch.testing.assert_close(found[0][..., :2, :2], found[1][..., 2:4, 2:4])
    assert changed(found[0][..., :2, :2], found[1][..., 4:6, 4:6])


def test_noise_time_of_one_frame_reaches_that_frame():
    model = woken()
    for block in model.blocks:  # without attention between tokens, frames do not meet
        block.attention.out.weight.data.zero_()
    z, t, text, mask = inputs()
    other = t.clone()
    other[:, 1] += 0.2
    moved = (model(z, t, text, mask) - model(z, other, text, mask)).abs().amax((0, 1, 3, 4)) > 1e-4
    assert moved.tolist() == [False, True, False]


def test_masked_text_does_not_matter():
    model = woken()
    z, t, text, mask = inputs()
    text_2 = torch.where(mask[..., None], text, 7.0)
    torch.testing.assert_close(model(z, t, text, mask), model(z, t, text_2, mask))


def test_frames_have_an_order():
    model = woken()
    z, t, text, mask = inputs()
    z = z[:, :, :1].expand(-1, -1, 3, -1, -1)
    t = t[:, :1].expand(-1, 3)
    out = model(z, t, text, mask)
    assert changed(out[:, :, 0], out[:, :, 2])
