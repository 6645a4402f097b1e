"""Buffers that native code fills are proved to be filled, before they are scored or sent.

Memory that nobody wrote is memory that somebody wrote before: another caller's rows, another tenant's answer.
So:

- bytes that are made to be filled come from `unfilled`, and pass `filled` when they are: whoever fills writes
  one part behind the other, so that to end where the buffer ends is to have filled it. It costs a comparison;
- the rows of a request are compared with what was booked for them where they are filled in
  (`cell/engines/form.pyx`), and all buffers of a scoring call with what its models take and give
  (`cell/engines/native.pyx`).

**The debug build** finds what is wrong with that reasoning. `CROUPIER_DEBUG=1 python setup.py build` makes
one: buffers are poisoned before they are filled, rows and scores with a signalling NaN that no arithmetic
gives, and a call that scores or gives poison fails. A memory checker is told of the poison, and asked about
every buffer at the place that proves it: `make fuzz-memory` runs the mutants of `tests/fuzz/messages.py` so.
A caller who sends that NaN has poison in its request; so a debug build serves nobody.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from croupier.errors import InternalError


class Unfilled(InternalError):
    """A buffer that was not filled, or beyond its end. A bug of ours, caught before anybody sees it."""

    reason = "UNFILLED_BUFFER"


def is_debug():
    """Whether this is a debug build."""
    return CROUPIER_IS_DEBUG != 0


cdef bytes unfilled(Py_ssize_t size):
    """Bytes to be filled, and given to `filled` then."""
    cdef bytes made = PyBytes_FromStringAndSize(NULL, size)
    poison(PyBytes_AS_STRING(made), size)
    return made


cdef bytes filled(bytes made, const void* end):
    """`made`, which is filled up to `end`; raises Unfilled unless that is all of it."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(made)
    cdef Py_ssize_t written = <const char*>end - PyBytes_AS_STRING(made)
    if written != size:
        raise Unfilled(f"{written} of {size} bytes were filled")
    tell_checker(PyBytes_AS_STRING(made), size)
    return made
