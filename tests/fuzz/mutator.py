"""Changes to an input that keep most of its frames whole.

Blind changes nearly always break the length of a frame, and everything behind it with that. So an input is
cut at its frames, and one thing happens to one of them. Now and then a blind change is made all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from support.http2_peer import PREFACE, frame

# An input's options and splits.
_HEAD = 2
_STREAMS = (0, 1, 2, 3, 5, 7, 9, 11, 2**31 - 1)

Frame = tuple[int, int, int, bytes]
Mutate = Callable[[bytes, int], bytes]


def mutate(data: bytes, most: int, seed: int, blind: Mutate) -> bytes:
    """`data` changed, to at most `most` bytes; `blind` changes bytes without regard for their meaning."""
    rng = Random(seed)
    if rng.random() < 0.2 or len(data) <= _HEAD:
        return blind(data, most)
    head, sent = bytearray(data[:_HEAD]), data[_HEAD:]
    if rng.random() < 0.2:
        head[rng.randrange(_HEAD)] = rng.randrange(256)
    prefix, frames = cut(sent)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(frames, rng, blind)
    return (bytes(head) + prefix + b"".join(frame(k, s, p, f) for k, s, f, p in frames))[:most]


def cut(sent: bytes) -> tuple[bytes, list[Frame]]:
    """The preface, if there is one, and each frame as type, stream, flags and payload."""
    prefix = PREFACE if sent.startswith(PREFACE) else b""
    sent = sent[len(prefix) :]
    frames: list[Frame] = []
    while len(sent) >= 9:
        end = 9 + int.from_bytes(sent[:3])
        frames.append((sent[3], int.from_bytes(sent[5:9]), sent[4], sent[9:end]))
        sent = sent[end:]
    return prefix, frames


def _change(frames: list[Frame], rng: Random, blind: Mutate) -> None:
    if not frames:
        frames.append((rng.randrange(10), rng.choice(_STREAMS), rng.randrange(64), rng.randbytes(8)))
        return
    at = rng.randrange(len(frames))
    kind, stream, flags, payload = frames[at]
    match rng.randrange(9):
        case 0:
            del frames[at]
        case 1:
            frames.insert(rng.randrange(len(frames) + 1), frames[at])
        case 2:
            frames[at] = rng.randrange(11), stream, flags, payload
        case 3:
            frames[at] = kind, rng.choice(_STREAMS), flags, payload
        case 4:
            frames[at] = kind, stream, flags ^ (1 << rng.randrange(6)), payload
        case 5 | 6:
            frames[at] = kind, stream, flags, blind(payload, 2 * len(payload) + 16)
        case 7:
            # The same for one part and the other: a chunk of DATA, or a header block and its continuation.
            split = rng.randrange(len(payload) + 1)
            rest = 9 if kind == 1 else kind
            frames[at : at + 1] = (
                (kind, stream, flags & ~5, payload[:split]),
                (rest, stream, flags, payload[split:]),
            )
        case 8:
            frames[at] = (8, stream, 0, rng.choice((1, 100, 2**16, 2**31 - 1)).to_bytes(4))
            frames.insert(at, (kind, stream, flags, payload))
