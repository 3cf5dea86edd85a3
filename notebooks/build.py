"""Make every notebook from its source and run it: python -m notebooks.build [--check] [--fast] [NAME ...].

A source is a Python file in jupytext's percent format. --check makes nothing: it fails where a notebook that
is committed differs from what its source gives, or where a cell of it fails in a fresh kernel.
"""

import argparse
import difflib
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

PLACE = Path(__file__).parent
SOURCES = PLACE / "sources"
ASSIGNMENTS = PLACE / "assignments"
LIMIT = 1_500_000  # bytes of a notebook with its pictures
TIME = 900  # seconds that a cell may take


def student(text):
    """A source without its solutions: what stands between the marks is left to do."""
    return re.sub(
        r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION\n",
        r'\1raise NotImplementedError("your turn")\n',
        text,
        flags=re.MULTILINE | re.DOTALL,
    )


def solution(text):
    """A source as the teacher has it: without the marks alone."""
    return re.sub(r"^ *### (BEGIN|END) SOLUTION\n", "", text, flags=re.MULTILINE)


def handouts(check=False):
    """Make, or check, what the students and the teacher of each assignment get. Returns what is wrong."""
    wrong = []
    for source in sorted(ASSIGNMENTS.glob("*/source.py")):
        place, text = source.parent, source.read_text(encoding="utf-8")
        adapters = (place / "adapters.py").read_text(encoding="utf-8")
        for name, content in (("student", student(text)), ("solution", solution(text))):
            for file, made in ((f"{place.name}.py", content), ("adapters.py", adapters)):
                path = place / name / file
                if not check:
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(made, encoding="utf-8")
                elif not path.exists() or path.read_text(encoding="utf-8") != made:
                    wrong.append(f"{path.relative_to(PLACE)} is not what its source gives; make notebooks")
    return wrong


def notebook_of(source):
    """The notebook that a source gives, without outputs, always the same."""
    notebook = jupytext.reads(student(source.read_text(encoding="utf-8")), fmt="py:percent")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.NotebookNode({"kernelspec": kernel, "language_info": {"name": "python"}})
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem[:40].replace('_', '-')}-{i}"
    return notebook


def run(notebook, fast):
    """Run a notebook in a fresh kernel; returns the seconds that it took. Raises CellExecutionError."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(PLACE.parent),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    if fast:
        environment["MINI_SORA_FAST"] = "1"
    began = time.perf_counter()
    client = NotebookClient(
        notebook, timeout=TIME, kernel_name="python3", resources={"metadata": {"path": str(PLACE)}}
    )
    client.execute(env=environment)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran, which is another time each time
    return time.perf_counter() - began


def text_of(notebook):
    """The words and code of a notebook, without outputs, as lines."""
    return [f"[{cell.cell_type}] {line}" for cell in notebook.cells for line in cell.source.splitlines()]


def build(source, check=False, fast=False):
    """Make, or check, one notebook. Returns what is wrong, as sentences."""
    made, path = notebook_of(source), PLACE / f"{source.stem}.ipynb"
    wrong = []
    if check:
        kept = nbformat.read(path, 4) if path.exists() else nbformat.v4.new_notebook()
        lines = list(
            difflib.unified_diff(text_of(kept), text_of(made), path.name, source.name, lineterm="", n=0)
        )
        if lines:
            wrong.append(
                f"{path.name} is not what its source gives; make notebooks:\n" + "\n".join(lines[:20])
            )
    try:
        seconds = run(made, fast)
    except CellExecutionError as error:
        return [*wrong, f"{source.name} fails: {str(error)[-2000:]}"]
    content = nbformat.writes(made) + "\n"
    print(f"{source.stem:28} {seconds:6.0f} s  {len(content) / 1e6:.2f} MB", flush=True)
    if len(content) > LIMIT:
        wrong.append(f"{path.name} has {len(content) / 1e6:.2f} MB, more than {LIMIT / 1e6} MB")
    if not check and not wrong:
        path.write_text(content, encoding="utf-8")
    return wrong


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m notebooks.build", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these, by the beginnings of their names")
    parser.add_argument("--check", action="store_true", help="change nothing; fail on any difference")
    parser.add_argument("--fast", action="store_true", help="fewer steps; to see that everything runs")
    args = parser.parse_args(argv)
    sources = sorted(SOURCES.glob("*.py"))
    if args.names:
        sources = [source for source in sources if source.stem.startswith(tuple(args.names))]
    wrong = handouts(args.check)
    wrong += [sentence for source in sources for sentence in build(source, args.check, args.fast)]
    print("\n".join(wrong) or f"{len(sources)} notebooks are as their sources say")
    return 1 if wrong or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
