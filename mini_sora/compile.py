"""torch.compile for the blocks of a network alone: what is the same in each is compiled once."""

import os
import re
import shutil
from contextlib import contextmanager

import torch


def has_compiler():
    """Whether there is the C++ compiler that torch.compile needs."""
    return bool(os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++"))


def compiled(model):
    """{block: its forward, compiled}: once for all blocks of a kind, for all sizes above 1."""
    blocks = [module for name, module in model.named_modules() if re.search(r"blocks\.\d+$", name)]
    return {block: torch.compile(block.forward, dynamic=True) for block in blocks}


@contextmanager
def instead(forwards):
    """Within this block modules have these forwards, {module: function}."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward
