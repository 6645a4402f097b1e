"""What is said of the nghttp2 that this process runs with, against what the library shows to others."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from croupier.transport.http2 import linked


class _Info(ctypes.Structure):
    _fields_ = [("age", ctypes.c_int), ("number", ctypes.c_int), ("text", ctypes.c_char_p)]


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    """The very file that is loaded here."""
    [path] = set(re.findall(r"/\S*libnghttp2\.so\S*", Path("/proc/self/maps").read_text()))
    return ctypes.CDLL(path)


def test_its_number(library: ctypes.CDLL) -> None:
    library.nghttp2_version.restype = ctypes.POINTER(_Info)
    text = library.nghttp2_version(0).contents.text.decode()
    assert ".".join(map(str, linked.number())) == text.partition("-")[0]


def test_the_functions_that_it_has(library: ctypes.CDLL) -> None:
    assert linked.functions() == {
        name: hasattr(library, name)
        for name in ("nghttp2_option_set_stream_reset_rate_limit", "nghttp2_option_set_max_continuations")
    }


def test_how_it_goes_on_is_the_same_each_time() -> None:
    seen = {linked.reads_on() for _ in range(100)}
    assert seen in ({True}, {False})
