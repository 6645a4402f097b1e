"""What pages point at and tell readers to type is there."""

import ast
import dataclasses
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer
from support.pages import ROOT, anchors, commands, links, pages, without_fenced

from cell.settings import CellSettings
from cell.supervisor import SupervisorSettings
from croupierctl.app import app
from croupierctl.lazy import Verb
from logger.settings import LoggerSettings
from router.settings import RouterSettings
from version_manager.settings import ManagerSettings

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
def test_no_page_stands_as_a_merge_left_it(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|>{7}).*", page.read_text(), re.MULTILINE) == []


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
    # Those of the harness have their names beside them.
    known |= set(re.findall(r"^app\.command\(\"(\w+)\"", ast.unparse(module).replace("'", '"'), re.MULTILINE))
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
        command = _loaded(found)
    return True


def _loaded(command: Any) -> Any:
    return command.load() if isinstance(command, Verb) else command


# Keys in etcd, one that a tool for Go reads otherwise, and what is built.
NO_PATHS = {
    *("croupier/audit", "croupier/managers", "croupier/shards/seed", "croupier/thaw"),
    *("Mprotos/prediction/v1/prediction.proto", "build", "spent"),
}


@PAGES
def test_the_files_and_folders_that_pages_name_are_there(page: Path) -> None:
    assert sorted({path for path in paths(page) if not is_there(path)} - NO_PATHS) == []


def paths(page: Path) -> Iterator[str]:
    """Words in code that are of our folders, end with a slash or are called like a source."""
    tops = {name.partition("/")[0] for name in tree()}
    for line in commands(page):
        for word in re.findall(r"(?<![\w./<:@$-])[\w.*-]+(?:/[\w.*-]+)*/?(?![\w/<…{$])", line):
            path = word.rstrip("/.")
            is_ours = "/" in path and path.partition("/")[0] in tops
            if is_ours or word.endswith("/") or re.search(r"\w\.(?:py|pyx|pyi|pxd|proto|md)$", path):
                yield path


def is_there(path: str) -> bool:
    """From the root, or below some folder; `*` stands for any part of a name."""
    return any(fnmatchcase(name, path) or fnmatchcase(name, f"*/{path}") for name in tree())


@cache
def tree() -> frozenset[str]:
    """All files and folders, by their names from the root."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name in KEPT or not name.startswith((".", "build", "__"))]
        found |= {str(Path(folder, name).relative_to(ROOT)) for name in (*folders, *files)}
    return frozenset(found)


# Hidden folders that are ours.
KEPT = {".ci", ".github"}

# Of programs that are not ours, of examples and of tests.
OTHERS = {"--go_opt", "--go-grpc_opt", "--help", "--inplace", "--prefix", "--tenant"}

FOREIGN = set(grpc.StatusCode.__members__)


@PAGES
def test_some_program_has_the_flags_that_pages_name(page: Path) -> None:
    found = {flag for line in commands(page) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*…?", line)}
    assert {flag for flag in found if not flag.endswith("…")} - known_flags() == set()


def settings() -> dict[str, list[str]]:
    """Of the servers, as in their variables."""
    classes = {
        "LOGGER": (LoggerSettings,),
        "ROUTER": (RouterSettings,),
        "CELL": (CellSettings, SupervisorSettings),
        "VERSION_MANAGER": (ManagerSettings,),
    }
    return {
        program: [field.name for one in those for field in dataclasses.fields(one)]
        for program, those in classes.items()
    }


@cache
def known_flags() -> set[str]:
    servers = {
        f"--{prefix}{name.replace('_', '-')}"
        for names in settings().values()
        for name in names
        for prefix in ("", "no-")
    }
    benches = {
        f"--{argument.arg.replace('_', '-')}"
        for function in ast.parse((ROOT / "bench/__main__.py").read_text()).body
        if isinstance(function, ast.FunctionDef)
        for argument in function.args.args
    }
    return {*servers, *benches, *_of_the_harness(), *_flags(typer.main.get_command(app)), *OTHERS}


def _of_the_harness() -> set[str]:
    """Read as text: it is a distribution of its own, which need not be installed."""
    module = ast.parse((ROOT / "bench/harness/croupier_bench/app.py").read_text())
    arguments = {
        f"--{argument.arg.replace('_', '-')}"
        for function in module.body
        if isinstance(function, ast.FunctionDef)
        for argument in function.args.args
    }
    named = {
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return arguments | {word for word in named if re.fullmatch(r"--[a-z-]+", word)}


@PAGES
def test_there_are_the_metrics_reasons_and_variables_that_pages_name(page: Path) -> None:
    text = without_fenced(page)
    named = {*re.findall(r"\bcroupier_\w+", text), *re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text)}
    assert sorted(named - FOREIGN - words()) == []


@cache
def words() -> set[str]:
    """All words of our sources, and the variables of the servers' settings."""
    sources = [
        path
        for package in (
            "cell",
            "croupier",
            "croupierctl",
            "logger",
            "router",
            "sharding",
            "version_manager",
            "bench",
            "protos",
        )
        for path in (ROOT / package).rglob("*.py*")
        if path.suffix in {".py", ".pyx"}
    ]
    variables = {
        f"CROUPIER_{program}_{name.upper()}" for program, names in settings().items() for name in names
    }
    return variables | {word for path in sources for word in re.findall(r"\w+", path.read_text())}


def _flags(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if hasattr(command, "get_command"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _flags(_loaded(command.get_command(context, name)))
