"""One artifact's file: read, compared with its digest, checked for its engine, and kept for the next time.

`do_job` does it, in a thread of a reader's (`file_reader.pyx`) and without the interpreter. What comes of it
is an `Image`: bytes that match their digest and that nobody else can change. If a native engine may have it,
its section was found and checked here as well; `section.pyx` is a hint that the plain reader
(`croupier.artifacts.format.view`) has the last word on.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport ELOOP, ENOENT, ENXIO, errno
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from cell.crash.slots cimport LOADING, Slot, enter, here, leave
from cell.engines.checked cimport Checked, CheckedFile
from cell.loading.file_io cimport close, keep_file, open_file, read_file, size_of_file, unlink
from cell.loading.gate cimport enter as enter_gate, leave as leave_gate
from cell.loading.section cimport find_section, size_of_tables

import _hashlib
import ctypes
import errno as errors
import os
from ctypes.util import find_library

ctypedef unsigned char* (*Sha256)(
    const unsigned char* data, size_t size, unsigned char* digest
) noexcept nogil


def _sha256():
    """Where libcrypto's function lies: with the processor's instructions for it, and nothing more to link.

    It is of the library that Python's own hashlib has loaded; where that is linked into the interpreter, of
    the system's.
    """
    for name in (getattr(_hashlib, "__file__", None), find_library("crypto")):
        if name is not None and (found := getattr(ctypes.CDLL(name), "SHA256", None)) is not None:
            return ctypes.cast(found, ctypes.c_void_p).value
    raise ImportError("the digests of artifacts need libcrypto, which is not installed")


cdef Sha256 SHA256 = <Sha256><uintptr_t>_sha256()

cdef enum:
    _DIGEST = 32
    # What came of it.
    _READ = 0
    _ABSENT = 1
    _CORRUPT = 2
    _TOO_LARGE = 3
    _FAILED = 4

READ, ABSENT, CORRUPT, TOO_LARGE, FAILED = _READ, _ABSENT, _CORRUPT, _TOO_LARGE, _FAILED


cdef void free_job(Job* job) noexcept nogil:
    free(job.path)
    free(job.keep)
    free(job.part)
    free(job.data)
    if job.file >= 0:
        close(job.file)
    free(job)


cdef void do_job(Job* job, Permits* gate) noexcept nogil:
    if not _open_and_read(job):
        return
    enter_gate(gate)
    _check(job)
    leave_gate(gate)
    if job.outcome == _READ and job.keep != NULL and job.size <= job.keep_most:
        job.keep_error = keep_file(job.keep, job.part, job.data, job.size)
        job.is_kept = job.keep_error == 0
    elif job.outcome == _CORRUPT and job.drops_corrupt:
        unlink(job.path)


cdef bint _open_and_read(Job* job) noexcept nogil:
    cdef int64_t got
    if job.file < 0:
        job.file = open_file(job.path)
    if job.file < 0:
        job.error = errno
        job.outcome = _ABSENT if job.error == ENOENT else _FAILED
        return False
    job.size = size_of_file(job.file)
    if job.size < 0:
        job.size = 0
        job.outcome, job.error = _FAILED, ENXIO
        return False
    if job.size > job.most:
        job.outcome = _TOO_LARGE
        return False
    job.data = <unsigned char*>malloc(max(job.size, 1))
    got = -1 if job.data == NULL else read_file(job.file, job.data, job.size)
    if got < 0:
        job.outcome, job.error = _FAILED, errno
        return False
    job.size = got
    close(job.file)
    job.file = -1
    return True


cdef void _check(Job* job) noexcept nogil:
    """The digest and the section: what takes the processor."""
    cdef unsigned char digest[_DIGEST]
    cdef Slot* slot
    SHA256(job.data, job.size, digest)
    if memcmp(digest, job.digest, _DIGEST) != 0:
        job.outcome = _CORRUPT
        return
    job.outcome = _READ
    find_section(job.data, job.size, &job.section)
    if job.section.kind != NULL:
        slot = here()
        enter(slot, job.digest, LOADING)
        job.problem = job.section.kind.check(job.data + job.section.at, job.section.size, &job.shape)
        leave(slot)


cdef class Image(CheckedFile):
    """The bytes of one file, readable through a buffer, and what came of reading them."""

    def __init__(self):
        raise TypeError("an image is made by a reader")

    cdef bint checked(self, Checked* found) noexcept:
        cdef Job* job = self._job
        if job.section.kind == NULL or job.problem != NULL:
            return False
        found.kind, found.shape = job.section.kind, &job.shape
        found.at, found.size = job.data + job.section.at, job.section.size
        return True

    def __dealloc__(self):
        if self._job != NULL:
            free_job(self._job)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if self._job.outcome != _READ:
            raise BufferError("this file was not read")
        PyBuffer_FillInfo(buffer, self, self._job.data, self._job.size, True, flags)

    @property
    def number(self):
        """What `submit` returned."""
        return self._job.number

    @property
    def outcome(self):
        """READ, ABSENT, CORRUPT, TOO_LARGE or FAILED."""
        return self._job.outcome

    @property
    def error(self):
        """The OSError that reading failed with."""
        return _os_error(self._job.error, self._job.path)

    @property
    def size(self):
        return self._job.size

    @property
    def tables_size(self):
        """Bytes of the tables of tensors and names, as the header says."""
        return size_of_tables(self._job.data, self._job.size) if self._job.outcome == _READ else 0

    @property
    def digest(self):
        return PyBytes_FromStringAndSize(<const char*>self._job.digest, _DIGEST)

    @property
    def is_kept(self):
        """Whether there is a copy where one should be."""
        return self._job.is_kept

    @property
    def keep_error(self):
        """The OSError that keeping it failed with, or None."""
        return _os_error(self._job.keep_error, self._job.keep) if self._job.keep_error else None


cdef object _os_error(int number, const char* path):
    if number == ELOOP or number == ENXIO:
        return OSError(errors.EINVAL, "not a regular file", os.fsdecode(path) if path != NULL else None)
    return OSError(number, os.strerror(number), os.fsdecode(path) if path != NULL else None)
