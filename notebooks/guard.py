"""What runs in the process of one point: a submission, with limits, and with the reference out of its reach.

This stops mistakes and cheap tricks. It is no prison: where code is not trusted at all, put a container around.
"""

import ast
import builtins
import importlib
import json
import linecache
import math
import multiprocessing
import os
import resource
import sys
import traceback
import types
from pathlib import Path

import numpy as np
import torch

REFERENCE = ("mini_sora", "data_gen", "notebooks", "diffusers")
HOMES = tuple(Path(__file__).resolve().parent.parent / name for name in REFERENCE)
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"} | {
    "os.kill", "os.killpg", "ctypes.dlopen"
}  # fmt: skip
INSIDE = {"_getframe", "currentframe", "tb_frame", "gi_frame", "cr_frame", "f_back", "f_globals", "f_locals"}
INSIDE |= {"__globals__", "__closure__", "__subclasses__", "get_objects", "get_referrers", "get_referents"}
SHARED = (builtins, math, np, torch, torch.Tensor, torch.nn.functional)  # what the tests measure with
LONGEST = 300  # characters of a reason


class Cheat(Exception):
    """The submission reaches for what it may not."""


def read(folder):
    """Raise Cheat where adapters.py, or a file of a submission that it leads to by imports, imports the
    reference, or looks into what calls it; SyntaxError where it is not Python."""
    paths = [folder / "adapters.py"]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8-sig"), path.name)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module or ''}.{alias.name}" for alias in node.names)]
            for name in names:
                own = [folder.joinpath(*name.split(".")), path.parent.joinpath(*name.split("."))]
                found = [file for place in own for file in (place.with_suffix(".py"), place / "__init__.py")]
                paths += [file for file in found if file.is_file() and file not in paths]
                if name.split(".")[0] in REFERENCE:
                    raise Cheat(f"{path.name} imports {name}, which is not allowed here")
            word = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "value", None)
            if isinstance(word, str) and word in INSIDE:
                raise Cheat(f"{path.name} uses {word}, which is not allowed here")


def watch(folder):
    """From now on neither the reference nor another program can be had. Returns a list: attempts are added."""
    for name in [name for name in sys.modules if name.split(".")[0] in REFERENCE]:
        del sys.modules[name]
    for name in ("__main__", "__mp_main__"):
        sys.modules[name] = types.ModuleType(name)
    for path in (path for home in HOMES for path in home.rglob("*.py")):
        linecache.cache[str(path)] = (0, None, [], str(path))  # what shows a traceback need not read it
    attempts = []

    def refuse(what):
        attempts.append(what)
        raise Cheat(what)

    def hook(event, args):
        if event == "import" and args[0].split(".")[0] in REFERENCE:
            refuse(f"it imports {args[0]}, which is not allowed here")
        elif event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path = Path(os.path.realpath(os.fsdecode(args[0])))
            if not path.is_relative_to(folder) and any(path.is_relative_to(home) for home in HOMES):
                refuse(f"it reads {path.name} of the reference, which is not allowed here")
        elif event in PROGRAMS:
            refuse("it starts or ends another process, which is not allowed here")

    sys.addaudithook(hook)
    return attempts


def tools():
    """What the tests measure with, by name, to see whether it is still the same."""
    return {(place.__name__, name): value for place in SHARED for name, value in vars(place).items()}


def explain(error, folder):
    """An exception in one sentence, with the last line of the submission that it went through."""
    if isinstance(error, NotImplementedError) and str(error) == "your turn":  # torch raises it, too
        return "not implemented yet"
    if isinstance(error, AssertionError | Cheat):
        return str(error) or "wrong"
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}, line {error.lineno}: {error.msg}"
    steps = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(path, line) for path, line in steps if path.is_relative_to(folder)]
    place = f" in {own[-1][0].name}, line {own[-1][1]}" if own else ""
    return f"{type(error).__name__}{place}: {error}"


def attempt(folder, name, test, seed):
    """Whether a function of a submission passes a test, and why not."""
    attempts = []
    try:
        read(folder)
        attempts, before = watch(folder), tools()
        sys.path.insert(0, str(folder))
        adapters = importlib.import_module("adapters")
        function = getattr(adapters, name, None)
        assert function is not None, f"adapters.py has no {name}"
        test(function, seed)
        after = tools()
        changed = [
            f"{place}.{key}" for (place, key), value in before.items() if after.get((place, key)) is not value
        ]
        assert not changed, f"it changes {changed[0]}, with which it is tested"
        right, why = True, ""
    except BaseException as error:  # whatever it does, also SystemExit, is its own affair
        right, why = False, explain(error, folder)
    return (False, attempts[0]) if attempts else (right, why)


def examine(assignment, folder, index, seed, limits, key, channel):
    """Test one point of an assignment; limits: (seconds, bytes). Sends "ready", and then, as JSON, [key, whether
    it is right, why not], the key as nothing that the submission sends is to be taken for the answer."""
    os.setsid()  # so that whatever it starts ends with it
    seconds, memory = limits
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (4 * seconds + 60, 4 * seconds + 60))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whatever it prints is not ours
        os.dup2(null, stream)
    os.closerange(3, channel.fileno())  # what leads to other processes
    os.closerange(channel.fileno() + 1, 4096)
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)
    point = importlib.import_module(f"notebooks.assignments.{assignment}.checks").POINTS[index]
    process = multiprocessing.current_process()
    process._target = process._args = None  # which would lead to the channel
    channel.send_bytes(b"ready")
    right, why = attempt(Path(folder).resolve(), point.name, point.test, seed)
    channel.send_bytes(json.dumps([key, right, " ".join(why.split())[:LONGEST]]).encode())
