"""Which answer is right, of the models that `models` describes: what each reply says is computed again.

    verifier = Verifier(scenario)
    verifier.is_right(class_index, model_index, number, reply)     # None, or what kind of wrong it is

Answers are whole numbers that every engine computes exactly, so that they are compared byte by byte. A
model's answers to all of the different rows are computed when the first of them is looked at, and kept.

Right is a version that is released from the beginning, 1, or by an event of the scenario; which of them was
to be expected at that moment is not asked. A reply that names no version may have that of any.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from croupier_bench.classes import UNARY, RequestClass
from croupier_bench.models import Models
from croupier_bench.replies import read_infer, read_predict
from croupier_bench.scenario import Event, Scenario

FIRST_VERSION = 1

ANOTHER_MODEL = "another model's answer"
ANOTHER_VERSION = "another version"
ANOTHER_VALUE = "another value"
UNREADABLE = "unreadable"
KINDS = (ANOTHER_MODEL, ANOTHER_VERSION, ANOTHER_VALUE, UNREADABLE)

_VALUE_BYTES = 4
# Of the answers that are kept, of one class.
_KEPT_BYTES = 64 << 20
_KEPT_NAMES = 1 << 17
# Wrong answers whose owner is looked for, among so many models of a class; and of which there are words.
_LOOKED_FOR, _LOOKED_AT, _MOST_EXAMPLES = 16, 100_000, 10


class Verifier:
    """`examples` has words on the first wrong answers.

    Whose answer a wrong one is takes a tenth of a second to find out, and is asked of the first few alone.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._classes = [_Class(asked, scenario.seed, scenario.events) for asked in scenario.classes]
        self._looked_for = 0
        self.examples: list[str] = []

    def is_right(self, class_index: int, model_index: int, number: int, reply: bytes) -> str | None:
        """None, or the kind of wrong; `reply` is a ModelInferResponse or a PredictResponse."""
        expected = self._classes[class_index]
        asked = expected.asked
        if asked.call == UNARY:
            answer = read_infer(reply)
            if answer is None:
                return self._say(asked, model_index, UNREADABLE, f"{len(reply)} bytes")
            name, version, values = answer
            if name and name != expected.name(model_index):
                words = f"it is called {name.decode(errors='replace')}"
                return self._say(asked, model_index, ANOTHER_MODEL, words)
            return self._compare(expected, model_index, number, asked.rows, version, values)
        read = read_predict(reply)
        if read is None or len(read[0]) != asked.items:
            return self._say(asked, model_index, UNREADABLE, f"{len(reply)} bytes")
        return self._compare_items(expected, model_index, number, *read)

    def _compare_items(
        self, expected: _Class, model_index: int, number: int, versions: Sequence[int], values: bytes
    ) -> str | None:
        """Nearly always one version answers all; of a split release it may be several."""
        items = len(versions)
        if versions.count(versions[0]) == items or len(values) != items * _VALUE_BYTES:
            return self._compare(expected, model_index, number, items, versions[0], values)
        for place, version in enumerate(versions):
            value = values[place * _VALUE_BYTES :][:_VALUE_BYTES]
            if kind := self._compare(expected, model_index, number + place, 1, version, value):
                return kind
        return None

    def _compare(
        self, expected: _Class, model_index: int, number: int, rows: int, version: int, values: bytes
    ) -> str | None:
        released = expected.released(model_index)
        if version in released:
            if values == expected.answer(model_index, version, number, rows):
                return None
        elif version == 0 and any(
            values == expected.answer(model_index, each, number, rows) for each in released
        ):
            return None
        return self._judge(expected, model_index, number, rows, version, values)

    def _judge(
        self, expected: _Class, model_index: int, number: int, rows: int, version: int, values: bytes
    ) -> str:
        """What kind of wrong `values` are, of which `version` is said."""
        asked = expected.asked
        released = sorted(expected.released(model_index))
        said = f"version {version} is said" if version else "no version is said"
        if len(values) != rows * _VALUE_BYTES:
            return self._say(asked, model_index, ANOTHER_VALUE, f"{len(values)} bytes for {rows} rows")
        for known in {*released, version} - {0, -1}:
            if values == expected.answer(model_index, known, number, rows):
                words = f"{said}, it is that of version {known}, released are {released}"
                return self._say(asked, model_index, ANOTHER_VERSION, words)
        # Bit by bit: the first that differs from what it should be.
        right = np.frombuffer(expected.answer(model_index, released[0], number, rows), "<f4")
        seen = np.frombuffer(values, "<f4")
        place = int((seen.view("<u4") != right.view("<u4")).argmax())
        value = float(seen[place])
        if owner := self._owner(expected, number + place, value):
            return self._say(asked, model_index, ANOTHER_MODEL, f"{said}, it is that of {owner}")
        words = f"{said}, {value!r} in place of {float(right[place])!r}"
        return self._say(asked, model_index, ANOTHER_VALUE, words)

    def _owner(self, expected: _Class, number: int, value: float) -> str:
        """Whose answer to this row it is; "" if nobody's who was looked at."""
        if self._looked_for >= _LOOKED_FOR:
            return ""
        self._looked_for += 1
        row = expected.row(number)
        for other in [expected, *(each for each in self._classes if each is not expected)]:
            if len(row) == other.asked.features and (owner := other.owner(row, value)):
                return owner
        return ""

    def _say(self, asked: RequestClass, model_index: int, kind: str, words: str) -> str:
        if len(self.examples) < _MOST_EXAMPLES:
            whom = f"{asked.tenant(model_index)}/{asked.model(model_index)}"
            self.examples.append(f"{kind}, asked for {whom}: {words}")
        return kind


