"""The examples in other languages are tried by `make interop`: here is what needs no building."""

from __future__ import annotations

import pytest
from blocks.programs import PROGRAMS
from interop.languages import LANGUAGES, ROOT
from interop.report import Needed, Report


def test_every_example_is_built_by_make_interop_and_shown_by_the_page() -> None:
    folders = {path.parent.name for path in (ROOT / "examples").glob("*/build")}
    assert folders == set(LANGUAGES) == set(PROGRAMS)


@pytest.mark.parametrize(
    ("folder", "packages"),
    [
        ("go", "golang-go"),
        ("java", "default-jdk-headless"),
        ("node", "nodejs"),
        ("ruby", "ruby"),
        ("cpp", "g++"),
    ],
)
def test_a_build_says_what_it_needs(folder: str, packages: str) -> None:
    needed = LANGUAGES[folder].needed.packages.split()
    assert needed[0] == packages
    assert needed == sorted(set(needed))


def test_what_is_missing_is_named_with_what_brings_it(capsys: pytest.CaptureFixture[str]) -> None:
    needed = Needed(["sh", "/no/such/file", "no-such-program"], "some packages")
    assert needed.missing == ["/no/such/file", "no-such-program"]
    report = Report()
    report.skip("a language", needed)
    report.good("another", "its version")
    assert report.close()
    report.bad("a third", "why")
    assert not report.close()
    assert capsys.readouterr().out == (
        "skipped a language: no /no/such/file, no-such-program here: apt-get install some packages\n"
        "passed  another: its version\n"
        "\n1 passed, 0 failed, 1 skipped\n"
        "FAILED  a third: why\n"
        "\n1 passed, 1 failed, 1 skipped: a third\n"
    )
