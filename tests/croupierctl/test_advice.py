"""Advice fits the error, and names only what there is: a hint that cannot be followed is worse than none."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from croupier import errors
from croupierctl.advice import _ADVICE, _BY_REASON, advice
from croupierctl.app import app
from croupierctl.lazy import Verb
from croupierctl.servers import ServerUnavailable
from version_manager.settings import ManagerSettings

ROOT = Path(__file__).parents[2]
LOCAL, ELSEWHERE = "127.0.0.1:8400", "manager.internal:8400"
HINTS = {
    **{kind.__name__: sentence for kind, sentence in _ADVICE},
    **_BY_REASON,
    "local": advice(ServerUnavailable("down", target=LOCAL)),
    "elsewhere": advice(ServerUnavailable("down", target=ELSEWHERE)),
}


def kinds():
    return [found for found in vars(errors).values() if isinstance(found, type) and found.__module__]


def command(words):
    """The command that `words` name; KeyError if they name none."""
    found = get_command(app)
    for word in words:
        found = found.commands[word]
        found = found.load() if isinstance(found, Verb) else found
    return found


def flags(found):
    """Of a command and all below it."""
    own = {flag for one in found.params for flag in (*one.opts, *one.secondary_opts)}
    below = [one.load() if isinstance(one, Verb) else one for one in getattr(found, "commands", {}).values()]
    return own.union(*map(flags, below))


def test_every_kind_of_error_has_advice_or_says_itself_what_to_do():
    public = [kind for kind in kinds() if issubclass(kind, errors.CroupierError) and kind.__name__[0] != "_"]
    silent = {kind for kind in public if not advice(kind("it failed"))}
    assert silent == {errors.CroupierError, errors.FailedPrecondition, errors.Cancelled}


def test_no_kind_stands_behind_a_more_general_one():
    found = [kind for kind, _ in _ADVICE]
    hidden = [kind for at, kind in enumerate(found) if any(issubclass(kind, one) for one in found[:at])]
    assert hidden == []


def test_a_reason_outranks_the_kind():
    assert advice(errors.Unavailable("no", reason="NO_SHARD_MAP")).startswith("seat the cells")
    assert advice(errors.Conflict("no", reason="NOT_FROZEN")) == ""
    assert advice(errors.Conflict("no", reason="NOBODYS")) == advice(errors.Conflict("no"))


@pytest.mark.parametrize("reason", _BY_REASON)
def test_a_reason_is_one_that_somebody_gives(reason):
    folders = [path.parent for path in ROOT.glob("*/__init__.py")]
    sources = [path for folder in folders for path in folder.rglob("*.py") if path.name != "advice.py"]
    given = re.compile(f'reason ?= ?"{reason}"')
    assert any(given.search(path.read_text()) for path in sources)


@pytest.mark.parametrize("name", HINTS)
def test_what_a_hint_names_is_there(name):
    for words, options in re.findall(r"croupierctl((?: [a-z]+)+)((?: --[a-z-]+)*)", HINTS[name]):
        assert set(options.split()) <= flags(command(words.split()))
    there = (
        flags(get_command(app))
        | {"--help"}
        | {f"--{field.replace('_', '-')}" for field in ManagerSettings.__dataclass_fields__}
    )
    assert set(re.findall(r"--[a-z-]+", HINTS[name])) <= there


@pytest.mark.parametrize(("target", "hint"), [(LOCAL, "make up"), (ELSEWHERE, f"runs at {ELSEWHERE}")])
def test_a_server_elsewhere_is_no_local_stack(target, hint):
    said = advice(ServerUnavailable("down", target=target))
    assert hint in said
    assert ("make up" in said) == target.startswith("127")
