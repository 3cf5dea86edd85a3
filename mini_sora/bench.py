"""How fast it is here: tables of training and sampling speed, with and without each means to it.

All figures of a table are from one run, and stand beside a ratio, as machines are noisy; all but those of
training, where now and then a step waits for clips, are medians.
"""

import copy
import json
import math
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from .compile import has_compiler
from .data import Stored
from .fit import compute_dtype, fit
from .model import Sora
from .objectives import dit_objective, stream, to_latents
from .prompts import WriterConfig
from .tasks import MiniSora
from .text import Tokenizer, tokenize
from .vae import VAE

PROMPT = "a red circle moves left and a small blue square moves up slowly"


def untrained(config, device="cpu"):
    """A model of a preset's shape, which is as fast as a trained one."""
    torch.manual_seed(0)
    vae, sora = VAE(config.model.vae), Sora(config.model)
    tokenizer = Tokenizer.train(stream(config, 64)[0].prompts, config.model.text.merges)
    for p in sora.parameters():
        p.data += 0.02 * torch.randn_like(p)
    return MiniSora(config.model, vae.to(device), sora.to(device), tokenizer)


def median_seconds(run, times=5):
    """The median time of a call, in seconds, after one that does not count."""
    seconds = []
    for i in range(times + 1):
        began = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds += [time.perf_counter() - began] if i else []
    return statistics.median(seconds)


def precisions(device="cpu"):
    """What matrices can be multiplied in at speed: float32, and bfloat16 where the processor has it."""
    return tuple(dict.fromkeys((torch.float32, compute_dtype("auto", device))))


def modules(config, device="cpu"):
    """Forward and backward of each module at the preset's own size and batch, in each precision:
    [(name, [seconds])]."""
    sora, batch = untrained(config, device), config.dit.fit.batch
    c, k, h, w = config.model.latent_shape(config.model.size, config.model.frames)
    x = torch.rand(8, 3, config.model.frames, *config.model.size, device=device)
    z, t = torch.randn(batch, c, k, h, w, device=device), torch.rand(batch, k, device=device)
    tokens, mask = tokenize(sora.tokenizer, [PROMPT] * batch, config.model.text.max_tokens)
    tokens, mask = tokens.to(device), mask.to(device)
    text = torch.randn(*tokens.shape, config.model.text.width, device=device)
    calls = {
        "VAE encoder, 8 clips": (sora.vae, lambda m, kind: m.posterior(x)[0]),
        "VAE decoder, 8 clips": (sora.vae, lambda m, kind: m.decode_raw(z[:8])),
        f"text encoder, {batch} prompts": (sora.sora.text, lambda m, kind: m(tokens, mask)),
        f"DiT, {batch} clips": (sora.sora.dit, lambda m, kind: m(z, t, text.to(kind), mask)),
    }
    rows = []
    for name, (module, call) in calls.items():
        seconds = []
        for kind in precisions(device):
            cast = copy.deepcopy(module).to(kind)
            seconds.append(
                median_seconds(lambda m=cast, kind=kind, call=call: call(m, kind).sum().backward())
            )
        rows.append((name, seconds))
    return rows


