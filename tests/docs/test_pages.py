"""What pages point at and tell readers to type is there."""

import ast
import re
from pathlib import Path

import pytest
import typer
from support.pages import ROOT, anchors, commands, links, pages

from croupierctl.app import app

PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


@PAGES
def test_links_lead_to_something(page: Path) -> None:
    lost = []
    for link in links(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@PAGES
def test_make_has_the_targets_that_pages_name(page: Path) -> None:
    named = {name for line in commands(page) for name in re.findall(r"(?:^|&& )make ([\w-]+)", line)}
    assert named <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@PAGES
def test_there_are_the_benches_that_pages_name(page: Path) -> None:
    named = {name for line in commands(page) for name in re.findall(r"python -m bench ([a-z]\w*)", line)}
    module = ast.parse((ROOT / "bench/__main__.py").read_text())
    known = {
        function.name
        for function in module.body
        if isinstance(function, ast.FunctionDef)
        and "app.command()" in map(ast.unparse, function.decorator_list)
    }
    assert named <= known


@PAGES
def test_croupierctl_has_the_verbs_that_pages_name(page: Path) -> None:
    wrong = [line for line in commands(page) if line.startswith("croupierctl ") and not _is_verb(line)]
    assert wrong == []


def _is_verb(line: str) -> bool:
    """Whether the words up to the first that is no name of a group or verb are one."""
    command = typer.main.get_command(app)
    for word in line.split()[1:]:
        if not hasattr(command, "get_command"):
            return True
        if word.startswith("-"):
            # Options of the root, or of a group.
            return True
        found = command.get_command(typer.Context(command), word)
        if found is None:
            return False
        command = found
    return True
