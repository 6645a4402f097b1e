"""Every command of the runbook in docs/sharding.md runs as an operator would run it, from top to bottom."""

import shlex
from pathlib import Path

import pytest
from support.fleet import publish, small_stack
from support.pages import ROOT, fenced
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier_client import Client
from croupierctl import follow
from croupierctl.app import app

pytestmark = pytest.mark.system

PAGE = ROOT / "docs/sharding.md"


def test_every_command_of_the_runbook_runs(
    wine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On the fleet that `make up` starts, which is asked all the while by a tenant that it is about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.1)
    lines = [line for block in fenced(PAGE) if block.language == "sh" for line in block.text.splitlines()]
    assert len(lines) > 30
    with small_stack(tmp_path_factory.mktemp("runbook")) as stack:
        publish(stack, "acme", "wine", wine.artifact)
        with Client(stack.router, tenant="acme") as client:
            wait_until(lambda: bool(client.predict("wine", wine.rows[0]).version), "acme/wine is routed")
            for line in lines:
                program, *words = shlex.split(line)
                assert program == "croupierctl"
                done = CliRunner().invoke(app, ["--manager", stack.manager, *words])
                assert done.exit_code == 0, (line, done.stdout, done.stderr, done.exception)
                assert client.predict("wine", wine.rows[0]).version == 1
