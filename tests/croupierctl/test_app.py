"""The root: options, exit codes, errors."""

import json
import re
from pathlib import Path

import pytest
from support.ports import free_port
from typer.main import get_command
from typer.testing import CliRunner

from croupier import errors
from croupierctl.app import app

FOLDER = Path(__file__).parents[2] / "croupierctl"
VERBS = list(get_command(app).commands)
# As each file calls the verbs that it has.
TOLD = [
    words[1].split()
    for path in sorted(FOLDER.glob("*.py"))
    if (words := re.match(r'"""`croupierctl ([^`]+)`', path.read_text()))
]


def invoke(*words, **options):
    return CliRunner().invoke(app, list(words), **options)


def test_help_lists_every_verb():
    result = invoke("--help")
    assert result.exit_code == 0
    for verb in VERBS:
        assert f"  {verb} " in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    assert invoke(verb, "--help").exit_code == 0


@pytest.mark.parametrize("words", TOLD, ids=" ".join)
def test_every_file_of_a_verb_is_reached(words):
    assert invoke(*words, "--help").exit_code == 0


@pytest.mark.parametrize("words", [["nothing"], ["cells", "ls", "--wrong"], ["hand"], ["--manager"]])
def test_a_wrong_command_line_is_exit_code_2(words):
    result = invoke(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_server_that_is_not_there_is_exit_code_1_with_advice():
    target = f"127.0.0.1:{free_port()}"
    result = invoke("--manager", target, "cells", "ls")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"error: the version manager at {target} is unavailable" in result.stderr
    assert "hint: start the local stack with `make up`" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_says_what_the_request_was_called(manager, run):
    manager.failures.append(errors.Conflict("stale"))
    *_, last = run("cells", "ls", code=1).err.splitlines()
    called = manager.metadata["x-request-id"]
    assert last == f"request id: {called}"
    manager.failures.append(errors.Conflict("stale"))
    told = json.loads(run("cells", "ls", "--json", code=1).err)
    assert told["request_id"] == manager.metadata["x-request-id"] not in (called, "")


def test_a_command_in_a_trace_says_so(manager, run):
    parent = f"00-{10:032x}-{11:016x}-01"
    run("cells", "ls", env={"TRACEPARENT": parent})
    assert manager.metadata["traceparent"] == parent
    assert "is no traceparent" in run("--traceparent", "mine", "cells", "ls", code=1).err


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("models ls acme", "models ls"),
        ("--json --manager m:1 status", "status"),
        ("status --json", "status"),
        ("--help", ""),
        ("models", "models"),
    ],
)
def test_what_a_command_is_called_in_a_trace(words, name):
    assert get_command(app)._words(words.split()) == name


def test_errors_are_json_for_programs(manager, run):
    manager.failures.append(errors.FailedPrecondition("the map is frozen", reason="MAP_FROZEN"))
    said = run("cells", "ls", "--json", code=1)
    assert said.out == ""
    told = json.loads(said.err)
    assert (told["error"], told["reason"]) == ("the map is frozen", "MAP_FROZEN")
    assert "croupierctl catalog status" in told["hint"]
    manager.failures.append(errors.Conflict("stale", reason="STALE", current="7"))
    assert json.loads(run("cells", "ls", "--json", code=1).err)["metadata"] == {"current": "7"}


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (errors.NotFound("no such thing"), "croupierctl models ls"),
        (errors.Conflict("stale"), "look at it again"),
        (errors.InvalidRequest("wrong"), "mend that"),
        (errors.PermissionDenied("not yours"), "token of the tenant"),
        (errors.InternalError("a bug"), "its log says more"),
        (errors.FailedPrecondition("released"), ""),
    ],
)
def test_an_error_is_a_sentence_and_what_to_do(manager, run, error, hint):
    manager.failures.append(error)
    said = run("cells", "ls", code=1).err
    assert said.startswith(f"error: {error.message}\n")
    assert ("hint: " in said) == bool(hint)
    assert hint in said


def test_json_may_stand_anywhere(manager):
    for words in (["--json", "cells", "ls"], ["cells", "--json", "ls"], ["cells", "ls", "--json"]):
        assert invoke("--manager", manager.target, *words).stdout == "[]\n"


def test_behind_two_dashes_json_is_a_word(manager):
    assert invoke("--manager", manager.target, "hand", "--", "--json").stdout == ""


def test_the_manager_may_come_from_the_environment(manager):
    result = invoke("cells", "ls", env={"CROUPIERCTL_MANAGER": manager.target})
    assert result.exit_code == 0
    assert "no cell is registered" in result.stderr
