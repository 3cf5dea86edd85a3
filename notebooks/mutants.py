"""Plausible mistakes, planted one by one into the solutions: python -m notebooks.mutants [a3 ...].

A mutant is killed when a point of its exercise fails, and what the student is told points to the mistake: it has the
words that stand beside the mutant. Prints what each is told, and how many are killed; fails where one is not.
"""

import argparse
import importlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .grade import NAMES, grade
from .handouts import ASSIGNMENTS, solution


def mutants_of(assignment):
    """[(exercise, what is replaced, by what, words of what the student is told)]"""
    return importlib.import_module(f"notebooks.assignments.{assignment}.mutants").MUTANTS


def plant(assignment, folder, name="", old="", new=""):
    """The solution as a submission in a folder, with a mistake where one is given: in the function of this
    name, or else in one that it uses."""
    text = solution((ASSIGNMENTS / assignment / "source.py").read_text(encoding="utf-8"))
    begin = max(text.find(f"def {name}("), text.find(f"class {name}("), 0)
    place = text.find(old, begin) if old in text[begin:] else text.find(old)
    if place < 0:
        raise ValueError(f"{assignment}: {old!r} is not in the solution")
    text = text[:place] + new + text[place + len(old) :]
    (folder / f"{assignment}.py").write_text(text, encoding="utf-8")
    adapters = (ASSIGNMENTS / assignment / "adapters.py").read_text(encoding="utf-8")
    (folder / "adapters.py").write_text(adapters, encoding="utf-8")


def judge(assignment, mutant, seed=0):
    """(whether it is killed, what it is told)."""
    *mistake, words = mutant
    with tempfile.TemporaryDirectory() as place:
        plant(assignment, Path(place), *mistake)
        rows = grade(assignment, place, only=[mutant[0]], seed=seed)
    told = " / ".join(row["why"] for row in rows if not row["points"])
    if words in told:
        return True, told
    return False, f"{told}, which does not say {words!r}" if told else "NOT FOUND"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m notebooks.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("assignments", nargs="*", default=[], help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--seed", type=int, default=0, help="of the numbers that are tested with")
    args = parser.parse_args(argv)
    missed = 0
    for assignment in args.assignments or NAMES:
        mutants = mutants_of(assignment)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda mutant, a=assignment: judge(a, mutant, args.seed), mutants))
        for (name, old, new, _), (killed, why) in zip(mutants, found, strict=True):
            print(
                f"{'✓' if killed else '✗'} {assignment} {name:16} {old.strip()[:38]!r} -> {new.strip()[:38]!r}: {why}"
            )
        killed = sum(killed for killed, _ in found)
        missed += len(found) - killed
        print(f"{assignment}: {killed} of {len(found)} mutants killed\n", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
