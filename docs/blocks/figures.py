"""Measured figures that somebody typed: all are to be written from results, which can be measured again.

A figure is a number with a unit of time, memory, rate or ratio, or a cell of a table that is nothing but
numbers. It is looked for in pages, but not between the marks of their blocks, and in comments and docstrings
of code: what a program prints is no claim of ours, and tests say what they try.
Numbers in words are not found.

Limits, defaults, sizes of formats and worked examples are no measurements: `allowed` has them, by phrase.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blocks import ROOT
from blocks.allowed import ALLOWED
from blocks.pages import BLOCKS

_CODE = (
    "protos",
    "bench",
    "cell",
    "client/croupier_client",
    "croupier",
    "croupierctl",
    "docs",
    "examples",
    "logger",
    "router",
    "sharding",
    "version_manager",
)
_SCRIPTS = (
    *("Makefile", "bootstrap", "tox.ini", "docs/generate"),
    *("bench/peers/install", "bench/peers/newest", "bench/serving/install"),
)
_PAGES = (".", "bench", "deploy", "docs", "examples")

_NUMBER = r"(?<![\w.])\d(?:[\d,.]*\d)?[kKM]?(?:\s+(?:thousand|million|billion))?"
# One blank, or the end of a line: columns of a format's layout are further apart. A number may be emphasized.
_GAP = r"[*_`]*(?:[^\S\n]|&nbsp;|[^\S\n]*\n\s*)?[*_`]*"
_TIME = r"[µμnm]?s|us|secs?|(?:micro|milli|nano)?seconds?|min|minutes?|hours?|cycles|instructions"
_MEMORY = r"[kKMGT]i?B|[kmg]i?b|bytes(?=\s+(?:a|an|per|for|each)\b)"
_RATIO = r"%|percent|points|times|-?fold|[xX]"
_UNITS = rf"{_GAP}(?:{_TIME}|{_MEMORY}|{_RATIO}|rps|qps)(?!\w)"
_RATE = r"(?:\s+\w+){0,3}?(?:\s+(?:a|per|each)\s+|\s*/\s*)(?:s|second|minute)\b"
# Before a further factor it is a sign of arithmetic: 8 × 32, 2 × N.
_FACTOR = rf"{_GAP}×(?!\s*[\dA-Z(])"
_QUANTILE = r"\bp\d\d+(?:\.9+)?(?:\s+(?:of|is|was|at|to)|:|\s*=)?\s+\d[\d.,]*"
_FIGURE = re.compile(rf"{_NUMBER}(?:{_UNITS}|{_FACTOR}|{_RATE})|{_QUANTILE}")
# Small whole numbers in tables are codes.
_CELLS = re.compile(
    r"(?<=\|) *[*+−~≈<>-]* ?(?:\d{3,}|\d+[.,]\d+|\d+[kKM]|[\d.,]+ / [\d.,/ ]+)[\d,.]*[kKM]?\** *(?=\|)"
)


@dataclass(frozen=True, slots=True)
class Typed:
    """A figure where none should be: in the file `path`, from the root of the tree."""

    path: str
    line: int
    figure: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.figure!r} is typed"


def typed() -> Iterator[Typed | str]:
    """Every figure that is neither written from a result nor allowed, and what is allowed in vain."""
    seen = {str(path.relative_to(ROOT)): path for path in _files()}
    for name, path in sorted(seen.items()):
        yield from typed_in(name, path.read_text(), ALLOWED)
    yield from (f"{name} is gone, and need not be allowed anything" for name in ALLOWED if name not in seen)


def typed_in(name: str, source: str, allowed: Mapping[str, Sequence[str]]) -> Iterator[Typed | str]:
    """The same of one file."""
    is_page = name.endswith(".md")
    text = _page(name, source) if is_page else _said(name, source)
    for phrase in allowed.get(name, ()):
        found = re.compile(r"\s+".join(map(re.escape, phrase.split())))
        if not found.search(text):
            yield f"{name} does not say {phrase!r}, and need not be allowed it"
        text = found.sub(_blank, text)
    for pattern in (_FIGURE, *([_CELLS] if is_page else [])):
        for match in pattern.finditer(text):
            yield Typed(name, text.count("\n", 0, match.start()) + 1, " ".join(match.group().split()))


def _files() -> Iterator[Path]:
    for folder in _PAGES:
        yield from (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
    for folder in _CODE:
        for ending in ("py", "pyx", "pxd", "proto", "yaml", "cfg", "conf"):
            yield from (path for path in (ROOT / folder).rglob(f"*.{ending}") if "_pb2" not in path.name)
    yield from (ROOT / name for name in _SCRIPTS)


def _page(name: str, source: str) -> str:
    """All but the page's blocks, on its lines. Marks alone make no block: somebody has to write it."""
    for block in BLOCKS:
        if block.page == name:
            written = re.compile(re.escape(block.begin) + ".*?" + re.escape(block.end), re.DOTALL)
            source = written.sub(_blank, source, count=1)
    return source


def _blank(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n")


def _said(name: str, source: str) -> str:
    """Comments and docstrings, each on its line."""
    is_python = name.endswith((".py", "docs/generate"))
    mark = "//" if name.endswith(".proto") else "#"
    lines = [""] * (source.count("\n") + 1)
    for line, text in _comments(source) if is_python else _by_line(source, mark):
        for offset, part in enumerate(text.split("\n")):
            lines[line - 1 + offset] += part
    return "\n".join(lines)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield node.body[0].lineno, text


def _by_line(source: str, mark: str) -> Iterator[tuple[int, str]]:
    """Texts of three quotes are taken for docstrings, what follows a `mark` elsewhere for comments."""
    is_inside = False
    for number, line in enumerate(source.split("\n"), 1):
        quotes = line.count('"""')
        if is_inside or quotes:
            yield number, line
        elif mark in line:
            yield number, line.partition(mark)[2]
        is_inside ^= bool(quotes % 2)
