import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from data_gen import WorldError
from mini_sora import checkpoint, sharing
from mini_sora.__main__ import explain
from mini_sora.config import UserError
from mini_sora.sharing import share_out


def where(place):
    time.sleep(0.2)
    return place, os.getpid(), torch.get_num_threads()


def test_calls_are_shared_out_a_thread_to_each(monkeypatch):
    monkeypatch.setattr(sharing, "cores", lambda: 2)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found = dict(share_out([partial(where, place) for place in range(6)]))
        few = [result for _, result in share_out([partial(where, 0)])]
    finally:
        torch.set_num_threads(threads)
    assert {key: place for key, (place, _, _) in found.items()} == {i: i for i in range(6)}
    assert len({pid for _, pid, _ in found.values()} | {os.getpid()}) == 3
    assert {count for _, _, count in found.values()} == {1}
    assert few == [(0, os.getpid(), 3)], "one call alone has all threads"
    inner = partial(lambda calls: [pid for _, (_, pid, _) in share_out(calls)], [partial(where, 0)] * 2)
    assert all(pids[0] == pids[1] != os.getpid() for _, pids in share_out([inner] * 2))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_fewer_calls_than_cores_are_shared_out_too(monkeypatch):
    monkeypatch.setattr(sharing, "cores", lambda: 4)
    pids = [{pid for _, (_, pid, _) in share_out([partial(where, 0)] * calls)} for calls in (3, 2)]
    assert len(pids[0]) == 3 and os.getpid() not in pids[0]
    assert pids[1] == {os.getpid()}


def test_what_is_done_first_comes_first(monkeypatch):
    monkeypatch.setattr(sharing, "cores", lambda: 2)
    calls = [partial(time.sleep, seconds) for seconds in (2.0, 0.1, 0.1, 0.1)]
    assert [place for place, _ in share_out(calls)] == [1, 2, 3, 0]


def slow_torch(monkeypatch):
    """Two cores, and a loader that would wait a minute for each worker before it ends it."""
    monkeypatch.setattr(sharing, "cores", lambda: 2)
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 60.0)


def test_what_nobody_reads_does_not_keep_a_worker(monkeypatch):
    slow_torch(monkeypatch)
    began = time.monotonic()
    found = share_out([partial(np.zeros, 10**7)] * 8)
    next(found)
    time.sleep(1)  # meanwhile other results come, too large for a pipe
    found.close()
    gc.collect()
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()


@pytest.mark.parametrize("kind", [UserError, WorldError])
def test_a_mistake_in_a_shared_call_ends_all(tmp_path, monkeypatch, kind):
    slow_torch(monkeypatch)

    def mistake():
        raise kind("no such thing")

    def waiting():
        with tempfile.TemporaryDirectory(dir=tmp_path):
            subprocess.run(["sleep", "60"])

    began = time.monotonic()
    with pytest.raises(kind, match=r"^no such thing$"):
        list(share_out([lambda: time.sleep(1) or mistake()] + [waiting] * 8))
    gc.collect()
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()
    assert not list(tmp_path.iterdir()), "and what they were at is cleared away"


def test_a_mistake_of_ours_in_a_shared_call_is_not_one_of_memory(monkeypatch):
    with pytest.raises(KeyError) as found:
        list(share_out([partial({}.__getitem__, "key")] * 2, 2))
    assert explain(found.value) is None


ORPHAN = """
    import sys, time
    from functools import partial
    from mini_sora import checkpoint, sharing
    sharing.cores = lambda: 2
    with checkpoint.locked(sys.argv[1]):
        print("begun", flush=True)
        list(sharing.share_out([partial(time.sleep, 60)] * 8))
"""


def test_workers_end_with_the_process_that_started_them(tmp_path):
    """And so does its lock, which they hold with it."""
    command = [sys.executable, "-c", textwrap.dedent(ORPHAN), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until = time.monotonic() + 30
        while len(children.read_text().split()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)  # until they are told to
        process.kill()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            with checkpoint.locked(tmp_path):
                return
        except UserError:
            time.sleep(0.1)
    pytest.fail("the run is locked by workers without a parent")
