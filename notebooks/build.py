"""Make every notebook from its source and run it: python -m notebooks.build [--check] [--fast] [NAME ...].

A source is a Python file in jupytext's percent format. It gives two notebooks of the same cells: the
student's, where what stands between ### BEGIN SOLUTION and ### END SOLUTION is left to do, and the teacher's,
in solutions/, which keeps these marks, so that nbgrader can take it as a source. One fresh kernel runs both: each
exercise first as the teacher has it, which must be found right, then as the student has it. What is committed
and differs from its source is an error; it is made anew, unless --check asks that nothing be changed. Both
versions of each assignment are graded: the solution must get all points, what is left to do none.
"""

import argparse
import copy
import difflib
import json
import os
import re
import sys
import time

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .grade import grade
from .handouts import ASSIGNMENTS, PLACE, handouts, student

SOURCES = PLACE / "sources"
LIMIT = 1_500_000  # bytes of a notebook with its pictures
TIME = 900  # seconds that a cell may take
NBGRADER = {  # what nbgrader is told of a cell: what it fills in, and what it runs to give points
    "exercise": {"grade": False, "solution": True, "locked": False, "task": False},
    "check": {"grade": True, "solution": False, "locked": True, "task": False, "points": 1},
}


def notebooks_of(source):
    """The two notebooks that a source gives, without outputs, always the same: (student's, teacher's)."""
    teacher = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    teacher.metadata = nbformat.NotebookNode({"kernelspec": kernel, "language_info": {"name": "python"}})
    for i, cell in enumerate(teacher.cells):
        cell["id"] = f"{source.stem.replace('_', '-')}-{i}"
        for tag in NBGRADER.keys() & set(cell.metadata.get("tags", ())):
            cell.metadata["nbgrader"] = {**NBGRADER[tag], "grade_id": cell["id"], "schema_version": 3}
    teacher = nbformat.from_dict(teacher)
    mine = copy.deepcopy(teacher)
    for cell in mine.cells:
        cell.source = student(cell.source)
    return mine, teacher


def exercises(notebook):
    """For each cell, the place of the exercise that it is, or checks, or None."""
    numbers, number = [], None
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", ())
        number = len(numbers) if "exercise" in tags else number if "check" in tags else None
        numbers.append(number)
    return numbers


def run(mine, teacher, fast):
    """Run both in one fresh kernel; returns the seconds that it took. Raises CellExecutionError."""
    order, numbers = [], exercises(teacher)
    for i, number in enumerate(numbers):
        if number is None:
            order.append(teacher.cells[i])
        elif number == i:  # the whole exercise, twice
            group = [j for j, other in enumerate(numbers) if other == number]
            order += [notebook.cells[j] for notebook in (teacher, mine) for j in group]
    whole = nbformat.from_dict({**teacher, "cells": []})
    whole.cells = order
    environment = {
        **os.environ,
        "PYTHONPATH": str(PLACE.parent),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MINI_SORA_STATIC": "1",
        "TQDM_DISABLE": "1",  # a bar that was is of no use on paper
        **({"MINI_SORA_FAST": "1"} if fast else {}),
    }
    began = time.perf_counter()
    client = NotebookClient(
        whole,
        timeout=TIME,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],  # it warns that it talks over TCP
        resources={"metadata": {"path": str(PLACE)}},
    )
    client.execute(env=environment)
    seconds = time.perf_counter() - began
    for i, number in enumerate(numbers):
        if number is None and teacher.cells[i].cell_type == "code":
            mine.cells[i].outputs = copy.deepcopy(teacher.cells[i].outputs)
    for notebook in (mine, teacher):
        count = 0
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when each cell ran, which is another time each time
            if cell.cell_type == "code":
                count += 1
                for part in (cell, *(o for o in cell.outputs if o.output_type == "execute_result")):
                    part.execution_count = count
    return seconds


def said(cell):
    """What a cell printed."""
    return "".join(output.get("text", "") for output in cell.get("outputs", ()))


def unsolved(teacher):
    """The exercises whose solution is not found right, as sentences."""
    checks = [cell for cell in teacher.cells if "check" in cell.metadata.get("tags", ())]
    bad = [cell for cell in checks if "✓" not in said(cell) or re.search("^[✗·]", said(cell), re.M)]
    return [f"{cell['id']}: the solution is told {said(cell).strip()!r}" for cell in bad]


