"""What pages hold: fenced blocks, words in `code`, links, headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "examples/README.md",
    "bench/results/README.md",
    "bench/harness/README.md",
)

_WRITTEN = re.compile(r"<!-- ([\w-]+): written by docs/generate -->\n.*?<!-- end of \1 -->\n", re.DOTALL)
_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fenced:
    language: str
    text: str

    @property
    def name(self) -> str:
        """Its first line without what explains it."""
        return self.text.partition("\n")[0].partition("  #")[0].strip()


def pages() -> list[Path]:
    return [*(ROOT / page for page in PAGES), *sorted((ROOT / "docs").rglob("*.md"))]


def fenced(page: Path) -> list[Fenced]:
    return [Fenced(language, text) for language, text in _FENCED.findall(page.read_text())]


def typed(page: Path) -> str:
    """What no program wrote."""
    return _WRITTEN.sub("", page.read_text())


def without_fenced(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def commands(page: Path) -> list[str]:
    """Every line of a shell block, and all words in `code`: what a reader may type."""
    lines = [
        line
        for block in fenced(page)
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    indented = re.findall(r"^ {4}(\S.*)$", without_fenced(page), re.MULTILINE)
    return [*lines, *indented, *re.findall(r"`([^`\n]+)`", without_fenced(page))]


def links(page: Path) -> list[str]:
    text = without_fenced(page)
    return [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found = re.findall(r"^#+ (.+)$", without_fenced(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}
