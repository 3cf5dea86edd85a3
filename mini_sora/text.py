"""Words: a byte-level BPE of our own, and the small transformer that reads its tokens.

The tokenizer starts from the 256 bytes, so any string encodes and decodes exactly, and learns
merges from the captions (Sennrich et al. 2016; byte level as in GPT-2). The encoder is trained
together with the DiT. The empty prompt is the unconditional one that guidance needs.
"""

import functools
import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .config import UserError, check_heads, check_numbers
from .layers import Attention, FeedForward, rotary_angles

END = 256  # closes every prompt, so that the empty one has a token too; also fills up a batch
_PIECES = re.compile(r" ?\w+|\s|[^\w\s]+")


class Tokenizer:
    """Byte-level BPE. Token i < 256 is the byte i, 256 the end, 257 + j the j-th merge."""

    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self._known = {}

    @property
    def size(self):
        return 257 + len(self.merges)

    @classmethod
    def train(cls, texts, merges):
        """Learn up to so many merges: each joins the most frequent pair (the lowest, when tied)."""
        words = Counter(piece for text in texts for piece in _PIECES.findall(text))
        words = {tuple(word.encode()): count for word, count in words.items()}
        learned = []
        while len(learned) < merges:
            pairs = Counter()
            for word, count in words.items():
                for pair in itertools.pairwise(word):
                    pairs[pair] += count
            if not pairs:
                break
            best = max(pairs, key=lambda pair: (pairs[pair], [-token for token in pair]))
            learned.append(best)
            words = {_merge(word, best, 256 + len(learned)): count for word, count in words.items()}
        return cls(learned)

    def _encode_piece(self, piece):
        tokens = tuple(piece.encode("utf-8", "surrogatepass"))
        while len(tokens) > 1:
            pair = min(itertools.pairwise(tokens), key=lambda p: self.rank.get(p, len(self.rank)))
            if pair not in self.rank:
                break
            tokens = _merge(tokens, pair, 257 + self.rank[pair])
        return tokens

    def encode(self, text):
        """Any string -> a list of tokens, the end token last."""
        tokens = []
        for piece in _PIECES.findall(text):
            if piece not in self._known and len(self._known) < 10_000:
                self._known[piece] = self._encode_piece(piece)
            tokens += self._known.get(piece) or self._encode_piece(piece)
        return [*tokens, END]

    def decode(self, tokens):
        """The exact inverse of encode. Raises UnicodeDecodeError for tokens that spell no text."""

        def spell(token):
            if token < 256:
                return bytes([token])
            return b"" if token == END else b"".join(spell(part) for part in self.merges[token - 257])

        return b"".join(spell(token) for token in tokens).decode("utf-8", "surrogatepass")

    def written(self, tokens):
        """The text that a network has written, without spaces around it; none where its tokens spell none."""
        try:
            return self.decode(tokens).strip()
        except UnicodeDecodeError:
            return ""


def _merge(word, pair, token):
    merged, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            merged.append(token)
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def words_of(text):
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


@dataclass(frozen=True)
class TextConfig:
    """merges: of the tokenizer; width, layers, heads: of the encoder; max_tokens: the longest prompt."""

    merges: int = 100
    width: int = 64
    layers: int = 1
    heads: int = 4
    max_tokens: int = 256

    def __post_init__(self):
        check_numbers(self, low=1, high=4096, merges=(0, 65536), max_tokens=(1, 65536))
        check_heads(self.width, self.heads)


class TextEncoder(nn.Module):
    """A transformer that looks both ways: tokens to one vector each."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(257 + config.merges, config.width)
        self.blocks = nn.ModuleList(TextBlock(config.width, config.heads) for _ in range(config.layers))
        self.norm0, self.norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        nn.init.normal_(self.embedding.weight, std=0.5)

    def forward(self, tokens, mask):  # (B, L) whole numbers, (B, L) bool, True where there is text
        x = self.norm0(self.embedding(tokens))  # (B, L, D)
        # A text has one axis: a token's place stands for all three.
        place = torch.arange(tokens.shape[1], device=tokens.device)[:, None].expand(-1, 3)  # (L, 3)
        angles = rotary_angles(place, x.shape[-1] // self.config.heads)  # (L, d / 2)
        for block in self.blocks:
            x = block(x, mask, angles)  # (B, L, D)
        return self.norm(x)  # (B, L, D)


class TextBlock(nn.Module):
    """Self-attention, then feed-forward, each normalised after it and added (Liu et al. 2022, Swin V2).

    Normalised before it instead, what the block adds grows until it drowns the word itself: "left"
    and "right", which stand in the same places, then come out alike and stay so.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.feed_forward = Attention(width, heads), FeedForward(width)

    def forward(self, x, mask, angles):  # (B, L, D), (B, L), (L, d / 2) -> (B, L, D)
        x = x + self.norm1(self.attention(x, mask=mask, angles=angles))
        return x + self.norm2(self.feed_forward(x))


@functools.lru_cache(2**16)  # a batch comes again after hundreds of others
def encoded(tokenizer, prompt):
    """As tokenizer.encode, remembered."""
    return tokenizer.encode(prompt)


def tokenize(tokenizer, prompts, max_tokens, multiple=1):
    """Prompts -> tokens (B, L) and mask (B, L), L the longest's, rounded up to a multiple. Raises
    UserError if one is too long."""
    rows = []
    for prompt in prompts:
        # No merge in practice spells 64 bytes, so a text this long need not be read to be refused.
        row = encoded(tokenizer, prompt) if len(prompt) <= 64 * max_tokens else None
        if row is None or len(row) > max_tokens:
            count = f"{len(row)} tokens" if row else f"{len(prompt)} characters"
            begin = f"the prompt {prompt[:40]!r}..."
            raise UserError(f"{begin} is too long: {count}, at most {max_tokens} tokens; shorten it")
        rows.append(row)
    lengths = torch.tensor([len(row) for row in rows])
    longest = math.ceil(int(lengths.max()) / multiple) * multiple
    mask = torch.arange(longest) < lengths[:, None]
    tokens = torch.full(mask.shape, END)
    tokens[mask] = torch.from_numpy(np.fromiter(itertools.chain.from_iterable(rows), np.int64))
    return tokens, mask