def training(config, steps=24, skip=10, device="cpu"):
    """Whole steps of the DiT's training: [(what is changed, tokens a second, share of time waited for data,
    seconds that each batch took before)]; the first row changes nothing. skip: first steps that do not
    count, in which a compiler compiles, and workers are ahead."""
    base = replace(config.dit.fit, steps=steps, warmup=1, graphs=False, workers=0)
    base = replace(base, save_every=10**6, preview_every=10**6)
    changes = {
        "latents made before": base,
        "and in float32": replace(base, precision="float32"),
        "and AdamW alone": replace(base, muon_rate=0.0),
        **({"and torch.compile": replace(base, compile=True)} if has_compiler() else {}),
        **({"and CUDA graphs": replace(base, graphs=True)} if torch.device(device).type == "cuda" else {}),
        "clips made when needed": replace(base, workers=0),
        "clips made by one worker": replace(base, workers=1),
        "clips made by two workers": replace(base, workers=2),
    }
    plain = replace(config.data, sides=(min(config.model.size),), frames=(config.model.frames,), wide=False)
    model = replace(config.model, expander=WriterConfig())  # none, as no prompt is long
    config = replace(config, data=replace(plain, long_prompts=0.0), model=model)
    grid = config.model.latent_shape(config.model.size, config.model.frames)[1:]
    tokens = config.dit.fit.batch * math.prod(grid) // math.prod(config.model.dit.patch)
    rows = []
    for name, how in changes.items():
        sora = untrained(config, device)
        encode = to_latents(sora.vae, how.precision)
        data, before, began = stream(config, how.batch), "clips" not in name, time.perf_counter()
        if before:
            data = Stored(data, 8, encode)
            len(data.batches)
        ready = (time.perf_counter() - began) / 8 if before else 0.0
        own = replace(config, dit=replace(config.dit, course=(0, 0), fit=how))
        loss = dit_objective(own, sora.tokenizer, device, None if before else encode)
        with tempfile.TemporaryDirectory() as out:
            fit(sora.sora, loss, data, how, out, quiet=True)
            lines = (Path(out) / "metrics.jsonl").read_text().splitlines()
        rest = [json.loads(line) for line in lines if "loss" in line][skip:]
        seconds = sum(row["seconds"] for row in rest)
        waited = sum(row["waited"] for row in rest) / seconds
        rows.append((name, len(rest) * tokens / seconds, waited, ready))
    return rows


def optimizers(config, device="cpu"):
    """One step of AdamW over all weights, fused, grouped and plain: [(name, seconds)]."""
    network, rows = untrained(config, device).sora, []
    for p in network.parameters():
        p.grad = torch.randn_like(p)
    for name in ("fused", "foreach", "plain"):
        how = {"fused": name == "fused", "foreach": name == "foreach"}
        step = torch.optim.AdamW(network.parameters(), lr=1e-4, **how).step
        rows.append((f"AdamW, {name}", median_seconds(step)))
    return rows


def sampling(sora):
    """Seconds a clip, one alone and in a batch: [(name, alone, of 16)]."""
    rows = []
    for kind in precisions(sora.device):
        cast = MiniSora(sora.config, copy.deepcopy(sora.vae), copy.deepcopy(sora.sora), sora.tokenizer)
        cast.sora.to(kind)
        for steps in (20, 8):
            alone = median_seconds(lambda s=cast, n=steps: s.generate(PROMPT, steps=n, best_of=1))
            many = (
                median_seconds(lambda s=cast, n=steps: s.generate([PROMPT] * 16, steps=n, best_of=1), 3) / 16
            )
            rows.append((f"{steps} steps, {str(kind).removeprefix('torch.')}", alone, many))
    return rows


def report(config, device, progress):
    """All tables, as text for a terminal, a line at a time; progress: called with (done, all, name) before
    each table."""
    progress(0, 4, "forward and backward")
    kinds = precisions(device)
    names = "".join(f"{str(kind).removeprefix('torch.'):>10}" for kind in kinds)
    yield f"{'forward and backward':32}{names}{'ratio':>8}"
    for name, seconds in modules(config, device):
        yield f"{name:32}{''.join(f'{s:9.3f}s' for s in seconds)}{seconds[0] / seconds[-1]:8.2f}"
    if len(kinds) == 1:
        yield "(no bfloat16: this processor has no units for it)"
    progress(1, 4, "training")
    yield f"\n{'training the DiT':32}{'tokens/s':>10}{'ratio':>8}{'waits for data':>16}{'a batch, once':>15}"
    base = None
    for name, speed, waited, ready in training(config, device=device):
        base = base or speed
        yield f"{name:32}{speed:10.0f}{speed / base:8.2f}{waited:16.1%}{ready:14.2f}s"
    progress(2, 4, "optimizers")
    yield f"\n{'one optimizer step':32}{'seconds':>10}{'ratio':>8}"
    base = None
    for name, seconds in optimizers(config, device):
        base = base or seconds
        yield f"{name:32}{seconds:9.4f}s{seconds / base:8.2f}"
    progress(3, 4, "sampling")
    yield f"\n{'sampling, seconds a clip':32}{'alone':>10}{'of 16':>10}"
    for name, alone, many in sampling(untrained(config, device)):
        yield f"{name:32}{alone:9.3f}s{many:9.3f}s"
