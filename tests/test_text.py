import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mini_sora.config import UserError
from mini_sora.text import END, TextConfig, TextEncoder, Tokenizer, tokenize

CAPTIONS = ["a red circle moves left", "a red square moves right", "the circle is red and moves up"] * 3
TOKENIZER = Tokenizer.train(CAPTIONS, 40)


@given(st.text())
def test_any_string_encodes_and_decodes(text):
    tokens = TOKENIZER.encode(text)
    assert tokens[-1] == END and all(0 <= token < TOKENIZER.size for token in tokens)
    assert TOKENIZER.decode(tokens) == text


def test_the_most_frequent_pair_is_merged_first():
    tokenizer = Tokenizer.train(["abab abab", "ab"], 2)
    assert tokenizer.merges[0] == (ord("a"), ord("b"))
    assert tokenizer.encode("ab") == [257, END]


def test_merges_shorten_known_words_only():
    assert len(TOKENIZER.encode(" circle")) == 2
    assert len(TOKENIZER.encode(" xyzzy")) == 7


def test_of_pairs_that_are_as_frequent_the_lowest_is_merged():
    assert Tokenizer.train(["ba ab"], 1).merges == [(ord(" "), ord("a"))]


def test_the_empty_prompt_has_a_token():
    tokens, mask = tokenize(TOKENIZER, ["", "a red circle"], 32)
    assert tokens[0].tolist() == [END] * tokens.shape[1]
    assert mask[0].tolist() == [True] + [False] * (tokens.shape[1] - 1)


@pytest.mark.parametrize("prompt", ["x" * 300, "a red circle " * 100_000])
def test_a_prompt_that_is_too_long_is_refused(prompt):
    with pytest.raises(UserError, match="too long"):
        tokenize(TOKENIZER, [prompt], 64)


def test_padding_does_not_change_the_encoding():
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(merges=43, width=16, heads=2))
    alone, mask = tokenize(TOKENIZER, ["a red circle"], 64)
    both, both_mask = tokenize(TOKENIZER, ["a red circle", "the square is red and moves to the right"], 64)
    n = alone.shape[1]
    torch.testing.assert_close(encoder(both, both_mask)[:1, :n], encoder(alone, mask))
    wide, wide_mask = tokenize(TOKENIZER, ["a red circle"], 64, multiple=32)
    assert wide.shape == (1, 32) and wide_mask.sum() == n and (wide[:, :n] == alone).all()
    torch.testing.assert_close(encoder(wide, wide_mask)[:, :n], encoder(alone, mask))


def test_word_order_matters():
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(merges=43, width=16, heads=2))
    mask = torch.ones(1, 3, dtype=torch.bool)
    one, other = (encoder(torch.tensor([row]), mask).sum(1) for row in ([1, 2, 3], [3, 2, 1]))
    assert not torch.allclose(one, other, atol=1e-3)
