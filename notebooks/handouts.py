"""From one source to what the student and the teacher get: what stands between ### BEGIN SOLUTION and
### END SOLUTION is left to do for the one, and is there for the other.

python -m notebooks.handouts student.tar.gz packs what a student gets.
"""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

PLACE = Path(__file__).parent
ASSIGNMENTS = PLACE / "assignments"
TEACHERS = {"solution", "solutions", "sources", "source.py", "mutants.py", "handouts.py", "build.py"}
TEACHERS |= {"TEACHING.md", "ANSWERS.md", "tests", ".ci"}


def student(text):
    """A source without its solutions: what stands between the marks is left to do."""
    return re.sub(
        r"^( *)### BEGIN SOLUTION\n.*?^ *### END SOLUTION(\n|$)",
        r'\1raise NotImplementedError("your turn")\2',
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
                if path.exists() and path.read_text(encoding="utf-8") == made:
                    continue
                wrong.append(f"{path.relative_to(PLACE)} was not what its source gives")
                if not check:
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(made, encoding="utf-8")
    return wrong


def pack(path):
    """Write a .tar.gz of what a student gets: the files of the repository, without what is the teacher's."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PLACE.parent, capture_output=True, check=True)
    with tarfile.open(path, "w:gz") as archive:
        for name in listed.stdout.decode().split("\0")[:-1]:
            if TEACHERS.isdisjoint(Path(name).parts):
                archive.add(PLACE.parent / name, f"mini-sora/{name}")


if __name__ == "__main__":
    pack(sys.argv[1])
