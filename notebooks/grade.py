"""Grade a submission: python -m notebooks.grade a3 DIR [DIR ...] [--seed 7] [-o grades.json].

A submission is a directory with the student's files and adapters.py, through which alone its code is reached.
Each point is tested in a process of its own, with limits of time and memory, so whatever a submission does, it
loses only its own points. Prints the points with reasons, and writes JSON. Another seed tests with other numbers.
"""

import argparse
import contextlib
import importlib
import json
import os
import secrets
import signal
import sys
from multiprocessing import get_context
from pathlib import Path

from .guard import examine

SECONDS, MEMORY = 60, 6 * 2**30  # for each point
START = 120  # seconds until a process is ready
NAMES = ("a1", "a2", "a3", "a4", "a5")


def points_of(assignment):
    """The points of an assignment, as Point."""
    return importlib.import_module(f"notebooks.assignments.{assignment}.checks").POINTS


def clean():
    """Where processes come from that have not computed yet, but have read what they need."""
    context = get_context("forkserver")
    context.set_forkserver_preload([f"notebooks.assignments.{name}.checks" for name in NAMES])
    return context


def listen(channel, seconds, key):
    """(whether it is right, why not), from the process of a point, which knows the key."""
    try:
        busy = f"the grader's process did not start in {START} seconds: is this machine busy?"
        for limit, why in ((START, busy), (seconds, f"not done after {seconds} seconds")):
            if not channel.poll(limit):
                return False, why
            answer = channel.recv_bytes(10_000)
        said, right, why = json.loads(answer)
        if said != key:
            raise ValueError("another answer")
    except (EOFError, OSError, TypeError, ValueError):
        return False, "the process ended without an answer: too much memory, or it ended itself"
    return right is True, str(why)


def grade(assignment, folder, only=None, seed=0, seconds=SECONDS):
    """[{name, title, points, of, why}] of a submission. only: these names; seconds: for each point."""
    context, results = clean(), []
    for index, point in enumerate(points_of(assignment)):
        if only and point.name not in only:
            continue
        (ours, theirs), key = context.Pipe(duplex=False), secrets.token_hex()
        args = (assignment, str(folder), index, seed, (seconds, MEMORY), key, theirs)
        process = context.Process(target=examine, args=args, daemon=True)
        process.start()
        theirs.close()
        right, why = listen(ours, seconds, key)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        row = {"name": point.name, "title": point.title, "points": point.points if right else 0}
        results.append({**row, "of": point.points, "why": why})
    return results


def table(name, results):
    """The points of a submission, as text."""
    lines = [name]
    for row in results:
        mark = "✓" if row["points"] else "✗"
        why = f"  {row['why']}" if row["why"] else ""
        lines.append(f"  {mark} {row['points']:3} of {row['of']:3}  {row['title']}{why}")
    total, most = (sum(row[key] for row in results) for key in ("points", "of"))
    lines.append(f"    {total:3} of {most:3}")
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m notebooks.grade", description=__doc__.splitlines()[0])
    parser.add_argument("assignment", choices=NAMES)
    parser.add_argument("submissions", nargs="+", metavar="DIR", help="a directory with adapters.py")
    parser.add_argument("-o", "--output", help="a file for the grades, as JSON")
    parser.add_argument("--seed", type=int, default=0, help="of the numbers that are tested with")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="that each point may take")
    args = parser.parse_args(argv)
    if args.seconds < 1:
        parser.error(f"--seconds is {args.seconds}; a point needs one at least")
    if args.output and not Path(args.output).parent.is_dir():
        parser.error(f"there is no directory {Path(args.output).parent} for the grades; make it first")
    submissions, skipped = {}, 0
    for name in args.submissions:
        rows, why = [], ""
        if (Path(name) / "adapters.py").is_file():
            rows = grade(args.assignment, name, seed=args.seed, seconds=args.seconds)
            print(table(name, rows), flush=True)
        else:
            why = "there is no such directory" if not Path(name).is_dir() else "it has no adapters.py"
            print(f"{name} is not a submission: {why}", file=sys.stderr)
            skipped += 1
        submissions[name] = {"points": sum(row["points"] for row in rows), "rows": rows, "why": why}
        if args.output:  # after each, so that nothing is lost
            grades = {"assignment": args.assignment, "seed": args.seed, "submissions": submissions}
            Path(args.output).write_text(json.dumps(grades, indent=1) + "\n", encoding="utf-8")
    if len(submissions) > 1:
        print("\n".join(f"{row['points']:4}  {name}" for name, row in submissions.items()))
    return 1 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
