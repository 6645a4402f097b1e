"""Blocks that say what the code and the tests say: limits of the transport, faults and what callers see."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from blocks import ROOT

_KINDS = (
    *("process", "managers", "etcd", "network", "disk"),
    *("load", "fair", "change", "shards", "ramp", "edits", "attack", "model", "features", "entities"),
)


def limits() -> str:
    """A row has the comment above a field, or above several of them."""
    source = (ROOT / "croupier/transport/http2/limits.py").read_text()
    lines = source.splitlines()
    (limits,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    rows: dict[str, list[str]] = {}
    about = ""
    for field in limits.body:
        if not isinstance(field, ast.AnnAssign):
            continue
        above = field.lineno - 2
        comment: list[str] = []
        while lines[above].strip().startswith("#"):
            comment.insert(0, lines[above].strip()[2:])
            above -= 1
        about = " ".join(comment) or about
        name = ast.unparse(field.target)
        assert field.value is not None
        rows.setdefault(about, []).append(f"`{name}` {_value(name, field.value)}")
    told = [f"| {', '.join(fields)} | {about} |" for about, fields in rows.items()]
    return "\n".join(["| limit | what it bounds |", "|---|---|", *told, ""])


def _value(name: str, node: ast.expr) -> str:
    text = ast.unparse(node)
    if text == "math.inf":
        return "none"
    number = eval(text, {"__builtins__": {}, "MAX_MESSAGE_BYTES": 2**24})  # noqa: S307 - our own source
    if any(word in name for word in ("bytes", "window", "queue", "growth")):
        size, unit = (2**20, "MiB") if number % 2**20 == 0 else (2**10, "KiB")
        return f"{number // size:,} {unit}"
    return f"{number:,g}"


def faults() -> str:
    """A section for each kind, a row for each test that has a mark."""
    files = {path.stem.removeprefix("test_") for path in (ROOT / "tests/faults").glob("test_*.py")}
    assert files == set(_KINDS), files ^ set(_KINDS)
    return "".join(_kind(kind) for kind in _KINDS)


def _kind(kind: str) -> str:
    module = ast.parse((ROOT / f"tests/faults/test_{kind}.py").read_text())
    rows = [f"| {what} | {callers} | `{name}` |\n" for what, callers, name in _marked(module)]
    head = f"\n## {kind}\n\n{ast.get_docstring(module)}\n\n"
    return head + "| fault | what callers see | test |\n|---|---|---|\n" + "".join(rows)


def _marked(module: ast.Module) -> Iterator[tuple[str, str, str]]:
    for function in module.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                what, callers = map(ast.literal_eval, mark.args)
                yield what, callers, function.name.removeprefix("test_")
