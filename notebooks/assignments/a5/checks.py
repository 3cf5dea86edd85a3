"""The points of A5."""

from itertools import pairwise

import torch

from notebooks.assignments.measure import Numbers, Point, close, marks, same, shaped


def check_masks(function, seed):
    numbers = Numbers(seed)
    K, n = numbers.whole(7, 9), numbers.whole(2, 3)
    cases = (
        ("generate", 5, 1, "?????"),
        ("animate", 5, 1, "1????"),
        ("forward", 6, 2, "11????"),
        ("backward", 6, 2, "????11"),
        ("connect", 7, 2, "11???11"),
        ("backward", 4, 3, "?111"),
        ("animate", 3, 2, "1??"),
        ("forward", K, n, "1" * n + "?" * (K - n)),
        ("connect", K, n, "1" * n + "?" * (K - 2 * n) + "1" * n),
    )
    for task, K, n, wanted in cases:
        found = torch.as_tensor(function(task, K, n))
        assert found.shape == (K,), f"{task}: the shape is {tuple(found.shape)}, not ({K},)"
        assert marks(found) == wanted, f"{task}, K = {K}, n = {n}: {marks(found)}, not {wanted} (1 is known)"


def check_sampler(function, seed):
    numbers = Numbers(seed)
    truth, noise = numbers(2, 3, 5, 4, 6), numbers(2, 3, 5, 4, 6)
    known = torch.tensor([True, False, False, True, False])
    asked, seen = [], []

    def denoiser(z_t, t):
        """Knows the truth, and so the velocity of each frame that is not known; of the others it says anything."""
        assert tuple(t.shape) == (2, 5), f"t has the shape {tuple(t.shape)}, not (B, K): (2, 5)"
        asked.append(t.clone())
        seen.append(z_t.clone())
        t = t[:, None, :, None, None]
        return torch.where(t > 0, (z_t - truth) / t.clamp(min=1e-3), 1.0)

    z = torch.where(known[None, None, :, None, None], truth, noise)
    found = function(denoiser, z.clone(), known, 6)
    assert len(asked) == 6, f"the denoiser was asked {len(asked)} times for 6 steps"
    inverted = any((t[:, ~known] == 0).all() and (t[:, known] > 0).all() for t in asked)
    assert not inverted, "the mask is inverted: the known frames have noise times, and the others 0"
    assert all((t[:, known] == 0).all() for t in asked), "a known frame has t = 0 in every call"
    assert (asked[0][:, ~known] == 1).all(), "the first call has t = 1 where nothing is known"
    assert torch.equal(found[:, :, known], truth[:, :, known]), "a known frame must come back as it was"
    times = [t[0, 1].item() for t in asked]
    assert all(abs(t - (1 - i / 6)) < 1e-4 for i, t in enumerate(times)), (
        f"the times are {[round(t, 2) for t in times]}, not equal steps"
    )
    for t, z_t in zip(times, seen, strict=True):
        on_line = close(z_t[:, :, ~known], ((1 - t) * truth + t * noise)[:, :, ~known], 1e-3)
        assert on_line, (
            f"at t = {t:.2f} it is not where a step of 1 / steps against v leads: on the line to the data"
        )
    off = (found - truth).abs().max()
    assert off < 1e-3, (
        f"with a perfect denoiser the sample is off by up to {off:.2g}: v points to the noise, and each step goes 1 / steps "
        "against it"
    )


def check_windows(function, seed):
    numbers = Numbers(seed)
    window = numbers.whole(4, 6)
    history, count = numbers.whole(1, window - 2), numbers.whole(3, 5)
    step = window - history
    cases = (
        ((window + step * count, window, history), [(step * i, step * i + window) for i in range(count + 1)]),
        ((5, 5, 2), [(0, 5)]),
        ((3, 5, 2), [(0, 3)]),
        ((11, 5, 2), [(0, 5), (3, 8), (6, 11)]),
        ((9, 5, 1), [(0, 5), (4, 9)]),
        ((10, 5, 3), [(0, 5), (2, 7), (4, 9), (6, 10)]),
    )
    for asked, wanted in cases:
        found = [tuple(map(int, pair)) for pair in function(*asked)]
        assert found, f"windows{asked}: there is none"
        early = [pair for pair in found[1:] if pair[0] < 0]
        assert not early, f"windows{asked}: one begins at {early[:1]}"
        for (_, end), (first, _) in pairwise(found):
            known = f"the window from {first} on knows {end - first} latent frames of the one before"
            assert end - first == asked[2], f"windows{asked}: {known}, not {asked[2]}"
        assert found[-1][1] == asked[0], f"windows{asked}: the last ends at {found[-1][1]}, not {asked[0]}"
        long = [b - a for a, b in found if b - a > asked[1]]
        assert not long, f"windows{asked}: a window has {long[:1]} latent frames, more than {asked[1]}"
        assert found == wanted, f"windows{asked} are {found}, not {wanted}"


