"""What a family's file may have: a row a field, of the forms in `croupierctl/family_file.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from blocks import ROOT

_FORMS = (("FamilyFile", ""), ("FileFeature", "features[]."), ("FileLog", "log."))
_EMPTY = {"''", "[]", "None", "0"}


def fields() -> str:
    module = ast.parse((ROOT / "croupierctl/family_file.py").read_text())
    known = dict(_constants(ast.parse((ROOT / "version_manager/model/family.py").read_text())))
    forms = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    rows = [row for name, path in _FORMS for row in _rows(forms[name], path, known)]
    return "\n".join(["| field | if left out | what it says |", "|---|---|---|", *rows, ""])


def _constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                yield ast.unparse(target), str(node.value.value)


def _rows(form: ast.ClassDef, path: str, known: dict[str, str]) -> Iterator[str]:
    for field in form.body:
        if isinstance(field, ast.AnnAssign):
            (said,) = (
                node.args[0]
                for node in ast.walk(field.annotation)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "_meta"
            )
            name, default = ast.unparse(field.target), _default(field.value, known)
            yield f"| `{path}{name}` | {default} | {ast.literal_eval(said)} |"


def _default(value: ast.expr | None, known: dict[str, str]) -> str:
    if value is None:
        return "it must be there"
    text = ast.unparse(value)
    return "" if text in _EMPTY else f"`{known.get(text, text)}`"
