"""Faults 2 and 3: what a signal, or a kill, leaves of a training, and that it goes on exactly."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from test_fit import CONFIG, run, same, state

from mini_sora import checkpoint

SCRIPT = """
    import os, select, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import test_fit
    calls, (ours, theirs) = [], os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs)
    def slow(forward, batch, generator):
        calls.append(1)
        print("step", flush=True)
        if len(calls) == 6:
            select.select([ours], [], [], 60)  # until a signal comes
        return test_fit.loss(forward, batch, generator)
    test_fit.run(Path(sys.argv[1]), loss=slow, resume=True)
"""


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_signals_then_resume_is_exact(tmp_path, number, code):
    script = textwrap.dedent(SCRIPT.format(tests=str(checkpoint.Path(__file__).parent)))
    command = [sys.executable, "-c", script, str(tmp_path / "cut")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(6):
            process.stdout.readline()
        process.send_signal(number)
        errors = process.communicate()[1]
    assert process.returncode == code, errors
    assert ("stopping when this step is done" in errors) == (number != signal.SIGKILL)
    saved = checkpoint.steps_of(tmp_path / "cut" / "checkpoints")[-1][0]
    assert saved == 4 if number == signal.SIGKILL else saved >= 6
    run(tmp_path / "cut", resume=True)
    run(tmp_path / "whole")
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))


def test_a_signal_while_something_is_shown_acts_after_it(tmp_path):
    asked = []

    class Noted:
        def __getitem__(self, index):
            asked.append(index)
            return index

    def preview(model):
        os.kill(os.getpid(), signal.SIGTERM)
        return {}, b"picture"

    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, data=Noted(), preview=preview)
    assert stopped.value.code == 143 and asked == [*range(6)]
    assert checkpoint.steps_of(tmp_path / "checkpoints")[-1][0] == 6


def test_a_signal_acts_at_once_where_a_batch_is_waited_for(tmp_path, capsys):
    """As the first one of thousands may be, which are made before the first step."""

    class Slow:
        def __init__(self, slow):
            self.slow = slow

        def __getitem__(self, index):
            if index == self.slow:
                os.kill(os.getpid(), signal.SIGINT)
                pytest.fail("it went on")
            return index

    for slow, said in ((0, "stopped at step 0 of 12;"), (6, "stopped at step 6 of 12 and saved;")):
        with pytest.raises(SystemExit) as stopped:
            run(tmp_path / "cut", data=Slow(slow), resume=True)
        assert stopped.value.code == 130 and said in capsys.readouterr().out
    assert checkpoint.steps_of(tmp_path / "cut" / "checkpoints")[-1][0] == 6
    run(tmp_path / "cut", resume=True)
    run(tmp_path / "whole")
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))


def test_a_run_is_saved_where_nobody_reads_what_it_says(tmp_path):
    script = textwrap.dedent(SCRIPT.format(tests=str(checkpoint.Path(__file__).parent)))
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stderr.close()
        for _ in range(6):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    assert checkpoint.steps_of(tmp_path / "checkpoints")[-1][0] >= 6


def test_a_signal_to_all_processes_saves(tmp_path):
    """So torchrun ends a run: the workers, which make batches ahead, get the signal too."""
    script = textwrap.dedent(SCRIPT.format(tests=str(checkpoint.Path(__file__).parent)))
    config = "test_fit.dataclasses.replace(test_fit.CONFIG, workers=1)"
    script = script.replace("loss=slow", f"{config}, loss=slow")
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, start_new_session=True) as process:
        for _ in range(6):
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGTERM)
        errors = process.communicate()[1]
    assert process.returncode == 143, errors
    assert checkpoint.steps_of(tmp_path / "checkpoints")[-1][0] >= 6


MID_SAVE = """
    import dataclasses, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import test_fit
    from mini_sora import checkpoint
    write = checkpoint._write
    def telling(path, data):
        print("writing", flush=True)
        write(path, data)
    checkpoint._write = telling
    config = dataclasses.replace(test_fit.CONFIG, save_every=1)
    test_fit.run(Path(sys.argv[1]), config, resume=True)
"""


@pytest.mark.parametrize("file", range(3, 17, 2))
def test_sigkill_in_mid_save_then_resume_is_exact(tmp_path, file):
    """Each save writes five files; the process dies as it begins the file-th of all."""
    script = textwrap.dedent(MID_SAVE.format(tests=str(checkpoint.Path(__file__).parent)))
    command = [sys.executable, "-c", script, str(tmp_path / "cut")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for _ in range(file):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    config = dataclasses.replace(CONFIG, save_every=1)
    run(tmp_path / "cut", config, resume=True)
    run(tmp_path / "whole", config)
    assert same(state(tmp_path / "whole"), state(tmp_path / "cut"))


def test_a_second_signal_during_the_save_keeps_the_last_checkpoint(tmp_path):
    script = textwrap.dedent(MID_SAVE.format(tests=str(checkpoint.Path(__file__).parent)))
    script = script.replace("    write(path, data)", "    import time; time.sleep(0.3); write(path, data)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        for _ in range(7):  # the first save is complete, the second has begun
            process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert checkpoint.load_latest(tmp_path / "checkpoints")[1]["step"] == 1
