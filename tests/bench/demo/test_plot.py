import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np

from bench.demo import plot
from bench.demo.act_two import DEAD, HELD, PAUSE, QUIET, Phase, Played
from bench.demo.judging import Tenancy
from bench.demo.loading import NOTHING, Seen
from bench.demo.sharing import Sharing

SHARING = Sharing("poison-0", ("a", "b", "c"), {"one": 0, "two": 1, "three": 3}, (0.5, 0.3, 0.15, 0.05))
TENANCY = Tenancy(["one", "two", "three"], [0, 1, 3], [False, True, True])
PHASES = [Phase(name, 10.0 + at, 11.0 + at) for at, name in enumerate((QUIET, HELD, PAUSE, DEAD))]


def draw(seen: Seen) -> ET.Element:
    played = Played(SHARING, 60.0, seen, PHASES)
    return ET.fromstring(plot.draw(played, TENANCY))


def words(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_it_has_a_line_for_each_group_and_a_dot_for_each_error() -> None:
    due = np.linspace(9.0, 14.5, 331)
    models = np.arange(len(due)) % 3
    latencies = np.full(len(due), 0.002)
    failed = (models == 2) & (due >= 13.0)
    latencies[failed] = np.inf
    root = draw(Seen(due, latencies, models, np.zeros(len(due), bool), Counter(), 0.0))
    said = words(root)
    assert {"share no cell (1 tenants)", "share some (1)", "share all (1)"} <= set(said)
    # What came before and behind the play is not shown.
    assert f"{int((failed & (due < 14.0)).sum())} errors" in said
    assert [word for word in said if word in ("quiet", "held", "all killed")] == [
        "quiet",
        "held",
        "all killed",
    ]


def test_nothing_seen_is_drawn_as_well() -> None:
    assert not [word for word in words(draw(NOTHING)) if word.endswith("errors")]
