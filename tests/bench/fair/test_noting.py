import numpy as np

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
