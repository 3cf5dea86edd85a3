"""The layering rule of the two packages, read from their imports."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = (
    {"config", "layers", "patches", "parallel", "signals"},
    {"muon", "graphs", "compile", "checkpoint", "diffusion", "vae", "text", "dit"},
    {"samplers", "video", "prompts"},
    {"media", "data", "viz"},
    {"sharing", "folder", "model", "pretrained"},
    {"captioner", "evaluate", "compare"},
    {"fit", "pipeline"},
    {"windows"},
    {"tasks"},
    {"rows", "presets", "objectives"},
    {"measures"},
    {"report"},
    {"train"},
    {"recaption"},
    {"bench", "sweep", "commands", "gallery"},
    {"__main__"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WORLD_READERS = {"data", "sharing", "evaluate", "compare", "rows", "measures", "report", "recaption"}
WORLD_READERS |= {"train", "sweep", "__main__"}


def imports(path):
    """(package or None for a relative import, module names) of every import in a file."""
    for package, module in written(path):
        own = package == "mini_sora" and path.parent.name == package and "." in module
        yield (None, module.split(".")[1]) if own else (package, module)


def written(path):
    """The imports of a file, as they are written."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and node.module:
                yield None, node.module.split(".")[0]
            elif node.level:
                yield from ((None, alias.name) for alias in node.names)
            else:
                yield node.module.split(".")[0], node.module


def test_every_file_has_a_layer():
    files = {path.stem for path in (ROOT / "mini_sora").glob("*.py")} - {"__init__"}
    assert files == set(LEVEL)


def test_files_import_strictly_lower_layers():
    for name, level in LEVEL.items():
        for package, module in imports(ROOT / "mini_sora" / f"{name}.py"):
            if package is None and module in LEVEL:
                assert LEVEL[module] < level, (
                    f"{name} (layer {level}) imports {module} (layer {LEVEL[module]})"
                )


def test_only_some_files_know_the_world():
    for name in LEVEL:
        packages = {package for package, _ in imports(ROOT / "mini_sora" / f"{name}.py")}
        assert "data_gen" not in packages or name in WORLD_READERS, f"{name} imports data_gen"


def test_the_world_needs_numpy_alone():
    allowed = {None, "numpy"}
    pictures = {"__main__", "gallery", "verify"}  # which write or compare pictures, with PIL
    standard = {
        "argparse",
        "collections",
        "concurrent",
        "dataclasses",
        "difflib",
        "functools",
        "hashlib",
        "io",
        "itertools",
        "math",
        "os",
        "pathlib",
        "re",
        "sys",
        "textwrap",
        "time",
    }
    for path in (ROOT / "data_gen").rglob("*.py"):
        packages = {package for package, _ in imports(path)} - standard
        assert packages <= (allowed | {"PIL"} if path.stem in pictures else allowed), path


def test_schedules_and_samplers_know_no_network():
    for name in ("diffusion", "samplers"):
        modules = {
            module for package, module in imports(ROOT / "mini_sora" / f"{name}.py") if package is None
        }
        assert modules <= {"config", "diffusion"}


def test_files_stay_short():
    for package in ("mini_sora", "data_gen"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 350, path


def test_every_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        path.parent.relative_to(ROOT) for top in listed for path in (ROOT / top.split(".")[0]).rglob("*.py")
    }
    assert {".".join(path.parts) for path in found} == set(listed)
