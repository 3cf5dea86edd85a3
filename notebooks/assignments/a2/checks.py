"""The points of A2. Sizes all differ, so that an axis in the wrong place shows."""

import torch

from mini_sora import vae
from notebooks.assignments.measure import Numbers, Point, close, shaped


def video(numbers):
    """Two clips of nine frames in [-1, 1], of 5 x 7 pixels, an odd number, of which every median is the same."""
    return numbers(2, 3, 9, 5, 7).tanh()


def true_chunks(x, stride):
    return vae.to_chunks(x, stride).unflatten(0, (len(x), -1))


def check_chunks(function, seed):
    x = video(Numbers(seed))
    for stride, frames in ((4, 9), (2, 7), (4, 1)):
        found, wanted = function(x[:, :, :frames], stride), true_chunks(x[:, :, :frames], stride)
        shaped(found, wanted.shape, f"{frames} frames in chunks of {stride}: the shape")
        assert torch.equal(found[:, 0], wanted[:, 0]), (
            "chunk 0 is frame 0, repeated; and the frames of a chunk follow one another in the video"
        )
        right = torch.equal(found, wanted)
        assert right, (
            f"{frames} frames: chunk k holds the {stride} frames from 1 + {stride} (k - 1) on, in their order"
        )


def check_back(function, seed):
    x = video(Numbers(seed))
    for stride, frames in ((4, 9), (2, 7), (4, 1)):
        found = function(true_chunks(x[:, :, :frames], stride))
        assert found.ndim == 5, f"the shape is {tuple(found.shape)}, not (B, 3, T, H, W)"
        assert found.shape[2] == frames, (
            f"{frames} frames come back as {found.shape[2]}: of chunk 0 one frame counts"
        )
        shaped(found, x[:, :, :frames].shape)
        right = torch.equal(found, x[:, :, :frames])
        assert right, f"the {frames} frames that come back are others, or in another order"
    chunks = true_chunks(x, 4).clone()
    chunks[:, 0, 0] = 5
    assert function(chunks).max() < 5, "of chunk 0 its last frame counts, not its first"


def check_draw(function, seed):
    numbers = Numbers(seed)
    mean, logvar, noise = numbers(2, 5), numbers(2, 5), numbers(2, 5)
    found, deviation = function(mean, logvar, noise), (logvar / 2).exp()
    shaped(found, mean.shape)
    assert not close(found, mean + logvar.exp() * noise), (
        "the noise is multiplied by the variance, not the deviation"
    )
    assert not close(found, mean + logvar * noise), (
        "the noise is multiplied by the log variance, not the deviation"
    )
    assert not close(found, deviation * noise), "the mean is not added"
    assert close(found, mean + deviation * noise), (
        "not mean + deviation * noise: the deviation is exp(logvar / 2)"
    )
    for name in ("mean", "logvar"):
        given = {"mean": mean, "logvar": logvar}
        leaf = given[name] = given[name].clone().requires_grad_()
        drawn = function(given["mean"], given["logvar"], noise)
        assert drawn.requires_grad, f"no gradient reaches {name}"
        drawn.sum().backward()
        assert leaf.grad is not None and leaf.grad.abs().sum() > 0, f"no gradient reaches {name}"


def check_divergence(function, seed):
    numbers, zero = Numbers(seed), torch.zeros(3, 4)
    found = torch.as_tensor(function(zero, zero))
    assert found.ndim == 0, "the divergence is one number"
    assert abs(found) < 1e-6, f"of the unit Gaussian it is {found:.3f}, not 0"
    mean, logvar = numbers(3, 4), numbers(3, 4)
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(mean, (logvar / 2).exp()), normal(0.0, 1.0))
    found = torch.as_tensor(function(mean, logvar))
    assert abs(found - wanted.sum()) > 1e-3, "that is the sum; it is to be the mean"
    assert abs(found - 2 * wanted.mean()) > 1e-3, "that is twice the divergence"
    found = torch.as_tensor(function(mean, zero))
    assert abs(found - (mean**2).mean() / 2) < 1e-5, (
        f"with logvar = 0 it is {found:.3f}, not {(mean**2).mean() / 2:.3f}, half of the mean squared"
    )
    found, wanted = torch.as_tensor(function(mean, logvar)), wanted.mean()
    assert abs(found - wanted) < 1e-5, (
        f"{found:.3f}, not {wanted:.3f}, though right for logvar = 0: half of (variance - 1 - logvar) is added, and the "
        "variance is exp(logvar)"
    )


def check_weights(function, seed):
    numbers = Numbers(seed)
    x, other = video(numbers), numbers.number(2, 5)
    found = function(x, 8.0)
    shaped(found, (2, 1, 9, 5, 7), "the shape (B, 1, T, H, W)")
    assert not close(found, function(x, other)), f"8 and {other:.2f} as body_weight give the same weights"
    flat = function(torch.full((1, 3, 1, 4, 4), 0.3), 8.0)
    assert close(flat, torch.ones_like(flat)), "where all is of one colour each pixel counts 1"
    lone = torch.full((1, 3, 2, 4, 6), -1.0)
    lone[0, 1, 0, 2, 3] = 1.0
    for weight in (8.0, other):
        one = function(lone, weight)[0, 0]
        assert abs(one[0, 2, 3] - 1 - weight) < 1e-5, (
            f"full green on black counts {one[0, 2, 3]:.2f}, not 1 + {weight:.3g}: the largest distance of the three "
            "channels, halved; from the median, which one pixel does not move"
        )
    dark = function(-lone, 8.0)[0, 0]
    assert abs(dark[0, 2, 3] - 9) < 1e-5, (
        "what is darker than the ground counts as what is lighter: distances have no sign"
    )
    ground = x.flatten(3).median(dim=3).values[..., None, None]
    right = close(found, 1 + 8 * (x - ground).abs().amax(1, keepdim=True) / 2)
    assert right, "right for a still ground alone: the median is of each frame, not of the clip"


