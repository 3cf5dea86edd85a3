"""Faults 1, 4, 6 to 12 and 15 to 17: whatever happens to the files, nothing is lost or half believed."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_sora import checkpoint
from mini_sora.config import UserError
from mini_sora.video import check_writable

TENSORS = {"model": {"a": torch.arange(12.0).reshape(3, 4)}, "ema": {"a": torch.ones(5)}}


@pytest.fixture
def saved(tmp_path):
    checkpoint.save(tmp_path / "step-0000003", TENSORS, {"step": 3})
    return tmp_path / "step-0000003"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(saved):
    tensors, meta = checkpoint.load(saved)
    assert meta == {"step": 3}
    assert torch.equal(tensors["model"]["a"], TENSORS["model"]["a"])
    assert names(saved.parent) == ["step-0000003"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_flipped_bit_is_found_and_named(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip") / "step-1"
    checkpoint.save(folder, TENSORS, {"step": 3})
    path = folder / data.draw(st.sampled_from(names(folder)))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    with pytest.raises(UserError, match=path.name):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_truncated_or_zeroed_files_are_found(saved, name):
    path = saved / name
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=name):
            checkpoint.load(saved)
    path.write_bytes(whole[:-20] + bytes(20))
    with pytest.raises(UserError, match=name):
        checkpoint.load(saved)


def test_missing_and_mixed_files_are_refused(saved):
    checkpoint.save(saved.parent / "step-0000004", {**TENSORS, "ema": {"a": torch.zeros(5)}}, {"step": 4})
    (saved / "ema.safetensors").write_bytes((saved.parent / "step-0000004" / "ema.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"ema\.safetensors is damaged"):
        checkpoint.load(saved)
    (saved / "ema.safetensors").unlink()
    with pytest.raises(UserError, match=r"ema\.safetensors is missing"):
        checkpoint.load(saved)
    (saved / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"no manifest\.json"):
        checkpoint.load(saved)
    with pytest.raises(UserError, match="no checkpoint at"):
        checkpoint.load(saved.parent / "step-0000009")


def reseal(folder, change):
    """Edit a manifest as somebody who knows how could."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    manifest["sha256"] = checkpoint._seal(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def plant(folder, data):
    (folder / "model.safetensors").write_bytes(data)
    digest = checkpoint.hashlib.sha256(data).hexdigest()
    reseal(folder, lambda manifest: manifest["files"].update({"model.safetensors": digest}))


def test_a_newer_format_is_refused(saved):
    reseal(saved, lambda manifest: manifest.update(format=checkpoint.FORMAT + 1))
    with pytest.raises(UserError, match="format"):
        checkpoint.load(saved)


