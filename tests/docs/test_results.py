import pytest
from blocks import benchmarks, front
from blocks.front import Compared
from blocks.results import measured, number, only, result, table, version


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((0, "0"), (12_345, "12,345"), (0.0, "0.00"), (0.01234, "0.0123"), (1.0, "1.00")),
        *((12.345, "12.3"), (123.4, "123"), (123456.7, "123,457"), (None, "")),
    ],
)
def test_measured_numbers_have_three_digits_that_count(value: float | None, said: str) -> None:
    assert said == number(value)


def test_a_row_is_found_by_what_it_has_and_lacks() -> None:
    rows = [{"who": "a", "tls": True}, {"who": "a", "tls": False}, {"who": "a", "tls": False, "items": 32}]
    assert rows[1] == only(rows, who="a", tls=False, items=None)
    for wanted in ({"who": "a"}, {"who": "b"}):
        with pytest.raises(LookupError):
            only(rows, **wanted)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10", "2.6.12"),
        ("?", "?"),
    ],
)
def test_of_a_version_the_number_counts(said: str, number: str) -> None:
    assert number == version({"versions": {"some": said}}, "some")


def test_a_table_aligns_numbers() -> None:
    assert table(["a", "b"], [["c", "1"]]) == "| a | b |\n| --- | --: |\n| c | 1 |\n"


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_each_result_says_how_it_was_measured_and_fills_a_section(name: str) -> None:
    found = result(name)
    assert f"python -m bench {name}" in measured(found)
    assert found["about"]["date"] in benchmarks.section(name)


@pytest.mark.parametrize(
    ("compared", "said"),
    [
        (Compared(ours=2.0, theirs=1.0), "0.500× (we lose)"),
        (Compared(ours=1.0, theirs=2.0), "2.00×"),
        (Compared(ours=2.0, theirs=1.0, failed="all failed"), "0.500× (we lose; all failed)"),
    ],
)
def test_the_front_page_says_where_we_lose_and_what_failed(compared: Compared, said: str) -> None:
    assert said == compared.said()


def test_the_front_page_names_each_peer_s_version_and_each_command() -> None:
    written = front.table_of_ratios()
    for line in front.LINES:
        about = result(line.bench)["about"]
        assert f"{line.peer} {version(about, line.version)}" in written
        assert f"`{about['command']}`" in written
