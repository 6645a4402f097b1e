"""How the tree is laid out."""

import ast
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("*/__init__.py"))
TESTS = sorted(path.relative_to(ROOT) for path in ROOT.glob("tests/**/*.py"))


def sources(*suffixes: str) -> list[Path]:
    """The files of every package, by their names from the root."""
    found = [path for package in PACKAGES for path in package.rglob("*.p*") if path.suffix in suffixes]
    assert found
    return sorted(path.relative_to(ROOT) for path in found)


def test_how_cython_is_compiled_stands_in_setup_alone() -> None:
    header = re.compile(r"^# *cython:", re.MULTILINE)
    assert [path for path in sources(".pyx", ".pxd") if header.search((ROOT / path).read_text())] == []


# Entries, and data: nothing in them could be tried that starting them does not.
ENTRIES = {"croupierctl/__main__.py"}


def own_tests(source: Path) -> list[Path]:
    """Where a source's own tests may lie: by its name, and if they are many, by names that begin with it."""
    folder, name = source.parent, source.stem
    if name == "__init__":
        folder, name = folder.parent, folder.name
    return [
        *(ROOT / "tests" / folder).glob(f"test_{name}.py"),
        *(ROOT / "tests" / folder).glob(f"test_{name}_*.py"),
    ]


def has_code(source: Path) -> bool:
    """A package's `__init__` is mostly words."""
    return source.name != "__init__.py" or bool(
        re.search(r"^(async )?def |^class ", (ROOT / source).read_text(), re.MULTILINE)
    )


def offers_nothing_to_python(source: Path) -> bool:
    """A native module without a stub is for other native ones alone, whose tests try it."""
    return source.suffix == ".pyx" and not (ROOT / source).with_suffix(".pyi").exists()


def test_every_source_has_a_test_of_its_name() -> None:
    without = {
        str(source)
        for source in sources(".py", ".pyx")
        if source.parts[0] not in ("bench", "protos")
        and has_code(source)
        and not offers_nothing_to_python(source)
        and not own_tests(source)
    }
    assert without == ENTRIES


def test_each_package_says_what_its_modules_are_for() -> None:
    """Its `__init__` is the map of a room; a name with `*` stands for several."""
    unnamed = []
    for room, modules in rooms().items():
        tree = ast.parse((ROOT / room / "__init__.py").read_text())
        words = re.findall(r"\w+\*?", ast.get_docstring(tree) or "")
        unnamed += [
            str(room / name) for name in modules if not any(fnmatchcase(name, word) for word in words)
        ]
    assert sorted(unnamed) == []


def rooms() -> dict[Path, set[str]]:
    """The modules and rooms of each package, but generated ones; `__main__` needs no words."""
    found: dict[Path, set[str]] = {}
    for source in sources(".py", ".pyx", ".pxd"):
        if source.parts[0] == "protos":
            continue
        if source.name == "__init__.py":
            found.setdefault(source.parent, set())
            if (ROOT / source.parent.parent / "__init__.py").exists():
                found.setdefault(source.parent.parent, set()).add(source.parent.name)
        elif not source.stem.startswith("__"):
            found.setdefault(source.parent, set()).add(source.stem)
    return {room: modules for room, modules in found.items() if room.parts}


def test_each_package_is_installed() -> None:
    """But what measures: packages are listed, for nothing finds them by itself."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {source.parent for source in sources(".py") if source.parts[0] != "bench"}
    assert sorted(".".join(folder.parts) for folder in found) == sorted(listed)


def test_no_file_passes_400_lines_without_a_reason() -> None:
    """Its docstring says why they stay together: "It is long because ..."."""
    unexplained = []
    for source in [*sources(".py", ".pyx", ".pxd"), *TESTS]:
        text = (ROOT / source).read_text()
        docstring = re.match(r'"""(.*?)"""', text, re.DOTALL)
        if text.count("\n") > 400 and "It is long because" not in (docstring[1] if docstring else ""):
            unexplained.append(str(source))
    assert [name for name in unexplained if not name.endswith(("_pb2.py", "_pb2_grpc.py"))] == []
