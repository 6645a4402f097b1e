import io
from dataclasses import replace

from rich.console import Console
from support.load_results import HOSTILE, hostile, killed, progress, result

from croupier_bench import live


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(renderable: object, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


def test_the_view_tells_all_that_is_known() -> None:
    text = shown(live.view("retail", progress(killed(), 20)))
    for words in (
        "retail  20 of 30 s",
        "sent",
        "p99",
        "failed",
        "wrong",
        "hit rate",
        "cell-3",
        "small",
        "late, p99",
    ):
        assert words in text
    assert "kill cell-2: pid 4711" in text
    assert "v2 for acme" in text
    assert "NO_CELL" in text
    assert "drain cell-1" not in text
    assert "hit rate" not in shown(live.view("retail", progress(killed(by_cell={}), 20)))


def test_before_the_first_second_there_is_a_view_as_well() -> None:
    assert "retail  0 of 30 s" in shown(live.view("retail", progress(result(), 0)))


def test_the_second_that_is_not_over_lowers_no_rate() -> None:
    whole = progress(result(), 3)
    begun = replace(whole, seconds=2.2)
    first_two = replace(whole, rows=whole.rows[:2], seconds=2.0)
    assert live.line(begun).split("sent ")[1] == live.line(first_two).split("sent ")[1]
    assert "sent –/s" in live.line(replace(whole, seconds=0.5))


def test_words_of_others_move_no_cursor() -> None:
    text = shown(live.view(HOSTILE, progress(hostile(), 20)), width=400)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\u202e\x1b[31m" in text


def test_elsewhere_it_is_a_line_every_five_seconds_and_one_for_each_event() -> None:
    clock, told = Clock(), io.StringIO()
    run = killed()
    with live.watching("retail", Console(file=told, width=40), clock) as watch:
        for second in range(21):
            clock.now = float(second)
            watch(progress(run, second))
    lines = told.getvalue().splitlines()
    assert [line.strip() for line in lines if "cell-2" in line or "acme" in line] == [
        "12.0 s  kill cell-2: pid 4711",
        "12.4 s  v2 for acme",
    ]
    assert [line.split()[0] for line in lines if "answered" in line] == ["5", "10", "15", "20"]
    assert all("wrong" in line for line in lines if "answered" in line)


def test_a_terminal_has_at_most_two_views_a_second() -> None:
    clock, told = Clock(), io.StringIO()
    console = Console(file=told, force_terminal=True, width=80, height=60)
    drawn = []
    with live.watching("retail", console, clock) as watch:
        for tick in range(21):
            clock.now = tick / 10
            before = told.tell()
            watch(progress(result(), 3))
            drawn.append(told.tell() > before)
    assert sum(drawn) == 5
