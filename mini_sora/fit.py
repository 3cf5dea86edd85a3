"""The one training loop: every network here is trained by `fit`, and only `fit` takes a step.

All randomness of step i comes from a generator seeded with (seed, i), so a resumed run needs no
random state to go on bit for bit (on one kind of processor): model, EMA, optimizer and step are enough.
"""

import json
import math
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.func import functional_call
from tqdm import tqdm

from . import checkpoint, parallel
from .compile import compiled, has_compiler, instead
from .config import UserError, check_numbers, difference, require, to_dict
from .data import batches, step_generator
from .graphs import Recorded, RecordedStep
from .muon import Muon
from .signals import Signals, Stopped
from .viz import loss_curve


@dataclass(frozen=True)
class FitConfig:
    """One training.

    batch: clips of a step; muon_rate: of the matrices inside blocks, adam_rate: of everything else; both
    rise for `warmup` steps and fall to zero over the last `decay` share of all steps; clip: the largest norm
    of the gradient; ema: the share that the average of the weights keeps at each step; save_every,
    preview_every: in steps.
    """

    steps: int = 1000
    batch: int = 16
    adam_rate: float = 2e-3
    muon_rate: float = 0.03
    warmup: int = 50
    decay: float = 0.6
    clip: float = 1.0
    ema: float = 0.99
    precision: str = "auto"  # float32, bfloat16, or auto: bfloat16 where the processor has it
    compile: bool = False  # let torch.compile fuse the operations of each block; needs a C++ compiler
    graphs: bool = False  # on a GPU: launch the work of a step at once, not kernel by kernel (see graphs.py)
    workers: int = 0  # processes that make batches ahead; 0: this one makes each when it needs it
    save_every: int = 500
    preview_every: int = 500

    def __post_init__(self):
        natural = {name: (1, 1e9) for name in ("save_every", "preview_every")}
        shares = {"ema": (0, 0.99999), "decay": (0, 1)}
        check_numbers(
            self, steps=(0, 1e8), batch=(1, 65536), clip=(1e-6, 1e9), workers=(0, 256), **shares, **natural
        )
        require(not (self.compile and self.graphs), "compile and graphs do not go together; choose one")
        known = ("auto", "float32", "bfloat16")
        require(self.precision in known, f"precision is {self.precision!r}; it is one of {', '.join(known)}")


def compute_dtype(precision, device="cpu"):
    """The type that matrices are multiplied in; auto means bfloat16 where there are units for it."""
    if precision != "auto":
        return getattr(torch, precision)
    if torch.device(device).type == "cpu":
        able = torch.cpu.get_capabilities()
        fast = able.get("avx512_bf16") or able.get("amx_bf16")
    else:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def unit_noise(shape, generator, device):
    """Unit Gaussian noise, drawn where it is needed: on a GPU from a seed that the generator gives."""
    if torch.device(device).type != "cpu":
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=device)


def rate_at(step, config):
    """The share of the full learning rate at a step: up, flat, down to zero."""
    up = (step + 1) / max(config.warmup, 1)
    down = (config.steps - step) / max(config.decay * config.steps, 1)
    return min(1.0, up, down)


class EMA:
    """An exponential moving average of the weights: smoother than the last step's, and what is used."""

    def __init__(self, model, decay):
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model, step):
        decay = min(self.decay, (1 + step) / (10 + step))  # follow closely at first
        torch._foreach_lerp_(list(self.weights.values()), [p.detach() for p in model.parameters()], 1 - decay)

    @contextmanager
    def inside(self, model):
        """Within this block the model has the averaged weights."""
        own = {name: p.data for name, p in model.named_parameters()}
        for name, p in model.named_parameters():
            p.data = self.weights[name]
        try:
            yield model
        finally:
            for name, p in model.named_parameters():
                p.data = own[name]


