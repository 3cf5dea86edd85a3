"""Grading: all for the solution, words for the stub and for mistakes, nothing for hostile code."""

import json
import subprocess
import sys
import tarfile

import pytest

from notebooks import grade as grading
from notebooks import handouts, mutants

NAMES = grading.NAMES
SAMPLE = [
    (name, next(mutant for mutant in mutants.mutants_of(name) if mutant[0] == point))
    for name in NAMES
    for point in dict.fromkeys(mutant[0] for mutant in mutants.mutants_of(name))
]


def rows_of(name, folder, **options):
    return {row["title"]: row for row in grading.grade(name, folder, **options)}


@pytest.mark.parametrize("name", NAMES)
def test_the_points_are_a_hundred(name):
    assert sum(point.points for point in grading.points_of(name)) == 100
    handout = (handouts.ASSIGNMENTS / name / "handout.md").read_text()
    for part in ("**What.**", "**Why.**", "| points |", "hours", "**Rubric.**", "**Expected figures.**"):
        assert part in handout, part
    assert all(f"`{point.name}`" in handout for point in grading.points_of(name))


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("name", NAMES)
def test_the_solution_gets_all_points(name, seed):
    rows = grading.grade(name, handouts.ASSIGNMENTS / name / "solution", seed=seed)
    assert [row["why"] for row in rows if row["points"] < row["of"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_untouched_stub_is_not_implemented_yet(name):
    rows = grading.grade(name, handouts.ASSIGNMENTS / name / "student")
    assert {row["points"] for row in rows} == {0}
    assert {row["why"] for row in rows} == {"not implemented yet"}


@pytest.mark.parametrize("name", NAMES)
def test_each_point_has_five_mutants(name):
    planted = [mutant[0] for mutant in mutants.mutants_of(name)]
    assert len(set(mutants.mutants_of(name))) == len(planted)
    assert all(planted.count(point.name) >= 5 for point in grading.points_of(name))


def test_the_readme_counts_the_mutants():
    count = sum(len(mutants.mutants_of(name)) for name in NAMES)
    assert f"plants {count} plausible mistakes" in (handouts.PLACE.parent / "README.md").read_text()


@pytest.mark.parametrize(("name", "mutant"), SAMPLE, ids=[f"{name}-{mutant[0]}" for name, mutant in SAMPLE])
def test_a_mistake_is_found_and_told_in_words(name, mutant):
    found, why = mutants.judge(name, mutant)
    assert found and len(why.split()) > 3
    assert "Traceback" not in why and "not allowed" not in why


def test_a_mistake_that_is_told_as_another_is_not_found():
    mistake = ("rotate", "a * cos - b * sin", "a * cos + b * sin")
    assert mutants.judge("a3", (*mistake, "look at the signs"))[0]
    found, why = mutants.judge("a3", (*mistake, "sine and cosine are exchanged"))
    assert not found and "look at the signs" in why and "does not say 'sine and" in why
    assert mutants.judge("a3", ("rotate", "cos, sin =", "cos, sin  =", "anything")) == (False, "NOT FOUND")


def test_students_grade_themselves_in_what_they_get(tmp_path):
    handouts.pack(tmp_path / "student.tar.gz")
    with tarfile.open(tmp_path / "student.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    home, solved = tmp_path / "mini-sora", tmp_path / "solved"
    solved.mkdir()
    mutants.plant("a5", solved)
    command = [sys.executable, "-m", "notebooks.grade", "a5", "notebooks/assignments/a5/student", solved]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "  0 of 100" in done.stdout and "100 of 100" in done.stdout
    for name in NAMES:
        student = home / "notebooks" / "assignments" / name / "student"
        assert {path.name for path in student.iterdir()} == {f"{name}.py", "adapters.py"}


REFUSED = "which is not allowed here"
HANG = "while True:\n        pass"
HOSTILE = {
    "hangs": (HANG, "not done after"),
    "sleeps": ("import time; time.sleep(1000)", "not done after"),
    "ends itself": ("import os; os._exit(0)", "ended without an answer"),
    "exits": ("raise SystemExit(0)", "SystemExit"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "ended without an answer"),
    "wants memory": ("return torch.ones(10**11)", "memory"),
    "wants memory of Python": ("return bytearray(10**11)", "MemoryError"),
    "recurses": ("return unpatchify(tokens, patch, grid)", "RecursionError"),
    "starts a program": ("import subprocess; subprocess.run(['true'])", "another process"),
    "kills the grader": ("import os; os.kill(os.getppid(), 9)", "another process"),
    "imports": ("from mini_sora.patches import unpatchify as f; return f(tokens, patch, grid)", "imports"),
    "imports by name": (
        "return __import__('mini_sora.patches').patches.unpatchify(tokens, patch, grid)",
        REFUSED,
    ),
    "imports by importlib": (
        "import importlib; p = importlib.import_module('mini_' + 'sora.patches'); "
        "return p.unpatchify(tokens, patch, grid)",
        REFUSED,
    ),
    "imports by getattr": (
        "import builtins; getattr(builtins, '__imp' + 'ort__')('mini_sora.patches')",
        REFUSED,
    ),
    "looks among the modules": (
        "import sys; return sys.modules['mini_sora.patches'].unpatchify(tokens, patch, grid)",
        "KeyError",
    ),
    "reads and runs": (
        "exec(open(PLACE + '/mini_sora/patches.py').read(), s := {}); "
        "return s['unpatchify'](tokens, patch, grid)",
        "reads patches.py",
    ),
    "reads the solution": (
        "exec(open(PLACE + '/notebooks/assignments/a3/source.py').read())",
        "reads source.py",
    ),
    "hides that it tried": (
        "try: __import__('mini_sora.patches')\n    except BaseException: pass\n    return GOOD",
        REFUSED,
    ),
    "looks at its caller": ("import sys; return sys._getframe(1).f_locals['z']", REFUSED),
    "forges an answer": (
        "import os, struct\n    yes = struct.pack('!i', 14) + b'[\"\", true, \"\"]'\n"
        "    for fd in range(3, 99):\n        try: os.write(fd, yes)\n        except OSError: pass\n"
        "    os._exit(0)",
        "ended without an answer",
    ),
    "passes for what it is not": (
        "t = type('Equal', (torch.Tensor,), {'__torch_function__': classmethod(lambda *_: True)}); "
        "return torch.zeros(2, tokens.shape[2] // (patch[0] * patch[1] * patch[2]), *grid).as_subclass(t)",
        "a tensor is wanted",
    ),
    "changes the measure": (
        "torch.equal = lambda a, b: True; "
        "return tokens.new_zeros(2, tokens.shape[2] // (patch[0] * patch[1] * patch[2]), *grid)",
        "changes torch.equal",
    ),
}


@pytest.fixture
def submission(tmp_path):
    """Makes a submission to A3: the solution, with a line of its own in unpatchify, or anywhere."""

    def make(line, everywhere=""):
        mutants.plant("a3", tmp_path)
        path = tmp_path / "a3.py"
        text = path.read_text()
        begin = text.index("    (k, h, w), (pk, py, px) = grid, patch")
        line = line.replace("PLACE", repr(str(handouts.PLACE.parent)))
        line = line.replace("GOOD", "_good(tokens, patch, grid)")
        good = "\n\ndef _good(tokens, patch, grid):\n" + text[begin : text.index("\n\n\n", begin)]
        path.write_text(everywhere + text[:begin] + f"    {line}\n" + text[begin:] + good + "\n")
        return tmp_path

    return make


@pytest.mark.parametrize(("line", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_code_gets_nothing(submission, line, why):
    rows = grading.grade("a3", submission(line), only=("unpatchify",), seconds=4)
    assert [row["points"] for row in rows] == [0]
    assert why in rows[0]["why"], rows[0]["why"]
    assert len(rows[0]["why"]) <= 300 and "\n" not in rows[0]["why"]


def test_the_other_points_are_graded_on(submission):
    rows = rows_of("a3", submission(HANG), seconds=4)
    assert {row["points"] == row["of"] for title, row in rows.items() if title != "tokens to latents"} == {
        True
    }
    assert rows["tokens to latents"]["points"] == 0


def test_rubbish_on_the_screen_is_not_ours(submission, capfd):
    rows = rows_of("a3", submission("print('rubbish' * 1000)"), only=("unpatchify", "rotate"))
    assert {row["why"] for row in rows.values()} == {""}
    assert "rubbish" not in capfd.readouterr().out


def test_an_import_of_the_reference_costs_all(submission):
    rows = rows_of("a3", submission("pass", "import mini_sora\n"), only=("rotate", "unpatchify"))
    assert {row["why"] for row in rows.values()} == {"a3.py imports mini_sora, which is not allowed here"}


def test_files_that_the_submission_does_not_use_cost_nothing(submission):
    folder = submission("pass", "import helper\n")
    (folder / "helper.py").write_bytes(
        b"\xef\xbb\xbfimport math\n"
    )  # as some editors of Windows begin a file
    (folder / "plot.py").write_text("import mini_sora\n")
    (folder / "draft.py").write_text("def f(:\n")
    assert {row["why"] for row in rows_of("a3", folder, only=("rotate",)).values()} == {""}
    (folder / "helper.py").write_text("import mini_sora\n")
    told = {row["why"] for row in rows_of("a3", folder, only=("rotate",)).values()}
    assert told == {"helper.py imports mini_sora, which is not allowed here"}


@pytest.mark.parametrize(
    ("everywhere", "line"),
    [
        ("", "return F.scaled_dot_product_attention(q, k, v, mask)"),
        ("", "if mask is not None: return F.scaled_dot_product_attention(q, k, v, mask)"),
        ("from torch.nn.functional import scaled_dot_product_attention as f\n", "return f(q, k, v, mask)"),
    ],
)
def test_torchs_own_attention_is_not_the_students(submission, everywhere, line):
    folder = submission("pass", everywhere)
    path = folder / "a3.py"
    text = path.read_text()
    begin = text.index("\n", text.index('"""', text.index('"""', text.index("def attention(")) + 3)) + 1
    path.write_text(f"{text[:begin]}    {line}\n{text[begin:]}")
    told = rows_of("a3", folder, only=("attention",))
    assert {row["why"] for row in told.values()} == {"that is torch's own attention: write yours"}


def test_a_mistake_of_syntax_is_told_with_its_line(submission):
    rows = rows_of("a3", submission("pass", "def f(:\n"), only=("rotate",))
    assert rows["rotary positions"]["why"] == "a3.py, line 1: invalid syntax"


def test_the_command_goes_on_and_writes_json(submission, tmp_path, capsys):
    good, empty, out = str(submission("pass")), str(tmp_path / "empty"), tmp_path / "grades.json"
    stub = str(handouts.ASSIGNMENTS / "a3" / "student")
    assert grading.main(["a3", empty, stub, good, "-o", str(out), "--seed", "3"]) == 1, "one was none"
    said, grades = capsys.readouterr(), json.loads(out.read_text())
    assert "100 of 100" in said.out and "0 of 100" in said.out and "no such directory" in said.err
    assert (grades["assignment"], grades["seed"]) == ("a3", 3)
    totals = {name: row["points"] for name, row in grades["submissions"].items()}
    assert totals == {empty: 0, stub: 0, good: 100}
    assert grades["submissions"][empty]["why"] and len(grades["submissions"][stub]["rows"]) > 5


@pytest.mark.parametrize("flags", [["-o", "nowhere/grades.json"], ["--seconds", "0"]])
def test_wrong_flags_are_refused_before_grading(flags):
    with pytest.raises(SystemExit, match="2"):
        grading.main(["a3", str(handouts.ASSIGNMENTS / "a3" / "student"), *flags])
