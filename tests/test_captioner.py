"""The captioner: what it reads, and what it writes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mini_sora import Captioner, Video
from mini_sora.captioner import CaptionNetwork, VideoEncoder
from mini_sora.config import UserError
from mini_sora.data import Shots, to_pixels
from mini_sora.fit import Cast
from mini_sora.presets import CAPTIONERS
from mini_sora.recaption import captioner_objective
from mini_sora.text import Tokenizer
from mini_sora.vae import VAEConfig

SMOKE = CAPTIONERS["captioner-smoke"]
CONFIG = replace(SMOKE.model, stem=VAEConfig(channels=6, frame_width=16, width=24), width=36, max_tokens=60)
CAPTIONS = ["a circle goes right", "a circle goes left", "a circle goes down", "a circle goes up"]


def ball(path, size=(24, 32), frames=9):
    """A white ball on black, float (1, 3, T, H, W); path: share of the clip -> (y, x), pixels."""
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    shown = []
    for t in torch.linspace(0, 1, frames):
        y, x = path(t)
        shown.append(((rows - y) ** 2 + (columns - x) ** 2 < 9).float() * 2 - 1)
    return torch.stack(shown).expand(1, 3, -1, -1, -1).clone()


PATHS = [
    lambda t: (12, 6 + 20 * t),
    lambda t: (12, 26 - 20 * t),
    lambda t: (4 + 16 * t, 16),
    lambda t: (20 - 16 * t, 16),
]


@pytest.fixture(scope="module")
def trained():
    """A captioner that has learned four clips by heart, which are one another's reflections in time and
    space, with a short and a long caption each."""
    torch.manual_seed(0)
    long = [caption + " and so on" * 9 for caption in CAPTIONS]
    tokenizer = Tokenizer.train(CAPTIONS + long, 60)
    captioner = Captioner(CONFIG, CaptionNetwork(CONFIG, tokenizer.size), tokenizer)
    network, x = captioner.network, torch.cat([ball(path) for path in PATHS]).repeat(2, 1, 1, 1, 1)
    clips = ((x + 1) * 127.5).byte().permute(0, 2, 3, 4, 1)
    shots = Shots(clips, CAPTIONS + long, torch.zeros(8, 8))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    loss = captioner_objective(network.writer, tokenizer, CONFIG.max_tokens)
    for _ in range(300):
        optimizer.zero_grad()
        loss(network, shots, None).backward()
        optimizer.step()
    return captioner, [clip.numpy() for clip in clips[:4]], long


def test_the_encoder_takes_any_grid():
    encoder = VideoEncoder(CONFIG)
    for frames, height, width in ((1, 24, 32), (9, 40, 24), (5, 16, 16)):
        with torch.no_grad():
            vectors = encoder(torch.rand(2, 3, frames, height, width))
        assert vectors.shape == (2, (1 + (frames - 1) // 4) * height // 8 * width // 8, 36)


def test_places_and_times_are_told_apart(trained):
    captioner, clips, long = trained
    assert captioner.caption(clips, long=False) == CAPTIONS
    assert captioner.caption(clips) == long


def test_what_a_video_shows_is_likelier_than_what_others_show(trained, monkeypatch):
    captioner, clips, long = trained
    videos, network = np.stack(clips), captioner.network
    for captions in (CAPTIONS, long):
        found = torch.stack([captioner.likelihood(videos, [text.upper()] * 4) for text in captions])
        assert found.argmax(0).tolist() == found.argmax(1).tolist() == [0, 1, 2, 3]
        tokens = torch.tensor([captioner.tokenizer.encode(captions[0])])
        start = network.writer.start(captions is long, 1)
        with torch.no_grad():
            logits = network(torch.cat([start, tokens[:, :-1]], 1), to_pixels(videos[1:2]))
        by_hand = logits.log_softmax(-1).gather(2, tokens[..., None]).sum()
        torch.testing.assert_close(found[0, 1], by_hand, atol=1e-3, rtol=1e-4)
    mixed = [CAPTIONS[0], long[1], CAPTIONS[2] + " and so on", long[3]]
    each = [captioner.likelihood(videos[i : i + 1], mixed[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(captioner.likelihood(videos, mixed), torch.cat(each), atol=1e-3, rtol=1e-4)
    monkeypatch.setattr("mini_sora.captioner.batch_of", lambda *shape: 3)
    torch.testing.assert_close(captioner.likelihood(videos, mixed), torch.cat(each), atol=1e-3, rtol=1e-4)
    monkeypatch.undo()
    endless = captioner.likelihood(videos[:1], [long[0] + " a circle" * 500])
    assert found[0, 0] > endless > -1e4  # of which it reads the beginning
    with pytest.raises(UserError, match="8192"):
        captioner.likelihood(np.zeros((1, 129, 128, 128, 3), np.uint8), CAPTIONS[:1])


def test_a_caption_is_the_same_alone_and_among_others(trained):
    captioner, clips, long = trained
    wide = np.concatenate([clips[0], clips[0]], axis=2)
    mixed = captioner.caption([clips[2], wide, clips[0], clips[3][:1], clips[1]])
    assert [mixed[0], mixed[2], mixed[4]] == [long[2], long[0], long[1]]
    assert mixed[1] == captioner.caption(wide)
    assert mixed[3] == captioner.caption(Video(clips[3][:1]), seed=3)
    assert captioner.caption(Video(clips[1])) == long[1]


def test_it_trains_in_bfloat16(trained):
    captioner, clips, _ = trained
    shots = Shots(torch.from_numpy(np.stack(clips)), CAPTIONS, torch.zeros(4, 8))
    loss = captioner_objective(captioner.network.writer, captioner.tokenizer, 60)
    exact, rounded = (
        loss(Cast(captioner.network, dtype), shots, None).item() for dtype in (torch.float32, torch.bfloat16)
    )
    assert 0 < abs(exact - rounded) < 0.05


def test_what_stands_first_says_how_long_it_is(trained):
    captioner, clips, _ = trained
    seen = []

    def forward(before, x):
        seen.append(before)
        return torch.zeros(*before.shape, captioner.tokenizer.size)

    words = ["a circle " * 20, "a circle goes up", "a circle " * 90]  # of which the last is too long
    shots = Shots(torch.from_numpy(np.stack(clips[:3])), words, torch.zeros(3, 8))
    loss = captioner_objective(captioner.network.writer, captioner.tokenizer, 100)(forward, shots, None)
    first = captioner.network.writer.start(0, 1).item()
    assert seen[0][:, 0].tolist() == [first + 1, first]
    assert loss.item() == pytest.approx(np.log(captioner.tokenizer.size))
    with pytest.raises(UserError, match="max_tokens"):
        captioner_objective(captioner.network.writer, captioner.tokenizer, 2)(forward, shots, None)


@pytest.mark.parametrize(
    ("video", "word"),
    [
        (np.zeros((3, 32, 32, 3), np.uint8), "3 frames"),
        (np.zeros((5, 30, 32, 3), np.uint8), "side 30"),
        (np.zeros((5, 32, 32), np.uint8), "shape"),
        ([np.zeros((5, 32, 32, 3))], "uint8"),
    ],
)
def test_what_is_no_clip_is_refused(trained, video, word):
    with pytest.raises(UserError, match=word):
        trained[0].caption(video)


def test_each_video_of_a_batch_has_a_seed_of_its_own(trained, monkeypatch):
    captioner, clips, _ = trained
    batches = []

    def write(which, about, mask, most, generators):
        batches.append((which, len(about), most))
        return [[generator.initial_seed()] for generator in generators]

    monkeypatch.setattr(captioner.network.writer, "write", write)
    told = captioner.caption([clips[0]] * 70, long=False, seed=40)
    assert told == [chr(40 + i) for i in range(70)] and batches == [(False, 64, 60), (False, 6, 60)]
    large = np.zeros((1, 256, 256, 3), np.uint8)  # of 1024 patches each, so that 32 go through at once
    captioner.caption([large] * 33)
    assert [count for _, count, _ in batches[2:]] == [32, 1]
    with pytest.raises(UserError, match="8192"):
        captioner.caption(np.zeros((129, 128, 128, 3), np.uint8))
