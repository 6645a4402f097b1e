"""Every command of docs/load-testing.md runs as a reader would run it, from top to bottom."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from support.pages import ROOT, fenced
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier_bench.app import app as bench
from croupier_bench.outcome import CODES
from croupier_bench.result import Result
from croupierctl.app import app as croupierctl
from croupierctl.stack import Stack

PAGE = ROOT / "docs/load-testing.md"
HARNESS = ROOT / "bench/harness/croupier_bench"
# What does not run here, and why: by its first line.
NOT_RUN = {
    "pip install ./client . ./bench/harness": "tests/packaging does",
    "croupierctl local up --log": "stays in the foreground; the stack of this test is it",
}
# A load that shares two processors with what it asks may be late, or slow: 1 and 4. It is not wrong.
ENDS = {"run": {0, 1, 4}, "search": {0, 1, 4}, "replay": {0, 1, 4}}
# The page's, and those here, where nobody wants to wait, nor to see few of few.
SHORTER = {
    "rate = 300\nseconds = 20\nwarm_up = 1": "rate = 60\nseconds = 1.5\nwarm_up = 0.1",
    'protocol = "croupier"\n': 'protocol = "croupier"\ncells = 1\n',
    "--seconds 5 --slo p50=20ms --most 2000": "--seconds 0.3 --slo p50=1s --most 50 --repeats 1 --settle 0",
    "--seconds 5 --json": "--seconds 0.3 --most 100 --repeats 1 --settle 0 --json",
    "--seconds 5": "--seconds 1.5",
    "compare before.json after.json": "compare before.json after.json --anyway",
    "at = 5\n": "at = 0.1\n",
    "at = 8\n": "at = 0.2\n",
    "at = 10\n": "at = 0.3\n",
    "at = 12\n": "at = 0.4\n",
}
PROGRAMS = {"croupier-bench": bench, "croupierctl": croupierctl}


def commands() -> list[str]:
    found = [block for block in fenced(PAGE) if block.language == "sh"]
    return [line for block in found if block.name not in NOT_RUN for line in block.text.splitlines()]


@pytest.mark.system
def test_every_command_runs(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stack(tmp_path_factory.mktemp("stack"), cells=2, zones=2, hand_size=2, logs=True) as stack:
        at_home = {"127.0.0.1:8500": stack.router, "127.0.0.1:8400": stack.manager}
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("CROUPIER_HOME", str(stack.folder))
        monkeypatch.setenv("CROUPIERCTL_MANAGER", stack.manager)
        for name, text in files().items():
            (tmp_path / name).write_text(_here(text, at_home))
        for line in commands():
            _run(_here(line, at_home))
    before, eventful = (Result.read(tmp_path / f"{name}.json") for name in ("before", "events"))
    assert before.answered > 0
    assert (before.wrong, before.unverified, before.errors) == ({}, 0, {})
    assert {*before.by_cell} <= {"cell-0", "cell-1"}
    assert sum(cell["answered"] for cell in before.by_cell.values()) == before.answered
    assert 0 < sum(cell["resident_hits"] for cell in before.by_cell.values()) <= before.answered
    assert (eventful.wrong, eventful.unverified) == ({}, 0)
    assert {event.label: event.ok for event in eventful.events} == {
        "KILL cell-1": True,
        "cells drain cell-1": True,
        "release tenant-00000/score version 2": True,
        "sh -c 'echo deployed'": True,
    }, eventful.events
    assert Result.read(tmp_path / "most.json").steps
    assert (tmp_path / "both.html").stat().st_size > 10_000


def files() -> dict[str, str]:
    """By the name in their first line; one says of which it is the continuation."""
    found: dict[str, str] = {}
    for block in fenced(PAGE):
        if block.language in ("toml", "yaml"):
            name, _, more = block.text.splitlines()[0].removeprefix("# ").partition(": ")
            found[name] = found.get(more.partition(",")[0], "") + block.text
    assert set(found) == {"first.toml", "events.toml", "score.yaml"}
    return found


def _here(text: str, at_home: dict[str, str]) -> str:
    for page, here in {**SHORTER, **at_home}.items():
        text = text.replace(page, here)
    return text


def _run(line: str) -> None:
    """In this process, which has the libraries already; workers are processes as ever."""
    program, *words = shlex.split(line)
    if words[0] == "record":
        # The log has a row a second after its answer at the latest; readers are not as quick.
        wait_until(lambda: CliRunner().invoke(PROGRAMS[program], words).exit_code == 0, "it is logged")
    done = CliRunner().invoke(PROGRAMS[program], words)
    told = (line, done.exit_code, done.stdout, done.stderr, done.exception)
    assert done.exit_code in ENDS.get(words[0], {0}), told


def test_what_is_made_shorter_is_on_the_page() -> None:
    text = "\n".join([*commands(), *files().values()])
    assert [words for words in SHORTER if words not in text] == []
    assert {block.name.partition("  ")[0] for block in fenced(PAGE)} >= set(NOT_RUN)


def test_the_reference_has_every_key_of_a_scenario_and_no_other() -> None:
    reference = PAGE.read_text().partition("## A scenario")[2].partition("## When a run")[0]
    rows = [line.split("|")[1] for line in reference.splitlines() if line.startswith("| ")]
    told = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}
    # Of tables within a line, and of each kind of event.
    inline = set(re.findall(r"(\w+) = [\"…\[]", reference)) | set(re.findall(r"`(\w+)`", reference))
    assert told <= asked_for()
    assert asked_for() <= told | inline | _of_events(), asked_for() - told - inline - _of_events()


def _of_events() -> set[str]:
    section = PAGE.read_text().partition("## While things happen")[2].partition("\n## ")[0]
    return set(re.findall(r"`(\w+)`", section)) | set(re.findall(r"^(\w+) = ", section, re.MULTILINE))


def asked_for() -> set[str]:
    """Keys that the code which reads scenarios takes out of its tables."""
    found = set()
    for name in ("scenario", "target", "load", "classes", "levels"):
        for node in ast.walk(ast.parse((HARNESS / f"{name}.py").read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if ast.unparse(node.func.value) in ("table", "above") and isinstance(first, ast.Constant):
                    found.add(first.value)
    return {*found, *_NAMED_OTHERWISE} - _NO_KEYS


# Read in a loop, and tables, of which the reference has the heads.
_NAMED_OTHERWISE = {"tls", "manager_tls", "p50", "p90", "p99", "p999", "mean"}
_NO_KEYS = {"target", "load", "class", "event", "stop", "slo"}


def test_the_exit_codes_are_those_of_the_program() -> None:
    table = PAGE.read_text().partition("| exit code |")[2].partition("\n\n")[0]
    told = dict(re.findall(r"^\| (\d) \| (.+?) \|$", table, re.MULTILINE))
    assert told == dict(re.findall(r"^  (\d)  (.+)$", CODES, re.MULTILINE))
