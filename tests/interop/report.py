"""What was tried, and how it went: a line each, as soon as it is known."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which


@dataclass(frozen=True, slots=True)
class Needed:
    """What has to be on the machine: programs or files, and the Debian packages that bring them."""

    found: Sequence[str]
    packages: str

    @classmethod
    def of(cls, script: Path, found: Sequence[str]) -> Needed:
        """With the packages that `script`, which builds, says itself."""
        comment = " ".join(re.findall(r"^# (.+)$", script.read_text(), re.MULTILINE)) + " "
        packages = re.search(r" from Debian's packages: ((?:[a-z0-9+-]+ )+)", comment)
        assert packages is not None, script
        return cls(found, packages[1].strip())

    @property
    def missing(self) -> list[str]:
        """Those of `found` that are not there: with a slash a file, else a program."""
        return [name for name in self.found if not (Path(name).exists() if "/" in name else which(name))]


@dataclass(slots=True)
class Report:
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def good(self, what: str, told: str = "") -> None:
        self.passed += 1
        self._say("passed", what, told)

    def bad(self, what: str, why: object) -> None:
        self.failures.append(what)
        self._say("FAILED", what, str(why))

    def skip(self, what: str, needed: Needed) -> None:
        missing = ", ".join(needed.missing)
        self.skipped.append(what)
        self._say("skipped", what, f"no {missing} here: apt-get install {needed.packages}")

    def _say(self, how: str, what: str, told: str) -> None:
        sys.stdout.write(f"{how:8}{what}{': ' if told else ''}{told}\n")
        sys.stdout.flush()

    def close(self) -> bool:
        """Say the sums; whether nothing failed."""
        sys.stdout.write(
            f"\n{self.passed} passed, {len(self.failures)} failed, {len(self.skipped)} skipped"
            f"{': ' if self.failures else ''}{', '.join(self.failures)}\n"
        )
        return not self.failures
