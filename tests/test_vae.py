import copy

import pytest
import torch

from mini_sora.vae import VAE, VAEConfig, from_chunks, to_chunks, vae_loss

CONFIG = VAEConfig(channels=3, frame_width=8, width=12)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    model = VAE(CONFIG)
    for p in model.parameters():  # zero-initialised layers would hide what leaks through them
        torch.nn.init.normal_(p, std=0.2)
    return model.eval()


def clip(frames=9, seed=0):
    return torch.rand(2, 3, frames, 16, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_chunks_and_back():
    x = clip(13)
    assert to_chunks(x, 4).shape == (2 * 4, 4, 3, 16, 24)
    assert torch.equal(from_chunks(to_chunks(x, 4), 2), x)
    assert torch.equal(from_chunks(to_chunks(x, 1), 2), x)


def test_a_chunk_holds_its_own_frames():
    chunks = to_chunks(clip(), 4)  # of each clip: frame 0 four times, 1 to 4, 5 to 8
    assert torch.equal(chunks[5], clip()[1, :, 5:9].transpose(0, 1))
    assert torch.equal(chunks[3], clip()[1, :, :1].transpose(0, 1).expand(4, -1, -1, -1))


@pytest.mark.parametrize("time_stride, space_stride", [(1, 4), (2, 8), (4, 2)])
def test_strides_are_settings(time_stride, space_stride):
    vae = VAE(VAEConfig(3, 8, 1, 12, 1, time_stride, space_stride))
    z = vae.encode(clip(9))
    assert z.shape == (2, 3, 1 + 8 // time_stride, 16 // space_stride, 24 // space_stride)
    assert vae.decode(z).shape == (2, 3, 9, 16, 24)


@pytest.mark.parametrize("frames, latents", [(1, 1), (5, 2), (17, 5)])
def test_shapes(vae, frames, latents):
    z = vae.encode(clip(frames))
    assert z.shape == (2, 3, latents, 4, 6)
    assert vae.decode(z).shape == (2, 3, frames, 16, 24)


def test_encoder_sees_its_own_chunk_alone(vae):
    x = clip(17)
    z = vae.encode(x)
    for k in range(5):
        changed = x.clone()
        own = slice(0, 1) if k == 0 else slice(4 * k - 3, 4 * k + 1)
        changed[:, :, own] = clip(17, seed=1)[:, :, own]
        differs = (vae.encode(changed) - z).abs().amax((0, 1, 3, 4)) > 1e-6
        assert differs.tolist() == [i == k for i in range(5)]


def test_any_frame_is_encoded_without_the_others(vae):
    x = clip(17)
    z = vae.encode(x)
    torch.testing.assert_close(vae.encode(x[:, :, :1])[:, :, 0], z[:, :, 0])
    # A later chunk behind any frame 0: the same latent.
    torch.testing.assert_close(vae.encode(x[:, :, 8:13])[:, :, 1], z[:, :, 3])


def test_decoder_never_looks_ahead(vae):
    z = torch.randn(2, 3, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    x = vae.decode_raw(z)
    changed = z.clone()
    changed[:, :, 3] += 1
    differs = (vae.decode_raw(changed) - x).abs().amax((0, 1, 3, 4)) > 1e-6
    assert differs.tolist() == [False] * 9 + [True] * 8


def test_measured_latents_are_centred_and_of_unit_variance_over_all(vae):
    x = clip(17)
    vae.measure_latents([x[:1], x[1:]])
    z = vae.encode(x)
    torch.testing.assert_close(z.mean((0, 2, 3, 4)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var((0, 2, 3, 4)).mean(), torch.tensor(1.0))
    torch.testing.assert_close(
        vae.decode(z), vae.decode_raw(vae.posterior(x)[0]).clamp(-1, 1), atol=1e-4, rtol=0
    )


def test_the_same_noise_costs_as_much_in_each_channel(vae):
    x = clip(17)
    vae = copy.deepcopy(vae)
    with torch.no_grad():
        vae.decoder.enter.weight[:, 1::3] *= 5  # a channel that the decoder hears five times as loud
    vae.measure_latents([x])
    z, noise = vae.encode(x), torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(1))
    costs = []
    for channel in range(3):
        nudged = z.clone()
        nudged[:, channel] += 0.1 * noise
        costs.append((vae.decode(nudged) - vae.decode(z)).square().mean().item())
    assert max(costs) < 1.5 * min(costs), "the scale of a channel is not what it does to the pixels"


def test_a_latent_is_drawn_from_the_posterior(vae):
    x, noise = clip(), torch.randn(2, 3, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    rebuilt, mean, logvar = vae(x, noise)
    torch.testing.assert_close(mean, vae.posterior(x)[0])
    torch.testing.assert_close(logvar, vae.posterior(x)[1].clamp(-20, 4))
    assert logvar.max() == 4, "what is clamped is seen"
    torch.testing.assert_close(rebuilt, vae.decode_raw(mean + logvar.exp().sqrt() * noise))


def test_it_computes_in_bfloat16(vae):
    exact, rounded = vae.encode(clip()), copy.deepcopy(vae)
    rounded.encoder.to(torch.bfloat16)
    z = rounded.encode(clip())
    assert z.dtype == torch.float32 and 0 < (exact - z).norm() < 0.1 * exact.norm()


def test_loss_is_weighted_reconstruction_and_divergence():
    x = torch.zeros(1, 3, 1, 4, 4)
    x[0, :, 0, 0, 0] = 1.0  # the one pixel that stands out, by half of full scale
    mean, logvar = torch.full((1, 2, 1, 1, 1), 0.5), torch.full((1, 2, 1, 1, 1), -1.0)
    loss = vae_loss(lambda x, noise: (x + 0.1, mean, logvar), x, None, kl_weight=2.0, body_weight=8.0)
    reconstruction = 0.01 * (15 * 1 + 1 * 5) / 16
    divergence = 0.5 * (0.25 + torch.tensor(-1.0).exp() - 1 + 1)
    torch.testing.assert_close(loss, reconstruction + 2 * divergence)
