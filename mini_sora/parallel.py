"""Several processes: those that train one model (torchrun), each on its own batches, with averaged
gradients; and those that share out what can be done apart, one on each core."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed

import torch
from torch import distributed


def begin(device):
    """Join the other processes, if torchrun started several; returns this one's device."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return device
    cuda = torch.device(device).type == "cuda"
    if cuda:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo")
    return device


def place():
    """(which process this is, how many there are): (0, 1) where there is one."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def wait():
    """Wait until all processes have come here."""
    if distributed.is_initialized():
        distributed.barrier()


@torch.no_grad()
def average(tensors):
    """Replace each tensor by its mean over all processes, in place, in one exchange."""
    if distributed.is_initialized():
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def in_turn(calls):
    """(place, result) of functions without arguments, one after another."""
    yield from ((place, call()) for place, call in enumerate(calls))


def on_each_core(calls):
    """The same for calls that need nothing of one another, as they are done: each on a core and a thread
    of its own, which is faster than all threads in one call."""
    if multiprocessing.parent_process():  # this is such a core
        yield from in_turn(calls)
        return
    cores = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork"), _settle, (calls,))
    with cores:
        places = {cores.submit(_call, place): place for place in range(len(calls))}
        try:
            yield from ((places[done], done.result()) for done in as_completed(places))
        except BaseException:
            for call in places:
                call.cancel()
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _settle(calls):
    """What each core begins with: the calls, as a fork has them unpickled; one thread; and no ear for
    Ctrl-C, which the process that shares out the work answers."""
    global _calls
    _calls = calls
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _call(place):
    return _calls[place]()
