"""Bytes in an arena as an object, which gives them back when it is closed or goes."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy

from cell.memory.arena cimport Arena


@cython.no_gc
cdef class Block:
    """Bytes in an arena, readable through a buffer. `Block.of` makes one; models are a kind of them."""

    def __dealloc__(self):
        if self.place.at != NULL:
            self._arena.give(&self.place)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if self.place.at == NULL:
            raise BufferError("this block was given back")
        PyBuffer_FillInfo(buffer, self, self.place.at, self.place.size, True, flags)
        self.place.busy += 1

    def __releasebuffer__(self, Py_buffer* buffer):
        self.leave()

    @staticmethod
    def of(Arena arena not None, data):
        """A block with a copy of `data`.

        Raises:
            ArenaFull: there is no room.
        """
        cdef Block block = Block.__new__(Block)
        cdef Py_buffer buffer
        PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
        try:
            block.take(arena, buffer.len)
            memcpy(block.place.at, buffer.buf, buffer.len)
        finally:
            PyBuffer_Release(&buffer)
        return block

    def close(self):
        """Give the memory back: now, or when the last reader has left. Again does nothing."""
        if self.place.busy:
            self._is_leaving = True
        elif self.place.at != NULL:
            self._arena.give(&self.place)

    @property
    def is_closed(self):
        """Whether `close` was called, even if somebody still reads."""
        return self.place.at == NULL or self._is_leaving

    @property
    def size(self):
        """Of its bytes."""
        return self.place.size

    @property
    def address(self):
        """Where the bytes are now; 0 after they were given back."""
        return <uintptr_t>self.place.at

    cdef int take(self, Arena arena, Py_ssize_t size) except -1:
        """The block's memory, once."""
        if self._arena is not None:
            raise TypeError("a block is made once")
        self._arena = arena
        self.place.size = size
        arena.take(&self.place)
        return 0

    cdef void leave(self) noexcept:
        """The end of what `place.busy += 1` began."""
        self.place.busy -= 1
        if self.place.busy == 0 and self._is_leaving:
            self.close()
