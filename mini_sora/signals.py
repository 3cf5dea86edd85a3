"""Ctrl-C and SIGTERM while a network is trained: a first one is noted, so that what is done can be saved."""

import signal
import sys
from contextlib import contextmanager, suppress


class Stopped(Exception):
    """A signal came where nothing is lost by stopping at once."""


class Signals:
    """Within its block a first SIGINT or SIGTERM is only noted, in `caught`; a second acts at once."""

    def __init__(self):
        self.caught, self.old, self.idle = [], {}, False

    def __enter__(self):
        with suppress(ValueError):  # not the main thread: signals go elsewhere
            for number in (signal.SIGINT, signal.SIGTERM):
                self.old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self.old.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        self.caught.append(number)
        signal.signal(number, self.old[number])
        if self.idle:
            raise Stopped
        with suppress(OSError, RuntimeError):  # nobody may be there to read it
            print("\nstopping when this step is done; a second time, at once", file=sys.stderr)

    @contextmanager
    def stopping(self, really=True):
        """Within this block, where something is waited for, a first signal raises Stopped, as does one that
        came before."""
        if really and self.caught:
            raise Stopped
        self.idle = really
        try:
            yield
        finally:
            self.idle = False
