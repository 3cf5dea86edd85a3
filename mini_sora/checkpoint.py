"""Directories of tensors that are complete or absent, and that notice a single flipped bit.

A checkpoint is a directory of .safetensors files and a manifest.json with a SHA-256 for each file
and one for itself. It is written aside, flushed, and renamed, so that a crash at any point leaves
either the old state or the new one; between two renames under another name, which `locked` undoes.
Nothing is ever unpickled.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import safetensors.torch
import torch

from .config import UserError, require

try:
    import fcntl
except ImportError:  # Windows: runs are not locked there
    fcntl = None

FORMAT = 1
ASIDE = ".aside-"  # the first letters of whatever is not finished
OLD = "-old-"  # in the name of what is being replaced


def _seal(manifest):
    text = json.dumps({k: v for k, v in manifest.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path, data):
    with open(path, "xb") as file:  # made here, so that no link is followed
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory):
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path):
    """Delete a file, a link (not what it leads to), or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def aside(path):
    """Where something is written before it comes to its place, by this process."""
    return path.parent / f"{ASIDE}{os.getpid()}-{path.name}"


def write_file(path, data):
    """Write bytes to a file that is complete or absent. Raises UserError where there is no space."""
    made = aside(path)
    with _cleared(made, path):
        made.unlink(missing_ok=True)
        _write(made, data)
        os.replace(made, path)


def write_files(directory, files):
    """Write {name: bytes} into a directory; one that is new is complete or absent. Raises UserError."""
    directory = Path(directory)
    if directory.exists():
        for name, data in files.items():
            write_file(directory / name, data)
        return
    made = aside(directory)
    with _cleared(made, directory):
        remove(made)
        made.mkdir()
        for name, data in files.items():
            _write(made / name, data)
        os.rename(made, directory)


@contextmanager
def _cleared(made, target):
    """Remove what was written aside when anything goes wrong; say in a sentence what did."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            remove(made)
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            reason = "no space is left" if full else error.strerror
            raise UserError(f"{target} could not be written: {reason}") from error
        raise


def save(directory, tensors, meta):
    """Write a checkpoint in one step.

    tensors: {name: {key: tensor}}, one file each; meta: a table for JSON. A directory that stands
    at this place is replaced. Raises UserError if it cannot be written; the old one then stays.
    """
    directory = Path(directory)
    made = aside(directory)
    with _cleared(made, directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        remove(made)
        made.mkdir()
        hashes = {}
        for name, table in tensors.items():
            data = safetensors.torch.save({k: v.detach().contiguous().cpu() for k, v in table.items()})
            hashes[f"{name}.safetensors"] = hashlib.sha256(data).hexdigest()
            _write(made / f"{name}.safetensors", data)
        manifest = {"format": FORMAT, "meta": meta, "files": hashes}
        manifest["sha256"] = _seal(manifest)
        _write(made / "manifest.json", json.dumps(manifest, indent=1).encode())
        _sync(made)
        if directory.exists():
            old = directory.parent / f"{ASIDE}{os.getpid()}{OLD}{directory.name}"
            os.rename(directory, old)
            try:
                os.rename(made, directory)
            except OSError:
                os.rename(old, directory)
                raise
            remove(old)
        else:
            os.rename(made, directory)
        _sync(directory.parent)


def _manifest(directory):
    require(directory.is_dir(), f"there is no checkpoint at {directory}; check the path")
    path = directory / "manifest.json"
    require(path.is_file(), f"{directory} is not a checkpoint: it has no manifest.json")
    try:
        manifest = json.loads(path.read_bytes())
        sealed = isinstance(manifest, dict) and manifest["sha256"] == _seal(manifest)
    except (ValueError, KeyError, RecursionError):
        sealed = False
    require(sealed, f"{path} is damaged: its checksum does not match")
    version = manifest["format"]
    require(
        version <= FORMAT, f"{directory} has format {version}; this program reads up to {FORMAT}: update it"
    )
    return manifest


def read_meta(directory):
    """The table that was saved with a checkpoint, without its tensors. Raises UserError."""
    return _manifest(Path(directory))["meta"]


def load(directory):
    """Read a checkpoint, every byte verified: ({name: {key: tensor}}, meta). Raises UserError."""
    directory = Path(directory)
    manifest = _manifest(directory)
    tensors = {}
    for name, expected in manifest["files"].items():
        path = directory / Path(name).name
        require(path.is_file(), f"{path} is missing")
        data = path.read_bytes()
        intact = hashlib.sha256(data).hexdigest() == expected
        require(intact, f"{path} is damaged: its checksum does not match")
        try:
            table = safetensors.torch.load(data)
        except Exception as error:
            raise UserError(f"{path} is not a safetensors file") from error
        for key, tensor in table.items():
            finite = not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
            require(finite, f"{path} holds a value in {key} that is not finite")
        tensors[path.stem] = table
    return tensors, manifest["meta"]


def steps_of(folder):
    """The checkpoints of a run's folder, oldest first: [(step, directory)]."""
    found = Path(folder).glob("step-*")
    return sorted((int(p.name[5:]), p) for p in found if p.name[5:].isdecimal())


def load_latest(folder, warn=print):
    """The newest good checkpoint of a folder, as load gives it, or None where there is none.

    A damaged one is passed over with a warning. Raises UserError where all are damaged.
    """
    checkpoints = steps_of(folder)
    for _, path in reversed(checkpoints):
        try:
            return load(path)
        except UserError as error:
            warn(f"warning: {error}; trying the one before")
    require(not checkpoints, f"every checkpoint in {folder} is damaged; start afresh in another directory")
    return None


def keep_newest(folder, last, count=2):
    """Delete all but the newest checkpoints of a folder. last: the step of the newest good one; what
    pretends to be newer was damaged when the run went on."""
    checkpoints = [(step, path) for step, path in steps_of(folder) if step <= last]
    for step, path in steps_of(folder):
        if (step, path) not in checkpoints[-count:]:
            shutil.rmtree(path)


def load_weights(module, table, where):
    """Put a table of tensors into a module. Raises UserError where names or shapes do not match."""
    own = module.state_dict()
    wrong = sorted({*own} ^ {*table}) or [k for k in own if own[k].shape != table[k].shape]
    require(not wrong, f"{where} does not fit its config: {wrong[:1]}")
    module.load_state_dict(table)


@contextmanager
def locked(directory):
    """Hold a run directory for this process alone; sweep what a dead run left unfinished.

    The lock is the operating system's, so it ends with its process. Raises UserError where another
    run holds it or where the directory cannot be written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / ".lock").open("a+b")
    except OSError as error:
        raise UserError(f"{directory} cannot be written ({error.strerror}); choose another") from error
    with file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another run is using {directory}; wait for it, or choose another directory"
            ) from None
        except OSError as error:
            raise UserError(f"{directory} cannot be locked ({error.strerror}); choose another") from error
        others = [lock.parent for lock in directory.rglob(".lock") if lock.parent != directory]
        for left in list(directory.rglob(f"{ASIDE}*")):
            if any(left.is_relative_to(other) for other in others):  # another run's, which may live
                continue
            old = re.fullmatch(rf"{ASIDE}\d+{OLD}(.+)", left.name)
            if old and not (left.parent / old[1]).exists():  # its run died between two renames
                left.rename(left.parent / old[1])
            else:
                with suppress(OSError):
                    remove(left)
        yield
