"""Imports of Cython are seen by import contracts like those of Python."""

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from contracts import Acyclic, Forbidden, Layers, complete, imports_of_cython, imports_of_python
from grimp import ImportGraph
from importlinter import Contract
from importlinter.configuration import configure

configure()

CYTHON = '''\
# cython: language_level=3
"""What it is for.

import nothing
"""

from libc.stdint cimport (  # several
    int64_t,
    uint8_t as byte,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
cimport numpy as np, cython

import time
from pack.other import thing as that

cdef extern from *:
    """
    from here import text
    """
    void f()


def late():
    from pack import lazy
    return """
import text
"""
'''


def test_every_import_of_cython_is_read_with_its_line() -> None:
    assert [(name, line) for name, line, _ in imports_of_cython(CYTHON)] == [
        ("libc.stdint.int64_t", 7),
        ("libc.stdint.uint8_t", 7),
        ("cpython.bytes.PyBytes_AS_STRING", 11),
        ("cpython.bytes.PyBytes_GET_SIZE", 11),
        ("numpy", 12),
        ("cython", 12),
        ("time", 14),
        ("pack.other.thing", 15),
        ("pack.lazy", 25),
    ]


def test_imports_of_cython_and_of_python_are_read_alike() -> None:
    source = "import a, b.c as d\nif a:\n    from e import (\n        f,\n        g as h,\n    )\n"
    read = [(name, line) for name, line, _ in imports_of_cython(source)]
    assert read == [("a", 1), ("b.c", 1), ("e.f", 3), ("e.g", 3)]
    assert read == [(name, line) for name, line, _ in imports_of_python(source)]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package that can be imported."""
    folder = tmp_path / f"pack_{uuid4().hex}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop(folder.name, None)


def write(package: Path, **sources: str) -> ImportGraph:
    """Write `low_pyx="source"` as low.pyx; the graph is what grimp makes of the .py files."""
    graph = ImportGraph()
    graph.add_module(package.name)
    for name, source in sources.items():
        stem, _, suffix = name.rpartition("_")
        (package / f"{stem}.{suffix}").write_text(source.replace("pack.", f"{package.name}."))
        if suffix == "py":
            graph.add_module(f"{package.name}.{stem}")
    return graph


def is_kept(graph: ImportGraph, package: Path, kind: type[Contract], **options: object) -> bool:
    session = {"root_packages": [package.name], "include_external_packages": "True"}
    return kind("tried", session, options).check(graph, verbose=False).kept


def layers(package: Path) -> list[str]:
    return [f"{package.name}.high", f"{package.name}.low"]


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        ({"high_pyx": "from pack.low cimport f", "low_pyx": ""}, True),
        ({"high_pyx": "", "low_pyx": "from pack.high cimport f"}, False),
        ({"high_pyx": "", "low_pyx": "", "low_pxd": "cimport pack.high"}, False),
        ({"high_pyx": "", "low_py": "from pack.high import f"}, False),
        ({"high_py": "", "low_pyx": "from pack.high import f"}, False),
        ({"high_py": "", "low_py": "", "low_pxd": "cimport pack.high"}, False),
        # Over a module between them.
        ({"high_py": "", "low_py": "from pack.mid import f", "mid_pyx": "import pack.high"}, False),
    ],
)
def test_layers_hold_in_cython(package: Path, sources: dict[str, str], kept: bool) -> None:
    assert is_kept(write(package, **sources), package, Layers, layers=layers(package)) is kept


@pytest.mark.parametrize(("source", "kept"), [("import math", True), ("from time import sleep", False)])
def test_what_is_forbidden_is_forbidden_in_cython(package: Path, source: str, kept: bool) -> None:
    graph = write(package, pure_pyx=source)
    options = {"source_modules": [f"{package.name}.pure"], "forbidden_modules": ["time"]}
    assert is_kept(graph, package, Forbidden, **options) is kept


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        ({"a_pyx": "", "a_pxd": "", "b_pyx": "from pack.a cimport f"}, True),
        ({"a_pyx": "", "a_pxd": "from pack.b cimport f", "b_pyx": "from pack.a cimport f"}, False),
        ({"a_py": "from pack.b import f", "b_pyx": "def f():\n    from pack.a import g\n"}, False),
    ],
)
def test_a_circle_is_found(package: Path, sources: dict[str, str], kept: bool) -> None:
    assert is_kept(write(package, **sources), package, Acyclic) is kept


def test_a_file_that_cimports_its_own_declarations_is_no_circle(package: Path) -> None:
    graph = write(package, a_pyx="from pack.a cimport f", a_pxd="cdef f()")
    complete(graph, [package.name])
    assert graph.find_modules_directly_imported_by(f"{package.name}.a") == set()