def check_chunks(function, seed):
    found = [int(function(frame)) for frame in range(10)]
    wanted = [0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert found == wanted, f"frames 0 to 9 are in {found}, not {wanted}: frame 0 is alone"
    numbers = Numbers(seed)
    for frame in (numbers.whole(10, 500) for _ in range(20)):
        found, wanted = int(function(frame)), -(-frame // 4)
        assert found == wanted, f"frame {frame} is in {found}, not {wanted}: after frame 0 each four are one"


def check_frames(function, seed):
    numbers = Numbers(seed)
    for k in (0, 1, 2, *(numbers.whole(3, 200) for _ in range(5))):
        found, wanted = tuple(map(int, function(k))), (max(4 * k - 3, 0), 4 * k + 1)
        assert found == wanted, (
            f"latent frame {k} holds frames {found}, not {wanted}: the last is not included, and frame 0 is alone"
        )


def check_prepend(function, seed):
    numbers = Numbers(seed)
    drawn = [(1 + 4 * numbers.whole(1, 6), 4 * numbers.whole(1, 6)) for _ in range(3)]
    for clip, new in ((17, 16), (1, 4), *drawn):
        wanted = "?" * (1 + new // 4) + "1" * (clip // 4)
        index, mask = function(clip, new)
        assert int(index) == new, (
            f"a clip with {new} frames before it begins at frame {new}, not {int(index)}"
        )
        found = torch.as_tensor(mask)
        assert found.shape == (len(wanted),), (
            f"{clip} + {new} frames have {len(wanted)} latent frames, not {len(found)}"
        )
        assert marks(~found.bool()) != wanted, "the mask is inverted: the clip is known, what is new is not"
        ends = marks(found) == wanted
        why = "the clip's frame 0 is now the last of a chunk, whose other frames are not known"
        assert ends, f"clip {clip}, new {new}: {marks(found)}, not {wanted}: {why}"


def check_edit(function, seed):
    numbers = Numbers(seed)
    z_0, eps = numbers(2, 3, 4, 5, 6), numbers(2, 3, 4, 5, 6)
    strength, steps = numbers.number(0.55, 0.8), numbers.whole(3, 6)
    z_t, times = function(z_0, eps, strength, steps)
    times = torch.as_tensor(times).float()
    assert times.shape == (steps + 1,), f"there are {times.numel()} times for {steps} steps, not steps + 1"
    assert abs(times[0] - strength) < 1e-6, (
        f"the first time is {times[0]:.3f}, not the strength, {strength:.3f}"
    )
    assert abs(times[-1]) < 1e-6, f"the last time is {times[-1]:.3f}, not 0"
    equal = torch.allclose(times, torch.linspace(strength, 0, steps + 1), atol=1e-5)
    assert equal, f"{times.tolist()} is not equal steps"
    shaped(z_t, z_0.shape)
    assert not close(z_t, strength * z_0 + (1 - strength) * eps), (
        "strength is how much noise there is, not how much is left of the video"
    )
    same(z_t, (1 - strength) * z_0 + strength * eps, "z_t, on the straight line from z_0 to eps,")


def check_seam(function, seed):
    numbers = Numbers(seed)
    count, size, far = numbers.whole(9, 15), numbers.number(0.3, 0.6), numbers.number(4, 8)
    angle = torch.arange(count) / count * 2 * torch.pi
    circle = size * torch.stack([angle.cos(), angle.sin()], 1)
    assert abs(function(circle) - 1) < 1e-4, (
        f"a full circle has {function(circle):.3f}, not 1: the step from its end to its start, in median steps"
    )
    line = size * torch.stack([torch.arange(float(count)), torch.zeros(count)], 1)
    assert abs(function(line) - count + 1) < 1e-4, (
        f"{count} places in a row have {function(line):.3f}, not {count - 1}: it is so many steps back"
    )
    jump = size * torch.tensor([[0, 0], [1, 0], [2, 0], [2 + far, 0], [3 + far, 0], [0, 1]])
    assert abs(function(jump) - 1) < 1e-4, (
        f"one jump inside must not count: {function(jump):.3f}, not 1 (median)"
    )


POINTS = [
    Point("known_mask", 15, "which frames are known", check_masks),
    Point("sample_known", 25, "a sampler around known frames", check_sampler),
    Point("windows", 20, "windows of a long video", check_windows),
    Point("chunk_of", 5, "frame to latent frame", check_chunks),
    Point("frames_of", 5, "latent frame to frames", check_frames),
    Point("prepend", 10, "extending backwards", check_prepend),
    Point("edit_start", 10, "editing", check_edit),
    Point("seam", 10, "how smooth a loop is", check_seam),
]
