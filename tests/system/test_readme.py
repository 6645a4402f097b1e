"""Every block of the README runs as a reader would run it, from top to bottom, against one small stack."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pages import ROOT, Fenced, fenced, typed, without_fenced

from croupierctl.stack import Stack

pytestmark = pytest.mark.system

README = ROOT / "README.md"

# Blocks that do not run here, by their first line, and why.
NOT_RUN = {
    "make demo": "takes minutes; `python -m bench smoke` plays it small",
    "make up": "stays in the foreground; the stack of this test is it",
    "make peers": "installs proxies and measures for minutes; `python -m bench smoke` runs each bench small",
}
# Where the local stack answers if nobody says otherwise.
ROUTER, MANAGER = "127.0.0.1:8500", "127.0.0.1:8400"


@pytest.fixture(scope="module")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Nothing published yet."""
    with Stack(tmp_path_factory.mktemp("readme"), cells=2, zones=2, hand_size=2) as stack:
        yield stack


def test_each_block_has_a_language_and_what_does_not_run_is_listed() -> None:
    blocks = fenced(README)
    # `text` is what a program printed, and docs/generate wrote.
    assert {block.language for block in blocks} <= {"sh", "python", "text"}
    assert "```text" not in typed(README)
    assert set(NOT_RUN) <= {block.name for block in blocks}
    # Code that is only indented, or fenced in another way, would escape.
    assert not any(sign in without_fenced(README) for sign in ("\n\n    ", "```", "~~~", "<pre", "<code"))


def test_every_block_runs(new_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = _checkout(tmp_path, new_stack)
    monkeypatch.chdir(tmp_path)
    printed = {}
    for block in fenced(README):
        if block.language == "text" or block.name in NOT_RUN:
            continue
        text = block.text.replace(ROUTER, new_stack.router).replace(MANAGER, new_stack.manager)
        run = _run_python if block.language == "python" else _run_shell
        printed[block.name] = run(Fenced(block.language, text), environment)
    assert all(printed.values()), printed
    (grpcurl,) = [found for name, found in printed.items() if name.startswith("grpcurl")]
    assert '"probabilities"' in grpcurl


def _checkout(folder: Path, stack: Stack) -> dict[str, str]:
    """Make `folder` what a reader stands in; returns the environment of that shell."""
    for part in ("examples", "bench"):
        (folder / part).symlink_to(ROOT / part)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    here = Path(sys.executable).parent
    (programs / "activate").write_text(f'PATH="{programs}:{here}:$PATH"\n')
    grpcurl = programs / "grpcurl"
    grpcurl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/support/grpcurl.py" "$@"\n')
    grpcurl.chmod(0o755)
    # Where readers stand, `python -m` finds what lies there.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return {
        **inherited,
        "PATH": f"{programs}:{here}:{os.environ['PATH']}",
        # A reader's .venv has the harness, which `bench` needs.
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(ROOT / "bench/harness"), os.environ.get("PYTHONPATH")])
        ),
        "CROUPIERCTL_ROUTER": stack.router,
        "CROUPIERCTL_MANAGER": stack.manager,
    }


def _run_shell(block: Fenced, environment: dict[str, str]) -> str:
    command = ["sh", "-eu", "-c", block.text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _run_python(block: Fenced, environment: dict[str, str]) -> str:
    """In this process, which has the libraries already."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, f"README: {block.name}", "exec"), {"__name__": "__main__"})
    return printed.getvalue()
