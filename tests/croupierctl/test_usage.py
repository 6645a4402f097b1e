"""How often cells were asked for a model, as whoever is about to remove it is told."""

import pytest

from croupierctl.output import Shown
from croupierctl.usage import shown
from protos.versions.v1 import versions_pb2 as pb


def usage_of(**cells):
    """By cell: why it does not say, or versions with their requests and seconds since the last."""
    told = pb.Usage()
    for name, found in cells.items():
        cell = told.cells.add(cell=name, failure=found if isinstance(found, str) else "")
        for number, requests, idle in () if isinstance(found, str) else found:
            cell.versions.add(version=number, requests=requests, idle_seconds=idle)
    return told


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (usage_of(a=[], b=[]), "no cell has it in memory"),
        (
            usage_of(a=[(1, 1_200, 3.2)], b=[(1, 34, 200.0), (2, 0, 1.0)]),
            "cells a, b used it about 1,234 times since",
        ),
        (usage_of(a=[(1, 1_200, 3.2)], b=[(2, 0, 1.0)]), "loaded, last 3 s ago"),
        (usage_of(a=[(1, 1, 600.0)], b=[]), "cell a used it once since it was loaded, last 10 min ago"),
        (usage_of(a=[(1, 0, 9_000.0)]), "cell a did not use it since it was loaded 2 h ago"),
        (usage_of(a="gone", b=[]), "no cell that answers has it in memory; cell a does not say (gone)"),
        (usage_of(a="gone"), "exact versions only; cell a does not say (gone)"),
        (None, "this version manager cannot say how often it is asked for"),
    ],
)
def test_who_removes_a_model_is_told_how_often_it_was_asked_for(manager, run, packed, usage, words):
    run("models", "publish", "acme", "churn", packed)
    manager.usage = usage
    assert words in run("models", "rm", "acme", "churn", code=1, input="n\n").err
    assert words in run("models", "rm", "acme", "churn", "--yes").err


def test_programs_are_told_by_cell(manager, run, ask, packed):
    run("models", "publish", "acme", "churn", packed)
    manager.usage = usage_of(a=[(1, 5, 2.5)], b="gone")
    told = ask("models", "rm", "acme", "churn", "--yes")
    assert (told["tenant"], told["model"], told["version"]) == ("acme", "churn", None)
    assert told["usage"] == [
        {"cell": "a", "failure": "", "versions": [{"version": 1, "requests": 5, "idle_seconds": 2.5}]},
        {"cell": "b", "failure": "gone", "versions": []},
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (119.4, "119 s"),
        (120.0, "2 min"),
        (7_199.0, "120 min"),
        (7_200.0, "2 h"),
        (90_000.0, "25 h"),
    ],
)
def test_ages_are_told_in_the_unit_that_people_use(seconds, words):
    told = shown(usage_of(a=[(1, 2, seconds)]))
    assert told.text == f"cell a used it about 2 times since it was loaded, last {words} ago"


def test_the_latest_use_counts_and_not_the_latest_load():
    told = shown(usage_of(a=[(1, 5, 60.0), (2, 0, 1.0)], b=[(1, 2, 30.0)]))
    assert told.text.endswith("last 30 s ago")
    assert shown(usage_of(a=[(1, 0, 60.0), (2, 0, 1.0)])).text.endswith("loaded 1 s ago")


def test_a_tenant_without_a_cell_and_a_manager_that_cannot_say():
    assert shown(pb.Usage()) == Shown([], "no cell of its tenant is active")
    assert shown(None) == Shown(None, "this version manager cannot say how often it is asked for")
