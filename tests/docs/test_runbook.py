"""The runbook in docs/sharding.md: each verb that changes the map is there, and each command does something.

`tests/system/test_runbook.py` runs it against a real fleet.
"""

import shlex

import pytest
import typer
from support.pages import ROOT, fenced
from support.version_manager_fake import FakeManager, cell
from typer.testing import CliRunner

from croupierctl import follow
from croupierctl.app import app
from protos.versions.v1 import versions_pb2 as pb

COMMANDS = [
    line
    for block in fenced(ROOT / "docs/sharding.md")
    if block.language == "sh"
    for line in block.text.splitlines()
]


def test_every_verb_that_changes_the_map_has_an_example() -> None:
    """Known by its option --dry-run; and what shows, keeps or holds the map, by their names."""
    examples = {tuple(line.split()[1:3]) for line in COMMANDS}
    root = typer.main.get_command(app)
    verbs = {("shards", verb) for verb in ("show", "export", "schema", "history", "diff", "ramp", "plan")}
    for group in ("cells", "zones", "tenants", "shards"):
        loaded = root.commands[group].load()
        for name, verb in loaded.commands.items():
            command = verb.load() if hasattr(verb, "load") else verb
            if any("--dry-run" in parameter.opts for parameter in command.params):
                verbs.add((group, name))
    # One needs rates, which a fleet has once it was asked for a while; the other changes no map.
    assert verbs - examples == {("shards", "optimize"), ("tenants", "limit")}


def test_every_command_runs_on_the_fleet_that_the_page_has(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    with FakeManager() as manager:
        manager.cells = [cell(number, f"zone-{'ab'[number % 2]}") for number in range(4)]
        manager.models["acme", "wine"] = pb.Model(tenant="acme", name="wine")
        for line in COMMANDS:
            program, *words = shlex.split(line)
            assert program == "croupierctl"
            done = CliRunner().invoke(app, ["--manager", manager.target, *words])
            assert done.exit_code == 0, (line, done.stdout, done.stderr, done.exception)
    assert [seat.draining for seat in manager.generations[-1].seats] == [False] * 4
    # Each of them that is to change something does.
    assert len(manager.changes) == len(manager.generations) > 20