def _optimizers(model, config):
    """Muon for the matrices inside blocks, AdamW for the rest, as a list."""
    hidden = [p for name, p in model.named_parameters() if "blocks." in name and p.ndim > 1]
    muon = {id(p) for p in hidden} if config.muon_rate else set()
    rest = [p for p in model.parameters() if id(p) not in muon]
    adam = torch.optim.AdamW(rest, lr=config.adam_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    return [adam, Muon(hidden, lr=config.muon_rate)] if muon else [adam]


def _flatten(optimizers):
    return {
        f"{i}.{index}.{key}": value
        for i, optimizer in enumerate(optimizers)
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def _unflatten(optimizers, table):
    for i, optimizer in enumerate(optimizers):
        state, params = {}, [p for group in optimizer.param_groups for p in group["params"]]
        for name, value in table.items():
            which, index, key = name.split(".", 2)
            if int(which) == i:
                p = params[int(index)]
                if value.shape == p.shape:  # in the same memory order, which fused kernels rely on
                    value = torch.empty_like(p).copy_(value)
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def check_means(config, device):
    """Raise UserError where a FitConfig asks for means to speed that are not to be had here."""
    able = not config.compile or has_compiler()
    require(able, "compile needs a C++ compiler, such as g++; install one, or train without")
    alone = not config.graphs or torch.device(device).type != "cuda" or parallel.place()[1] == 1
    require(alone, "graphs is for one process; train without it, or without torchrun")


class Cast(torch.nn.Module):
    """Mixed precision: a model that computes in another type than its weights are kept in."""

    def __init__(self, model, dtype):
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, *args):
        weights = {name: p.to(self.dtype) for name, p in self.model.named_parameters()}
        return functional_call(self.model, weights, args)


def read_metrics(out):
    """What a training has written of its steps so far, a list of tables. Raises UserError."""
    path = Path(out) / "metrics.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [{"step": row["step"], **row} for row in rows]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged; delete it to go on without what it tells") from None


