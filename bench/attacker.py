"""The hostile peers of one attack: a process of its own, told when by lines on its standard input.

    load NAME   write the attack out; answered by a line once that is done
    go          connect, send, connect anew whenever a connection has ended
    stop        drop every connection; answered by a line of JSON: what was sent, and how connections ended

It may share a core with the load that it is to harm, so it runs at the lowest priority, and new
connections are spread evenly at a bounded rate.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

from bench.attacks import ATTACKS, GOAWAY, Attack

PER_SECOND = 50
_CHUNK = 262_144
_DRIP_SECONDS = 0.02
_BY_NAME = {attack.name: attack for attack in ATTACKS}


class _Peer:
    """One connection. `ended` is called with how it ended."""

    def __init__(self, address: tuple[str, int], attack: Attack, script: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if (error := self.socket.connect_ex(address)) not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))
        # Closing drops the connection at once, with whatever was not sent.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.attack = attack
        self.left = memoryview(script)
        self.drip = attack.drip
        self.next_drip = 0.0
        self._heard = b""
        self._code: int | None = None

    @property
    def events(self) -> int:
        reading = selectors.EVENT_READ if self.attack.is_reading else 0
        return reading | (selectors.EVENT_WRITE if self.left else 0)

    @property
    def is_dropped(self) -> bool:
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def write(self) -> str | None:
        """How the connection has ended, None if it has not."""
        try:
            self.left = self.left[self.socket.send(self.left[:_CHUNK]) :]
        except BlockingIOError:
            pass
        except OSError:
            return self._last_words()
        return None

    def read(self) -> str | None:
        try:
            heard = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return self._ended("reset")
        if not heard:
            return self._ended("closed")
        self._look(self._heard + heard)
        return None

    def drip_on(self, now: float) -> str | None:
        if self.left or not self.drip or now < self.next_drip:
            return None
        self.next_drip = now + _DRIP_SECONDS
        size = self.attack.drip_size
        self.left, self.drip = memoryview(self.drip[:size]), self.drip[size:]
        return self.write()

    def _last_words(self) -> str:
        """What the server had said before it closed."""
        while (end := self.read()) is None:
            pass
        return end

    def _ended(self, otherwise: str) -> str:
        return otherwise if self._code is None else f"GOAWAY {self._code}"

    def _look(self, heard: bytes) -> None:
        """Look for GOAWAY among the frames; what is not whole waits for its rest."""
        at = 0
        while len(heard) - at >= 9:
            length = int.from_bytes(heard[at : at + 3], "big")
            if len(heard) - at < 9 + length:
                break
            if heard[at + 3] == GOAWAY:
                self._code = int.from_bytes(heard[at + 13 : at + 17], "big")
            at += 9 + length
        self._heard = heard[at:]


class _Attacker:
    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._peers: set[_Peer] = set()
        self._is_on = False
        self._next = 0.0

    def load(self, name: str) -> None:
        self._attack = _BY_NAME[name]
        written = self._attack.script()
        self._script, self._frames = b"".join(written.parts), written.frames
        print("loaded", flush=True)

    def go(self) -> None:
        self._is_on = True
        self._sent = 0.0
        self._connections = 0
        self._ends: Counter[str] = Counter()
        self._next = time.monotonic()

    def stop(self) -> None:
        self._is_on = False
        for peer in tuple(self._peers):
            self._drop(peer, "open")
        told = {"frames": round(self._sent), "connections": self._connections, "ends": self._ends}
        print(json.dumps(told), flush=True)

    def run(self) -> None:
        commands: dict[str, Callable[..., None]] = {"load": self.load, "go": self.go, "stop": self.stop}
        while True:
            for key, mask in self._selector.select(0.005 if self._is_on else None):
                if key.data is None:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    command, _, argument = line.strip().partition(" ")
                    commands[command](*([argument] if argument else []))
                elif key.data in self._peers:
                    self._serve(key.data, mask)
            if self._is_on:
                self._turn(time.monotonic())

    def _turn(self, now: float) -> None:
        if now >= self._next and len(self._peers) < self._attack.most_open:
            # Never more than one for each turn: what was missed is not made up for.
            self._next = max(self._next + 1 / PER_SECOND, now - 1 / PER_SECOND)
            peer = _Peer(self._address, self._attack, self._script)
            self._peers.add(peer)
            self._connections += 1
            self._selector.register(peer.socket, peer.events or selectors.EVENT_WRITE, peer)
        for peer in tuple(self._peers):
            if self._attack.drip:
                self._after(peer, peer.drip_on(now))
            elif not self._attack.is_reading and peer.is_dropped:
                self._drop(peer, "reset")

    def _serve(self, peer: _Peer, mask: int) -> None:
        end = peer.read() if mask & selectors.EVENT_READ else None
        if end is None and mask & selectors.EVENT_WRITE and peer.left:
            end = peer.write()
        self._after(peer, end)

    def _after(self, peer: _Peer, end: str | None) -> None:
        if end is not None:
            self._drop(peer, end)
        elif peer.events:
            self._selector.modify(peer.socket, peer.events, peer)
        elif peer.socket.fileno() in self._selector.get_map():
            # It neither reads nor has anything to send: nothing is to be waited for.
            self._selector.unregister(peer.socket)

    def _drop(self, peer: _Peer, end: str) -> None:
        self._ends[end] += 1
        self._sent += self._frames * (1 - len(peer.left) / len(self._script))
        self._peers.remove(peer)
        if peer.socket.fileno() in self._selector.get_map():
            self._selector.unregister(peer.socket)
        peer.socket.close()


if __name__ == "__main__":
    os.nice(19)
    host, _, port = sys.argv[1].rpartition(":")
    _Attacker((host, int(port))).run()
