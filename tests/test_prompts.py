import math

import pytest
import torch

from data_gen import make_batch, make_captions
from mini_sora import MiniSora
from mini_sora.__main__ import main
from mini_sora.config import UserError, with_flags
from mini_sora.data import Captions, DataConfig
from mini_sora.evaluate import faithful
from mini_sora.fit import Cast
from mini_sora.objectives import expander_objective
from mini_sora.presets import PRESETS
from mini_sora.prompts import Writer, WriterConfig, next_token_loss
from mini_sora.samplers import sources_of
from mini_sora.text import END

LONG = "a red circle moves left " * 8


@pytest.fixture
def expander():
    torch.manual_seed(0)
    return Writer(WriterConfig(width=24, layers=2, heads=2), tokens=300, text_width=16)


def read(count, length=5):
    """Vectors of short prompts, as from a text encoder, and their mask."""
    return torch.randn(count, length, 16), torch.ones(count, length, dtype=torch.bool)


def sources(count, first=0):
    return [torch.Generator().manual_seed(first + i) for i in range(count)]


def test_what_comes_later_is_not_looked_at(expander):
    written = torch.randint(0, 300, (2, 7))
    other = written.clone()
    other[:, 4:] = 299 - other[:, 4:]
    text, mask = read(2)
    before, after = expander(written, text, mask), expander(other, text, mask)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_token_by_token_is_as_all_at_once(expander):
    written, (text, mask) = torch.randint(0, 300, (2, 7)), read(2)
    past = [({}, {}), ({}, {})]
    parts = [expander(part, text, mask, past) for part in written.split([1, 1, 3, 2], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expander(written, text, mask))


def test_padding_is_not_read(expander):
    written, (text, mask) = torch.randint(0, 300, (1, 4)), read(1)
    longer = torch.cat([text, torch.full((1, 3, 16), 9.0)], dim=1)
    covered = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(expander(written, longer, covered), expander(written, text, mask))


def test_a_prompt_is_told_alike_alone_and_among_others(expander):
    text, mask = read(3)
    torch.nn.init.constant_(expander.norm.bias, 0.5)  # these two make the end likely
    torch.nn.init.constant_(expander.embedding.weight[END], 1.0)
    together = expander.write(1, text, mask, 200, sources(3))
    assert None not in together
    for i in range(3):
        assert expander.write(1, text[i : i + 1], mask[i : i + 1], 200, sources(1, i)) == together[i : i + 1]
    assert expander.write(1, text, mask, 200, sources(3, 9)) != together


def test_the_loss_is_that_of_the_tokens_that_are_there(expander):
    text, mask = read(2)
    long = torch.randint(0, 256, (2, 6))
    filled = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    start = expander.start(1, 2)
    loss = next_token_loss(expander, start, long, filled, text, mask)
    chances = expander(torch.cat([start, long[:, :-1]], dim=1), text, mask).log_softmax(-1)
    by_hand = [-chances[b, i, long[b, i]].item() for b, n in ((0, 6), (1, 3)) for i in range(n)]
    assert loss.item() == pytest.approx(sum(by_hand) / 9, rel=1e-5)
    changed = torch.where(filled, long, 255 - long)
    assert next_token_loss(expander, start, changed, filled, text, mask).item() == pytest.approx(loss.item())
    assert abs(loss.item() - math.log(300)) < 1  # an untrained one knows nothing


def test_it_learns_which_prompt_it_is_to_tell_and_whether_it_moves(expander):
    text, mask = read(2)
    long = torch.tensor([[5, 6, 7, END], [8, 7, END, END], [9, 9, 9, END], [6, 5, END, END]])
    filled = torch.tensor([[True] * 4, [True, True, True, False]] * 2)
    start = torch.cat([expander.start(0, 2), expander.start(1, 2)])
    both = text.repeat(2, 1, 1), mask.repeat(2, 1)
    optimizer = torch.optim.AdamW(expander.parameters(), lr=3e-3)
    for _ in range(400):
        optimizer.zero_grad()
        next_token_loss(expander, start, long, filled, *both).backward()
        optimizer.step()
    assert expander.write(0, text, mask, 9, sources(2)) == [[5, 6, 7], [8, 7]]
    assert expander.write(1, text, mask, 9, sources(2)) == [[9, 9, 9], [6, 5]]
    assert expander.write(1, text, mask, 2, sources(2)) == [None, None]


def test_the_expander_is_shown_short_prompts_and_writes_long_ones(smoke):
    seen, brief, long = [], "a red circle moves left", "there is a red circle that moves left"

    def forward(before, text, mask):
        seen.append((before, text))
        return torch.zeros(*before.shape, smoke.tokenizer.size)

    for frames in (1, 17):
        expander_objective(smoke)(forward, (frames, [(brief, long), (brief, "red " * 900)]), None)
    for moves, (before, text) in enumerate(seen):
        assert len(before) == 1 and before[0, 0] == smoke.expander.start(moves, 1)
        assert smoke.tokenizer.decode(before[0, 1:].tolist()) == long
        torch.testing.assert_close(text, smoke.sora.text(*smoke.tokenize([brief])))


def test_captions_are_those_of_the_clips():
    for family in ("shapes", "play"):
        batch = make_batch(family, range(5), (24, 32), 9)
        told = [(batch[i].caption, batch[i].long_caption) for i in range(5)]
        assert make_captions(family, range(5), (24, 32), 9) == told


def test_batches_of_captions_follow_from_the_seed():
    config = DataConfig(sides=(24, 32), frames=(1, 17), wide=True)
    data, again = (Captions(config, ("shapes", "change"), 6, seed=3) for _ in range(2))
    assert data[5] == again[5] != data[6]
    assert {data[i][0] for i in range(9)} == {1, 17}
    brief, long = zip(*data[0][1], strict=True)
    assert faithful(brief, long).mean() == 1.0 and len(brief) == 6
    shown = {pair for i in range(9) for pair in data[i][1]}
    assert len(shown) == 54 and not shown & set(data.unseen(20, (32, 32), 17))


def test_an_expansion_that_says_something_else_is_not_faithful():
    brief, long = zip(*make_captions("shapes", range(9)), strict=True)
    assert faithful(brief, long).mean() == 1.0
    assert faithful(brief, long[1:] + long[:1]).mean() < 0.3
    assert faithful(brief, brief).mean() == 0.0  # not told at length
    assert faithful(brief[:2], ["what is this"] * 2).mean() == 0.0
    assert faithful(["a red circle moves left", "no such sentence"], [long[0], "x"]).mean() == 0.0


@pytest.fixture
def writing(smoke, monkeypatch):
    """Lets the smoke model's expander write what is put in; returns (what to write, what was asked)."""
    rows, asked = ["there is a red circle that moves left"], []

    def write(which, text, mask, most, generators):
        asked.append((which, [g.initial_seed() for g in generators]))
        return [
            row if row is None or isinstance(row, list) else smoke.tokenizer.encode(row)[:-1] for row in rows
        ]

    monkeypatch.setattr(smoke.expander, "write", write)
    return rows, asked


def test_short_prompts_are_told_at_length(smoke, writing):
    rows, asked = writing
    assert smoke.expand("A red circle moves left", seed=4) == rows[0]
    assert smoke.expand(["a red circle moves left"], frames=1, seed=9) == rows
    (moving, seeds), (image, others) = asked
    assert (moving, image) == (True, False) and seeds != others


def test_words_are_drawn_apart_from_noise(smoke, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        smoke.expander, "write", lambda *a: drawn.append(torch.rand(9, generator=a[-1][0])) or [[]]
    )
    for seed in (0, 4):
        smoke.expand("a red circle moves left", seed=seed)
        noise = torch.rand(9, generator=sources_of(seed, 1)[0])
        assert not torch.equal(drawn[-1], noise), "a generator reads the lowest 32 bits of its seed alone"
    assert not torch.equal(*drawn)


@pytest.mark.parametrize("row", [None, [], [255, 254], " no" * 500])
def test_what_is_no_prompt_is_not_filmed(smoke, writing, row):
    writing[0][0] = row
    assert smoke.expand("A red circle moves left") == "a red circle moves left"


def test_what_needs_no_expansion_is_left_as_it_is(smoke, writing, monkeypatch):
    prompts = [LONG, "a red elephant moves left", "a red circle moves left"]
    assert not smoke.unknown_words(LONG)
    assert smoke.expand(prompts) == [*prompts[:2], *writing[0]]
    assert len(writing[1]) == 1
    monkeypatch.setattr(smoke, "expander", None)
    assert smoke.expand(prompts[2]) == prompts[2]
    with pytest.raises(UserError, match="frames"):
        smoke.expand(prompts, frames=3)


def test_a_video_is_made_from_the_expansion(smoke, writing):
    told = smoke.generate("a red circle moves left", seed=1).frames
    plain = smoke.generate("a red circle moves left", seed=1, expand=False).frames
    other = smoke.generate(writing[0], seed=1, expand=False)[0].frames
    assert (told == other).all() and (told != plain).any()


@pytest.mark.parametrize("command", [("generate", "--frames", "5"), ("loop", "--between", "8")])
def test_a_command_shows_what_it_films(command, smoke, writing, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(MiniSora, "from_pretrained", lambda *args, **options: smoke)
    argv = [*command, "a red circle moves left", "--seed", "7", "-o", str(tmp_path / "told.gif")]
    assert main(argv) == 0
    assert len(writing[1]) == 1  # what is shown is what was filmed
    assert f"told at length: {writing[0][0]}\n" in capsys.readouterr().out
    assert main([*argv[:-1], str(tmp_path / "plain.gif"), "--no-expand"]) == 0
    assert "told at length" not in capsys.readouterr().out
    assert (tmp_path / "told.gif").read_bytes() != (tmp_path / "plain.gif").read_bytes()


def test_several_prompts_are_shown_as_they_are_filmed(smoke, writing, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(MiniSora, "from_pretrained", lambda *args, **options: smoke)
    writing[0].append("there is a blue square that rises")
    prompts = ["a red circle moves left", "a blue square rises"]
    assert main(["generate", *prompts, "-o", str(tmp_path / "many")]) == 0
    printed = capsys.readouterr().out
    assert all(f"told at length: {row}\n" in printed for row in writing[0])


def test_later_windows_are_asked_for_what_was_asked(smoke, writing, monkeypatch):
    denoise, filmed = smoke._denoise, []
    monkeypatch.setattr(
        smoke, "_denoise", lambda how, texts, *a: filmed.append(texts) or denoise(how, texts, *a)
    )
    smoke.generate("a red circle moves left", frames=65)
    assert filmed[0] == writing[0] and len(filmed) > 1
    assert all(texts == ["a red circle moves left"] for texts in filmed[1:])


def test_an_expander_alone_can_be_added(smoke, smoke_run, tmp_path):
    start = ["--preset", "smoke", "--start", str(smoke_run), "--judged", "1"]
    alone = ["--dit.fit.steps", "0", "--expander.fit.steps", "2"]
    assert main(["train", *start, *alone, "--out", str(tmp_path / "run")]) == 0
    sora = MiniSora.from_pretrained(tmp_path / "run")
    for part in ("vae", "sora"):
        kept = [getattr(model, part).state_dict().values() for model in (sora, smoke)]
        assert all(torch.equal(*values) for values in zip(*kept, strict=True))
    weights = [model.expander.embedding.weight for model in (sora, smoke)]
    assert 0 < (weights[0] - weights[1]).abs().max() < 0.1  # it goes on from the one that was there
    assert main(["train", *start, *alone, "--out", str(tmp_path / "run"), "--resume"]) == 0
    free = ["--model.expander.temperature", "0.9", "--out", str(tmp_path / "free")]  # which training is not
    assert main(["train", *start, *alone, *free]) == 0
    assert torch.equal(MiniSora.from_pretrained(tmp_path / "free").expander.embedding.weight, weights[0]), (
        "it begins with the same weights"
    )


@pytest.mark.parametrize("flag", ["vae.fit.steps", "dit.fit.steps", "expander.fit.steps"])
def test_nothing_is_kept_untrained(flag):
    with pytest.raises(UserError, match=f"{flag} is 0"):
        with_flags(PRESETS["smoke"], {flag: "0"})


def test_it_trains_in_mixed_precision(expander):
    text, mask = read(2)
    long, filled = torch.randint(0, 256, (2, 6)), torch.ones(2, 6, dtype=torch.bool)
    losses = [
        next_token_loss(Cast(expander, dtype), expander.start(1, 2), long, filled, text, mask).item()
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_the_expander_is_saved_with_the_model(smoke, tmp_path):
    smoke.save_pretrained(tmp_path / "model")
    loaded = MiniSora.from_pretrained(tmp_path / "model")
    text, mask = torch.randn(1, 3, 32), torch.ones(1, 3, dtype=torch.bool)
    written = loaded.expander.start(1, 1)
    torch.testing.assert_close(loaded.expander(written, text, mask), smoke.expander(written, text, mask))
    without = MiniSora(smoke.config, smoke.vae, smoke.sora, smoke.tokenizer, smoke.words)
    without.save_pretrained(tmp_path / "without")
    assert MiniSora.from_pretrained(tmp_path / "without").expander is None
