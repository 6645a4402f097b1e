"""Changes to a packed artifact that leave its envelope whole, so that they reach the engine behind it.

Blind changes are caught by the envelope's checks nearly always. So a section is taken out, something happens
to one of its fields, and it is packed again, mostly with an envelope that says what the section says now.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor, pack, view

Mutate = Callable[[bytes, int], bytes]

_HEADER = 64
_WIDE, _REMAINDERS = 8, 16
_BLOCK_HEADER = 40
_DOUBLES = (
    0.0,
    1.0,
    -1.0,
    2.0,
    0.5,
    1e300,
    -1e300,
    4294967295.0,
    1e19,
    float("nan"),
    float("inf"),
    -float("inf"),
)
_NUMBERS = (0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FC00000)
_NUMBERS += (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FF8000000000000, 2**63 - 1, 2**63, 2**64 - 1)


def mutate(data: bytes, most: int, seed: int, blind: Mutate) -> bytes:
    """`data` changed, to at most `most` bytes; `blind` changes bytes without regard for their meaning."""
    rng = Random(seed)
    try:
        artifact = view(data)
    except InvalidArtifact:
        return blind(data, most)
    if rng.random() < 0.05:
        return blind(data, most)
    if rng.random() < 0.15:
        return _with_length(_overwritten(data, rng, min(len(data), 400)), rng)[:most]
    sections = {name: bytes(content) for name, content in artifact.sections.items()}
    name = artifact.engine if rng.random() < 0.9 and artifact.engine in sections else rng.choice([*sections])
    if name == artifact.engine == "forest" and not _transform_at(sections[name]) and rng.random() < 0.2:
        sections[name] = _rewidened(sections[name], rng)
        if rng.random() < 0.3:
            return _packed(artifact, sections, rng)[:most]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        sections[name] = _changed(sections[name], rng, blind)
    return _packed(artifact, sections, rng)[:most]


def _changed(section: bytes, rng: Random, blind: Mutate) -> bytes:
    begin = _transform_at(section)
    if begin and rng.random() < 0.7:
        return section[:begin] + _block_changed(section[begin:], rng, blind)
    match rng.randrange(10):
        case 0 | 1 | 2:
            return _overwritten(section, rng, _HEADER)
        case 3 | 4:
            return _overwritten(section, rng, len(section))
        case 5 | 6:
            return _at_a_bound(section, rng)
        case 7:
            return _recounted(section, rng)
        case 8:
            # Words inserted or taken out: everything behind them is another thing then.
            at, size = rng.randrange(len(section) // 8 + 1) * 8, rng.choice((4, 8, 16, 64))
            cut = section[at + size :] if rng.random() < 0.5 else rng.randbytes(size) + section[at:]
            return section[:at] + cut
        case _:
            return blind(section, len(section) + 64)


def _overwritten(data: bytes, rng: Random, within: int) -> bytes:
    """A field of 1 to 8 bytes set, or moved by one, as often in the first header as anywhere."""
    changed = bytearray(data)
    size = rng.choice((1, 2, 4, 4, 8))
    if len(changed) < size:
        return data
    at = rng.randrange(max(1, within)) // size * size % (len(changed) - size + 1)
    old = int.from_bytes(changed[at : at + size], "little")
    number = rng.choice((rng.choice(_NUMBERS), old + 1, old - 1, old ^ 1 << rng.randrange(8 * size)))
    changed[at : at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes(changed)


def _rewidened(section: bytes, rng: Random) -> bytes:
    """A forest whose library compares float64, with remainders or without; or one as there was before."""
    if len(section) < _HEADER:
        return section
    flags, _, sums, trees, nodes, vectors = struct.unpack_from("<6I", section, 4)
    old = _aligned(2 * max(0, nodes - trees)) if flags & _REMAINDERS else 0
    end = len(section) - _aligned(4 * vectors * sums)
    flags = flags & ~(_WIDE | _REMAINDERS) | rng.choice((0, _WIDE, _WIDE | _REMAINDERS))
    remainders = b""
    if flags & _REMAINDERS and nodes - trees < 1 << 16:
        parts = ((rng.getrandbits(29), 0, 2**29 - 1)[rng.randrange(3)] for _ in range((nodes - trees) // 2))
        remainders = b"".join(struct.pack("<I", part) for part in parts)
        remainders += bytes(-len(remainders) % 8)
    head = section[:4] + struct.pack("<I", flags) + section[8 : max(8, end - old)]
    return head + remainders + section[end:]


def _aligned(size: int) -> int:
    return (size + 7) // 8 * 8


def _at_a_bound(section: bytes, rng: Random) -> bytes:
    """A field of a forest set to where a check may be wrong by one; docs/artifacts.md has the layout."""
    if len(section) < _HEADER:
        return section
    flags, features, sums, trees, nodes, vectors, splits, words = struct.unpack_from("<8I", section, 4)
    sizes = [
        8 * sums,
        8 * splits,
        4 * trees + 4,
        4 * (1 if vectors else sums) + 4,
        4 * words,
        4 * (-(-features // 32) if flags & 2 else 0),
        8 * nodes,
    ]
    starts = [_HEADER]
    for size in sizes:
        starts.append((starts[-1] + size + 7) // 8 * 8)
    _, splits_at, roots_at, groups_at, _, _, nodes_at, remainders_at = starts
    node = rng.randrange(min(nodes, 4096) or 1)
    node_at = nodes_at + 8 * node
    form, at, number = rng.choice(
        (
            ("<I", node_at, vectors),
            ("<I", node_at, vectors),
            ("<I", node_at, 0x7FC00000 | splits),
            ("<H", node_at + 4, features | rng.choice((0, 0x8000))),
            ("<H", node_at + 6, rng.choice((nodes - node, 1, 2, 0xFFFF))),
            ("<I", splits_at + 4 * rng.randrange(min(2 * splits, 4096) + 1), rng.choice((words, 1 << 31))),
            ("<I", roots_at + 4 * rng.randrange(min(trees, 4096) + 1), nodes),
            ("<I", remainders_at + 4 * (node // 2), 1 << 29),
            ("<I", groups_at + 4 * rng.randrange(sums + 1), trees),
        )
    )
    changed = bytearray(section)
    size = struct.calcsize(form)
    if at + size <= len(changed):
        struct.pack_into(form, changed, at, number + rng.randrange(-1, 2) & (1 << 8 * size) - 1)
    return bytes(changed)


def _recounted(section: bytes, rng: Random) -> bytes:
    """A count of the header changed by little, and the bytes that this takes or leaves."""
    if len(section) < _HEADER:
        return section
    changed = bytearray(section)
    at = rng.randrange(2, 10) * 4
    (old,) = struct.unpack_from("<I", changed, at)
    step = rng.choice((-2, -1, 1, 2))
    struct.pack_into("<I", changed, at, max(0, old + step) & 0xFFFFFFFF)
    grown = step * rng.choice((4, 8, 8))
    return bytes(changed) + bytes(grown) if grown > 0 else bytes(changed[:grown])


def _transform_at(section: bytes) -> int:
    """Where the section's transform seems to begin; 0 if there is none."""
    for at in range(len(section) // 64 * 64, 0, -64):
        if section[at : at + 8] == b"\1\0\0\0\0\0\0\0":
            return at
    return 0


def _block_changed(block: bytes, rng: Random, blind: Mutate) -> bytes:
    """A field of the header, of a step, of the numbers and dictionaries behind them, or of anything set."""
    if len(block) < _BLOCK_HEADER:
        return blind(block, len(block) + 64)
    features, columns, steps, dictionaries, numbers, entries, texts = struct.unpack_from("<7I", block, 8)
    steps_at = _BLOCK_HEADER + (features + 7) // 8 * 8
    step = steps_at + 48 * rng.randrange(min(steps, 4096) or 1)
    numbers_at = steps_at + 48 * steps
    pairs_at = numbers_at + 8 * numbers
    form, at, number = rng.choice(
        (
            ("<I", 8 + 4 * rng.randrange(7), rng.choice((features, columns, steps, numbers, entries, texts))),
            ("<B", _BLOCK_HEADER + rng.randrange(min(features, 4096) + 1), rng.randrange(17)),
            ("<H", step, rng.randrange(7)),
            ("<H", step + 2, rng.randrange(4)),
            ("<I", step + 4, features),
            ("<I", step + 8, columns),
            ("<I", step + 12, numbers),
            ("<I", step + 16, numbers // 2),
            ("<I", step + 20, rng.choice((columns, 0, 0xFFFFFFFF))),
            ("<d", step + rng.choice((24, 32, 40)), rng.choice(_DOUBLES)),
            ("<d", numbers_at + 8 * rng.randrange(min(numbers, 4096) + 1), rng.choice(_DOUBLES)),
            (
                "<I",
                pairs_at + 4 * rng.randrange(2 * min(dictionaries, 4096) + 2),
                rng.choice((features, entries)),
            ),
            ("<I", pairs_at + 8 * dictionaries + 8 + 4 * rng.randrange(2 * min(entries, 4096) + 1), texts),
            (
                "<B",
                len(block) - 1 - rng.randrange(min(texts, 4096) + 1),
                rng.choice((0, 0x61, 0x80, 0xC3, 0xFF)),
            ),
        )
    )
    changed = bytearray(block)
    if form != "<d":
        number = number + rng.randrange(-1, 2) & (1 << 8 * struct.calcsize(form)) - 1
    if 0 <= at <= len(changed) - struct.calcsize(form):
        struct.pack_into(form, changed, at, number)
    return bytes(changed)


def _with_length(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.3 or len(data) < 24:
        return data
    return data[:16] + struct.pack("<Q", len(data)) + data[24:]


def _packed(artifact: Artifact, sections: dict[str, bytes], rng: Random) -> bytes:
    inputs, outputs, features = artifact.inputs, artifact.outputs, artifact.features
    section = sections.get(artifact.engine, b"")
    if rng.random() < 0.8 and len(section) >= 16 and not _transform_at(section):
        flags, width, sums = struct.unpack_from("<III", section, 4)
        columns = sums + (flags & 1)
        if 0 < width < 2**31 and 0 < columns < 2**31:
            inputs, features = (Tensor(inputs[0].name, "FP32", (-1, width)),), ()
            outputs = tuple(
                tensor if tensor.name == "label" else Tensor(tensor.name, "FP32", (-1, columns))
                for tensor in outputs
            )
    try:
        return pack(
            engine=artifact.engine, inputs=inputs, outputs=outputs, sections=sections, features=features
        )
    except InvalidArtifact:
        # Such as a shape that the envelope knows better than to hold.
        return pack(
            engine=artifact.engine,
            inputs=artifact.inputs,
            outputs=artifact.outputs,
            sections=sections,
            features=artifact.features,
        )
