"""Thousands of requests that nobody writes, through a router and both ways of a cell: nothing differs.

`tests/fuzz/messages.py` says what is compared and searches further with the same.
"""

from __future__ import annotations

from random import Random

import pytest
from fuzz import messages_seeds as seeds
from fuzz.messages import Search
from fuzz.messages_cell import INFER, Call, Cell
from fuzz.messages_mutator import Part, encode, message, number, packed, text


async def test_what_is_read_natively_is_read_as_protobuf_reads_it() -> None:
    found = await Search(seed=1).run(20_000)
    assert (found.different, found.differences) == (0, [])
    # It would be so if nothing was understood, too.
    assert found.routed > 7_000
    assert found.answered > 3_000
    assert found.completed > 250


def test_what_native_code_reads_alone_is_understood() -> None:
    """A memory checker sees these: `make fuzz-memory`."""
    written = [*Search(seed=1).make(1_000)]
    found = Search(seed=1).read_natively(written)
    assert found.mutants == 1_000
    assert min(found.routed, found.answered) > 200


async def test_another_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity model's inputs, each moved by a bit."""
    search = Search(seed=1)
    generally = Cell.generally

    async def otherwise(self: Cell, call: Call) -> list[bytes] | str:
        found = await generally(self, call)
        return found if isinstance(found, str) else [part[:-1] + bytes([part[-1] ^ 1]) for part in found]

    monkeypatch.setattr(Cell, "generally", otherwise)
    assert (await search.run(200)).different > 10


async def test_an_identity_model_shows_what_was_scored() -> None:
    (model,) = (each for each in seeds.models() if each.name == "two")
    values = seeds.PLAIN_VALUES[:16]
    tensor = message(5, text(1, "input"), text(2, "FP32"), text(3, packed(2, 2)))
    request = encode([tensor, text(7, values), text(seeds.ARTIFACT, model.digest)])
    ((answer,),) = Cell([model]).natively([Call(INFER, request)])
    assert answer is not None
    assert answer.endswith(values)


def test_a_mutant_is_made_from_its_seed_alone() -> None:
    known = seeds.models()
    for make in (seeds.infer, seeds.predict, seeds.frame, seeds.metadata, seeds.response):
        one, other = ([*seeds.mutants(make, known, Random(1))] for _ in range(2))
        assert one == other


def test_parts_are_written_as_protobuf_writes_them_or_longer() -> None:
    group = Part(3, 3, [number(1, 1)], end=3)
    assert encode([text(1, "a"), number(2, 300), group]) == b"\x0a\x01a\x10\xac\x02\x1b\x08\x01\x1c"
    assert encode([Part(1, 2, b"a", tag_pad=1, pad=2)]) == b"\x8a\x00\x81\x80\x00a"
    assert packed(1, -1) == b"\x01" + b"\xff" * 9 + b"\x01"
