"""Re-captioning: what a video shows, told in words.

A model can follow long prompts only if it has learned from clips that are told at length, and few are. So
Betker et al. 2023 (DALL-E 3, section 2) and Sora first train a model that tells what is seen, and let it
caption all clips anew. Here an encoder of patches of video (as in ViT, Dosovitskiy et al. 2020) gives one
vector for each, and the decoder of prompts.py writes about these, as it does about those of a short prompt.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import checkpoint
from .config import check_heads, check_numbers, from_dict, require, to_dict
from .data import FAMILY_NAMES, to_pixels
from .dit import PLACE_WAVES, eighths, waves
from .layers import rotary_angles
from .model import MAX_TOKENS, at_once, check_size
from .patches import coordinates, patchify
from .pretrained import check_device, load_pretrained
from .prompts import Writer, WriterConfig, log_likelihood
from .samplers import sources_of
from .text import TextBlock, Tokenizer
from .vae import Encoder, VAEConfig, to_chunks
from .video import Video

PATCH = (1, 2, 2)  # latents to a token, as in the DiT


@dataclass(frozen=True)
class CaptionerConfig:
    """stem: the layers that pixels go through first, an encoder as the VAE's; width, layers, heads: of the
    transformer that looks at its patches; writer: of the decoder; merges: of the tokenizer; max_tokens:
    of the longest caption; families: of the world, that it learned, each as often; size, frames: of the
    clips that it is judged on."""

    stem: VAEConfig = VAEConfig(channels=48, width=128)
    width: int = 128
    layers: int = 3
    heads: int = 4
    writer: WriterConfig = WriterConfig(layers=3, temperature=0.1)
    merges: int = 900
    max_tokens: int = 256
    families: tuple[str, ...] = ("shapes",)
    size: tuple[int, int] = (32, 32)
    frames: int = 17

    def __post_init__(self):
        check_numbers(self, low=1, high=4096, merges=(0, 65536), max_tokens=(1, 65536))
        check_size(self.size, self.frames)
        fine = (self.stem.time_stride, self.stem.space_stride) == (4, 4)
        require(fine, "a captioner's patches are of 4 frames and 8 pixels; leave the strides of stem at 4")
        require(
            {*self.families} - {"shapes-simple"}, "families needs one that has long captions, such as shapes"
        )
        check_heads(self.width, self.heads)
        for name in self.families:
            require(name in FAMILY_NAMES, f"there is no family {name!r}; there is: {', '.join(FAMILY_NAMES)}")
        require(self.writer.layers, "writer.layers is 0; a captioner needs a decoder")


class VideoEncoder(nn.Module):
    """Every patch attends to all patches of all frames: pixels to one vector for each patch."""

    def __init__(self, config):  # a CaptionerConfig
        super().__init__()
        self.config, width = config, config.width
        self.stem = Encoder(config.stem)
        # Of the stem's mean and log variance, which are two halves to a VAE, both are used.
        self.embed = nn.Linear(2 * config.stem.channels * PATCH[1] * PATCH[2], width)
        self.place = nn.Linear(3 * 2 * PLACE_WAVES, width)
        self.blocks = nn.ModuleList(TextBlock(width, config.heads) for _ in range(config.layers))
        self.norm0, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):  # (B, 3, T, H, W) in [-1, 1]
        z = self.stem(to_chunks(x, self.config.stem.time_stride))  # (B K, 2 C, h, w)
        z = z.unflatten(0, (len(x), -1)).transpose(1, 2)  # (B, 2 C, K, h, w)
        coords = coordinates(PATCH, z.shape[2:], z.device)  # (N, 3)
        x = patchify(z, PATCH).to(self.embed.weight.dtype)  # (B, N, 8 C)
        x = self.norm0(
            self.embed(x) + self.place(waves(eighths(coords, z.shape[2:])).to(x.dtype))
        )  # (B, N, D)
        angles = rotary_angles(coords, x.shape[-1] // self.config.heads)  # (N, d / 2)
        for block in self.blocks:
            x = block(x, None, angles)  # (B, N, D)
        return self.norm(x)  # (B, N, D)


class CaptionNetwork(nn.Module):
    """Encoder and decoder, trained as one. tokens: how many there are."""

    def __init__(self, config, tokens):
        super().__init__()
        self.encoder = VideoEncoder(config)
        self.writer = Writer(config.writer, tokens, config.width)

    def forward(self, written, x):
        """What may come after each token: written (B, N), the start first; x: (B, 3, T, H, W) in [-1, 1].
        Returns logits (B, N, tokens), float32."""
        return self.writer(written, self.encoder(x), None)


class Captioner:
    """A trained captioner, loaded. network: on its device; tokenizer: of the captions."""

    def __init__(self, config, network, tokenizer):
        self.config, self.network, self.tokenizer = config, network.eval(), tokenizer

    @property
    def networks(self):
        """All that has weights."""
        return [self.network]

    @classmethod
    def from_pretrained(cls, name="captioner", device="cpu"):
        """Load a shipped captioner by name, or a directory that train or save_pretrained left.

        Raises UserError where there is none, where a file is damaged, or where a device is absent.
        """
        check_device(device)
        tensors, meta, place = load_pretrained(name, "captioner")
        config, tokenizer = from_dict(CaptionerConfig, meta["captioner"]), Tokenizer(meta["merges"])
        network = CaptionNetwork(config, tokenizer.size)
        checkpoint.load_weights(network, tensors.get("network", {}), place)
        return cls(config, network.to(device), tokenizer)

    def save_pretrained(self, directory, force=False, **notes):
        """Write everything that from_pretrained needs, in one step; notes are kept beside it.
        Weights are rounded to float16.

        Raises UserError if the directory exists (without force) or cannot be written.
        """
        directory = Path(directory)
        require(force or not directory.exists(), f"{directory} exists; choose another, or force")
        tensors = {key: value.half() for key, value in self.network.state_dict().items()}
        meta = {"captioner": to_dict(self.config), "merges": self.tokenizer.merges}
        checkpoint.save(directory, {"network": tensors}, {**meta, **notes})

    @torch.no_grad()
    def caption(self, video, long=True, seed=0, progress=None):
        """What a video shows: a caption, in lower case.

        video: a Video, or a uint8 array (T, H, W, 3) with T = 1 + 4n and sides that are multiples of 8, at
        8 frames a second, or a list of them, for a list of captions; training showed sides from 24 to 112
        pixels, and up to 33 frames. long: with all that there is to tell, or in a few words; seed: of the
        first, which chooses among wordings, the next has the next; progress: called with (done, all) videos.
        "" where it finds no words. Raises UserError.
        """
        single = isinstance(video, Video | np.ndarray)
        videos = [video] if single else video
        shown = [each.frames if isinstance(each, Video) else Video(each).frames for each in videos]
        sources, alike, captions = sources_of(seed, len(shown)), {}, [""] * len(shown)
        for i, frames in enumerate(shown):
            alike.setdefault(frames.shape, []).append(i)
        batches, done = {shape: batch_of(*shape[:3]) for shape in alike}, 0
        for shape, places in alike.items():
            batch = batches[shape]
            for part in (places[i : i + batch] for i in range(0, len(places), batch)):
                x = to_pixels(np.stack([shown[i] for i in part])).to(self.device)
                about, own = self.network.encoder(x), [sources[i] for i in part]
                written = self.network.writer.write(long, about, None, self.config.max_tokens, own)
                for i, row in zip(part, written, strict=True):
                    captions[i] = self.tokenizer.written(row or [])
                done += len(part)
                if progress:
                    progress(done, len(shown))
        return captions[0] if single else captions

    @torch.no_grad()
    def likelihood(self, videos, captions):
        """How likely it would be to caption each video so, as log-probability, nats: float32 (B,).

        videos: uint8 (B, T, H, W, 3); captions: B strings, of which it reads max_tokens. The more of a
        caption is seen in a video, the higher this is for it, so that of several videos the one that shows
        it best can be found: Ramesh et al. 2021 (DALL-E, section 2.6) rank with CLIP, which has learned how
        alike pictures and texts are. Raises UserError.
        """
        most, batch, found = self.config.max_tokens, batch_of(*videos.shape[1:4]), []
        for i in range(0, len(videos), batch):
            texts = [text.lower() for text in captions[i : i + batch]]
            rows = [torch.tensor(self.tokenizer.encode(text)[:most]) for text in texts]
            tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1).to(self.device)
            filled, start = tokens >= 0, self.network.writer.starts(texts)
            x = to_pixels(videos[i : i + batch]).to(self.device)
            found.append(log_likelihood(self.network, start, tokens.clamp(min=0), filled, x))
        return torch.cat(found)

    @property
    def device(self):
        return self.network.encoder.embed.weight.device


def batch_of(frames, height, width):
    """How many such videos are looked at at a time. Raises UserError where one is too large."""
    check_size((height, width), frames)
    tokens = (1 + (frames - 1) // 4) * height * width // 64
    shown = f"{frames} frames of {height}x{width} are {tokens} patches"
    require(tokens <= MAX_TOKENS, f"{shown} to the captioner, which looks at {MAX_TOKENS} at most")
    return at_once(tokens)