def check_loss(function, seed):
    numbers = Numbers(seed)
    x = video(numbers)
    rebuilt, mean, logvar = 0.5 * x + 0.1 * numbers(*x.shape), numbers(2, 3), numbers(2, 3)

    def true(kl_weight, body_weight, x=x, rebuilt=rebuilt):
        return vae.vae_loss(lambda x, noise: (rebuilt, mean, logvar), x, None, kl_weight, body_weight)

    for kl, body in ((0.5, 8.0), (numbers.number(0.2, 0.4), numbers.number(2, 5))):
        found = torch.as_tensor(function(rebuilt, x, mean, logvar, kl, body))
        assert found.ndim == 0, "the loss is one number"
        wanted, error = true(kl, body), true(0.0, body)
        if abs(found - wanted) < 1e-4:
            continue
        divergence = (wanted - error) / kl
        others = [
            (error, "the divergence does not count"),
            (error + divergence, "the divergence is not multiplied by kl_weight"),
            (true(kl, 0.0), "the pixels are not weighted by how much they stand out"),
            (error * x.numel() + kl * divergence, "the error is summed, not averaged"),
            (true(kl, body, rebuilt, x), "the weights are to be those of x, not of what is rebuilt"),
        ]
        if body != 8.0:
            others.append((true(kl, 8.0), f"8 and {body:.2f} as body_weight give the same loss"))
        for other, why in others:
            assert abs(found - other) > 1e-4 * abs(other), why
        raise AssertionError(
            f"{found:.4f}, not {wanted:.4f}: weight times squared error, averaged, plus kl_weight times divergence"
        )


def check_psnr(function, seed):
    a = (Numbers(seed)(2, 3, 4, 6, 3) * 40 + 128).clamp(0, 255).byte()
    b = a.clone()
    b[0] = (a[0].int() + 3).clamp(0, 255).byte()
    b[1, 0, 0, 0, 0] = 255 - a[1, 0, 0, 0, 0]
    found = torch.as_tensor(function(a, b)).double()
    shaped(found, (2,), "one number a clip: the shape")
    wanted = 10 * torch.log10(255**2 / ((a.double() - b.double()) ** 2).mean((1, 2, 3, 4)))
    swapped = torch.as_tensor(function(b, a)).double()
    assert close(found, swapped, 1e-3), (
        "psnr(a, b) is not psnr(b, a): uint8 overflows; make floats of both first"
    )
    assert (found > 0).all(), "the PSNR of clips that are nearly the same is positive: 255^2 by the error"
    assert not close(found, 2 * wanted, 1e-2), (
        "that is twice as much: 20 log10 is for deviations, not for squares"
    )
    off = (found - wanted).abs().max()
    assert off < 1e-3, f"off by up to {off:.3g} dB: 10 log10 of 255^2 by the mean squared error of each clip"


def check_sees(function, seed):
    x = video(Numbers(seed))[:1]

    def encode(x):
        chunks = true_chunks(x, 4)  # (B, K, 4, 3, H, W)
        return chunks.mean((2, 4, 5)).transpose(1, 2)[:, :2, :, None, None]  # (1, 2, K, 1, 1)

    def leaky(x):
        return encode(x).cumsum(2)

    def seen(mask):
        mask = torch.as_tensor(mask)
        assert tuple(mask.shape) == (3,), f"the shape is {tuple(mask.shape)}, not (K,)"
        return "".join("#" if m else "." for m in mask.tolist())

    for frame, wanted in ((0, "#.."), (3, ".#."), (4, ".#."), (5, "..#")):
        kept = x.clone()
        mask = function(encode, kept, frame)
        assert torch.equal(kept, x), "x itself has been changed: work on a copy"
        found = seen(mask)
        assert found != wanted.translate(str.maketrans("#.", ".#")), (
            "the mask is inverted: True is where the latents change"
        )
        assert found == wanted, (
            f"frame {frame} is said to be seen by {found}, not {wanted}: change this frame alone, in all channels, and see "
            "where the latents differ from those of x"
        )
    assert seen(function(leaky, x, 0)) == "###", "an encoder that looks back shows nothing of it"


def check_scales(function, seed):
    z = Numbers(seed)(2, 3, 4, 5, 6) * torch.tensor([0.5, 2.0, 1.0]).view(1, 3, 1, 1, 1) + 1
    cost = torch.tensor([9.0, 1.0, 4.0])
    found = function(z, cost)
    shaped(found, (3,), "the shape (C,)")

    def scaled(found):
        """The deviation of each channel, divided by what was found."""
        return (z / found.view(1, 3, 1, 1, 1)).transpose(0, 1).flatten(1).std(1)

    alike = scaled(function(z, torch.ones(3)))
    assert close(alike, alike[:1].expand(3), 1e-3), (
        f"where all cost the same the deviations come out as {[round(d, 2) for d in alike.tolist()]}, not alike: divide "
        "each channel by its own deviation"
    )
    deviation = scaled(found)
    ratio = deviation / deviation[1]
    assert close(ratio, torch.tensor([3.0, 1.0, 2.0]), 1e-3), (
        f"with costs 9, 1, 4 the deviations are as {[round(r, 2) for r in ratio.tolist()]}, not as 3, 1, 2: they grow "
        "with the root of the cost"
    )
    mean = (deviation**2).mean().item()
    assert abs(mean - 1) < 1e-2, f"the mean variance is {mean:.3f}, not 1"


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
