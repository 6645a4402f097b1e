from cell.engines.stop import Stop


class Run:
    def __init__(self) -> None:
        self.ends = 0

    def end(self) -> None:
        self.ends += 1


def test_a_bound_run_ends_when_it_is_asked_to() -> None:
    stop, run = Stop(), Run()
    stop.bind(run.end)
    assert (stop.is_asked, run.ends) == (False, 0)
    stop.ask()
    assert (stop.is_asked, run.ends) == (True, 1)


def test_a_run_that_begins_after_it_was_asked_to_end_ends_at_once() -> None:
    stop, run = Stop(), Run()
    stop.ask()
    stop.bind(run.end)
    assert run.ends == 1


def test_each_of_several_runs_of_one_call_can_be_ended() -> None:
    stop, first, second = Stop(1.0, 2.0), Run(), Run()
    stop.bind(first.end)
    stop.bind(second.end)
    stop.ask()
    assert (first.ends, second.ends) == (0, 1)
    assert (stop.began, stop.until) == (1.0, 2.0)
