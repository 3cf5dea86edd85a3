"""Work that is shared out among the cores: what needs nothing of one another is done side by side."""

import multiprocessing
from contextlib import suppress
from functools import partial

from data_gen import WorldError

from .config import UserError
from .data import batches, cores


class Calls:
    """The results of functions without arguments, as data: (place, result, what was wrong)."""

    def __init__(self, calls):
        self.calls = calls

    def __getitem__(self, place):
        try:
            return place, self.calls[place](), None
        except (UserError, WorldError) as error:
            return place, None, error


def share_out(calls, most=None):
    """(place, result) of functions without arguments that need nothing of one another, as they are
    done: where there are more than half as many as cores, each on a core and a thread of its own, which is
    faster than one after another on all. most: cores to use, all where not said, 0 for none but this."""
    most = cores() if most is None else most
    workers = min(most, len(calls)) if 2 * len(calls) > most else 0
    before = multiprocessing.active_children()
    try:
        found = iter(batches(Calls(calls), range(len(calls)), workers, ordered=False))
        for place, result, wrong in found:
            if wrong:
                raise wrong
            yield place, result
    except BaseException:  # Ctrl-C, too: torch would wait for each of those that are still at work
        own = {*multiprocessing.active_children()} - {*before}
        for worker in own:
            with suppress(RuntimeError):  # by which torch tells of one that has ended by the signal itself
                worker.terminate()
        for worker in own:
            with suppress(RuntimeError):
                worker.join(1)
                worker.terminate()  # one that is left with what nobody reads
        raise


def on_all_cores(function, *columns):
    """[function(*row) for each row of some lists], where there are many shared out among the cores."""
    calls = [partial(function, *row) for row in zip(*columns, strict=True)]
    if len(calls) < 64:
        return [call() for call in calls]
    found = dict(share_out(calls))
    return [found[place] for place in range(len(calls))]