class _Class:
    """What is right for the requests of one class."""

    def __init__(self, asked: RequestClass, seed: int, events: Sequence[Event]) -> None:
        self.asked = asked
        self._models = Models(asked, seed)
        self._distinct = len(self._models.rows)
        # By model and version: the answers to all rows, and to the first ones again.
        self._kept: dict[tuple[int, int], bytes] = {}
        self._laid = np.arange(self._distinct + asked.rows_of_each - 1) % self._distinct
        self._most = max(1, _KEPT_BYTES // (_VALUE_BYTES * len(self._laid)))
        self._names: dict[int, bytes] = {}
        self._versions = versions_of(events)

    def name(self, model_index: int) -> bytes:
        name = self._names.get(model_index)
        if name is None:
            if len(self._names) >= _KEPT_NAMES:
                self._names.clear()
            name = self._names[model_index] = self.asked.model(model_index).encode()
        return name

    def released(self, model_index: int) -> frozenset[int]:
        if not self._versions:
            return _FIRST
        whose = self.asked.tenant(model_index), self.asked.model(model_index)
        return self._versions.get(whose, _FIRST)

    def answer(self, model_index: int, version: int, number: int, rows: int) -> bytes:
        """The right one, as the bytes of float32s."""
        key = model_index, version
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            kept = self._models.answers(model_index, version)[self._laid].tobytes()
            self._kept[key] = kept
        at = number % self._distinct * _VALUE_BYTES
        return kept[at : at + rows * _VALUE_BYTES]

    def row(self, number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        found: np.ndarray[tuple[int], np.dtype[np.float64]] = self._models.rows[number % self._distinct]
        return found

    def owner(self, row: np.ndarray[tuple[int], np.dtype[np.float64]], value: float) -> str:
        """Which of the first models answers `row` with `value`, in words; "" if none or several do."""
        versions = sorted(_FIRST.union(*self._versions.values()))
        found = self._models.whose(row, value, versions, _LOOKED_AT)
        if len(found) != 1:
            return ""
        ((model_index, version),) = found
        return f"{self.asked.tenant(model_index)}/{self.asked.model(model_index)} version {version}"


_FIRST = frozenset({FIRST_VERSION})


def versions_of(events: Sequence[Event]) -> dict[tuple[str, str], frozenset[int]]:
    """The versions of each model that events release, by tenant and name, with the first one."""
    found: dict[tuple[str, str], frozenset[int]] = {}
    for event in events:
        if event.kind == "release":
            whose = event.tenant, event.model
            found[whose] = found.get(whose, _FIRST) | {event.version}
    return found
