"""Prompt expansion: a short prompt, told at length, before it is filmed.

A long prompt leaves less open, so a model follows it better; but people write short ones. Betker et al.
2023 (DALL-E 3, section 3.5) and Sora let a language model write the long one. Here it is a small decoder
(Vaswani et al. 2017): the DiT's text encoder reads the short prompt, and the decoder writes token by
token. It learns from pairs of captions of the same scenes.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .config import check_heads, check_numbers
from .layers import Attention, FeedForward, rotary_angles
from .text import END

BRIEF = 30  # words: what is shorter can be told at length
STARTS = 2  # what may stand before the first token, to say what is to be written


def is_long(text):
    """Whether a text is one that is told at length."""
    return len(text.split()) >= BRIEF


@dataclass(frozen=True)
class WriterConfig:
    """width, layers, heads: of the decoder, which a model with 0 layers lacks; temperature: how freely it
    chooses, 1 as in the captions that it learned from, towards 0 always the likeliest."""

    width: int = 128
    layers: int = 0
    heads: int = 4
    temperature: float = 0.4

    def __post_init__(self):
        check_numbers(self, low=1, high=4096, layers=(0, 256), temperature=(0.01, 10))
        check_heads(self.width, self.heads)


class WriterBlock(nn.Module):
    """Self-attention to what is written, cross-attention to what was read, feed-forward; normalised after
    each, as in TextBlock."""

    def __init__(self, width, heads, text_width):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads, context_width=text_width)
        self.feed_forward = FeedForward(width)

    def forward(self, x, text, mask, angles, causal, past=(None, None)):
        """x: (B, N, D); text: (B, L, D'); mask: (B, L); angles: (N, d / 2); causal: (1, N, N); past: of each
        attention, see there."""
        x = x + self.norm1(self.attention(x, mask=causal, angles=angles, past=past[0]))
        x = x + self.norm2(self.cross_attention(x, text, mask, past=past[1]))
        return x + self.norm3(self.feed_forward(x))  # (B, N, D)


class Writer(nn.Module):
    """A causal transformer that writes a text about vectors that it is given: a long prompt, of those of a
    short one, or a caption, of those of a video (see captioner.py). What it reads a token by is also what it
    writes it by (Press & Wolf 2017).

    tokens: how many there are; text_width: of the vectors, D'.
    """

    def __init__(self, config, tokens, text_width):
        super().__init__()
        self.config, self.tokens = config, tokens
        self.embedding = nn.Embedding(tokens + STARTS, config.width)
        self.blocks = nn.ModuleList(
            WriterBlock(config.width, config.heads, text_width) for _ in range(config.layers)
        )
        self.norm0, self.norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        nn.init.normal_(self.embedding.weight, std=0.5)

    def forward(self, written, text, mask, past=()):
        """What may come after each token: the logits of the next.

        written: (B, N) tokens, the start first; text: (B, L, D'); mask: (B, L) bool, or None for all; past:
        two dictionaries for each block, in which it keeps what it needs of the tokens of earlier calls, so
        that only the new ones have to be given, and of the text. Returns (B, N, tokens), float32.
        """
        n, earlier = written.shape[1], past[0][0]["k"].shape[2] if past and past[0][0] else 0
        place = torch.arange(earlier, earlier + n, device=written.device)[:, None].expand(-1, 3)
        angles = rotary_angles(place, self.config.width // self.config.heads)  # (N, d / 2)
        causal = torch.ones(1, n, earlier + n, dtype=torch.bool, device=written.device).tril(earlier)
        x, text = self.norm0(self.embedding(written)), text.to(self.embedding.weight.dtype)  # (B, N, D)
        for i, block in enumerate(self.blocks):
            x = block(x, text, mask, angles, causal, *past[i : i + 1])
        logits = self.norm(x) @ self.embedding.weight[: self.tokens].T  # (B, N, tokens)
        return logits.float() / math.sqrt(self.config.width)

    def start(self, which, count):
        """What stands before the first token of so many texts: (count, 1). which: 0 for prompts of images and
        for short captions, 1 for prompts of videos and for long captions."""
        return torch.full((count, 1), self.tokens + int(which), device=self.embedding.weight.device)

    def starts(self, captions):
        """What stands before the first token of each caption: (B, 1)."""
        return torch.cat([self.start(is_long(caption), 1) for caption in captions])

    @torch.no_grad()
    def write(self, which, text, mask, most, generators):
        """A text for each of a batch, drawn token by token.

        which: see start; text: (B, L, D'); mask: (B, L), or None; most: tokens to write; generators: B, so
        that each text is the same alone or among others, but for rounding. Returns lists of tokens, without
        the end; None where none came.
        """
        latest, past, written = self.start(which, len(text)), [({}, {}) for _ in self.blocks], []
        ended = torch.zeros(len(text), dtype=torch.bool, device=text.device)
        while len(written) < most and not ended.all():
            logits = self(latest, text, mask, past)[:, -1]  # (B, tokens)
            reach = (logits.double() / self.config.temperature).softmax(-1).cumsum(-1)
            draw = torch.stack([torch.rand(1, generator=g, dtype=torch.double) for g in generators])
            latest = torch.searchsorted(reach, draw.to(reach.device) * reach[:, -1:], right=True)
            latest = latest.clamp(max=self.tokens - 1)  # (B, 1)
            ended |= latest[:, 0] == END
            written.append(latest)
        rows = torch.cat(written, dim=1).tolist()
        return [row[: row.index(END)] if END in row else None for row in rows]


def log_likelihood(forward, start, tokens, filled, *about):
    """The log-probability of each of some texts, nats: (B,).

    forward: from what was written before, and what the texts are about, to logits, as Writer.forward;
    start: (B, 1); tokens, filled: (B, N), the end last, and where there are any.
    """
    before = torch.cat([start, tokens[:, :-1]], dim=1)
    logits = forward(before, *about)  # (B, N, tokens)
    surprise = F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")  # (B, N)
    return -(surprise * filled).sum(1)


def next_token_loss(forward, start, tokens, filled, *about):
    """Cross-entropy of each next token of some texts, nats: a scalar. All is as in log_likelihood."""
    return -log_likelihood(forward, start, tokens, filled, *about).sum() / filled.sum()
