import time

import numpy as np
import pytest

from bench.fair.noting import UNHEARD, Notes
from bench.openloop import Moments
from croupier.codes import Code


def test_what_nobody_answered_took_for_ever() -> None:
    notes = Notes()
    notes.note(0, Code.OK)
    notes.note(2, Code.UNAVAILABLE, "full")
    due = np.zeros(3)
    found = notes.ends(Moments(due, due, due))
    assert found.codes.tolist() == [Code.OK, UNHEARD, Code.UNAVAILABLE]
    assert np.isinf(found.seconds).tolist() == [False, True, False]
    assert found.by_name() == {"OK": 1, "no answer": 1, "UNAVAILABLE": 1}
    assert notes.words == {"UNAVAILABLE: full": 1}
    assert found.words.tolist() == ["", "", "full"]


def test_how_late_the_load_was_is_no_part_of_what_it_waited_since() -> None:
    notes, now = Notes(), time.perf_counter()
    notes.note(0, Code.OK)
    due = np.array([now - 1.0])
    found = notes.ends(Moments(due, due, np.array([0.9])))
    assert found.seconds[0] - found.since_sent[0] == pytest.approx(0.9)
