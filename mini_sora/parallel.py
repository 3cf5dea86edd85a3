"""Several processes that train one model (torchrun): each takes its own batches, gradients are averaged."""

import atexit
import os
from importlib import import_module

import torch
from torch import distributed


def several():
    """Whether torchrun started several processes."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


def own_device(device):
    """The device of this process: of several, each has the GPU of its number."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if several() and str(device).startswith("cuda") else device


def begin(device):
    """Join the other processes, if there are several."""
    if several() and not distributed.is_initialized():
        cuda = torch.device(device).type == "cuda"
        if cuda:
            torch.cuda.set_device(device)
        # The group's threads can abort an exit. They end when the group is left and nothing else holds it, as
        # the defaults in this module would, which the first step imports, were it not imported before.
        import_module("torch.distributed.nn")
        distributed.init_process_group("nccl" if cuda else "gloo")
        atexit.register(distributed.destroy_process_group)


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


@torch.no_grad()
def shared(function, stack):
    """function(stack), which works tensor by tensor, where of n processes each does an n-th of the work."""
    rank, ranks = place()
    if ranks == 1:
        return function(stack)
    found = torch.zeros_like(stack)
    found[rank::ranks] = ranks * function(stack[rank::ranks])
    average([found])
    return found
