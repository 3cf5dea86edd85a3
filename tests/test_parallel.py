"""Calls that are shared out among the cores."""

import multiprocessing
import os
import time
from functools import partial

import pytest
import torch

from mini_sora.config import UserError
from mini_sora.parallel import on_each_core


def where(place):
    return place, os.getpid(), torch.get_num_threads()


def test_each_call_has_a_core_and_a_thread():
    found = dict(on_each_core([partial(where, place) for place in range(6)]))
    assert {key: place for key, (place, _, _) in found.items()} == {i: i for i in range(6)}
    assert os.getpid() not in {pid for _, pid, _ in found.values()}
    assert {threads for _, _, threads in found.values()} == {1}


def test_a_core_shares_nothing_out_again():
    nested = partial(lambda calls: (os.getpid(), list(on_each_core(calls))), [partial(where, 0)] * 2)
    for _, (outer, inner) in on_each_core([nested, nested]):
        assert {pid for _, (_, pid, _) in inner} == {outer}


def test_one_mistake_ends_all():
    def mistake():
        raise UserError("no such thing")

    began = time.monotonic()
    with pytest.raises(UserError, match="no such thing"):
        list(on_each_core([partial(time.sleep, 60), mistake, partial(time.sleep, 60)]))
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()
