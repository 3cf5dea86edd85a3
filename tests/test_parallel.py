"""Two processes that train together do what one does with twice the batch."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_fit import Net

from mini_sora import checkpoint, parallel
from mini_sora.config import UserError
from mini_sora.fit import FitConfig, check_means, fit, step_generator
from mini_sora.tasks import MiniSora

CONFIG = FitConfig(steps=6, warmup=2, precision="float32", save_every=6, preview_every=6)


class Batches:
    """Batch i: four samples, or those of two batches together."""

    def __init__(self, together):
        self.together = together

    def __getitem__(self, i):
        n = self.together
        parts = [
            torch.randn(4, 3, generator=torch.Generator().manual_seed(i * n + j))
            for j in range(self.together)
        ]
        return torch.cat(parts)


def loss(forward, batch, generator):
    noise = torch.randn(batch.shape, generator=generator)
    return (forward(batch + 0.5 * noise) - batch[:, :2].sin()).pow(2).mean()


def both():
    """The loss of one process that does the work of two, with the noise that each would draw."""
    step = itertools.count()

    def mean(forward, batch, generator):
        i = next(step)
        losses = [loss(forward, half, step_generator(0, 2 * i + j)) for j, half in enumerate(batch.chunk(2))]
        return sum(losses) / 2

    return mean


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    assert parallel.own_device("cuda") == "cuda"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (parallel.own_device("cuda"), parallel.own_device("cpu")) == ("cuda:1", "cpu")
    monkeypatch.setattr(parallel, "place", lambda: (1, 2))
    check_means(FitConfig(graphs=True), "cpu")
    with pytest.raises(UserError, match="one process"):
        check_means(FitConfig(graphs=True), "cuda")


def start(*argv):
    """Run Python in two processes that know of one another."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *argv]
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [str(a) for a in command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done


def weights(out):
    tensors, meta = checkpoint.load_latest(out / "checkpoints")
    assert meta["step"] == 6
    return tensors["model"], tensors["ema"]


def test_two_processes_equal_one_with_twice_the_batch(tmp_path):
    script = tmp_path / "both.py"
    script.write_text(
        "import atexit, os, sys, threading\nfrom mini_sora import parallel\nfrom test_parallel import *\n"
        "foreign = lambda: len(os.listdir('/proc/self/task')) - threading.active_count()\n"
        "atexit.register(lambda: print('at the exit', parallel.place(), foreign()))\n"
        "parallel.begin('cpu')\n"
        "assert parallel.place()[1] == 2\n"
        "fit(Net(), loss, Batches(1), CONFIG, sys.argv[1], quiet=True)\n"
    )
    left = start(script, tmp_path / "two").stdout.count("at the exit (0, 1) 0")
    assert left == 2, "a group that is not left, or whose threads live on, can abort what has ended well"
    fit(Net(), both(), Batches(2), CONFIG, tmp_path / "one", quiet=True)
    for two, one in zip(weights(tmp_path / "two"), weights(tmp_path / "one"), strict=True):
        for name in one:
            torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=0)
    fit(Net(), loss, Batches(1), CONFIG, tmp_path / "half", quiet=True)  # which the test would notice
    assert max((weights(tmp_path / "half")[0][n] - one[n]).abs().max() for n in one) > 1e-4


def test_two_processes_go_on_where_they_stopped(tmp_path):
    script = tmp_path / "again.py"
    script.write_text(
        "import sys\nfrom dataclasses import replace\nfrom mini_sora import parallel\n"
        "from test_parallel import *\nfrom test_fit import Stop\n"
        "parallel.begin('cpu')\ncalls = []\n"
        "def dying(*args):\n"
        "    calls.append(1)\n"
        "    if len(calls) > int(sys.argv[2]):\n"
        "        raise Stop\n"
        "    return loss(*args)\n"
        "config = replace(CONFIG, save_every=2)\n"
        "try:\n"
        "    fit(Net(), dying, Batches(1), config, sys.argv[1], quiet=True, resume=True)\n"
        "except Stop:\n"
        "    pass\n"
    )
    start(script, tmp_path / "whole", 9)
    start(script, tmp_path / "cut", 5)  # after a checkpoint at step 4
    start(script, tmp_path / "cut", 9)
    for whole, cut in zip(weights(tmp_path / "whole"), weights(tmp_path / "cut"), strict=True):
        assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_signal_to_one_of_two_processes_stops_and_saves_both(tmp_path):
    script = tmp_path / "told.py"
    script.write_text(
        "import os, signal, sys\nfrom mini_sora import parallel\nfrom test_parallel import *\n"
        "parallel.begin('cpu')\ncalls = []\n"
        "def told(*args):\n"
        "    calls.append(1)\n"
        "    if parallel.place()[0] == 1 and len(calls) == int(sys.argv[2]):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return loss(*args)\n"
        "try:\n"
        "    fit(Net(), told, Batches(1), CONFIG, sys.argv[1], quiet=True, resume=True)\n"
        "except SystemExit as end:\n"
        "    print('ended with', end.code)\n"
    )
    start(script, tmp_path / "whole", 99)
    assert start(script, tmp_path / "cut", 3).stdout.count("ended with 143") == 2
    assert checkpoint.steps_of(tmp_path / "cut" / "checkpoints")[-1][0] == 3
    start(script, tmp_path / "cut", 99)
    for whole, cut in zip(weights(tmp_path / "whole"), weights(tmp_path / "cut"), strict=True):
        assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_whole_run_on_two_processes_leaves_a_model(tmp_path):
    out = tmp_path / "run"
    done = start("-m", "--", "mini_sora", "train", "--preset", "smoke", "--out", out)
    for said in ("verdict", "shows its clips"):
        assert done.stdout.count(said) == 1, "only the first process judges and prints"
    assert MiniSora.from_pretrained(out).generate("a red circle rises", steps=2).frames.shape[0] == 17
