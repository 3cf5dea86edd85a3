"""The lessons: what is committed is what the sources give, and all of it runs."""

import json
import re
import tarfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from mini_sora.pretrained import WEIGHTS
from notebooks import build, handouts

LESSONS = sorted(build.SOURCES.glob("*.py"))
ROOT = Path(__file__).parent.parent
EVERY = pytest.mark.parametrize("source", LESSONS, ids=lambda source: source.stem)


def weights_of(source):
    """The shipped weights that a lesson loads."""
    return set(re.findall(r'from_pretrained\("(\w+)"\)', source.read_text()))


def skip_without_weights(source):
    lacking = sorted(name for name in weights_of(source) if not (WEIGHTS / name).is_dir())
    if lacking:
        pytest.skip(f"the weights {', '.join(lacking)} are not shipped yet, so this lesson cannot run")


def solutions_of(text):
    """The lines that stand between the marks of a source, and nowhere else in it."""
    inside = re.findall(r"### BEGIN SOLUTION\n(.*?) *### END SOLUTION", text, re.S)
    assert inside
    rest = {line.strip() for line in handouts.student(text).splitlines()}
    lines = {line.strip() for part in inside for line in part.splitlines()}
    return {line for line in lines - rest if len(line) > 12}


def test_the_links_of_the_guide_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", (handouts.PLACE / "TEACHING.md").read_text())
    assert len(targets) >= 15
    for target in targets:
        assert target.startswith("https://") or (handouts.PLACE / target).exists(), target


def test_eleven_lessons_and_five_assignments():
    assert [source.stem[:2] for source in LESSONS] == [f"{i:02}" for i in range(11)]
    assert len(list(handouts.ASSIGNMENTS.glob("a*/source.py"))) == 5


@EVERY
def test_what_is_committed_is_what_the_source_gives(source):
    assert build.drift(source) == []


def test_what_is_handed_out_is_what_the_sources_give():
    assert handouts.handouts(check=True) == []


@EVERY
def test_a_lesson_has_all_its_parts(source):
    text = source.read_text()
    parts = (
        "# # ",
        "**You will be able to**",
        "**You need**",
        "**Time** ",
        "**Predict",
        "**Explain",
        "**1.**",
    )
    for part in (*parts, "# ## Looking back", "# ## References"):
        assert part in text, part
    exercises, checks = text.count('tags=["exercise"]'), text.count('tags=["check"]')
    assert 1 <= exercises <= 5 and exercises == checks == text.count("### BEGIN SOLUTION")
    assert not re.search("^### BEGIN", text, re.M), "a solution must stand in a function"


@EVERY
def test_no_solution_reaches_a_student(source):
    secret, (path, _) = solutions_of(source.read_text()), build.paths_of(source)
    cells = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    assert not [line for line in secret if line in cells] and "SOLUTION" not in cells


@pytest.mark.parametrize("name", ["a1", "a2", "a3", "a4", "a5"])
def test_no_solution_reaches_a_student_of_an_assignment(name):
    place = handouts.ASSIGNMENTS / name
    secret = solutions_of((place / "source.py").read_text())
    for path in [*(place / "student").glob("*.py"), place / "handout.md"]:
        assert not [line for line in secret if line in path.read_text()], path
        assert "SOLUTION" not in path.read_text()


def test_no_solution_is_in_what_students_get(tmp_path):
    """None is whole in any file. (The library, which the lessons show, has its own form of most.)"""
    handouts.pack(tmp_path / "student.tar.gz")
    with tarfile.open(tmp_path / "student.tar.gz") as archive:
        files = {file.name.removeprefix("mini-sora/"): archive.extractfile(file).read() for file in archive}
    assert {"notebooks/grade.py", "notebooks/assignments/a1/handout.md", "mini_sora/dit.py"} <= files.keys()
    assert all(f"notebooks/{source.stem}.ipynb" in files for source in LESSONS)
    kept = "\n".join(files)
    assert not re.search(r"solution|source|mutants|tests/", kept)
    texts = {
        name: text.decode().replace('\\"', '"')
        for name, text in files.items()
        if name.startswith("notebooks/")
    }
    for source in [*LESSONS, *handouts.ASSIGNMENTS.glob("*/source.py")]:
        whole = source.read_text()
        secret = solutions_of(whole)
        for part in re.findall(r"### BEGIN SOLUTION\n(.*?) *### END SOLUTION", whole, re.S):
            lines = {line.strip() for line in part.splitlines()} & secret
            assert not lines or not [name for name, text in texts.items() if all(k in text for k in lines)], (
                part
            )
    assert not [name for name, text in texts.items() if "SOLUTION" in text]


LESSON = r"\b(?:0\d|10)\b"


def syllabi():
    """The tables of the guide's syllabi, the shortest course first, as lists of rows of cells."""
    text = (handouts.PLACE / "TEACHING.md").read_text().split("## Syllabi")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    return [[row.strip("|\n").split("|") for row in table.splitlines()[2:]] for table in tables]


