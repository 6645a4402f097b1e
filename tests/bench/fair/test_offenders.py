import pickle

from bench.fair import offenders


def test_acts_can_be_sent_to_another_process() -> None:
    ways = offenders.offenders(1.0, 10), offenders.controls(), offenders.evasions()
    for one in (one for way in ways for one in way.values()):
        pickle.dumps(one.act)


def test_no_cold_model_is_asked_for_twice() -> None:
    """By turns, each of which begins where the one before may have ended."""
    assert offenders.cold_asked(2.0, 5) == 5 * offenders.cold_asked(2.0, 1)
