"""The points of A2. Sizes all differ, so that an axis in the wrong place shows."""

import torch

from mini_sora import vae
from notebooks.assignments.a3.checks import draw, same
from notebooks.grade import Point

ALLOWED = ()
X = draw(2, 3, 9, 4, 6).tanh()


def true_chunks(x, stride):
    return vae.to_chunks(x, stride).unflatten(0, (len(x), -1))


def check_chunks(function):
    for stride, frames in ((4, 9), (2, 7), (4, 1)):
        found, wanted = function(X[:, :, :frames], stride), true_chunks(X[:, :, :frames], stride)
        assert found.shape == wanted.shape, f"the shape is {tuple(found.shape)}, not {tuple(wanted.shape)}"
        assert torch.equal(found[:, 0], wanted[:, 0]), "chunk 0 is frame 0, repeated"
        same(found, wanted, f"the chunks of {frames} frames", 0)


def check_back(function):
    for stride, frames in ((4, 9), (2, 7), (4, 1)):
        found = function(true_chunks(X[:, :, :frames], stride))
        assert found.shape[2] == frames, f"{frames} frames come back as {found.shape[2]}"
        same(found, X[:, :, :frames], "the video that comes back", 0)
    chunks = true_chunks(X, 4).clone()
    chunks[:, 0, 0] = 5
    assert function(chunks).max() < 5, "of chunk 0 its last frame counts, not its first"


def check_draw(function):
    mean, logvar = draw(2, 5), draw(2, 5, seed=1)
    noise = draw(2, 5, seed=2)
    found = function(mean, logvar, noise)
    variance = torch.allclose(found, mean + logvar.exp() * noise, atol=1e-5)
    assert not variance, "the noise is multiplied by the variance; it must be the deviation"
    same(found, mean + torch.sqrt(torch.exp(logvar)) * noise, "the latent")
    leaf = logvar.clone().requires_grad_()
    function(mean, leaf, noise).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0, "no gradient reaches logvar"


def check_divergence(function):
    zero = torch.zeros(3, 4)
    assert abs(function(zero, zero)) < 1e-6, f"of the unit Gaussian it is {function(zero, zero):.3f}, not 0"
    mean, logvar = draw(3, 4), draw(3, 4, seed=1)
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(mean, (logvar / 2).exp()), normal(0.0, 1.0))
    found = torch.as_tensor(function(mean, logvar))
    assert found.ndim == 0, "the divergence is one number"
    assert abs(found - wanted.sum()) > 1e-3, "that is the sum; it is to be the mean"
    same(found, wanted.mean(), "the divergence")


def check_weights(function):
    x = X.clone()
    found = function(x, 8.0)
    assert found.shape == (2, 1, 9, 4, 6), f"the shape is {tuple(found.shape)}, not (B, 1, T, H, W)"
    flat = function(torch.full((1, 3, 1, 4, 4), 0.3), 8.0)
    assert torch.allclose(flat, torch.ones_like(flat)), "where all is of one colour each pixel counts 1"
    x = torch.full((1, 3, 2, 4, 6), -1.0)
    x[0, 1, 0, 2, 3] = 1.0
    one = function(x, 8.0)[0, 0]
    assert abs(one[0, 2, 3] - 9) < 1e-5, f"full green on black counts {one[0, 2, 3]:.2f}, not 1 + 8"
    ground = X.flatten(3).median(dim=3).values[..., None, None]
    same(
        found,
        1 + 8 * (X - ground).abs().amax(1, keepdim=True) / 2,
        "the weight (the median is of each frame)",
    )


def check_loss(function):
    rebuilt, mean, logvar = X + 0.1 * draw(*X.shape, seed=3), draw(2, 3), draw(2, 3, seed=1)
    wanted = vae.vae_loss(lambda x, noise: (rebuilt, mean, logvar), X, None, 0.5, 8.0)
    found = torch.as_tensor(function(rebuilt, X, mean, logvar, 0.5, 8.0))
    without = vae.vae_loss(lambda x, noise: (rebuilt, mean, logvar), X, None, 0.0, 8.0)
    assert abs(found - without) > 1e-4, "the divergence does not count"
    same(found, wanted, "the loss", 1e-4)


def check_psnr(function):
    a = (draw(2, 3, 4, 6, 3) * 40 + 128).clamp(0, 255).byte()
    b = a.clone()
    b[0] = (a[0].int() + 3).clamp(0, 255).byte()
    b[1, 0, 0, 0, 0] = 255 - a[1, 0, 0, 0, 0]
    found = torch.as_tensor(function(a, b)).double()
    error = ((a.double() - b.double()) ** 2).mean((1, 2, 3, 4))
    assert found.shape == (2,), f"the shape is {tuple(found.shape)}, not (2,): one number a clip"
    same(found, 10 * torch.log10(255**2 / error), "the PSNR (uint8 must not overflow)", 1e-3)


def check_sees(function):
    def encode(x):
        chunks = true_chunks(x, 4)  # (B, K, 4, 3, H, W)
        return chunks.mean((2, 4, 5)).transpose(1, 2)[..., None, None]

    def leaky(x):
        return encode(x).cumsum(2)

    def marks(mask):
        return "".join("#" if m else "." for m in torch.as_tensor(mask).tolist())

    for frame, wanted in ((0, "#.."), (3, ".#."), (4, ".#."), (5, "..#")):
        kept = X[:1].clone()
        found = marks(function(encode, kept, frame))
        assert found == wanted, f"frame {frame}: {found}, not {wanted}"
        assert torch.equal(kept, X[:1]), "x itself has been changed: work on a copy"
    assert marks(function(leaky, X[:1], 0)) == "###", "an encoder that looks back shows nothing of it"


def check_scales(function):
    z = draw(2, 3, 4, 5, 6) * torch.tensor([0.5, 2.0, 1.0]).view(1, 3, 1, 1, 1) + 1
    cost = torch.tensor([9.0, 1.0, 4.0])
    found = function(z, cost)
    assert found.shape == (3,), f"the shape is {tuple(found.shape)}, not (C,)"
    deviation = (z / found.view(1, 3, 1, 1, 1)).transpose(0, 1).flatten(1).std(1)
    mean = (deviation**2).mean().item()
    assert abs(mean - 1) < 1e-3, f"the mean variance is {mean:.3f}, not 1"
    ratio = deviation / deviation[1]
    assert torch.allclose(ratio, torch.tensor([3.0, 1.0, 2.0]), atol=1e-3), (
        f"with costs 9, 1, 4 the deviations are as {[round(r, 2) for r in ratio.tolist()]}, not as 3, 1, 2"
    )


POINTS = [
    Point("to_chunks", 15, "chunks", check_chunks),
    Point("from_chunks", 10, "and back", check_back),
    Point("draw", 10, "a latent that can be learned", check_draw),
    Point("divergence", 10, "the divergence", check_divergence),
    Point("weights", 15, "what stands out counts more", check_weights),
    Point("loss", 10, "the loss", check_loss),
    Point("psnr", 10, "PSNR", check_psnr),
    Point("sees", 10, "what a latent frame has seen", check_sees),
    Point("scales", 10, "how wide each channel is", check_scales),
]
