import pytest

from croupier_bench import words


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "–"),
        (0, "0"),
        (0.01234, "0.0123"),
        (0.9997, "1.00"),
        (9.997, "10.0"),
        (99.97, "100"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (123456.7, "123,457"),
    ],
)
def test_a_figure_has_the_digits_that_count(value: float | None, told: str) -> None:
    assert words.figure(value) == told


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (0, 0, "–"),
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 3, "33.3 %"),
        (1, 100_000, "0.001 %"),
        (99_999, 100_000, "99.999 %"),
        (5, 10_000, "0.05 %"),
        (1, 10**10, "under 0.0001 %"),
        (10**10 - 1, 10**10, "over 99.9999 %"),
    ],
)
def test_a_share_is_nothing_or_all_only_if_it_is(part: float, whole: float, told: str) -> None:
    assert words.share(part, whole) == told


def test_what_moves_a_cursor_or_turns_a_line_is_shown_as_what_it_is() -> None:
    assert words.printable("a\x1b[31m\nb\u202ec\ud800 ü") == r"a\x1b[31m\nb\u202ec\ud800 ü"


def test_a_long_word_ends_with_a_mark() -> None:
    assert words.printable("abcdef", 4) == "abc…"


def test_names_of_quantiles() -> None:
    assert [words.quantile(name) for name in ("p50", "p999", "mean", "max")] == [
        "p50",
        "p99.9",
        "mean",
        "max",
    ]


def test_one_and_several() -> None:
    assert (words.several(1, "error"), words.several(2000, "error")) == ("1 error", "2,000 errors")


def test_milliseconds() -> None:
    assert (words.ms(None), words.ms(1.5)) == ("–", "1.50 ms")
