"""What many tests share. Each process computes with one thread, as there is one for every core."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import pytest

from mini_sora import MiniSora
from mini_sora.__main__ import main


def pytest_terminal_summary(terminalreporter):
    """What tests have measured and tell."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(value)


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """A run of the smoke preset: every stage, a few steps each."""
    out = tmp_path_factory.mktemp("runs") / "smoke"
    assert main(["train", "--preset", "smoke", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def smoke(smoke_run):
    """The model that the smoke run left."""
    return MiniSora.from_pretrained(smoke_run)


@pytest.fixture
def fails(capsys):
    """Run a command that must fail with one sentence; returns the sentence."""

    def run(*argv, command=main):
        assert command([str(a) for a in argv]) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert "Traceback" not in "".join(error)
        return error[-1]

    return run
