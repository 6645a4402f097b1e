"""What docs/families.md tells readers to write and to type works, one command after the other."""

import shlex

from sklearn.datasets import load_wine
from support.pages import ROOT, fenced
from support.version_manager_fake import FakeManager
from typer.testing import CliRunner

from croupierctl.app import app
from croupierctl.families import app as families
from croupierctl.family_file import parse

BLOCKS = fenced(ROOT / "docs/families.md")
(FILE,) = (block.text for block in BLOCKS if block.language == "yaml")
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]


def test_the_file_can_be_applied() -> None:
    found = parse(FILE.encode())
    assert {one.source for one in found.features} == {"request", "store", "request-else-store"}
    assert found.log is not None


def test_the_example_is_of_a_feature_that_the_model_of_the_examples_has() -> None:
    found = parse((ROOT / "examples/wine.yaml").read_bytes())
    assert {one.name for one in found.features} <= set(load_wine().feature_names)
    row = next(
        line for line in (ROOT / "examples/README.md").read_text().splitlines() if "--entity bottle-7" in line
    ).split()[-1]
    assert len(row.split(",")) + len(found.features) == len(load_wine().feature_names)


def test_every_command_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "churn.yaml").write_text(FILE)
    with FakeManager() as manager:
        for line in COMMANDS:
            words = line.partition("#")[0].partition(" >")[0]
            program, *rest = shlex.split(words)
            assert program == "croupierctl"
            if rest[1] == "rollback":
                # Something to take back.
                (tmp_path / "other.yaml").write_text(FILE.replace("growth", "risk"))
                CliRunner().invoke(app, ["--manager", manager.target, "families", "apply", "other.yaml"])
            done = CliRunner().invoke(app, ["--manager", manager.target, *rest])
            assert done.exit_code == 0, (line, done.stdout, done.stderr, done.exception)


def test_every_verb_has_an_example() -> None:
    named = {command.name or command.callback.__name__ for command in families.registered_commands}
    assert named - {line.split()[2] for line in COMMANDS} == {"schema"}