def test_a_pickle_is_never_opened(saved, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    plant(saved, pickle.dumps(Trap()))
    with pytest.raises(UserError, match="not a safetensors file"):
        checkpoint.load(saved)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "header",
    [
        (2**62).to_bytes(8, "little") + b"{}",
        b"".join(
            (
                len(text := b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}').to_bytes(
                    8, "little"
                ),
                text,
                b"0000",
            )
        ),
        b"".join(
            (
                len(
                    text := b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                    b'"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}'
                ).to_bytes(8, "little"),
                text,
                bytes(12),
            )
        ),
    ],
    ids=["length", "shape", "overlap"],
)
def test_a_lying_header_is_refused_without_memory(saved, header):
    plant(saved, header)
    code = f"""
        import resource
        from mini_sora import checkpoint
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            checkpoint.load({str(saved)!r})
        except checkpoint.UserError as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    sentence, grown = done.stdout.splitlines()
    assert "not a safetensors file" in sentence and int(grown) < 100_000


def test_weights_that_are_not_finite_are_refused(saved):
    plant(saved, safetensors.torch.save({"a": torch.tensor([1.0, float("nan")])}))
    with pytest.raises(UserError, match="not finite"):
        checkpoint.load(saved)


def test_the_newest_good_checkpoint_is_found(saved):
    newer = saved.parent / "step-0000012"
    checkpoint.save(newer, TENSORS, {"step": 12})
    assert checkpoint.load_latest(saved.parent)[1]["step"] == 12
    (newer / "model.safetensors").write_bytes(b"")
    warnings = []
    assert checkpoint.load_latest(saved.parent, warnings.append)[1]["step"] == 3
    assert "step-0000012" in warnings[0]
    (newer / "manifest.json").write_bytes(b"[" * 100_000)
    (saved.parent / "step-²").mkdir()
    assert checkpoint.load_latest(saved.parent, warnings.append)[1]["step"] == 3
    (saved / "manifest.json").write_bytes(b"{}")
    with pytest.raises(UserError, match="every checkpoint"):
        checkpoint.load_latest(saved.parent, warnings.append)


def test_of_those_kept_none_is_a_damaged_one(saved):
    """A run that went on from before a damaged checkpoint keeps two that are good."""
    for step in (6, 9, 12):
        checkpoint.save(saved.parent / f"step-{step:07d}", TENSORS, {"step": step})
    (saved.parent / "step-0000012" / "model.safetensors").write_bytes(b"")
    checkpoint.keep_newest(saved.parent, 9)
    assert [step for step, _ in checkpoint.steps_of(saved.parent)] == [6, 9]


def test_no_space_keeps_the_old_and_leaves_nothing_behind(saved):
    code = f"""
        import resource, torch
        from mini_sora import checkpoint
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            checkpoint.save({str(saved)!r}, {{"model": {{"a": torch.zeros(10**6)}}}}, {{}})
        except checkpoint.UserError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert "no space" in done.stdout, done.stderr
    assert names(saved.parent) == ["step-0000003"]
    assert checkpoint.load(saved)[1] == {"step": 3}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_keeps_the_old(saved, monkeypatch, number):
    def write(path, data):
        path.touch()
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checkpoint, "_write", write)
    with pytest.raises(UserError, match="no space" if number != errno.EIO else os.strerror(number)):
        checkpoint.save(saved, TENSORS, {"step": 4})
    assert names(saved.parent) == ["step-0000003"] and checkpoint.load(saved)[1] == {"step": 3}


def test_a_rename_that_fails_puts_the_old_back(saved, monkeypatch):
    rename, asked = os.rename, []

    def second_fails(a, b):
        asked.append(b)
        if len(asked) == 2:
            raise OSError(errno.EIO, "it failed")
        rename(a, b)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(UserError, match="it failed"):
        checkpoint.save(saved, TENSORS, {"step": 4})
    assert names(saved.parent) == ["step-0000003"] and checkpoint.load(saved)[1] == {"step": 3}