def bare(notebook):
    """A notebook without what running it adds, as lines."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return (
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True).replace("\\n", "\n").splitlines()
    )


def paths_of(source):
    """Where the two notebooks of a source lie: (student's, teacher's)."""
    return PLACE / f"{source.stem}.ipynb", PLACE / "solutions" / f"{source.stem}.ipynb"


def drift(source):
    """Where the notebooks of a source differ from what it gives, as sentences."""
    wrong = []
    for path, made in zip(paths_of(source), notebooks_of(source), strict=True):
        name = path.relative_to(PLACE)
        if not path.exists():
            wrong.append(f"{name} was not there")
            continue
        kept = bare(nbformat.read(path, 4))
        lines = list(difflib.unified_diff(kept, bare(made), path.name, source.name, lineterm="", n=0))
        if lines:
            wrong.append(f"{name} was not what its source gives:\n" + "\n".join(lines[:20]))
    return wrong


def promise(source):
    """The seconds that a lesson says it takes."""
    text = source.read_text(encoding="utf-8")
    number, unit = re.search(r"\*\*Time\*\* .*?(\d+) (second|minute)", text).groups()
    return int(number) * {"second": 1, "minute": 60}[unit]


def build(source, check=False, fast=False):
    """Make, or check, the notebooks of a source. Returns what is wrong, as sentences."""
    wrong, (mine, teacher) = drift(source), notebooks_of(source)
    try:
        seconds = run(mine, teacher, fast)
    except CellExecutionError as error:
        plain = re.sub(r"\x1b\[[\d;]*m", "", str(error))
        return [*wrong, f"{source.name} fails: {plain[-2000:]}"]
    wrong += unsolved(teacher)
    contents = [nbformat.writes(notebook) + "\n" for notebook in (mine, teacher)]
    size = max(map(len, contents)) / 1e6
    print(f"{source.stem:28} {seconds:6.0f} s  {size:.2f} MB", flush=True)
    promised = promise(source)
    if seconds > promised and not fast:
        wrong.append(
            f"{source.stem} took {seconds:.0f} s, more than the {promised} s that it promises; is this machine busy?"
        )
    if size > LIMIT / 1e6:
        wrong.append(f"{source.stem}.ipynb has {size:.2f} MB, more than {LIMIT / 1e6} MB")
    if not check:
        for path, content in zip(paths_of(source), contents, strict=True):
            path.write_text(content, encoding="utf-8")
    return wrong


def graded(place):
    """Grade both versions of an assignment. Returns what is wrong, as sentences."""
    solved, left = (grade(place.name, place / kind) for kind in ("solution", "student"))
    points, most, none = (
        sum(row[key] for row in rows) for rows, key in ((solved, "points"), (solved, "of"), (left, "points"))
    )
    print(f"{place.name:28} {points} of {most} points, what is left to do {none}", flush=True)
    wrong = [
        f"{place.name}: the solution loses {row['title']}: {row['why']}"
        for row in solved
        if not row["points"]
    ]
    return wrong + [f"{place.name}: what is left to do gets {row['title']}" for row in left if row["points"]]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m notebooks.build", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these, by the beginnings of their names")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument(
        "--fast", action="store_true", help="few steps, to see that all runs; changes nothing"
    )
    args = parser.parse_args(argv)
    check = args.check or args.fast
    sources = sorted(SOURCES.glob("*.py"))
    assignments = sorted(path.parent for path in ASSIGNMENTS.glob("*/source.py"))
    if args.names:
        sources, assignments = (
            [path for path in paths if path.stem.startswith(tuple(args.names))]
            for paths in (sources, assignments)
        )
    wrong = handouts(check)
    wrong += [sentence for place in assignments for sentence in graded(place)]
    wrong += [sentence for source in sources for sentence in build(source, check, args.fast)]
    count = f"{len(sources)} lessons and {len(assignments)} assignments"
    print("\n".join(wrong) or f"{count} are as their sources say")
    return 1 if wrong or not sources + assignments else 0


if __name__ == "__main__":
    sys.exit(main())
