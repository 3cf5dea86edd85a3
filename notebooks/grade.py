"""Grade a submission: python -m notebooks.grade a3 DIR [DIR ...] [-o grades.json].

A submission is a directory with the student's files and adapters.py, through which alone its code is reached. Each
point is tested in a process of its own, with limits of time and memory, so whatever a submission does, it loses
only its own points. Prints the points with reasons, and writes JSON.
"""

import argparse
import ast
import builtins
import contextlib
import importlib
import json
import os
import resource
import sys
import traceback
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

SECONDS, MEMORY = 60, 6 * 2**30  # for each point
REFERENCE = ("mini_sora", "data_gen", "notebooks", "diffusers")
ASSIGNMENTS = ("a1", "a2", "a3", "a4", "a5")


@dataclass(frozen=True)
class Point:
    """What is asked: a name of adapters.py, how many points, and a test that is given the function, and raises
    AssertionError, whose text says what is wrong."""

    name: str
    points: int
    title: str
    test: object


class Cheat(Exception):
    """The submission uses the reference."""


def points_of(assignment):
    """The points of an assignment, as Point."""
    return importlib.import_module(f"notebooks.assignments.{assignment}.checks").POINTS


def _refuse_reference(folder, allowed):
    """Raise Cheat where a file of the submission imports what it is to be compared with."""
    for path in sorted(Path(folder).glob("**/*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            called = isinstance(node, ast.Name) and node.id in ("__import__", "importlib", "exec", "eval")
            for name in [*names, *(["importlib"] if called else [])]:
                root = name.split(".")[0]
                if (root in REFERENCE and root not in allowed) or root == "importlib":
                    raise Cheat(f"{path.name} uses {name}, which is not allowed here")


@contextlib.contextmanager
def _guarded(folder, allowed):
    """Within this block an import by a file of the submission is refused if it is of the reference."""
    true = builtins.__import__

    def guarded(name, table=None, *rest):
        file = str((table or {}).get("__file__", ""))
        root = name.split(".")[0]
        if file.startswith(str(folder)) and root in REFERENCE and root not in allowed:
            raise Cheat(f"{Path(file).name} imports {name}, which is not allowed here")
        return true(name, table, *rest)

    builtins.__import__ = guarded
    try:
        yield
    finally:
        builtins.__import__ = true


def _run(assignment, folder, index, channel):
    """In a process of its own: test one point, and send (whether it holds, why not)."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1), os.dup2(null, 2)  # whatever it prints is not ours
    point = points_of(assignment)[index]
    allowed = importlib.import_module(f"notebooks.assignments.{assignment}.checks").ALLOWED
    folder = Path(folder).resolve()
    try:
        _refuse_reference(folder, allowed)
        sys.path.insert(0, str(folder))
        with _guarded(folder, allowed):
            adapters = importlib.import_module("adapters")
            function = getattr(adapters, point.name, None)
            assert function is not None, f"adapters.py has no {point.name}"
            point.test(function)
        answer = True, ""
    except NotImplementedError:
        answer = False, "not implemented yet"
    except AssertionError as error:
        answer = False, str(error) or "wrong"
    except Cheat as error:
        answer = False, str(error)
    except BaseException as error:  # whatever it does, also SystemExit, is its own affair
        last = traceback.extract_tb(error.__traceback__)[-1]
        answer = False, f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}: {error}"
    channel.send(answer)


def grade(assignment, folder, only=None):
    """[{name, title, points, of, why}] of a submission."""
    context, results = get_context("fork"), []
    for index, point in enumerate(points_of(assignment)):
        if only and point.name not in only:
            continue
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(assignment, str(folder), index, theirs), daemon=True)
        process.start()
        theirs.close()
        right, why = False, f"not done after {SECONDS} seconds"
        try:
            if ours.poll(SECONDS):
                right, why = ours.recv()
        except EOFError:
            why = "the process ended without an answer: too much memory or time, or it ended itself"
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
    parser.add_argument("assignment", choices=ASSIGNMENTS)
    parser.add_argument("submissions", nargs="+", metavar="DIR", help="a directory with adapters.py")
    parser.add_argument("-o", "--output", help="a file for the grades, as JSON")
    args = parser.parse_args(argv)
    grades = {}
    for name in args.submissions:
        if not (Path(name) / "adapters.py").is_file():
            print(f"{name} has no adapters.py; it is not a submission", file=sys.stderr)
            grades[name] = []
            continue
        grades[name] = grade(args.assignment, name)
        print(table(name, grades[name]), flush=True)
    if args.output:
        Path(args.output).write_text(json.dumps(grades, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
