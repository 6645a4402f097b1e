"""A peer that runs in an environment of its own, on a program of ours in the folder `servers`.

That folder is on its path, and nothing else of ours is: a file here is named as what it starts is, and would
stand in its way.
"""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from bench.serving.peer import Peer, alone, environment

SERVERS = Path(__file__).parent / "servers"


class Foreign(Peer):
    """`home` is the name of the environment, `tells` the distributions in it whose versions are told."""

    home: str
    tells: tuple[str, ...]

    def missing(self) -> str:
        return "" if self.packages() else f"the environment {self.home}"

    def version(self) -> str:
        found = {each.name.lower(): each.version for each in distributions(path=list(self.packages()))}
        return ", ".join(f"{name} {found[name]}" for name in self.tells if name in found)

    def packages(self) -> list[str]:
        """Where its distributions lie; empty if it is not installed."""
        return [str(path) for path in environment(self.home).parents[1].glob("lib/*/site-packages")]

    def alone(self, *arguments: str, path: tuple[Path, ...] = (), **variables: str) -> list[str]:
        """Its Python, which finds what lies in `servers` and `path`, and these environment variables."""
        found = ":".join(map(str, (SERVERS, *path)))
        return alone(environment(self.home), *arguments, PYTHONPATH=found, **variables)