def fit(
    model,
    loss,
    data,
    config,
    out,
    seed=0,
    resume=False,
    preview=None,
    setup=None,
    place=None,
    inexact=False,
    quiet=False,
):
    """Train a model; returns it with its averaged weights, and the last losses' mean.

    model: a module on its device; loss: (forward, batch, generator) -> a scalar tensor, where forward is
    the model in the precision of the config, batch is one of data, and all randomness is drawn from
    generator; out: a directory for metrics.jsonl, loss.png, samples/ and checkpoints/; resume: go on from
    the newest checkpoint there; preview: model -> (figures, PNG bytes or text), called every preview_every
    steps and at the end; setup: a table that must be the same when resuming; place: another, which with
    inexact, as the machine, may differ; quiet: no bar. With n processes (torchrun), process r takes batch
    n i + r at step i, and gradients are averaged. Raises UserError; SIGINT and SIGTERM save and end with code
    130 and 143.
    """
    out, folder, (rank, ranks) = Path(out), Path(out) / "checkpoints", parallel.place()
    device = next(model.parameters()).device
    check_means(config, device)
    dtype = compute_dtype(config.precision, device)
    setup = {"fit": to_dict(config), "seed": seed, **(setup or {})}
    place = {
        **(place or {}),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": ranks,
        "precision": str(dtype),
    }
    optimizers, ema, first = _optimizers(model, config), EMA(model, config.ema), 0
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]

    found = checkpoint.load_latest(folder, tqdm.write) if folder.exists() else None
    if found:
        require(resume, f"{out} holds an earlier run; go on with --resume, or choose another --out")
        tensors, meta = found
        changed = difference(meta["setup"], json.loads(json.dumps(setup)))
        require(not changed, f"the checkpoint in {folder} was made with other settings: {'; '.join(changed)}")
        moved = difference(meta["place"], place)
        advice = "train with --allow-inexact-resume to go on all the same, or afresh with --force"
        require(inexact or not moved, f"resuming would not be exact ({'; '.join(moved)}); {advice}")
        checkpoint.load_weights(model, tensors["model"], folder)
        _unflatten(optimizers, tensors["optimizer"])
        for name, average in ema.weights.items():
            average.copy_(tensors["ema"][name])
        first = meta["step"]

    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in read_metrics(out) if row["step"] < first] if found else []

    def note():
        checkpoint.write_file(out / "metrics.jsonl", "".join(line + "\n" for line in lines).encode())

    def save(step):
        note()
        tensors = {"model": model.state_dict(), "ema": ema.weights, "optimizer": _flatten(optimizers)}
        checkpoint.save(folder / f"step-{step:07d}", tensors, {"step": step, "setup": setup, "place": place})
        checkpoint.keep_newest(folder, step)

    def due(step):
        return step % config.preview_every == 0 or step == config.steps

    def show(step):
        checkpoint.write_file(out / "loss.png", loss_curve(lines, out.name))
        if preview:
            with ema.inside(model), torch.no_grad():
                figures, seen = preview(model)
            (out / "samples").mkdir(exist_ok=True)
            kind, seen = ("txt", seen.encode()) if isinstance(seen, str) else ("png", seen)
            checkpoint.write_file(out / "samples" / f"step-{step:07d}.{kind}", seen)
            lines.append(json.dumps({"step": step - 1, **figures}))
            note()
            bar.set_postfix({k: f"{v:.2f}" for k, v in figures.items()})

    fused = compiled(model) if config.compile else {}
    recorded = config.graphs and device.type == "cuda"
    if recorded:
        torch.cuda.set_device(device)  # where graphs are recorded
    network = Recorded(partial(Cast, model, dtype)) if recorded else Cast(model, dtype)
    takes = [RecordedStep(o) if recorded and isinstance(o, Muon) else o.step for o in optimizers]

    def forward(*args):
        with instead(fused):
            return network(*args)

    turns = range(first * ranks + rank, config.steps * ranks, ranks)  # which batches are this process's
    made = iter(batches(data, turns, config.workers))
    hidden = quiet or rank > 0
    bar = tqdm(total=config.steps, initial=first, desc=out.name, disable=hidden, mininterval=1, unit="step")
    with bar, Signals() as signals:
        unseen = first and due(first) and lines and "loss" in json.loads(lines[-1])  # saved, and not shown
        if rank == 0 and unseen:
            show(first)
        for step in range(first, config.steps):
            began = time.perf_counter()
            try:
                with signals.stopping(ranks == 1):  # of several none may leave the others in a step
                    batch = next(made)
            except Stopped:
                if step > first:
                    save(step)
                saved = " and saved" if step else ""
                tqdm.write(f"stopped at step {step} of {config.steps}{saved}; go on with --resume")
                raise SystemExit(128 + signals.caught[0]) from None
            waited = time.perf_counter() - began
            value = loss(forward, batch, step_generator(seed, step * ranks + rank))
            value.backward()
            told = value.new_tensor([value.item(), max(signals.caught, default=0)])
            parallel.average([*(p.grad for p in model.parameters() if p.grad is not None), told])
            value, signalled = told.tolist()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            if not (math.isfinite(value) and math.isfinite(norm.item())):
                last = [str(path) for _, path in checkpoint.steps_of(folder)][-1:]
                kept = f"the last good checkpoint is {last[0]}" if last else "no checkpoint was made yet"
                raise UserError(
                    f"the loss or its gradient is not finite at step {step} (loss {value:.4g}, gradient "
                    f"{norm:.4g}, rate {rate_at(step, config) * config.adam_rate:.4g}, seed {seed}); nothing "
                    f"was updated and {kept}; try a lower rate"
                )
            groups = [group for optimizer in optimizers for group in optimizer.param_groups]
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate * rate_at(step, config)
            for optimizer, take_step in zip(optimizers, takes, strict=True):
                take_step()
                optimizer.zero_grad()
            ema.update(model, step)

            row = {"step": step, "loss": value, "gradient": norm.item(), "rate": groups[0]["lr"]}
            seconds = {"seconds": round(time.perf_counter() - began, 4), "waited": round(waited, 4)}
            lines.append(json.dumps({**row, **seconds}))
            bar.update()
            done = step + 1
            if rank == 0:
                if done % config.save_every == 0 or done == config.steps or signalled:
                    save(done)
                if due(done):
                    show(done)
            if signalled:
                if rank == 0:
                    tqdm.write(f"stopped at step {done} of {config.steps} and saved; go on with --resume")
                raise SystemExit(128 + (signals.caught[0] if signals.caught else signal.SIGTERM))
        if signals.caught:
            raise SystemExit(128 + signals.caught[0])

    for name, p in model.named_parameters():
        p.data.copy_(ema.weights[name])
    losses = [row["loss"] for row in map(json.loads, lines) if "loss" in row][-100:]
    return model, sum(losses) / max(len(losses), 1)
