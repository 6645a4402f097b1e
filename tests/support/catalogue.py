"""The catalogue of faults in docs/faults.md, made from the marks of tests/faults: `python … --write`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_TESTS = _ROOT / "tests" / "faults"
PAGE = _ROOT / "docs" / "faults.md"
_BEGIN = "<!-- made by tests/support/catalogue.py from tests/faults -->\n"
_KINDS = ("process", "etcd", "network", "disk", "load", "change", "attack")


def page(text: str) -> str:
    """`text` with its tables as they should be: everything after the mark."""
    head, mark, _ = text.partition(_BEGIN)
    assert mark, "the page has no place for the catalogue"
    return head + mark + "\n".join(_lines())


def _lines() -> Iterator[str]:
    for kind in _KINDS:
        path = _TESTS / f"test_{kind}.py"
        module = ast.parse(path.read_text())
        yield f"\n## {kind}\n\n{ast.get_docstring(module)}\n"
        yield "| fault | what callers see | test |\n|---|---|---|"
        for what, callers, name in _faults(module):
            yield f"| {what} | {callers} | `{name.removeprefix('test_')}` |"
    yield ""


def _faults(module: ast.Module) -> Iterator[tuple[str, str, str]]:
    for function in module.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                what, callers = (ast.literal_eval(argument) for argument in mark.args)
                yield what, callers, function.name


if __name__ == "__main__":
    written = PAGE.read_text()
    made = page(written)
    if "--write" in sys.argv:
        PAGE.write_text(made)
    elif made != written:
        sys.exit("docs/faults.md is not what the tests say: python tests/support/catalogue.py --write")