def test_a_lock_that_cannot_be_had_is_no_other_run(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(checkpoint.fcntl, "flock", flock)
    with pytest.raises(UserError, match="cannot be locked"), checkpoint.locked(tmp_path):
        pass


def test_a_manifest_names_no_file_of_another_directory(saved):
    data = (saved / "ema.safetensors").read_bytes()
    (saved.parent / "x.safetensors").write_bytes(data)
    digest = checkpoint.hashlib.sha256(data).hexdigest()
    reseal(saved, lambda manifest: manifest["files"].update({"../x.safetensors": digest}))
    with pytest.raises(UserError, match="missing"):
        checkpoint.load(saved)


SAVE_FOREVER = """
    import sys, torch
    from mini_sora import checkpoint
    step = 0
    while True:
        step += 1
        table = {"a": torch.full((200_000,), float(step))}
        checkpoint.save(f"{sys.argv[1]}/step-{step % 2:07d}", {"model": table, "ema": table}, {"step": step})
        print(step, flush=True)
"""


def test_sigkill_at_any_moment_leaves_a_good_checkpoint(tmp_path):
    for attempt in range(6):
        folder = tmp_path / str(attempt)
        command = [sys.executable, "-c", textwrap.dedent(SAVE_FOREVER), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            seen = int(process.stdout.readline())
            time.sleep(0.011 * attempt)
            process.send_signal(signal.SIGKILL)
            seen = max([seen, *map(int, process.stdout.read().split())])
        tensors, meta = checkpoint.load_latest(folder)
        assert meta["step"] >= seen - 1
        assert (tensors["model"]["a"] == meta["step"]).all() and (tensors["ema"]["a"] == meta["step"]).all()


def test_a_second_run_is_refused_and_leftovers_are_swept(tmp_path):
    left = tmp_path / "dit" / f"{checkpoint.ASIDE}1-step-1"
    left.mkdir(parents=True)
    with checkpoint.locked(tmp_path):
        assert not left.exists()
        left.mkdir()  # now it belongs to a live run
        with pytest.raises(UserError, match="another run"), checkpoint.locked(tmp_path):
            pass
        assert left.exists()
    with checkpoint.locked(tmp_path):
        assert not left.exists()
    other = tmp_path / "inside" / f"{checkpoint.ASIDE}1-step-1"
    with checkpoint.locked(other.parent):
        other.mkdir()
        with checkpoint.locked(tmp_path):
            assert other.exists(), "it belongs to another run"


def test_what_died_between_two_renames_is_put_back(tmp_path):
    checkpoint.save(tmp_path / "model", {"a": {"x": torch.ones(1)}}, {"step": 1})
    aside = tmp_path / f"{checkpoint.ASIDE}1{checkpoint.OLD}model"
    (tmp_path / "model").rename(aside)
    with checkpoint.locked(tmp_path):
        assert checkpoint.load(tmp_path / "model")[1]["step"] == 1 and not aside.exists()
    aside.mkdir()  # it died later, before the old one was deleted
    with checkpoint.locked(tmp_path):
        assert checkpoint.load(tmp_path / "model")[1]["step"] == 1 and not aside.exists()


def test_a_link_that_lies_in_wait_is_not_followed(tmp_path):
    mine, path = tmp_path / "mine", tmp_path / "made"
    mine.write_bytes(b"mine")
    checkpoint.aside(path).symlink_to(mine)
    check_writable(path)
    checkpoint.aside(path).symlink_to(mine)
    checkpoint.write_file(path, b"made")
    assert mine.read_bytes() == b"mine" and path.read_bytes() == b"made" and not path.is_symlink()


@pytest.mark.parametrize("there", ["file", "link", "directory"])
def test_whatever_stands_at_its_place_is_replaced(tmp_path, there):
    mine, path = tmp_path / "mine", tmp_path / "saved"
    mine.mkdir()
    (mine / "kept").write_bytes(b"mine")
    {"file": path.touch, "link": lambda: path.symlink_to(mine), "directory": path.mkdir}[there]()
    checkpoint.save(path, {"a": {"x": torch.ones(2)}}, {})
    assert checkpoint.load(path)[0]["a"]["x"].tolist() == [1, 1]
    assert (mine / "kept").exists() and sorted(p.name for p in tmp_path.iterdir()) == ["mine", "saved"]


def test_write_file_is_whole_or_absent(tmp_path):
    checkpoint.write_file(tmp_path / "x.txt", b"one")
    checkpoint.write_file(tmp_path / "x.txt", b"two")
    assert (tmp_path / "x.txt").read_bytes() == b"two" and names(tmp_path) == ["x.txt"]
    with pytest.raises(UserError, match="could not be written"):
        checkpoint.write_file(tmp_path / "missing" / "x.txt", b"")


def test_the_oldest_format_still_loads():
    tensors, meta = checkpoint.load(checkpoint.Path(__file__).parent / "golden" / "format-1")
    assert meta == {"step": 3}
    assert all(torch.equal(tensors[part]["a"], TENSORS[part]["a"]) for part in TENSORS)
