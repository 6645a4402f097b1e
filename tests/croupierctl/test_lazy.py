"""What a verb imports. Nothing here is timed: which modules come is what makes the command line slow."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from croupierctl.app import app
from croupierctl.lazy import LazyGroup, Verb

# Who asks for `--help` would wait for them.
SLOW = {
    *("cryptography", "google.protobuf", "grpc", "jwt", "msgspec", "numpy"),
    *("prometheus_client", "protos.versions.v1.versions_pb2", "rich.console", "uvloop", "xxhash"),
}
# Of no use to who asks the version manager.
NEEDLESS = {
    *("croupier_client.aio", "croupier.artifacts.format", "croupier.transport.client", "cryptography"),
    *("jwt", "numpy", "prometheus_client", "rich.console", "uvloop"),
}

PROGRAM = """
import sys
from croupierctl.app import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def imported(*words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--manager", "127.0.0.1:1", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--help"], ["modells"], ["local"], []])
def test_help_imports_nothing_that_is_slow(words):
    found = imported(*words)
    assert "croupierctl.app" in found
    assert found & (SLOW if words != ["local"] else NEEDLESS) == set()


@pytest.mark.parametrize(
    "words",
    [["models", "ls"], ["cells", "--help"], ["models"], ["hand", "acme"], ["explain", "acme", "wine"]],
)
def test_verbs_import_what_they_need(words):
    found = imported(*words)
    assert "grpc" in found
    assert found & NEEDLESS == set()


def groups():
    yield "croupierctl", get_command(app)
    for name, verb in get_command(app).commands.items():
        command = verb.load()
        if isinstance(command, LazyGroup):
            yield name, command


@pytest.mark.parametrize(("name", "group"), list(groups()))
def test_a_list_says_what_the_verbs_say(name, group):
    verbs = [command for command in group.commands.values() if isinstance(command, Verb)]
    assert verbs
    for verb in verbs:
        assert verb.help == verb.load().help.partition("\n")[0]


def test_no_requirement_brings_pydantic():
    """typer has needed it since 0.29, for each word of a command line: longer than all else."""
    pinned = (Path(__file__).parents[2] / "requirements" / "dev.txt").read_text().splitlines()
    assert any(line.startswith("typer==") for line in pinned)
    assert not any(line.startswith("pydantic") for line in pinned)