def test_the_half_day_has_four_hours():
    assert sum(int(row[0]) for row in syllabi()[0]) == 4 * 60


@pytest.mark.parametrize("course", [1, 2])
def test_nothing_comes_before_what_it_needs(course):
    """Lessons say what they need, the guide after which an assignment comes; what is set is due."""
    guide = (handouts.PLACE / "TEACHING.md").read_text()
    needs = {
        f"A{n}": set(re.findall(LESSON, row)) for n, row in re.findall(r"^\| \[A(\d)\](.*)$", guide, re.M)
    }
    for source in LESSONS:
        needs[source.stem[:2]] = set(
            re.findall(LESSON, re.search(r"\*\*You need\*\*.*", source.read_text())[0])
        )
    met = []
    for row in syllabi()[course]:
        for name in re.findall(rf"{LESSON}|\bA\d\b", "|".join(row[1:])):
            assert needs[name] <= set(met), f"{name} needs {needs[name]}, and {met} came before"
            met.append(name)
    assert met.count("00") == 1
    if course == 2:
        assert set(met) == set(needs) and all(met.count(f"A{n}") == 2 for n in range(1, 6))


def test_the_guide_says_which_lessons_change_with_the_year():
    line = re.search(r"gives exercises of (.*) other clips", (handouts.PLACE / "TEACHING.md").read_text())[1]
    changed = [source.stem[:2] for source in LESSONS if "seeded(" in source.read_text()]
    assert re.findall(r"0\d", line) == changed


@EVERY
def test_nbgrader_knows_the_cells(source):
    """The teacher's notebook keeps the marks that nbgrader cuts at, and tells it what each cell is."""
    mine, teacher = build.notebooks_of(source)
    for student, cell in zip(mine.cells, teacher.cells, strict=True):
        assert student["id"] == cell["id"] and student.metadata == cell.metadata
        told = cell.metadata.get("nbgrader")
        assert bool(told and told["solution"]) == ("### BEGIN SOLUTION" in cell.source)
        assert bool(told and told["grade"]) == ("check" in cell.metadata.get("tags", ()))
    ids = [cell.metadata.nbgrader.grade_id for cell in teacher.cells if "nbgrader" in cell.metadata]
    assert len(set(ids)) == len(ids)


@EVERY
def test_outputs_are_committed(source):
    skip_without_weights(source)
    for path in build.paths_of(source):
        notebook = nbformat.read(path, 4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        outputs = [output for cell in code for output in cell.outputs]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert any("image/png" in output.get("data", {}) for output in outputs)
        assert not [
            output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
        ]
        shown = json.dumps([cell.outputs for cell in code])
        assert not re.search(r"/(root|home|tmp|work|Users)/", shown) and str(ROOT) not in shown
        assert path.stat().st_size <= build.LIMIT
    assert build.unsolved(notebook) == []


@EVERY
def test_lessons_run(source, monkeypatch):
    skip_without_weights(source)
    monkeypatch.setenv("MINI_SORA_SEED", "7")
    mine, teacher = build.notebooks_of(source)
    build.run(mine, teacher, fast=True)
    assert build.unsolved(teacher) == []
    for cell in mine.cells:
        if "check" in cell.metadata.get("tags", ()):
            assert build.said(cell).splitlines()[-1] == "· not done yet", cell.source


def test_a_wrong_answer_is_told_in_words(capsys, monkeypatch):
    monkeypatch.syspath_prepend(handouts.PLACE)
    import lesson

    def ends():
        raise AssertionError("rows and columns are exchanged")

    def fails(text):
        raise NotImplementedError(text)

    lesson.check(True, "look at the signs", "that is it")
    lesson.check(lambda: False, "look at the signs")
    lesson.check(ends, "look at the signs")
    lesson.check(lambda: 1 / 0, "look at the signs")
    for text in ("your turn", "no kernel for it"):
        lesson.check(lambda text=text: fails(text), "look at the signs")
    assert capsys.readouterr().out.splitlines() == [
        "✓ that is it",
        "✗ look at the signs",
        "✗ rows and columns are exchanged",
        "✗ look at the signs (ZeroDivisionError: division by zero)",
        "· not done yet",
        "✗ look at the signs (no kernel for it)",
    ]
    monkeypatch.setattr(lesson, "STRICT", True)
    with pytest.raises(AssertionError, match="signs"):
        lesson.check(False, "look at the signs")


def test_a_filmstrip_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.syspath_prepend(handouts.PLACE)
    import lesson

    lesson.strip(np.full((9, 8, 8, 3), 200, np.uint8), file=tmp_path / "strip.png")
    assert np.asarray(Image.open(tmp_path / "strip.png")).std() > 1, "the picture is empty"
