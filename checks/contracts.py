"""Import contracts that see Cython: what `.importlinter` names, and `lint-imports` runs.

grimp, which import-linter asks, reads .py files only. So each contract here first completes the graph that it
is given, and then does what import-linter's contract of that name does. What is added:

- a module for every .pyx and .pxd, and what they import and cimport (both files of a name are one module);
- what Python imports of those modules, which grimp took for names that nobody defines.

`acyclic` is ours: no module may come back to itself over what it imports, not even inside one package.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, output
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract

# (importer, imported, line, what is written there)
Import = tuple[str, str, int, str]

TEXT = re.compile(r'"""(?:\\.|[^\\])*?"""', re.DOTALL)
COMMENT = re.compile(r"#[^\n]*")
STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[\w.]+)[ \t]+c?import[ \t]*(?P<names>\([^)]*\)|[^\n;]+)"
    r"|c?import[ \t]+(?P<modules>[^\n;]+))",
    re.MULTILINE,
)


class _SeesCython:
    session_options: dict[str, Any]

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        complete(graph, self.session_options["root_packages"])
        checked: ContractCheck = super().check(graph, verbose)  # type: ignore[misc]
        return checked


class AcyclicSiblings(_SeesCython, AcyclicSiblingsContract): ...


class Forbidden(_SeesCython, ForbiddenContract): ...


class Independence(_SeesCython, IndependenceContract): ...


class Layers(_SeesCython, LayersContract): ...


class Acyclic(Contract):
    """No module imports itself, over however many others."""

    type_name = "acyclic"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        complete(graph, self.session_options["root_packages"])
        imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            return ContractCheck(kept=False, metadata={"circle": error.args[1][::-1]})
        return ContractCheck(kept=True)

    def render_broken_contract(self, check: ContractCheck) -> None:
        output.print_error(" -> ".join(check.metadata["circle"]))


def complete(graph: ImportGraph, packages: Iterable[str]) -> None:
    """Add to `graph` the Cython modules of `packages`, what they import, and who imports them."""
    native, imports = _read(tuple(packages), frozenset(graph.modules))
    for module in native:
        graph.add_module(module)
    for importer, imported, line, written in imports:
        if imported not in graph.modules:
            graph.add_module(imported, is_squashed=True)
        graph.add_import(importer=importer, imported=imported, line_number=line, line_contents=written)


@cache  # each contract is given a fresh graph of the same files
def _read(packages: tuple[str, ...], known: frozenset[str]) -> tuple[frozenset[str], tuple[Import, ...]]:
    """The modules of `packages` that are written in Cython alone, and every import from or of Cython."""
    cython = {**_sources(packages, ".pyx"), **_sources(packages, ".pxd")}
    native = frozenset(cython.values()) - known
    modules = known | native
    imports = []
    for path, importer in cython.items():
        for imported, line, written in imports_of_cython(path.read_text()):
            module = _module(imported, modules) or imported.partition(".")[0]
            if module != importer:
                imports.append((importer, module, line, written))
    for path, importer in _sources(packages, ".py").items():
        for imported, line, written in imports_of_python(path.read_text()):
            if (module := _module(imported, modules)) in native:
                imports.append((importer, module, line, written))
    return native, tuple(imports)


def _sources(packages: Iterable[str], suffix: str) -> dict[Path, str]:
    """Every file of this suffix in `packages`, and the module that it is."""
    found = {}
    for package in packages:
        (folder,) = import_module(package).__path__
        for path in Path(folder).rglob(f"*{suffix}"):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            found[path] = ".".join(parts).removesuffix(".__init__")
    return found


def _module(name: str, modules: frozenset[str]) -> str:
    """The module that a dotted name is, or is a name in; empty if none of `modules`."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def imports_of_cython(source: str) -> Iterator[tuple[str, int, str]]:
    """Every dotted name that Cython source imports or cimports, its line, and the statement."""
    source = TEXT.sub(lambda text: "\n" * text[0].count("\n"), source)
    source = COMMENT.sub("", source)
    for found in STATEMENT.finditer(source):
        start = found.start() + len(found[0]) - len(found[0].lstrip())
        line, written = source.count("\n", 0, start) + 1, " ".join(found[0].split())
        names = _names(found["names"] or found["modules"])
        for name in names:
            yield (f"{found['module']}.{name}" if found["module"] else name), line, written


def _names(listed: str) -> Iterator[str]:
    for name in listed.strip("() \n").split(","):
        if name.strip():
            yield name.split()[0]


def imports_of_python(source: str) -> Iterator[tuple[str, int, str]]:
    """Every dotted name that Python source imports by its whole name, its line, and the statement."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno, ast.unparse(node)
