"""Frames in the log: a line for each, with its size and flags, and never what stands in headers or payloads.

    server#3 < HEADERS stream=1 size=81 END_HEADERS
    server#3 > RST_STREAM stream=1 size=4 code=CANCEL

`<` came and `>` went. What came is logged when its head has, so that what nghttp2 then ignores is there, too
(but for types that HTTP/2 does not know); what it refuses has a second line with the reason. Sessions look
once, as they begin, whether the logger is enabled: those that are not logged have no callback for it.
`--log-level frames` enables it.
"""

from __future__ import annotations

import logging
from itertools import count

from croupier.telemetry.logs import FRAMES

log = logging.getLogger(FRAMES)

# RFC 9113, 6 and 7.
_KINDS = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)
_ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
_STREAM_FLAGS = {0x1: "END_STREAM", 0x4: "END_HEADERS", 0x8: "PADDED", 0x20: "PRIORITY"}
_FLAGS = {
    "DATA": _STREAM_FLAGS,
    "HEADERS": _STREAM_FLAGS,
    "CONTINUATION": _STREAM_FLAGS,
    "SETTINGS": {0x1: "ACK"},
    "PING": {0x1: "ACK"},
}
_numbers = count(1)


class FrameLog:
    """The frames of one session, which is `name` in the log."""

    def __init__(self, role: str) -> None:
        self.name = f"{role}#{next(_numbers)}"

    def __call__(
        self, way: str, kind: int, flags: int, stream: int, size: int, number: int = -1, why: str = ""
    ) -> None:
        """A frame came (`<`) or went (`>`); `number` is an error code, or by how much a window grows."""
        log.debug("%s %s %s", self.name, way, describe(kind, flags, stream, size, number, why))


def frame_log(role: str) -> FrameLog | None:
    """None while frames are not logged."""
    return FrameLog(role) if log.isEnabledFor(logging.DEBUG) else None


def describe(kind: int, flags: int, stream: int, size: int, number: int = -1, why: str = "") -> str:
    """The line of a frame."""
    name = _KINDS[kind] if kind < len(_KINDS) else f"type {kind:#x}"
    words = [name, f"stream={stream}", f"size={size}"]
    known = _FLAGS.get(name, {})
    words += [word for bit, word in known.items() if flags & bit]
    if rest := flags & ~sum(known):
        words.append(f"flags={rest:#x}")
    if name in ("RST_STREAM", "GOAWAY") and number >= 0:
        words.append(f"code={_ERRORS[number] if number < len(_ERRORS) else hex(number)}")
    elif number >= 0:
        words.append(f"by={number}")
    if why:
        words.append(f"refused: {why}")
    return " ".join(words)
