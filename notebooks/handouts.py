"""From one source to what the student and the teacher get: what stands between ### BEGIN SOLUTION and
### END SOLUTION is left to do for the one, and is there for the other."""

import re
from pathlib import Path

PLACE = Path(__file__).parent
ASSIGNMENTS = PLACE / "assignments"


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
