"""Each verb that changes the map has the options of a change, and gets what was said of them."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from croupierctl.how import How, changing


def asked(*words: str, **options: bool) -> tuple[list[tuple[str, How]], str]:
    """What a verb with these options got, and what it said of them."""
    seen: list[tuple[str, How]] = []
    app = typer.Typer()

    @app.command()
    @changing(**options)
    def verb(cell: str, zone: Annotated[str, typer.Option(help="A zone.")] = "a", *, how: How) -> None:
        """Do it."""
        seen.append((f"{cell} {zone}", how))

    done = CliRunner().invoke(app, [*words])
    return seen, done.output


def test_what_is_said_stands_in_how() -> None:
    words = (
        "--dry-run",
        "--force",
        "so",
        "--reason",
        "why",
        "--ramp",
        "1m",
        "--cold",
        "--watch",
        "--timeout",
        "90",
    )
    ((own, how),), _ = asked("c-1", "--zone", "b", *words)
    assert (own, how) == ("c-1 b", How(True, "so", "why", 60.0, True, True, False, 90.0))


def test_what_is_not_said_is_as_ever() -> None:
    assert asked("c-1")[0] == [("c-1 a", How())]
    assert asked("c-1", "--wait", wait=True)[0] == [("c-1 a", How(wait=True))]


@pytest.mark.parametrize(
    ("option", "options"), [("--wait", {}), ("--ramp", {"ramp": False}), ("--cold", {"ramp": False})]
)
def test_what_a_verb_does_not_take_is_no_option_of_it(option: str, options: dict[str, bool]) -> None:
    seen, said = asked("c-1", option, "1", **options)
    assert (seen, "No such option" in said) == ([], True)


def test_the_verbs_own_words_are_in_its_help() -> None:
    _, said = asked("--help")
    assert "Do it." in said
    assert "--how" not in said
