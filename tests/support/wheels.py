"""Wheels built from this checkout, and environments with nothing but what they bring."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = (sys.executable, "-m", "uv")
_VERSION = "import sys; print(*sys.version_info[:3])"


def build(project: Path, folder: Path) -> Path:
    """The wheel of the project in a folder, as a user would build it."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(project)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `folder`."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        (found,) = self.folder.glob("lib/python3.*/site-packages")
        return found

    def install(self, *arguments: str | Path) -> None:
        """What is not there as a wheel fails, as it would where there is no compiler."""
        command = [*UV, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", self.python]
        without = os.environ | {"CC": "/bin/false", "CXX": "/bin/false"}
        subprocess.run([*map(str, command), *map(str, arguments)], env=without, check=True)

    def uninstall(self, package: str) -> None:
        command = [*UV, "pip", "uninstall", "--quiet", "--python", str(self.python), package]
        subprocess.run(command, check=True)

    def run(self, *arguments: str | Path) -> str:
        """What a program prints, with nothing of this checkout on its path."""
        command = [str(self.python), "-I", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_environment(python: Path | str, folder: Path) -> Environment:
    subprocess.run([*UV, "venv", "--quiet", "--python", str(python), str(folder)], check=True)
    return Environment(folder)


def interpreters(oldest: tuple[int, int]) -> dict[tuple[int, ...], Path]:
    """The Pythons of this machine from `oldest` on, by version, in order: of the path, of pyenv and of uv."""
    found = {}
    for path in dict.fromkeys(path.resolve() for path in _candidates()):
        done = subprocess.run([path, "-c", _VERSION], capture_output=True, text=True, check=False)
        version = tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()
        if version >= oldest:
            found.setdefault(version, path)
    return dict(sorted(found.items()))


def _candidates() -> Iterator[Path]:
    for minor in range(9, 30):
        if path := shutil.which(f"python3.{minor}"):
            yield Path(path)
    roots = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"]
    done = subprocess.run([*UV, "python", "dir"], capture_output=True, text=True, check=False)
    for root in (*roots, Path(done.stdout.strip())):
        yield from root.glob("*/bin/python3")
